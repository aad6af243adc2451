//! P21's driver: reads what the own history holds alone, and brings it to the leader of the one that goes on.

use tokio::sync::mpsc;

use crate::{
    cluster::{Epoch, OpId, Seq},
    peers::{Heard, Merger, NotMerged},
    store::{Store, StoreError},
    wire::{cluster::Envelope, peer::epoch_to},
};

/// One part; the messages of gRPC have at most 4 MiB, and the leader merges a part in a few batches.
const PART_BYTES: usize = 512 * 1024;

/// What to bring to whom.
pub(super) struct ReconcileOrder {
    pub(super) op: OpId,
    pub(super) epoch: Epoch,
    pub(super) common: Seq,
    pub(super) until: Seq,
    pub(super) envelope: Envelope,
}

/// Why it ended early. The core begins again.
#[derive(Debug, thiserror::Error)]
enum ReconcileError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Leader(#[from] NotMerged),
}

/// Brings everything, and tells the loop whether it is stored there.
pub(super) async fn reconcile(
    store: Store,
    merger: Merger,
    order: ReconcileOrder,
    heard: mpsc::Sender<Heard>,
) {
    let op = order.op;
    let done = match bring(&store, &merger, order).await {
        Ok(updates) => {
            tracing::info!(updates, "what this server stored alone is merged");
            true
        }
        Err(error) => {
            tracing::info!(%error, "merging ended early; it begins again");
            false
        }
    };
    let _ = heard.send(Heard::Reconciled { op, done }).await;
}

async fn bring(
    store: &Store,
    merger: &Merger,
    order: ReconcileOrder,
) -> Result<usize, ReconcileError> {
    let ReconcileOrder { epoch, common, until, envelope, .. } = order;
    let (mut after, mut brought) = (common, 0);
    while after < until {
        let part =
            store.read(move |reader| reader.merges(after, until, common, PART_BYTES)).await?;
        brought += part.updates.len();
        if !part.updates.is_empty() {
            merger.merge(envelope.clone(), epoch_to(epoch), part.updates).await?;
        }
        after = part.until;
    }
    Ok(brought)
}
