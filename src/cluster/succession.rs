//! P10, when to run for leader, and P11's answering side.

use std::{collections::BTreeSet, time::Duration};

use super::{
    core::{Core, Standing},
    epoch::{Epoch, ServerId},
    event::{Policy, Time},
    log::Seq,
    message::{Body, Message, Mode, Promise},
    mutant::Mutant,
};

/// Why a server that forgot something promises nothing.
const NO_DATA: &str = "this server has no data that may be trusted";

impl Core {
    pub(super) fn turn_succession(&mut self) {
        if self.candidate.is_some() {
            self.turn_candidate();
            return;
        }
        let leader_lives = self.live_leader().is_some();
        if leader_lives {
            // Whoever was given time has used it, and owes nobody any more when this leader dies.
            self.patience = None;
            self.called_after = None;
            self.no_election_before = self.now;
        }
        let led = leader_lives || self.others_see_a_leader();
        if !self.may_stand() || led || self.somebody_begins_to_lead() {
            self.leaderless_since = None;
            return;
        }
        if self.leaderless_since.is_none() {
            self.leaderless_since = Some(self.now);
        }
        let due = self.election_deadline().is_some_and(|at| self.now >= at);
        if due && self.is_winnable() {
            self.stand();
        }
    }

    /// A server in reach won an epoch that is not below the promise, and brings its first view through;
    /// should it find no end, it gives up by itself.
    fn somebody_begins_to_lead(&self) -> bool {
        self.peers.iter().any(|(id, peer)| {
            let Some(Mode::Leader(epoch)) = peer.report.as_ref().map(|report| report.mode) else {
                return false;
            };
            let current = peer.resigned.is_none_or(|resigned| resigned < epoch);
            current && epoch >= self.local.promised && self.is_live(*id)
        })
    }

    pub(super) fn may_stand(&self) -> bool {
        self.standing != Standing::Blank
            && self.is_free()
            && (!self.is_distrusted() || self.everyone_is_reachable())
    }

    pub(super) fn is_free(&self) -> bool {
        self.leader.is_none() && self.work.is_none() && self.shutting_down.is_none()
    }

    /// When this server runs, if nothing changes: its rank costs it a delay.
    pub(super) fn election_deadline(&self) -> Option<Time> {
        if self.candidate.is_some() {
            return self.candidate_deadline();
        }
        let since = self.leaderless_since?;
        // The rank counts after somebody else's chance too, or all would stand at its end.
        let chance = self.patience.filter(|(candidate, _)| !self.is_dead(*candidate));
        let since = chance.map_or(since, |(_, until)| since.max(until));
        let at = Time(since.0 + self.rank_delay());
        // Whoever gave way to one that is dead now waits for nobody.
        let gave_way = self.patience.is_some_and(|(candidate, _)| self.is_dead(candidate));
        Some(if gave_way { at } else { at.max(self.no_election_before) })
    }

    fn rank_delay(&self) -> Duration {
        if self.called_after == Some(self.local.promised) {
            return Duration::ZERO;
        }
        let (_, members) = self.greatest_view();
        let rank = |id: ServerId| {
            let authority = if id == self.me() {
                self.has_authority()
            } else {
                let report = self.peers[&id].report.as_ref();
                // One that asks already keeps its rank, so that nobody stands against it.
                let ahead =
                    |mode| matches!(mode, Mode::Follower(_) | Mode::Candidate(_) | Mode::Leader(_));
                report.is_some_and(|report| ahead(report.mode))
            };
            (!authority, !members.contains(&id), id)
        };
        let own = rank(self.me());
        let before = self.peers.keys().filter(|id| rank(**id) < own && !self.is_dead(**id));
        let steps = u32::try_from(before.count()).unwrap_or(u32::MAX);
        self.settings.timing.succession_step * steps
    }

    /// The greatest view that was seen anywhere, with the end of its log.
    fn greatest_view(&self) -> ((Epoch, Seq), &BTreeSet<ServerId>) {
        let own = self.log.last().map_or((Epoch::ZERO, 0), |last| (last.epoch, last.seq));
        let mut greatest = (own, self.log.members());
        for report in self.peers.values().filter_map(|peer| peer.report.as_ref()) {
            let (Some(last), Some((_, view))) = (report.last, &report.view) else { continue };
            if (last.epoch, last.seq) > greatest.0 {
                greatest = ((last.epoch, last.seq), &view.members);
            }
        }
        greatest
    }

    /// Whether somebody in reach has a leader that this server has not found lost.
    fn others_see_a_leader(&self) -> bool {
        let timeout = self.settings.timing.failure_timeout;
        self.peers.iter().any(|(id, peer)| {
            let Some(report) = &peer.report else { return false };
            let (Some(contact), Mode::Follower(epoch)) = (report.leader_contact, report.mode)
            else {
                return false;
            };
            let age = peer.contact().map_or(timeout, |at| self.now.0.saturating_sub(at.0));
            let lost = self.peers.get(&epoch.server).is_none_or(|leader| {
                let resigned = leader.resigned.is_some_and(|resigned| resigned >= epoch);
                resigned || self.is_dead(epoch.server)
            });
            self.is_live(*id) && !lost && contact + age < timeout
        })
    }

