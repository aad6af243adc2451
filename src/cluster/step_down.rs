//! P14, P16 and P18: how a server stops leading, and how it ends.

use std::time::Duration;

use super::{
    core::{Core, Standing},
    epoch::{Epoch, Incarnation, ServerId},
    event::{Effect, Time},
    message::{Body, Message, Mode},
    mutant::Mutant,
    work::{Work, WorkKind},
};

/// A shutdown waits so long for the batch in flight.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);
/// A leader without disk hands over at most so often.
const DISK_RESIGN_EVERY: Duration = Duration::from_secs(10);

impl Core {
    /// Ends this life's standing: what it knew to be in sync is not known to its next life.
    pub(super) fn bump(&mut self) {
        self.incarnation.bumps += 1;
        self.following = None;
        self.known = None;
        self.heard = None;
        self.candidate = None;
        self.reconciling = None;
        self.queue.clear();
        if self.standing != Standing::Blank {
            self.standing = Standing::Recovering;
        }
        for peer in self.peers.values_mut() {
            peer.forget_unanswered();
            peer.answered = None;
        }
        if let Some(Work { kind: WorkKind::FinishCommit { keeps_standing, .. }, .. }) =
            &mut self.work
        {
            *keeps_standing = false;
        }
    }

    /// Stops leading. With `ends_life` the standing is given up too, and the others may take that for a
    /// death of the leader.
    pub(super) fn step_down(&mut self, why: &str, ends_life: bool) {
        self.step_down_for_successor(why, ends_life, None);
    }

    fn step_down_for_successor(&mut self, why: &str, ends_life: bool, successor: Option<ServerId>) {
        let Some(mut leader) = self.leader.take() else { return };
        if let Some(batch) = leader.batch.take() {
            match batch.commit {
                None if self.mutant == Some(Mutant::ForgetsLateBatch) && batch.digest.is_none() => {
                }
                None => self.effects.push(Effect::Rollback),
                Some(_) if batch.answered && self.mutant == Some(Mutant::RollsBackAnswered) => {
                    self.effects.push(Effect::Rollback);
                }
                Some((op, since)) => {
                    let digest = batch.digest.expect("applied before it is committed");
                    let chunks = batch.chunks;
                    let keeps_standing = !ends_life;
                    let kind = WorkKind::FinishCommit { chunks, digest, keeps_standing };
                    self.work = Some(Work { op, since, kind });
                }
            }
        }
        self.standing =
            if leader.serving { Standing::Follower(leader.epoch) } else { leader.standing };
        self.following = None;
        self.leaderless_since = None;
        self.effects.push(Effect::Abandon);
        self.tell(format!("leads epoch {} no more: {why}", leader.epoch));
        for message in leader.waiting.values() {
            self.answer(message, Body::RegisterRefused { reason: "this server leads no more" });
        }
        let left = ends_life.then_some(self.incarnation);
        if ends_life {
            self.bump();
        }
        self.resign(leader.epoch, left, successor);
    }

    fn resign(&mut self, epoch: Epoch, left: Option<Incarnation>, successor: Option<ServerId>) {
        for id in self.others() {
            let nonce = self.new_nonce();
            self.send(id, nonce, Body::Resign { epoch, left, successor });
        }
    }

    pub(super) fn on_resign(&mut self, message: &Message, epoch: Epoch, left: Option<Incarnation>) {
        let now = self.now;
        let dies = left.is_some() || self.mutant == Some(Mutant::ResignIsDeath);
        let peer = self.peers.get_mut(&message.from).expect("a configured server");
        peer.resigned = peer.resigned.max(Some(epoch));
        if dies {
            peer.found_dead(now);
        }
    }

    /// P16: a greater epoch was promised or is served elsewhere. A mere candidate's promise does not
    /// count before it asks to be let in, or refuses updates.
    pub(super) fn step_down_for(&mut self, message: &Message) {
        let Some(epoch) = self.leader.as_ref().map(|leader| leader.epoch) else { return };
        if message.promised <= epoch {
            return;
        }
        let counts = match &message.body {
            Body::Register { .. } | Body::Rejected { .. } | Body::Accept(_) | Body::Suffix(_) => {
                true
            }
            Body::Heartbeat(report) | Body::HeartbeatReply(report) => {
                matches!(report.mode, Mode::Leader(theirs) if theirs > epoch && report.serving)
            }
            _ => false,
        };
        if counts && self.mutant == Some(Mutant::RaisesOwnEpoch) {
            self.raise_own_epoch();
        } else if counts {
            self.step_down("a greater epoch was promised elsewhere", false);
        }
    }

