//! Opening a data folder, and what everybody may do with an open one.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use diesel::SqliteConnection;

use super::{
    compare::Marks,
    connection,
    error::StoreError,
    folder::{self, DiskUse, DivergedFile, Folder},
    local::LocalStore,
    log,
    pool::{Pool, Reader},
    search::{Indexer, Search},
    snapshot::{self, Made},
    writer::Writer,
};
use crate::{
    cluster::{LocalState, LogSummary, Seq},
    failpoint::{self, Point},
};

/// How to open a data folder.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The folder; made where it is missing.
    pub data_dir: PathBuf,
    /// The identity of the folder if it has none yet; drawn by the caller.
    pub fresh_uuid: [u8; 16],
    /// How many reads may run at once; the others wait.
    pub readers: NonZeroUsize,
}

impl OpenOptions {
    /// One reader a core.
    pub fn new(data_dir: impl Into<PathBuf>, fresh_uuid: [u8; 16]) -> OpenOptions {
        let readers = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        OpenOptions { data_dir: data_dir.into(), fresh_uuid, readers }
    }
}

/// An opened data folder.
#[derive(Debug)]
pub struct Opened {
    /// For everybody.
    pub store: Store,
    /// For one: run it as it is, or hand it to [`super::WriterHandle::spawn`].
    pub writer: Writer,
    /// What the local store holds; this start is counted, durably.
    pub local: LocalState,
    /// The log; `None` on a server that knows nothing yet.
    pub log: Option<LogSummary>,
}

/// A handle on an open data folder; clones share it. The folder is free for other processes when the
/// last handle and the writer are gone.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Locks and opens a data folder, makes what a new one needs, brings the schema up to date, and
    /// counts the start.
    pub fn open(options: OpenOptions) -> Result<Opened, StoreError> {
        let folder = Folder::hold(&options.data_dir)?;
        let local_path = folder.local_path();
        let current = folder.current()?;
        if current.is_some() && !local_path.exists() {
            return Err(StoreError::Missing { path: local_path });
        }
        let mut local = LocalStore::open_or_make(&local_path, options.fresh_uuid)?;
        if current.is_none() && local.has_generation() {
            return Err(StoreError::Missing { path: folder.root().join("CURRENT") });
        }
        folder.tidy(current)?;
        let generation = match current {
            Some(generation) => generation,
            None => first_generation(&folder)?,
        };
        let mut connection = connection::open_writer(&folder.database(generation))?;
        let log = log::summary(&mut connection)?;
        local.begin_life(log.as_ref().map(|log| log.lineage))?;
        let state = local.state().clone();
        let end = log.as_ref().map_or(0, |log| log.last.seq);
        let search = Arc::new(Search::new(folder.search_path(), end));
        let shared = Arc::new(Shared {
            folder,
            local: Mutex::new(local),
            generation: AtomicU64::new(generation),
            committed: AtomicU64::new(end),
            marks: Marks::default(),
            pool: Pool::new(options.readers, search.clone()),
            search,
        });
        let writer = Writer::new(connection, shared.clone())?;
        Ok(Opened { store: Store { shared }, writer, local: state, log })
    }

    /// Writes the local store; durable when it returns. Blocks for a sync of the disk.
    pub fn persist_local(&self, state: &LocalState) -> Result<(), StoreError> {
        self.shared.local().persist(state)
    }

    /// Runs queries on one consistent snapshot of what is committed, off the async threads. Waits while
    /// as many reads run as there are readers.
    ///
    /// # Panics
    /// When `query` panics, or outside a tokio runtime.
    pub async fn read<T, Q>(&self, query: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    {
        let permit = self.shared.pool.permit().await;
        let store = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            store.read_now(query)
        });
        match task.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(StoreError::Database {
                doing: "read; the server is shutting down",
                reason: error.to_string(),
            }),
        }
    }

    /// The same, here and now: for the simulator and for threads that may block.
    pub fn read_now<T>(
        &self,
        query: impl FnOnce(&mut Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let generation = self.shared.generation();
        let mut reader = self.shared.pool.take(generation, &self.shared.database())?;
        let result = reader.in_snapshot(query);
        self.shared.pool.give_back(reader, self.shared.generation());
        result
    }

    /// Whether a snapshot can be made without leaving less than this many bytes of the disk.
    ///
    /// # Errors
    /// [`StoreError::NoRoom`] if not. Blocks.
    pub fn room_for_a_snapshot(&self, reserve: u64) -> Result<(), StoreError> {
        let needed = snapshot::most_bytes(&self.shared.database())?;
        let free = self.free_space()?;
        if free < needed.saturating_add(reserve) {
            return Err(StoreError::NoRoom { needed, free, reserve });
        }
        Ok(())
    }

    /// Writes what is committed into a new file, which a crash may damage, and returns what that file is. Blocks.
    pub fn snapshot_to(&self, path: &Path) -> Result<Made, StoreError> {
        snapshot::take(&self.shared.database(), path)
    }

    /// Where to put a snapshot that is made or received: on the same disk, cleaned at every start.
    pub fn staging_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        self.shared.folder.staging_path(name)
    }

    pub(super) fn marks(&self) -> &Marks {
        &self.shared.marks
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Who builds the search index: one for each data folder.
    pub fn indexer(&self) -> Indexer {
        Indexer::new(self.shared.clone())
    }

    /// The end of the log that is committed here.
    pub fn committed(&self) -> Seq {
        self.shared.committed.load(Ordering::SeqCst)
    }

    /// From now on a search is not answered before the index holds everything up to here.
    pub fn demand_index(&self, until: Seq) {
        self.shared.search.demand(until);
    }

    /// The databases that were set aside with updates that the common history lacks.
    pub fn diverged(&self) -> Result<Vec<DivergedFile>, StoreError> {
        self.shared.folder.diverged()
    }

    /// The end of the log as far as a search finds it.
    pub fn indexed(&self) -> Seq {
        self.shared.search.covered()
    }

    /// What this folder takes of its disk, in bytes. Blocks.
    pub fn disk_use(&self) -> DiskUse {
        self.shared.folder.disk_use(self.shared.generation())
    }

    /// The bytes that this process can still write to the folder's disk.
    pub fn free_space(&self) -> Result<u64, StoreError> {
        self.shared.folder.free_space()
    }
}

