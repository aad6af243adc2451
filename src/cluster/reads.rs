//! P15: when a leader may answer reads. No clock: every member must have answered a heartbeat that was
//! sent after the read arrived, in this epoch, or a batch that was begun after it must be committed. The
//! answer of a Blank server does not count: it may have promised a greater epoch before its disk was lost.

use std::collections::BTreeSet;

use super::{
    core::Core,
    epoch::ServerId,
    event::{Effect, Policy, ReadId},
    log::Seq,
    mutant::Mutant,
};

/// The reads that wait at a leader.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    /// The newest read that waits.
    newest: Option<ReadId>,
    round: Option<Round>,
}

/// One round of heartbeats; reads that come later wait for the next one together.
#[derive(Clone, Copy, Debug)]
struct Round {
    until: ReadId,
    /// Answers to this heartbeat and to later ones count.
    from_nonce: u64,
    seq: Seq,
}

impl Reads {
    /// The newest read that waits now; a batch begun now serves it when it is committed.
    pub(super) fn newest(&self) -> Option<ReadId> {
        self.newest
    }

    fn served(&mut self, until: ReadId) {
        if self.newest.is_some_and(|newest| newest <= until) {
            self.newest = None;
        }
        if self.round.is_some_and(|round| round.until <= until) {
            self.round = None;
        }
    }
}

impl Core {
    pub(super) fn on_read(&mut self, id: ReadId) {
        let Some(leader) = self.leader.as_mut().filter(|leader| leader.serving) else {
            self.effects.push(Effect::Abandon);
            return;
        };
        leader.reads.newest = Some(id);
        self.turn_reads();
    }

    /// A batch was committed that was begun after these reads came.
    pub(super) fn reads_served_by_batch(&mut self, until: Option<ReadId>) {
        let Some(until) = until else { return };
        self.serve_reads(until, self.committed_seq());
    }

    /// Begins a round if reads wait and none is under way; ends one that everybody answered.
    pub(super) fn turn_reads(&mut self) {
        loop {
            let Some(leader) = self.leader.as_ref().filter(|leader| leader.serving) else { return };
            let Some(newest) = leader.reads.newest else { return };
            let Some(round) = leader.reads.round else {
                let from_nonce = if self.mutant == Some(Mutant::OldAnswerServesRead) {
                    0
                } else {
                    self.next_nonce
                };
                let round = Round { until: newest, from_nonce, seq: self.committed_seq() };
                if !self.round_is_answered(round) {
                    self.send_heartbeats();
                }
                if let Some(leader) = self.leader.as_mut() {
                    leader.reads.round = Some(round);
                }
                continue;
            };
            if !self.round_is_answered(round) || self.must_commit_first() {
                return;
            }
            self.serve_reads(round.until, round.seq.max(self.committed_seq()));
        }
    }

    /// P5b: what was answered before the read came may not be committed here yet.
    fn must_commit_first(&self) -> bool {
        self.leader.as_ref().is_some_and(|leader| leader.has_answered_early())
            && self.mutant != Some(Mutant::ReadsBeforeCommit)
    }

    fn serve_reads(&mut self, until: ReadId, seq: Seq) {
        let Some(leader) = self.leader.as_mut() else { return };
        if leader.reads.newest.is_none() {
            return;
        }
        leader.reads.served(until);
        self.effects.push(Effect::ServeReads { until, seq });
    }

    fn round_is_answered(&self, round: Round) -> bool {
        let Some(leader) = self.leader.as_ref() else { return false };
        let answered = |id: &ServerId| {
            *id == self.me()
                || self.peers[id].answered.is_some_and(|(nonce, life, promised)| {
                    nonce >= round.from_nonce
                        && promised <= leader.epoch
                        && self.peers[id].incarnation == Some(life)
                })
        };
        let members = self.log.members();
        match self.settings.policy {
            Policy::Available => members.iter().all(answered),
            Policy::Majority => {
                let who: BTreeSet<ServerId> =
                    self.settings.servers.iter().copied().filter(|id| answered(id)).collect();
                who.len() >= self.majority() || (leader.forced && members.iter().all(answered))
            }
        }
    }
}
