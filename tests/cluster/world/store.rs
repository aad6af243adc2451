//! A store in memory with the semantics of the real one: an open transaction is lost in a crash.

use std::sync::Arc;

use chinwag::cluster::{
    Boundary, Entry, Event, Hash, LocalState, LogSummary, Payload, Position, Seq, ServerId, View,
};

use super::World;

#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// The oldest entry that can still be read; the older ones are kept for the invariants only.
    pub(crate) first: Seq,
    pub(crate) lineage: Hash,
    pub(crate) entries: Vec<Entry>,
}

impl Log {
    pub(crate) fn last(&self) -> Position {
        self.entries[self.entries.len() - 1].position()
    }

    pub(crate) fn holds(&self, seq: Seq, hash: Hash) -> bool {
        seq > 0 && self.entries.get(seq as usize - 1).is_some_and(|entry| entry.hash == hash)
    }

    pub(crate) fn newest_view(&self) -> Option<(Position, &View)> {
        self.entries.iter().rev().find_map(|entry| match &entry.payload {
            Payload::View(view) => Some((entry.position(), view)),
            _ => None,
        })
    }

    pub(super) fn summary(&self) -> LogSummary {
        let mut boundaries: Vec<Boundary> = Vec::new();
        let mut views = Vec::new();
        for entry in &self.entries {
            if boundaries.last().is_none_or(|last| last.epoch != entry.epoch) {
                boundaries.push(Boundary { epoch: entry.epoch, first: entry.seq });
            }
            if let Payload::View(view) = &entry.payload {
                views.push((entry.seq, view.clone()));
            }
        }
        let kept = self.entries.iter().filter(|entry| entry.seq >= self.first);
        let recent = kept.map(|entry| (entry.seq, entry.hash)).collect();
        let (lineage, first) = (self.lineage, self.first);
        LogSummary { lineage, first, last: self.last(), boundaries, views, recent }
    }
}

/// What survives a crash.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) local: LocalState,
    pub(crate) log: Option<Log>,
    pub(crate) aside: Vec<Log>,
}

#[derive(Clone, Debug)]
pub(super) enum StoreOp {
    Apply(u64, Arc<Vec<Entry>>),
    Commit(u64),
    Rollback,
    Store(u64, Arc<Vec<Entry>>, Hash),
    Install(u64, Arc<Log>, Option<u64>),
    Trim(Seq),
}

impl World {
    pub(crate) fn has_store_work(&self, id: ServerId) -> bool {
        self.runs(id) && !self.nodes[&id].stalled && !self.nodes[&id].store.is_empty()
    }

    pub(crate) fn run_store(&mut self, id: ServerId) {
        let Some(op) = self.node(id).store.pop_front() else { return };
        match op {
            StoreOp::Apply(op, entries) => {
                let node = self.node(id);
                node.open.extend(entries.iter().cloned());
                let digest = node.digest(node.open[node.open.len() - 1].hash);
                self.step(id, Event::Applied { op, digest });
            }
            StoreOp::Rollback => self.node(id).open.clear(),
            StoreOp::Commit(op) => {
                let node = self.node(id);
                let entries = std::mem::take(&mut node.open);
                let log = node.disk.log.as_mut().expect("a leader has a log");
                let end = log.last();
                log.entries.extend(entries.iter().cloned());
                if entries[0].seq != end.seq + 1 || !entries[0].follows(end.hash) {
                    self.violate(format!("I2: {id} commits what does not follow its log"));
                }
                self.check_commit(id, &entries);
                self.step(id, Event::Committed { op });
            }
            StoreOp::Store(op, entries, lineage) => {
                let node = self.node(id);
                let log = node.disk.log.get_or_insert_with(|| Log {
                    lineage,
                    first: 1,
                    entries: Vec::new(),
                });
                let end = log.entries.last().map_or((0, lineage), |last| (last.seq, last.hash));
                let fits = entries[0].seq == end.0 + 1 && entries[0].follows(end.1);
                log.entries.extend(entries.iter().cloned());
                let last = log.last().hash;
                let idle = node.open.is_empty();
                if !fits || !idle {
                    self.violate(format!("I2: {id} stores what does not follow its log"));
                }
                self.note_late_exclusion(id, &entries);
                let digest = self.node(id).digest(last);
                self.step(id, Event::Stored { op, digest });
            }
            StoreOp::Install(op, file, aside) => self.install(id, op, &file, aside),
            StoreOp::Trim(until) => {
                assert!(self.node(id).open.is_empty(), "the log is trimmed between transactions");
                let log = self.node(id).disk.log.as_mut().expect("a log to trim");
                log.first = log.first.max(until + 1).min(log.last().seq);
            }
        }
    }

    /// The next piece of work fails. What was to become durable may be so all the same: a database can bring
    /// such a commit back when it is opened again.
    pub(crate) fn fail_store(&mut self, id: ServerId, durable: bool) {
        let Some(op) = self.node(id).store.pop_front() else { return };
        self.note(|| format!("the disk of {id} fails at {op:?}; durable: {durable}"));
        let node = self.node(id);
        match op {
            StoreOp::Commit(_) if durable => {
                let entries = std::mem::take(&mut node.open);
                let log = node.disk.log.as_mut().expect("a leader has a log");
                log.entries.extend(entries.iter().cloned());
                self.check_commit(id, &entries);
            }
            StoreOp::Store(_, entries, lineage) if durable => {
                let new = || Log { lineage, first: 1, entries: Vec::new() };
                node.disk.log.get_or_insert_with(new).entries.extend(entries.iter().cloned());
                self.note_late_exclusion(id, &entries);
            }
            _ => {}
        }
        let reason = "the disk failed".to_owned();
        self.step(id, Event::StoreFailed { reason });
        if self.is_up(id) {
            self.violate(format!("P18: {id} goes on with a disk that failed"));
        }
    }

    fn install(&mut self, id: ServerId, op: u64, new: &Log, aside: Option<u64>) {
        let node = self.node(id);
        let summary = new.summary();
        if let Some(old) = node.disk.log.replace(new.clone()) {
            let last = old.last();
            let contained = new.holds(last.seq, last.hash);
            if aside.is_some() {
                node.disk.aside.push(old);
            } else if !contained {
                self.violate(format!("I11: {id} overwrites entries that nobody else may have"));
            }
        }
        self.step(id, Event::Installed { op, log: summary });
    }
}
