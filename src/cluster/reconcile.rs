//! P21: two sides of a partition went on under `available`. The one whose history ends hands what it stored
//! alone to the leader of the other, and copies that leader's database afterwards.
//!
//! The core only says when: what an update means is not known here, so the driver reads the own entries
//! after the last common one, has them turned into updates that can be merged, and brings them to the leader, which
//! stores them like any client's. All of that may be repeated from the beginning, for merging twice changes
//! nothing; so a crash, a lost answer or a new leader in the middle needs no memory: whoever registers again is
//! told again that it diverged. The snapshot is taken from the very lead that took everything.

use super::{
    core::Core,
    epoch::{Epoch, Incarnation, ServerId},
    event::{Effect, OpId, Time},
    log::Seq,
    message::Message,
    mutant::Mutant,
};

/// What a server holds while it hands over what it stored alone.
#[derive(Clone, Debug)]
pub(super) struct Reconciling {
    op: OpId,
    target: (ServerId, Epoch, Option<Incarnation>),
    entries: u64,
}

impl Core {
    pub(super) fn on_diverged(&mut self, message: &Message, epoch: Epoch, common: Seq) {
        let asked = message.nonce == self.registration.newest_nonce;
        if !asked || self.log.last().is_none() || !self.follow(message, epoch) {
            return;
        }
        let leader = message.from;
        let entries = self.log.last_seq().saturating_sub(common);
        let forgets = self.mutant == Some(Mutant::SkipsReconcile);
        let why = if self.is_majority_policy() {
            "they were never acknowledged, unless an operator forced that lead"
        } else if common + 1 < self.log.first() {
            "the oldest of them are no longer in the log, so they cannot be merged"
        } else if forgets {
            "they are forgotten"
        } else {
            self.reconcile(leader, epoch, common, entries);
            return;
        };
        self.tell(format!(
            "{entries} entries after entry {common} are not in the history of server {leader}; {why}; the \
             file is kept aside and a snapshot is taken"
        ));
        self.registration.want_snapshot(Some(entries));
    }

    fn reconcile(&mut self, leader: ServerId, epoch: Epoch, common: Seq, entries: u64) {
        if self.reconciling.is_some() {
            return;
        }
        let (op, until) = (self.new_op(), self.log.last_seq());
        let target = (leader, epoch, self.peers[&leader].incarnation);
        self.reconciling = Some(Reconciling { op, target, entries });
        self.tell(format!(
            "{entries} entries after entry {common} are not in the history of server {leader}; they are \
             merged into it"
        ));
        self.effects.push(Effect::Reconcile { op, leader, epoch, common, until });
    }

    /// Another leader, or another life of it, must be asked whether it lacks anything.
    pub(super) fn reconciles_with(
        &mut self,
        target: (ServerId, Epoch, Option<Incarnation>),
    ) -> bool {
        self.reconciling.take_if(|now| now.target != target);
        self.reconciling.is_some()
    }

    pub(super) fn on_reconciled(&mut self, op: OpId, done: bool) {
        let Some(over) = self.reconciling.take_if(|now| now.op == op) else { return };
        let heartbeat = self.settings.timing.heartbeat_interval;
        if !done {
            self.registration.next_at = Some(Time(self.now.0 + heartbeat * 4));
            return;
        }
        let (leader, ..) = over.target;
        let entries = over.entries;
        self.tell(format!("the {entries} entries are merged into the history of server {leader}"));
        self.registration.want_snapshot(Some(0));
    }
}
