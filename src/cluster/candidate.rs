//! A server that asks to lead: P11's asking side, P12's winning, and P13's forced lead.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    core::{Core, Standing},
    epoch::{Epoch, Incarnation, ServerId},
    event::{Effect, Policy, SendLog, Time},
    leader::Leader,
    log::{Payload, Position, Seq, View},
    message::{Body, Message, Mode, Promise, Updates},
    mutant::Mutant,
    progress::Progress,
    work::{Work, WorkKind},
};

/// What a server holds while it asks to lead.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) epoch: Epoch,
    promises: BTreeMap<ServerId, Promised>,
    /// The lives that have nothing to promise for and renounced lower epochs.
    renounced: BTreeMap<ServerId, Incarnation>,
    started: Time,
    deadline: Time,
    next_send: Time,
}

#[derive(Clone, Debug)]
struct Promised {
    life: Incarnation,
    last: Option<Position>,
    view: Option<(Seq, View)>,
    promised_to: BTreeSet<ServerId>,
    forgetful: bool,
}

fn place(last: Option<Position>) -> (Epoch, Seq) {
    last.map_or((Epoch::ZERO, 0), |last| (last.epoch, last.seq))
}

impl Core {
    /// P11: promises itself a new epoch and asks all others.
    pub(super) fn stand(&mut self) {
        let epoch = self.open_epoch();
        let now = self.now;
        let deadline = Time(now.0 + self.settings.timing.election_timeout);
        (self.following, self.patience) = (None, None);
        self.candidate = Some(Box::new(Candidate {
            epoch,
            promises: BTreeMap::new(),
            renounced: BTreeMap::new(),
            started: now,
            deadline,
            next_send: now,
        }));
        self.turn_candidate();
    }

    fn open_epoch(&mut self) -> Epoch {
        let number = self.greatest_number + self.epoch_jump();
        let epoch = Epoch { number, server: self.me() };
        assert!(epoch > self.local.promised, "a new epoch is greater than every promise");
        self.greatest_number = epoch.number;
        self.local.promised = epoch;
        self.local.promised_to.insert(epoch.server);
        self.persist();
        epoch
    }

    pub(super) fn candidate_deadline(&self) -> Option<Time> {
        let candidate = self.candidate.as_ref()?;
        let patience = self.end_of_patience(candidate);
        let patience = Some(patience).filter(|at| *at > self.now).into_iter();
        patience.chain([candidate.next_send, candidate.deadline]).min()
    }

    /// How long a majority waits for the promises of others in reach, so that the view is not needlessly small.
    fn end_of_patience(&self, candidate: &Candidate) -> Time {
        Time(candidate.started.0 + self.settings.timing.heartbeat_interval / 2)
    }

    pub(super) fn turn_candidate(&mut self) {
        let Some(candidate) = self.candidate.as_mut() else { return };
        if self.now >= candidate.next_send {
            candidate.next_send = Time(self.now.0 + self.settings.timing.heartbeat_interval);
            let epoch = candidate.epoch;
            let asked: Vec<ServerId> = self
                .peers
                .keys()
                .copied()
                .filter(|id| !candidate.promises.contains_key(id))
                .collect();
            for id in asked {
                let nonce = self.new_nonce();
                self.send(id, nonce, Body::Prepare { epoch });
            }
            self.fetch_the_rest();
        }
        self.try_to_win();
        let over = |candidate: &Candidate| self.now >= candidate.deadline;
        if self.candidate.as_deref().is_some_and(over) && self.work.is_none() {
            self.give_up_candidacy();
        }
    }

    pub(super) fn give_up_candidacy(&mut self) {
        self.candidate = None;
        let delay = self.random.below(self.settings.timing.election_timeout * 2);
        self.no_election_before = Time(self.now.0 + delay);
    }

    pub(super) fn on_promise(&mut self, message: Message) {
        let (from, life) = (message.from, message.incarnation);
        let Body::Promise(promise) = message.body else { return };
        let Promise { epoch, last, view, promised_to, forgetful, .. } = *promise;
        let Some(candidate) = self.candidate.as_mut().filter(|own| own.epoch == epoch) else {
            return;
        };
        let promised = Promised { life, last, view, promised_to, forgetful };
        candidate.promises.insert(from, promised);
        self.try_to_win();
        self.fetch_the_rest();
    }

    pub(super) fn on_prepare_refused(&mut self, message: &Message) {
        let Body::PrepareRefused { epoch, renounces, .. } = message.body else { return };
        let Some(candidate) = self.candidate.as_mut() else { return };
        if message.promised > candidate.epoch && self.work.is_none() {
            self.give_up_candidacy();
            return;
        }
        if renounces && epoch == candidate.epoch {
            candidate.renounced.insert(message.from, message.incarnation);
            self.try_to_win();
            self.fetch_the_rest();
            return;
        }
        // It looks for its leader now, and may soon know that it is gone.
        let soon = Time(self.now.0 + self.settings.timing.heartbeat_interval / 20);
        if let Some(candidate) = self.candidate.as_mut() {
            candidate.next_send = candidate.next_send.min(soon);
        }
    }

