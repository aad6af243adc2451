//! How views change at a leader: they shrink by evidence (P7, P9), grow by one registered server that has
//! everything (P8), and a member whose disk or stream is stuck is asked to leave (P9).

use std::collections::BTreeSet;

use super::{
    core::{Core, Standing},
    epoch::ServerId,
    event::{Policy, Time},
    log::{Payload, View},
    message::{Body, KnownCommitted},
    mutant::Mutant,
};

impl Core {
    /// The newest view, proposed or committed.
    pub(super) fn newest_members(&self) -> &BTreeSet<ServerId> {
        let leader = self.leader.as_ref();
        let proposed = leader.and_then(|leader| leader.batch.as_ref()?.newest_view());
        proposed.map_or_else(|| self.log.members(), |view| &view.members)
    }

    pub(super) fn minimum(&self) -> usize {
        let forced = self.leader.as_ref().is_some_and(|leader| leader.forced);
        if forced || self.mutant == Some(Mutant::ExcludesOnSilence) {
            1
        } else {
            self.policy_minimum()
        }
    }

    fn policy_minimum(&self) -> usize {
        match self.settings.policy {
            Policy::Available => 1,
            Policy::Majority => self.majority(),
        }
    }

    /// P9: whether this member may be left out.
    fn is_excludable(&self, id: ServerId) -> bool {
        self.has_new_life(id) || self.is_dead(id) || self.is_silent(id)
    }

    /// The life that belongs to the view is over.
    pub(super) fn has_new_life(&self, id: ServerId) -> bool {
        let Some(leader) = &self.leader else { return false };
        leader.lives.get(&id).copied() != self.peers[&id].incarnation
    }

    /// What an earlier life acknowledged says nothing about the next one, nor is that one fed before it
    /// registers.
    pub(super) fn forget_ended_lives(&mut self) {
        let Some(leader) = self.leader.as_mut() else { return };
        let peers = &self.peers;
        leader.progress.retain(|id, progress| peers[id].incarnation == Some(progress.life));
    }

    /// P7. Below the minimum it leads no more at once: the evidence has taken its time already, and who waits
    /// for an answer is told to ask again just when the others elect.
    pub(super) fn shrink(&mut self) {
        let Some(leader) = &self.leader else { return };
        if leader.is_committing() {
            return;
        }
        let members = self.newest_members();
        let others = members.iter().filter(|id| **id != self.me());
        let out: BTreeSet<ServerId> =
            others.copied().filter(|id| self.is_excludable(*id)).collect();
        if out.is_empty() {
            return;
        }
        if members.len() - out.len() < self.minimum() {
            self.step_down("too few members are left", false);
            return;
        }
        let rest = self.newest_members().difference(&out).copied().collect();
        let leader = self.leader.as_mut().expect("checked above");
        leader.progress.retain(|id, _| !out.contains(id));
        let names: Vec<String> = out.iter().map(ToString::to_string).collect();
        self.tell(format!("goes on without {}", names.join(", ")));
        self.propose(vec![Payload::View(View { members: rest, forced: false })]);
    }

    /// P9: a member whose heart beats and whose disk or stream is stuck is asked to leave.
    pub(super) fn evict_the_stuck(&mut self) {
        let Some(leader) = &self.leader else { return };
        let Some(batch) = &leader.batch else { return };
        let overdue = self.now.0 >= batch.sent.0 + self.settings.timing.ack_timeout;
        if batch.commit.is_some() || self.now < leader.next_evict {
            return;
        }
        let end = batch.last().seq;
        let members = self.newest_members();
        let stuck = members.iter().filter(|id| **id != self.me()).filter(|id| {
            let progress = leader.progress.get(id);
            let behind = progress.is_none_or(|progress| progress.acked < end);
            behind && (overdue || progress.is_some_and(|progress| progress.no_disk))
        });
        let stuck: Vec<ServerId> = stuck.copied().collect();
        if stuck.is_empty() || members.len() - stuck.len() < self.minimum() {
            return;
        }
        let epoch = leader.epoch;
        let again = Time(self.now.0 + self.settings.timing.heartbeat_interval);
        for id in stuck {
            let nonce = self.new_nonce();
            self.send(id, nonce, Body::Evict { epoch, tables: None });
        }
        if let Some(leader) = self.leader.as_mut() {
            leader.next_evict = again;
        }
    }

    /// P8: one server is taken in that has everything, or will have in a moment: under load nobody ever has
    /// the last batch when the next is begun, so the view goes into the batch in flight, which then waits
    /// for the newcomer as for every other member.
    pub(super) fn grow(&mut self) {
        let Some(leader) = &self.leader else { return };
        let changing = leader.batch.as_ref().is_some_and(|batch| batch.newest_view().is_some());
        let leaves = leader.handing_over.is_some();
        let stays = changing || leaves || leader.is_committing() || !leader.serving;
        if stays || self.shutting_down.is_some() {
            return;
        }
        let members = self.newest_members();
        let joins = leader.progress.iter().find(|(id, progress)| {
            !members.contains(id)
                && self.is_at_the_tip(progress)
                && self.is_live(**id)
                && self.peers[id].incarnation == Some(progress.life)
        });
        let Some((id, progress)) = joins else { return };
        let (id, life) = (*id, progress.life);
        let mut members = members.clone();
        members.insert(id);
        if let Some(leader) = self.leader.as_mut() {
            leader.lives.insert(id, life);
        }
        self.tell(format!("takes server {id} into the in-sync set"));
        self.propose(vec![Payload::View(View { members, forced: false })]);
    }

    pub(super) fn view_committed(&mut self) {
        let members = self.log.members().clone();
        let me = self.me();
        let leader = self.leader.as_mut().expect("a leader commits");
        leader.lives.retain(|id, _| members.contains(id));
        let epoch = leader.epoch;
        let first = !leader.serving;
        leader.serving = true;
        let waiting = std::mem::take(&mut leader.waiting);
        assert!(members.contains(&me), "a leader is in its own view");
        self.standing = Standing::Follower(epoch);
        self.trust_own_log();
        let names: Vec<String> = members.iter().map(ToString::to_string).collect();
        let names = names.join(", ");
        if first {
            self.tell(format!("leads epoch {epoch} with {names} in sync"));
        } else {
            self.tell(format!("in sync now: {names}"));
        }
        for message in waiting.into_values() {
            if self.peers[&message.from].incarnation == Some(message.incarnation) {
                self.on_register(message);
            }
        }
    }

    /// What that server may believe to be committed. A life that is not registered hears nothing: it could
    /// take the membership of its predecessor for its own.
    pub(super) fn known_for(&self, id: ServerId) -> Option<KnownCommitted> {
        let Some(leader) = &self.leader else { return self.known };
        let life = self.peers[&id].incarnation;
        let fed = leader.progress.get(&id).is_some_and(|progress| Some(progress.life) == life);
        let known = KnownCommitted { epoch: leader.epoch, ..self.known? };
        fed.then_some(known)
    }
}
