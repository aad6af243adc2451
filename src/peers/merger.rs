//! Bringing what one history held alone to the leader of another.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use super::link::{CallError, Caller};
use crate::wire::cluster::{Envelope, Epoch, ReconcileRequest};

/// A part that is not committed after this is brought again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The way to one other server.
pub struct Merger {
    caller: Arc<Caller>,
}

/// Why a part was not merged. It may be all the same; it is brought again.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct NotMerged(#[from] CallError);

impl Merger {
    pub(super) fn new(caller: Arc<Caller>) -> Merger {
        Merger { caller }
    }

    /// Brings these, and waits until they are committed.
    pub async fn merge(
        &self,
        envelope: Envelope,
        epoch: Epoch,
        updates: Vec<Bytes>,
    ) -> Result<(), NotMerged> {
        let request = ReconcileRequest { envelope: Some(envelope), epoch: Some(epoch), updates };
        let mut client = self.caller.bulk.clone();
        let call = client.reconcile(self.caller.request(request));
        let answered = timeout(PATIENCE, call).await.map_err(|_| CallError::Late)?;
        answered.map(drop).map_err(|status| NotMerged(status.into()))
    }
}