    /// P12: the members of the new view, if the promises suffice.
    fn winning_view(&self) -> Option<BTreeSet<ServerId>> {
        let candidate = self.candidate.as_ref()?;
        let me = self.me();
        let asked: BTreeSet<ServerId> = candidate.promises.keys().copied().chain([me]).collect();
        let forgetful = self.is_distrusted()
            || candidate.promises.iter().any(|(id, promised)| {
                let report = self.peers[id].report.as_ref();
                // Its report may be an older one, or say that it asks to lead itself.
                let says_so =
                    promised.forgetful && self.mutant != Some(Mutant::BelievesReportsAlone);
                says_so
                    || promised.last.is_none()
                    || report.is_some_and(|report| report.mode == Mode::Blank)
                    || self.is_an_old_folder(*id, promised.life)
            });
        let forgets = self.mutant == Some(Mutant::ForgetsPromise);
        if forgetful && !forgets && asked != self.settings.servers {
            return None;
        }
        if self.settings.policy == Policy::Majority {
            let missing = |id: &ServerId| !asked.contains(id) && self.is_reachable_voter(*id);
            let waits = self.settings.servers.iter().any(missing)
                && self.now < self.end_of_patience(candidate);
            return (asked.len() >= self.majority() && !waits).then_some(asked);
        }
        let members = self.greatest_promised_view()?;
        if !members.contains(&me) {
            return None;
        }
        let away = members.difference(&asked);
        let wins = if self.has_authority() {
            let renounced = |id: &ServerId| {
                let life = candidate.renounced.get(id);
                life.is_some() && life == self.peers[id].incarnation.as_ref()
            };
            away.copied().all(|id| self.is_dead(id) || self.is_silent(id) || renounced(&id))
        } else {
            let promised_to = candidate.promises.values().flat_map(|one| one.promised_to.iter());
            let mut promised_to = promised_to.chain(self.local.promised_to.iter());
            let known = promised_to.all(|id| asked.contains(id));
            members.is_subset(&asked) && (known || self.mutant == Some(Mutant::ForgetsPromisedTo))
        };
        wins.then(|| members.intersection(&asked).copied().collect())
    }

    /// The view of the greatest log among the promisers and this server.
    fn greatest_promised_view(&self) -> Option<&BTreeSet<ServerId>> {
        let candidate = self.candidate.as_ref()?;
        let greatest = candidate.promises.values().max_by_key(|one| place(one.last));
        match greatest.filter(|one| place(one.last) > place(self.log.last())) {
            Some(one) => one.view.as_ref().map(|(_, view)| &view.members),
            None => Some(self.log.members()),
        }
    }

    fn longest_promiser(&self) -> Option<(ServerId, Position)> {
        let candidate = self.candidate.as_ref()?;
        let (id, one) = candidate.promises.iter().max_by_key(|(_, one)| place(one.last))?;
        if place(one.last) <= place(self.log.last()) || self.mutant == Some(Mutant::SkipsFetch) {
            return None;
        }
        Some((*id, one.last?))
    }

    fn try_to_win(&mut self) {
        if self.work_is_under_way() || self.longest_promiser().is_some() {
            return;
        }
        if let Some(members) = self.winning_view() {
            let candidate = self.candidate.take().expect("only a candidate wins");
            self.win(*candidate, members);
        }
    }

    /// Asks the promiser with the longest log for what is missing here.
    fn fetch_the_rest(&mut self) {
        if self.work_is_under_way() || self.winning_view().is_none() {
            return;
        }
        let Some((id, last)) = self.longest_promiser() else { return };
        let Some(epoch) = self.candidate.as_ref().map(|candidate| candidate.epoch) else { return };
        let nonce = self.new_nonce();
        let boundaries = self.log.boundaries().to_vec();
        let after = self.log.last();
        self.send(id, nonce, Body::Fetch { epoch, boundaries, after, until: last.seq });
    }

    /// P12: what the candidate lacks of this log. One whose log has another end, or is older than what is
    /// kept here, cannot win with the promise that it got; then this server stands, for it has what the
    /// other one lacks. (Or a few whose logs differ from the greatest could stand in turns for ever.)
    pub(super) fn on_fetch(&mut self, message: Message) {
        let Body::Fetch { epoch, after, until, .. } = &message.body else { return };
        if *epoch != self.local.promised || *until > self.log.last_seq() {
            return;
        }
        let after = match after {
            Some(after) if self.log.contains(*after) => Some((after.seq, after.hash)),
            None if self.log.lineage().is_some() => Some((0, self.own_lineage())),
            _ => None,
        };
        let Some((seq, hash)) = after.filter(|(seq, _)| seq + 1 >= self.log.first()) else {
            self.stand_instead();
            return;
        };
        if seq >= *until {
            return;
        }
        let updates = Updates {
            epoch: *epoch,
            prev_seq: seq,
            prev_hash: hash,
            entries: Arc::new(Vec::new()),
            known_committed: None,
        };
        let template = self.message(message.from, message.nonce, Body::Fetched(updates));
        let until = *until;
        self.effects.push(Effect::SendLog(SendLog { template, until, known_committed: None }));
    }

