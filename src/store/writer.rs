//! The writer: the one connection that changes the replicated database. Synchronous.

use std::{path::Path, sync::Arc, time::Instant};

use diesel::{SqliteConnection, connection::SimpleConnection as _};

use super::{
    apply::{self, Memory},
    connection,
    error::StoreError,
    handle::Shared,
    log::{self, Head},
};
use crate::{
    chat::{Change, MarkId, Outcome, Refusal},
    cluster::{Entry, Hash, LogSummary, Payload, Seq},
    failpoint::{self, Point},
    metrics::Metrics,
};

/// What came of applying entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The digest of the tables after them.
    pub digest: Hash,
    /// What each update came to, in their order.
    pub results: Vec<(Seq, Result<Outcome, Refusal>)>,
    /// What subscribers are told once they are committed, in the order of the entries.
    pub changes: Vec<Change>,
}

/// The one who writes. After an error it must not be used again: whether a failed commit is on the
/// disk is unknown.
pub struct Writer {
    pub(super) connection: SqliteConnection,
    shared: Arc<Shared>,
    /// Where the log stands, the open transaction included.
    head: Option<Head>,
    /// Where it stood when the transaction began; outer `None` when none is open.
    before: Option<Option<Head>>,
    memory: Memory,
    /// Marks of the open transaction.
    marks: Vec<MarkId>,
    /// Where it is told how long things took.
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(
        mut connection: SqliteConnection,
        shared: Arc<Shared>,
    ) -> Result<Writer, StoreError> {
        let head = log::head(&mut connection)?;
        let (memory, marks, metrics) = (Memory::default(), Vec::new(), Arc::default());
        Ok(Writer { connection, shared, head, before: None, memory, marks, metrics })
    }

    /// Tells from now on how long it takes, there. What is written never depends on that.
    pub fn measure(&mut self, metrics: Arc<Metrics>) {
        self.metrics = metrics;
    }

    /// Applies and logs these entries in the open transaction; begins one if none is open.
    ///
    /// # Errors
    /// When an entry does not continue the log, cannot be decoded, or meets a database error: the
    /// transaction is rolled back, and the server must not go on.
    pub fn apply(&mut self, entries: &[Entry]) -> Result<Applied, StoreError> {
        let lineage = self.head.map(|head| head.lineage);
        self.apply_after(entries, lineage)
    }

