//! A snapshot for an operator: made like one for another server, then looked at page by page.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tempfile::TempPath;
use tokio::{fs::File, sync::Semaphore};

use super::{
    desk::Refused,
    transfer::{self, TransferError},
};
use crate::store::{self, Facts, Store, StoreError};

/// Makes snapshots for operators; clones share it.
#[derive(Clone)]
pub(super) struct Backups {
    store: Store,
    /// Shared with the snapshots for other servers: one is made at a time.
    making: Arc<Semaphore>,
    count: Arc<AtomicU64>,
}

/// A snapshot that is sound; its file goes with it.
pub struct SoundSnapshot {
    file: TempPath,
    /// What it says of itself.
    pub facts: Facts,
    /// How many bytes it has.
    pub bytes: u64,
}

/// Reads a snapshot in pieces of at most 256 KiB.
pub struct Pieces(File);

impl Backups {
    pub(super) fn new(store: Store, making: Arc<Semaphore>) -> Backups {
        Backups { store, making, count: Arc::default() }
    }

    /// A copy of everything that is committed here.
    ///
    /// # Errors
    /// The disk has no room for it beside this reserve, or the database is damaged.
    pub(super) async fn make(&self, reserve: u64) -> Result<SoundSnapshot, Refused> {
        let closed = |_| Refused::ShuttingDown;
        let turn = self.making.clone().acquire_owned().await.map_err(closed)?;
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let name = format!("backup-{number}");
        let made = async {
            let (file, _) = transfer::make_file(&self.store, &name, reserve).await?;
            drop(turn);
            let looking = tokio::task::spawn_blocking(move || {
                let facts = look(&file)?;
                let bytes = std::fs::metadata(&file).map(|found| found.len());
                Ok::<_, TransferError>(SoundSnapshot { bytes: bytes?, facts, file })
            });
            looking.await.map_err(std::io::Error::other)?
        };
        made.await.map_err(|error: TransferError| match error {
            TransferError::Store(StoreError::NoRoom { .. }) => Refused::StorageFull,
            error => Refused::Store(error.to_string()),
        })
    }
}

fn look(file: &Path) -> Result<Facts, StoreError> {
    store::verify_snapshot(file)?;
    store::snapshot_facts(file)
}

impl SoundSnapshot {
    /// Its bytes, from the first.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub async fn pieces(&self) -> Result<Pieces, Refused> {
        let file = File::open(&self.file).await;
        file.map(Pieces).map_err(|error| Refused::Store(error.to_string()))
    }
}

impl Pieces {
    /// The next one; `None` after the last.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refused> {
        let piece = transfer::next_chunk(&mut self.0).await;
        piece.map_err(|error| Refused::Store(error.to_string()))
    }
}