    /// Whether P12 can be met with those who are in reach, so that nobody is disturbed for nothing.
    pub(super) fn is_winnable(&self) -> bool {
        let reachable = |id: &ServerId| self.is_reachable_voter(*id);
        if self.settings.policy == Policy::Majority {
            return self.settings.servers.iter().filter(|id| reachable(id)).count()
                >= self.majority();
        }
        let (_, members) = self.greatest_view();
        if !members.contains(&self.me()) {
            return false;
        }
        if self.has_authority() {
            // Who is in reach and cannot promise renounces; but it may have data since it last said it had none.
            let patience = self.settings.timing.heartbeat_interval * 2;
            let asked = self.leaderless_since.is_some_and(|at| self.now.0 >= at.0 + patience);
            let gone = |id: &ServerId| self.is_dead(*id) || self.is_silent(*id);
            return members
                .iter()
                .all(|id| reachable(id) || gone(id) || (asked && self.is_live(*id)));
        }
        self.awaited().is_empty() && self.knows_how_everybody_is()
    }

    /// In this life. A server that was the last one standing needs nobody's promise; but while it was away
    /// an operator may have let another one lead.
    fn knows_how_everybody_is(&self) -> bool {
        self.peers
            .iter()
            .all(|(id, peer)| peer.contact().is_some() || self.is_dead(*id) || self.is_silent(*id))
    }

    /// Whom a Recovering server needs before it may lead (P13): those who may know more.
    pub(super) fn awaited(&self) -> BTreeSet<ServerId> {
        let forgets = self.mutant == Some(Mutant::ForgetsPromisedTo);
        let (_, members) = self.greatest_view();
        let promised = self.local.promised_to.iter().filter(|_| !forgets);
        let needed: BTreeSet<ServerId> = members.iter().chain(promised).copied().collect();
        needed.into_iter().filter(|id| !self.is_reachable_voter(*id)).collect()
    }

    pub(super) fn on_prepare(&mut self, message: &Message, epoch: Epoch) {
        if let Err(reason) = self.may_promise(message, epoch) {
            self.answer(message, Body::PrepareRefused { epoch, reason, renounces: false });
            if let Some((leader, _)) = self.live_leader() {
                self.suspect(leader);
            }
            return;
        }
        if self.is_forgetful() {
            self.renounce(message, epoch);
            return;
        }
        if self.leader.is_some() {
            self.step_down("another server asks to lead a greater epoch", false);
        }
        if self.work_is_under_way() {
            self.keep_for_later(message.clone());
            return;
        }
        if epoch > self.local.promised {
            if self.candidate.is_some() {
                self.give_up_candidacy();
            }
            self.local.promised = epoch;
            self.local.promised_to.insert(message.from);
            self.persist();
            self.following = None;
            let until = Time(self.now.0 + self.settings.timing.election_timeout);
            self.patience = Some((message.from, until));
        }
        let promise = Promise {
            epoch,
            last: self.log.last(),
            view: self.log.newest_view().cloned(),
            known_committed: self.known,
            promised_to: self.local.promised_to.clone(),
            forgetful: self.is_distrusted_or_blank(),
        };
        self.answer(message, Body::Promise(Box::new(promise)));
    }

    /// Whether it could promise for nothing: what it acknowledged once may not be here.
    fn is_forgetful(&self) -> bool {
        let forgets = self.mutant == Some(Mutant::ForgetsPromise);
        self.is_distrusted_or_blank() && !self.everyone_is_reachable() && !forgets
    }

    /// A server without data that may be trusted takes nothing from lower epochs from now on. Its former life is
    /// over, and this one cannot come to be in sync under an older leader any more: so a candidate that
    /// has everything may leave it out as if it had consented to leave (P9). Waiting for it would be in
    /// vain, for nobody else has what it needs.
    fn renounce(&mut self, message: &Message, epoch: Epoch) {
        if self.work_is_under_way() {
            self.keep_for_later(message.clone());
            return;
        }
        if epoch > self.local.promised {
            if self.candidate.is_some() {
                self.give_up_candidacy();
            }
            self.local.promised = epoch;
            self.persist();
            self.following = None;
        }
        self.answer(message, Body::PrepareRefused { epoch, reason: NO_DATA, renounces: true });
    }

    fn may_promise(&self, message: &Message, epoch: Epoch) -> Result<(), &'static str> {
        if epoch.server != message.from || epoch < self.local.promised {
            return Err("a greater epoch is promised");
        }
        if self.shutting_down.is_some() {
            return Err("this server shuts down");
        }
        if self.is_forgetful() && self.is_majority_policy() {
            return Err(NO_DATA);
        }
        let other = self.live_leader().is_some_and(|(leader, _)| leader != message.from);
        if self.serving() || other {
            return Err("a leader serves");
        }
        Ok(())
    }
}
