//! A backup: everything that was acknowledged before it was asked for, from this server's own database.
//!
//! From a follower it costs the leader nothing but one round of heartbeats.

use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::Status;

use super::{Administration, PATIENCE};
use crate::{
    node::{Pieces, SoundSnapshot},
    rpc::{context, errors},
    store::SCHEMA_VERSION,
    wire::{
        admin::{BackupHeader, BackupResponse, backup_response::Part},
        view,
    },
};

/// Pieces waiting for a slow reader.
const PIECES: usize = 4;

type Sender = mpsc::Sender<Result<BackupResponse, Status>>;

impl Administration {
    pub(super) async fn take_backup(
        &self,
    ) -> Result<impl Stream<Item = Result<BackupResponse, Status>> + use<>, Status> {
        let acknowledged = self.acknowledged().await?;
        let reached = timeout(PATIENCE, self.node().reached(acknowledged)).await;
        reached.map_err(|_| errors::behind(self.id))?;
        let refused = |error| errors::refused(error, &self.context);
        let snapshot = self.node().snapshot(self.disk_reserve).await.map_err(refused)?;
        let pieces = snapshot.pieces().await.map_err(refused)?;
        let header = self.header(&snapshot);
        tracing::info!(seq = header.seq, bytes = header.bytes, "a backup is being taken");
        let (sender, parts) = mpsc::channel(PIECES);
        let stop = self.stop.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(send(header, snapshot, pieces, sender)).await;
        });
        Ok(ReceiverStream::new(parts))
    }

    fn header(&self, snapshot: &SoundSnapshot) -> BackupHeader {
        let facts = &snapshot.facts;
        BackupHeader {
            cluster: self.cluster.clone(),
            server_id: self.id.0,
            seq: facts.position.seq,
            epoch: facts.position.epoch.to_string(),
            hash: facts.position.hash.to_string(),
            lineage: facts.lineage.to_string(),
            in_sync: facts.members.iter().map(|member| member.0).collect(),
            schema_version: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: Some(view::timestamp(context::now())),
            bytes: snapshot.bytes,
        }
    }
}

/// The snapshot's file goes when everything is sent, or nobody listens any more.
async fn send(header: BackupHeader, snapshot: SoundSnapshot, mut pieces: Pieces, to: Sender) {
    let mut part = Part::Header(header);
    while to.send(Ok(BackupResponse { part: Some(part) })).await.is_ok() {
        part = match pieces.next().await {
            Ok(Some(piece)) => Part::Chunk(piece.into()),
            Ok(None) => break,
            Err(error) => {
                let _ = to.send(Err(errors::internal(&error.to_string()))).await;
                break;
            }
        };
    }
    drop(snapshot);
}