    /// Commits the open transaction: durable when it returns.
    ///
    /// # Errors
    /// Never to be taken for an abort: the transaction may be on the disk all the same.
    ///
    /// # Panics
    /// When no transaction is open.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        assert!(self.before.take().is_some(), "only what was applied can be committed");
        let begun = Instant::now();
        self.connection
            .batch_execute("COMMIT")
            .map_err(StoreError::database("commit; whether it is on the disk is unknown"))?;
        self.metrics.writer.commit.time(begun.elapsed());
        self.shared.note_committed(self.head.map_or(0, |head| head.last.seq));
        for mark in self.marks.drain(..) {
            self.shared.marks.reached(mark, &self.shared.database());
        }
        Ok(())
    }

    /// Rolls the open transaction back, if one is open.
    pub fn rollback(&mut self) -> Result<(), StoreError> {
        let Some(before) = self.before.take() else { return Ok(()) };
        self.head = before;
        self.memory = Memory::default();
        self.marks.clear();
        self.connection.batch_execute("ROLLBACK").map_err(StoreError::database("roll back"))
    }

    /// Applies, logs and commits these entries in one transaction; returns the digest of the tables
    /// after them. `lineage` is the hash before entry 1, and counts while the log is empty.
    ///
    /// # Panics
    /// When a transaction is open.
    pub fn store(&mut self, entries: &[Entry], lineage: Hash) -> Result<Hash, StoreError> {
        assert!(self.before.is_none(), "a follower has no open transaction");
        let lineage = self.head.map_or(lineage, |head| head.lineage);
        let applied = self.apply_after(entries, Some(lineage))?;
        failpoint::reach(Point::StoreApplied);
        self.commit()?;
        Ok(applied.digest)
    }

    /// Removes log entries up to `until`, the newest one excepted. Not while a transaction is open.
    ///
    /// # Panics
    /// When a transaction is open.
    pub fn trim(&mut self, until: Seq) -> Result<(), StoreError> {
        assert!(self.before.is_none(), "the log is trimmed between transactions");
        let Some(mut head) = self.head else { return Ok(()) };
        self.begin()?;
        head.first = log::trim(&mut self.connection, &head, until)?;
        self.head = Some(head);
        failpoint::reach(Point::TrimApplied);
        self.commit()
    }

    /// What the protocol keeps of the log in memory; `None` while it is empty.
    pub fn summary(&mut self) -> Result<Option<LogSummary>, StoreError> {
        log::summary(&mut self.connection)
    }

    /// Puts a verified snapshot in use as a new generation and returns its log. The present database is
    /// removed, or kept aside with the number of updates that only it has.
    ///
    /// # Panics
    /// When a transaction is open.
    pub fn install(&mut self, staged: &Path, aside: Option<u64>) -> Result<LogSummary, StoreError> {
        assert!(self.before.is_none(), "a snapshot is installed between transactions");
        self.connection = self.shared.install(staged, aside)?;
        self.head = log::head(&mut self.connection)?;
        self.shared.note_committed(self.head.map_or(0, |head| head.last.seq));
        self.memory = Memory::default();
        self.summary()?.ok_or_else(|| StoreError::damaged(staged, "the snapshot has no log"))
    }

    /// Rolls back what is open, checkpoints and closes.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.rollback()?;
        connection::checkpoint(&mut self.connection)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if self.before.is_none() {
            self.connection
                .batch_execute("BEGIN IMMEDIATE")
                .map_err(StoreError::database("begin a transaction"))?;
            self.before = Some(self.head);
        }
        Ok(())
    }

    fn apply_after(
        &mut self,
        entries: &[Entry],
        lineage: Option<Hash>,
    ) -> Result<Applied, StoreError> {
        let begun = Instant::now();
        self.begin()?;
        let result = self.apply_all(entries, lineage);
        self.note_batch(entries, begun);
        if result.is_err() {
            // The first error is the one to tell; a rollback that fails as well adds nothing.
            let _ = self.rollback();
        }
        result
    }

    fn note_batch(&self, entries: &[Entry], begun: Instant) {
        let writer = &self.metrics.writer;
        writer.apply.time(begun.elapsed());
        writer.batch_entries.size(entries.len());
        writer.batch_bytes.size(entries.iter().map(update_bytes).sum());
    }

    fn apply_all(
        &mut self,
        entries: &[Entry],
        lineage: Option<Hash>,
    ) -> Result<Applied, StoreError> {
        let mut applied = Applied { digest: ZERO, results: Vec::new(), changes: Vec::new() };
        for entry in entries {
            let before = self.head;
            self.check_place(entry, lineage)?;
            let opens_epoch = before.is_none_or(|head| head.last.epoch != entry.epoch);
            log::append(&mut self.connection, entry, opens_epoch)?;
            let mut digest = before.map_or(ZERO, |head| head.digest);
            if let Payload::Update(payload) = &entry.payload {
                let memory = &mut self.memory;
                let done = apply::apply(&mut self.connection, memory, entry, payload, digest)?;
                digest = done.digest;
                if let Ok(Outcome::Marked(mark)) = &done.result {
                    self.marks.push(*mark);
                }
                applied.results.push((entry.seq, done.result));
                applied.changes.extend(done.changes);
            }
            self.head = Some(Head {
                lineage: lineage.expect("checked with the place"),
                digest,
                first: before.map_or(entry.seq, |head| head.first),
                last: entry.position(),
            });
        }
        if let Some(head) = &self.head {
            log::set_head(&mut self.connection, head)?;
            applied.digest = head.digest;
        }
        Ok(applied)
    }

    fn check_place(&self, entry: &Entry, lineage: Option<Hash>) -> Result<(), StoreError> {
        let bad = |reason: &str| StoreError::BadEntry { seq: entry.seq, reason: reason.into() };
        let (seq, hash) = match (&self.head, lineage) {
            (Some(head), _) => (head.last.seq, head.last.hash),
            (None, Some(lineage)) => (0, lineage),
            (None, None) => return Err(bad("is applied to a log without a lineage")),
        };
        if entry.seq != seq + 1 {
            return Err(bad("does not follow the end of the log"));
        }
        if !entry.follows(hash) {
            return Err(bad("has a hash that does not follow the log"));
        }
        Ok(())
    }
}

fn update_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Update(bytes) => bytes.len(),
        Payload::View(_) | Payload::Noop => 0,
    }
}

/// The digest of empty tables.
const ZERO: Hash = Hash([0; 32]);
