//! The readers: a bounded pool of connections that only read.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use diesel::{SqliteConnection, connection::SimpleConnection as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{connection, error::StoreError, search::Search};

/// A connection that reads one consistent snapshot of what is committed. Its queries stand in the
/// room's `query` files.
pub struct Reader {
    pub(super) connection: SqliteConnection,
    pub(super) search: Arc<Search>,
    generation: u64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Reader {
    /// Runs a query in a read transaction, so that all of it sees one snapshot.
    pub(super) fn in_snapshot<T>(
        &mut self,
        query: impl FnOnce(&mut Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.connection.batch_execute("BEGIN").map_err(StoreError::database("begin to read"))?;
        let result = query(self);
        self.connection.batch_execute("COMMIT").map_err(StoreError::database("end reading"))?;
        result
    }
}

pub(super) struct Pool {
    search: Arc<Search>,
    /// Bounds the reads that run; the callers queue here.
    permits: Arc<Semaphore>,
    limit: usize,
    idle: Mutex<Vec<Reader>>,
}

impl Pool {
    pub(super) fn new(limit: NonZeroUsize, search: Arc<Search>) -> Pool {
        let permits = Arc::new(Semaphore::new(limit.get()));
        Pool { search, permits, limit: limit.get(), idle: Mutex::default() }
    }

    pub(super) async fn permit(&self) -> OwnedSemaphorePermit {
        self.permits.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// An idle reader of this generation, or a new one.
    pub(super) fn take(&self, generation: u64, database: &Path) -> Result<Reader, StoreError> {
        let idle = self.idle().pop();
        match idle {
            Some(reader) if reader.generation == generation => Ok(reader),
            _ => {
                let connection = connection::open_reader(database)?;
                Ok(Reader { connection, search: self.search.clone(), generation })
            }
        }
    }

    /// Keeps a reader for the next query, unless its generation is gone or enough are idle.
    pub(super) fn give_back(&self, reader: Reader, generation: u64) {
        let mut idle = self.idle();
        if reader.generation == generation && idle.len() < self.limit {
            idle.push(reader);
        }
    }

    pub(super) fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
