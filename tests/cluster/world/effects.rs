//! What the servers' effects do to the world.

use std::sync::Arc;

use chinwag::cluster::{Body, Effect, Epoch, Message, Seq, ServerId};

use super::{Flight, World, merge::Merging, store::StoreOp};

impl World {
    pub(super) fn carry_out(&mut self, id: ServerId, effects: Vec<Effect>) {
        for effect in effects {
            if self.trace.is_some() {
                self.note_effect(id, &effect);
            }
            self.carry_out_one(id, effect);
        }
    }

    fn carry_out_one(&mut self, id: ServerId, effect: Effect) {
        match effect {
            Effect::Persist(local) => {
                let old = &self.nodes[&id].disk.local;
                if local.promised < old.promised || local.starts < old.starts {
                    self.violate(format!("I5: the promise of {id} fell"));
                }
                self.node(id).disk.local = local;
            }
            Effect::Remember(local) => self.node(id).disk.local = local,
            Effect::Send(message) => {
                self.note_question(id, &message);
                self.network.push_back(Flight { message: Box::new(message), snapshot: None });
            }
            Effect::Probe { peer, begun } => {
                let refused = !self.is_up(peer) && !self.is_cut(id, peer);
                self.node(id).probes.push_back((peer, begun, refused));
            }
            Effect::Apply { op, entries } => {
                self.record(&entries);
                self.note_left_out(id, &entries);
                self.node(id).store.push_back(StoreOp::Apply(op, entries));
            }
            Effect::Commit { op } => self.node(id).store.push_back(StoreOp::Commit(op)),
            Effect::Rollback => {
                self.check_rollback(id);
                self.node(id).store.push_back(StoreOp::Rollback);
            }
            Effect::Store { op, entries, lineage } => {
                self.record(&entries);
                self.node(id).store.push_back(StoreOp::Store(op, entries, lineage));
            }
            Effect::Install { op, nonce, aside } => {
                // The file leaves the place where they arrive, where a later one may get the same number.
                let node = self.node(id);
                let file = node.snapshots.remove(&nonce).expect("the snapshot was received");
                node.store.push_back(StoreOp::Install(op, file, aside));
            }
            Effect::Trim { until } => {
                self.node(id).trimmed = until;
                self.node(id).store.push_back(StoreOp::Trim(until));
            }
            Effect::SendLog(wanted) => self.send_log(id, wanted.template, wanted.until),
            Effect::SendSnapshot { to, nonce, epoch } => self.send_snapshot(id, to, nonce, epoch),
            Effect::Reconcile { op, leader, epoch, common, until } => {
                let submitted = None;
                self.node(id).merging =
                    Some(Merging { op, leader, epoch, common, until, submitted });
            }
            Effect::Taken(taken) => self.node(id).taken.extend(taken),
            Effect::Answer { until } => self.acknowledge(id, until),
            Effect::Publish { until } => self.check_publish(id, until),
            Effect::ServeReads { until, seq } => self.serve_reads(id, until, seq),
            Effect::Abandon => {
                self.node(id).taken.clear();
                self.node(id).reads.clear();
            }
            Effect::Tell(sentence) => self.node(id).told.push(sentence),
            Effect::Exit { failure } => {
                let odd = failure.as_ref().filter(|reason| reason.contains("differ"));
                let spoiled = self.nodes.values().any(|node| node.spoiled);
                if let Some(reason) = odd.filter(|_| !spoiled) {
                    self.violate(format!("I8: {reason}"));
                }
                self.forget(id);
                self.node(id).exit = Some(failure);
            }
        }
    }

    fn send_log(&mut self, id: ServerId, template: Message, until: Seq) {
        let Some(log) = &self.nodes[&id].disk.log else { return };
        let (Body::Suffix(updates) | Body::Fetched(updates)) = &template.body else {
            panic!("not a body with updates")
        };
        if updates.prev_seq + 1 < log.first {
            let what = format!("P19: {id} sends entry {} which it removed", updates.prev_seq + 1);
            self.violate(what);
            return;
        }
        let mut parts = Vec::new();
        let wanted = &log.entries[updates.prev_seq as usize..until as usize];
        let (mut prev_seq, mut prev_hash) = (updates.prev_seq, updates.prev_hash);
        for part in wanted.chunks(5) {
            let mut updates = updates.clone();
            (updates.prev_seq, updates.prev_hash) = (prev_seq, prev_hash);
            updates.entries = Arc::new(part.to_vec());
            let last = part[part.len() - 1].position();
            (prev_seq, prev_hash) = (last.seq, last.hash);
            let body = match &template.body {
                Body::Suffix(_) => Body::Suffix(updates),
                _ => Body::Fetched(updates),
            };
            parts.push(Message { body, ..template.clone() });
        }
        self.network.extend(
            parts.into_iter().map(|message| Flight { message: Box::new(message), snapshot: None }),
        );
    }

    fn send_snapshot(&mut self, id: ServerId, to: ServerId, nonce: u64, epoch: Epoch) {
        let Some(log) = self.nodes[&id].disk.log.clone() else { return };
        let Some(core) = self.core(id) else { return };
        let body = Body::Snapshot { epoch, position: log.last() };
        let message = core.message(to, nonce, body);
        let flight = Flight { message: Box::new(message), snapshot: Some(Arc::new(log)) };
        if self.loses {
            self.sent_snapshots.push(flight.clone());
        }
        self.network.push_back(flight);
    }
}