/// What the handles and the writer share.
pub(super) struct Shared {
    folder: Folder,
    local: Mutex<LocalStore>,
    /// The one in use; only the writer changes it.
    generation: AtomicU64,
    /// The end of the log that is committed.
    committed: AtomicU64,
    pool: Pool,
    pub(super) marks: Marks,
    pub(super) search: Arc<Search>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Shared {
    /// Puts a staged snapshot in use and returns the new write connection.
    pub(super) fn install(
        &self,
        staged: &Path,
        aside: Option<u64>,
    ) -> Result<SqliteConnection, StoreError> {
        failpoint::reach(Point::InstallBefore);
        folder::sync(staged)?;
        let old = self.generation();
        let new = self.folder.make_generation()?;
        let database = self.folder.database(new);
        std::fs::rename(staged, &database)
            .map_err(StoreError::io(format!("move {} into place", staged.display())))?;
        failpoint::reach(Point::InstallMoved);
        let connection = connection::open_writer(&database)?;
        if let Some(updates) = aside {
            self.folder.mark_aside(old, updates)?;
            failpoint::reach(Point::InstallMarked);
        }
        self.folder.switch_to(new)?;
        self.generation.store(new, Ordering::SeqCst);
        self.pool.clear();
        failpoint::reach(Point::InstallRetire);
        self.folder.retire(old)?;
        failpoint::reach(Point::InstallAfter);
        Ok(connection)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.database(self.generation())
    }

    pub(super) fn note_committed(&self, end: Seq) {
        self.committed.store(end, Ordering::SeqCst);
    }

    fn local(&self) -> MutexGuard<'_, LocalStore> {
        // A panic inside `persist` leaves what was there before, so the lock's poison says nothing.
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_generation(folder: &Folder) -> Result<u64, StoreError> {
    let generation = folder.make_generation()?;
    connection::create(&folder.database(generation))?;
    folder::sync(&folder.database(generation))?;
    folder.switch_to(generation)?;
    Ok(generation)
}
