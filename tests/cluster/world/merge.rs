//! P21 in the model: what one side stored alone is submitted again by the driver at the leader of the other.
//! An update is its payload, so one that the leader's log holds already is not stored again.

use std::collections::BTreeSet;

use bytes::Bytes;
use chinwag::cluster::{Epoch, Event, Operation, Payload, Seq, ServerId};

use super::{Node, World, store::Log};

/// What a server has the leader merge.
#[derive(Clone, Debug)]
pub(super) struct Merging {
    pub(super) op: u64,
    pub(super) leader: ServerId,
    pub(super) epoch: Epoch,
    pub(super) common: Seq,
    pub(super) until: Seq,
    /// The last of the updates that the leader took.
    pub(super) submitted: Option<u64>,
}

impl World {
    pub(crate) fn has_merge(&self, id: ServerId) -> bool {
        self.runs(id) && self.nodes[&id].merging.is_some()
    }

    /// Goes on with a merge; returns whether anything happened.
    pub(crate) fn run_merge(&mut self, id: ServerId) -> bool {
        let Some(mut merging) = self.node(id).merging.take() else { return false };
        let (op, leader) = (merging.op, merging.leader);
        let leads = self.runs(leader)
            && !self.is_cut(id, leader)
            && !self.is_cut(leader, id)
            && self
                .core(leader)
                .is_some_and(|core| core.serving() && core.epoch() == merging.epoch);
        if !leads {
            self.step(id, Event::Reconciled { op, done: false });
            return true;
        }
        if let Some(waiter) = merging.submitted {
            let waits = self.nodes[&leader].taken.iter().any(|(taken, _)| *taken == waiter);
            if waits {
                self.node(id).merging = Some(merging);
                return false;
            }
            let done = self.acknowledged.iter().any(|one| one.waiter == waiter);
            self.step(id, Event::Reconciled { op, done });
            return true;
        }
        let missing = self.missing_updates(id, &merging);
        if missing.is_empty() {
            self.step(id, Event::Reconciled { op, done: true });
            return true;
        }
        if !self.core(leader).is_some_and(|core| core.takes_updates()) {
            self.node(id).merging = Some(merging);
            return false;
        }
        let operations: Vec<Operation> = missing
            .into_iter()
            .map(|payload| {
                self.next_waiter += 1;
                Operation { waiter: self.next_waiter - 1, payload }
            })
            .collect();
        merging.submitted = operations.last().map(|operation| operation.waiter);
        self.node(id).merging = Some(merging);
        self.note(|| format!("{id} has {leader} merge {} updates", operations.len()));
        self.step(leader, Event::Submit(operations));
        true
    }

    fn missing_updates(&self, id: ServerId, merging: &Merging) -> Vec<Bytes> {
        let Some(log) = &self.nodes[&id].disk.log else { return Vec::new() };
        let held = self.nodes[&merging.leader].updates();
        let alone = &log.entries[merging.common as usize..merging.until as usize];
        let updates = alone.iter().filter_map(|entry| match &entry.payload {
            Payload::Update(bytes) => Some(bytes.clone()),
            _ => None,
        });
        updates.filter(|bytes| !held.contains(bytes)).collect()
    }
}

impl Node {
    /// Every update of its log.
    pub(crate) fn updates(&self) -> BTreeSet<Bytes> {
        self.disk.log.iter().flat_map(Log::updates).collect()
    }
}

impl Log {
    pub(crate) fn updates(&self) -> impl Iterator<Item = Bytes> {
        self.entries.iter().filter_map(|entry| match &entry.payload {
            Payload::Update(bytes) => Some(bytes.clone()),
            _ => None,
        })
    }
}