    pub(super) fn own_pause(&mut self, gap: Duration) {
        self.tell(format!("this process was stopped for {gap:?}; its standing is over"));
        if self.leader.is_some() {
            self.step_down("it was stopped meanwhile", true);
        } else {
            self.bump();
        }
        self.next_heartbeat = self.now;
    }

    /// P18: nothing is known about what the store did; another server must go on.
    pub(super) fn fail(&mut self, reason: String) {
        self.leave(Some(reason));
    }

    pub(super) fn begin_shutdown(&mut self) {
        if self.shutting_down.is_none() {
            self.shutting_down = Some(self.now);
        }
    }

    pub(super) fn turn_shutdown(&mut self) {
        let Some(since) = self.shutting_down else { return };
        let in_flight = self.leader.as_ref().is_some_and(|leader| leader.batch.is_some());
        let patient = self.now.0 < since.0 + SHUTDOWN_PATIENCE;
        if (in_flight || self.work.is_some()) && patient {
            return;
        }
        if self.work_is_under_way() && self.now.0 < since.0 + self.settings.timing.stall_timeout {
            return;
        }
        self.leave(None);
    }

    fn leave(&mut self, failure: Option<String>) {
        if self.ended {
            return;
        }
        if self.leader.is_some() {
            self.step_down(if failure.is_some() { "it failed" } else { "it shuts down" }, true);
        } else {
            let epoch = self.local.promised;
            let left = self.incarnation;
            self.bump();
            self.resign(epoch, Some(left), None);
        }
        self.effects.push(Effect::Exit { failure });
        self.ended = true;
    }

    /// P16: an operator wants another member to lead.
    pub(super) fn hand_over(&mut self, to: ServerId) {
        let now = self.now;
        let member = self.log.members().contains(&to) && self.newest_members().contains(&to);
        let can = to != self.me() && member && self.is_live(to) && self.shutting_down.is_none();
        match self.leader.as_mut().filter(|leader| leader.serving && can) {
            Some(leader) => leader.handing_over = Some((to, now)),
            None => self.tell(format!("does not hand the lead over: server {to} is not in sync")),
        }
    }

    /// Lets go once nothing is under way: then every member has everything, and no caller is left in doubt.
    pub(super) fn turn_hand_over(&mut self) -> bool {
        let Some(leader) = &mut self.leader else { return false };
        let Some((to, since)) = leader.handing_over else { return false };
        let over = self.now.0 >= since.0 + SHUTDOWN_PATIENCE;
        if leader.batch.is_some() && !over {
            return false;
        }
        leader.handing_over = None;
        if over || !self.log.members().contains(&to) || !self.is_live(to) {
            self.tell(format!("keeps the lead: server {to} is not in sync any more"));
            return false;
        }
        self.let_go_first(to);
        let why = format!("it hands the lead over to server {to}");
        self.step_down_for_successor(&why, false, Some(to));
        true
    }

    /// Whoever was named by the leader that it followed stands at once; the others give it its time.
    pub(super) fn heed_successor(&mut self, epoch: Epoch, successor: Option<ServerId>) {
        let Some(successor) = successor.filter(|_| epoch >= self.local.promised) else { return };
        if successor == self.me() {
            self.called_after = Some(epoch);
            self.patience = None;
            self.no_election_before = self.now;
        } else if self.peers.contains_key(&successor) {
            self.let_go_first(successor);
        }
    }

    fn let_go_first(&mut self, successor: ServerId) {
        let until = Time(self.now.0 + self.settings.timing.election_timeout);
        self.patience = Some((successor, until));
    }

    /// P18: a leader without disk lets another member lead; the last one stays, read-only.
    pub(super) fn resign_without_disk(&mut self) -> bool {
        let Some(leader) = &self.leader else { return false };
        let due = self.disk_low && leader.serving && leader.batch.is_none();
        if !due || self.now < self.next_disk_resign {
            return false;
        }
        let mut others = self.log.members().iter().filter(|id| **id != self.me());
        if !others.any(|id| self.is_live(*id)) {
            return false;
        }
        self.next_disk_resign = Time(self.now.0 + DISK_RESIGN_EVERY);
        self.no_election_before = Time(self.now.0 + self.settings.timing.failure_timeout * 2);
        self.step_down("its disk is nearly full", false);
        true
    }
}