    /// Even with a log that may not be trusted, once everybody can promise: nobody knows more than all.
    fn stand_instead(&mut self) {
        let forgetful = self.is_distrusted_or_blank() && !self.everyone_is_reachable();
        let free = self.candidate.is_none() && self.is_free() && self.live_leader().is_none();
        if !forgetful && free && self.is_winnable() {
            if self.standing == Standing::Blank {
                self.standing = Standing::Recovering;
            }
            self.stand();
        }
    }

    pub(super) fn on_fetched(&mut self, message: Message) {
        let Body::Fetched(updates) = &message.body else { return };
        let asks = |candidate: &Candidate| candidate.epoch == updates.epoch;
        if !self.candidate.as_deref().is_some_and(asks) || self.log.last().is_none() {
            return;
        }
        let Ok(Some(chunk)) = self.compare(updates) else { return };
        let (op, lineage) = (self.new_op(), self.own_lineage());
        self.effects.push(Effect::Store { op, entries: chunk.entries.clone(), lineage });
        self.work = Some(Work { op, since: self.now, kind: WorkKind::Keep { chunk } });
    }

    /// What was kept without an acknowledgement is durable: fetched entries, or a genesis.
    pub(super) fn fetched_is_durable(&mut self) {
        if self.standing == Standing::Blank {
            self.standing = Standing::Recovering;
        }
        let deadline = Time(self.now.0 + self.settings.timing.election_timeout);
        if let Some(candidate) = self.candidate.as_mut() {
            candidate.deadline = deadline;
        }
    }

    fn win(&mut self, candidate: Candidate, members: BTreeSet<ServerId>) {
        let mut leader = Leader::new(candidate.epoch, self.standing, false, self.now);
        for (id, promised) in &candidate.promises {
            if !members.contains(id) {
                continue;
            }
            leader.lives.insert(*id, promised.life);
            let place = match promised.last {
                Some(last) if self.log.contains(last) => (last.seq, last.hash),
                None if self.log.first() == 1 => (0, self.own_lineage()),
                _ => continue,
            };
            let near = place.0 == self.log.last_seq() || self.log.cached_after(place.0).is_some();
            if near {
                let progress = Progress::new(promised.life, place.0, place.1, self.now);
                leader.progress.insert(*id, progress);
            }
        }
        self.begin_to_lead(leader, View { members, forced: false });
    }

    fn begin_to_lead(&mut self, leader: Leader, view: View) {
        assert_eq!(leader.epoch, self.local.promised, "nobody leads below its own promise");
        assert!(self.log.last().is_some_and(|last| last.epoch < leader.epoch), "epochs rise");
        self.following = None;
        self.reconciling = None;
        self.heard = None;
        self.leaderless_since = None;
        self.leader = Some(Box::new(leader));
        self.propose(vec![Payload::View(view)]);
    }

    /// P13: an operator knows that nobody else has more. Shown in the status as long as the entry is kept.
    pub(super) fn force_lead(&mut self) {
        if self.serving() || self.log.last().is_none() || self.work_is_under_way() {
            self.tell(
                "a forced lead needs a log, and a server that is idle and does not lead".into(),
            );
            return;
        }
        if self.leader.is_some() {
            self.step_down("an operator forces a new lead", false);
        }
        self.candidate = None;
        let epoch = self.open_epoch();
        if self.standing == Standing::Blank {
            self.standing = Standing::Recovering;
        }
        self.registration = super::registration::Registration::default();
        self.tell(format!("an operator forces the lead in epoch {epoch}"));
        let members = BTreeSet::from([self.me()]);
        let leader = Leader::new(epoch, self.standing, true, self.now);
        self.begin_to_lead(leader, View { members, forced: true });
    }

    /// A known bug.
    pub(super) fn raise_own_epoch(&mut self) {
        let epoch = self.open_epoch();
        if let Some(leader) = self.leader.as_mut() {
            leader.epoch = epoch;
        }
    }

    /// The known bugs that begin at the start.
    pub(super) fn begin_as_mutant(&mut self) {
        let Some(last) = self.log.last() else { return };
        if self.mutant == Some(Mutant::RestartKeepsStanding) {
            self.standing = Standing::Follower(last.epoch);
            self.raise_known_to_end();
        }
        if self.mutant == Some(Mutant::ResumesOldEpoch) && self.local.promised.server == self.me() {
            let mut leader = Leader::new(last.epoch, self.standing, false, self.now);
            leader.serving = true;
            if last.epoch.server == self.me() {
                self.raise_known_to_end();
                self.leader = Some(Box::new(leader));
            }
        }
    }
}
