//! A leader: one batch in flight (P3), committed when every member of the newest view has it (P5); views
//! that shrink (P7, P9) and grow (P8) are entries like any other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    core::{Core, Standing},
    epoch::{Epoch, Incarnation, ServerId},
    event::{Effect, OpId, Operation, ReadId, Time},
    log::{Entry, Hash, Payload, Position, Seq, View},
    log_index::Chunk,
    message::{Body, KnownCommitted, Message},
    mutant::Mutant,
    reads::Reads,
    stream::Progress,
};

/// What a server holds while it leads.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    pub(super) epoch: Epoch,
    /// What it was before, for a step down before the first view is committed.
    pub(super) standing: Standing,
    /// The first view is committed.
    pub(super) serving: bool,
    /// An operator forced it: a view of one may commit under any policy.
    pub(super) forced: bool,
    pub(super) batch: Option<Batch>,
    /// The servers that are fed, members or not.
    pub(super) progress: BTreeMap<ServerId, Progress>,
    /// Which life of each member belongs to the view.
    pub(super) lives: BTreeMap<ServerId, Incarnation>,
    /// Registers of new lives, answered when the view without the old life is committed.
    pub(super) waiting: BTreeMap<ServerId, Message>,
    pub(super) reads: Reads,
    /// Since when the members that are left are too few.
    pub(super) short_since: Option<Time>,
    pub(super) next_evict: Time,
    /// When members that cannot be fed yet are called again.
    pub(super) next_call: Time,
}

/// What is proposed and not yet committed: one open transaction.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) chunks: Vec<Chunk>,
    /// The apply that must end last.
    apply: OpId,
    /// The digest after it, once it has ended.
    pub(super) digest: Option<Hash>,
    /// The commit, and when it began.
    pub(super) commit: Option<(OpId, Time)>,
    /// When the batch was begun.
    pub(super) since: Time,
    /// When its newest part was sent.
    sent: Time,
    /// Reads that waited already when the batch was begun.
    reads_until: Option<ReadId>,
}

impl Batch {
    pub(super) fn last(&self) -> Position {
        self.chunks[self.chunks.len() - 1].last()
    }

    fn newest_view(&self) -> Option<&View> {
        let entries = self.chunks.iter().rev().flat_map(|chunk| chunk.entries.iter().rev());
        entries.into_iter().find_map(|entry| match &entry.payload {
            Payload::View(view) => Some(view),
            Payload::Update(_) | Payload::Noop => None,
        })
    }
}

impl Leader {
    pub(super) fn new(epoch: Epoch, standing: Standing, forced: bool, now: Time) -> Leader {
        Leader {
            epoch,
            standing,
            serving: false,
            forced,
            batch: None,
            progress: BTreeMap::new(),
            lives: BTreeMap::new(),
            waiting: BTreeMap::new(),
            reads: Reads::default(),
            short_since: None,
            next_evict: now,
            next_call: now,
        }
    }

    pub(super) fn is_committing(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.commit.is_some())
    }
}

impl Core {
    pub(super) fn on_submit(&mut self, operations: Vec<Operation>) {
        if !self.serving() {
            self.effects.push(Effect::Abandon);
            return;
        }
        assert!(self.takes_updates(), "updates came while none are taken");
        if operations.is_empty() {
            return;
        }
        let first = self.log.last_seq() + 1;
        let waiters = operations.iter().enumerate();
        let taken = waiters.map(|(index, operation)| (operation.waiter, first + index as Seq));
        self.effects.push(Effect::Taken(taken.collect()));
        let payloads = operations.into_iter().map(|operation| Payload::Update(operation.payload));
        self.propose(payloads.collect());
    }

    /// Appends these to the batch in flight, or begins one: sent first, applied meanwhile.
    pub(super) fn propose(&mut self, payloads: Vec<Payload>) {
        let op = self.new_op();
        let now = self.now;
        let (end, lineage) = (self.log.last(), self.own_lineage());
        let leader = self.leader.as_mut().expect("only a leader proposes");
        assert!(!leader.is_committing(), "nothing is added to a batch that is being committed");
        let end = leader.batch.as_ref().map(Batch::last).or(end);
        let (mut seq, prev_hash) = end.map_or((0, lineage), |end| (end.seq, end.hash));
        let mut prev = prev_hash;
        let mut entries = Vec::with_capacity(payloads.len());
        for payload in payloads {
            seq += 1;
            let entry = Entry::after(prev, seq, leader.epoch, payload);
            prev = entry.hash;
            entries.push(entry);
        }
        let entries = Arc::new(entries);
        let chunk = Chunk { prev_hash, entries: entries.clone() };
        let reads_until = leader.reads.newest();
        let batch = leader.batch.get_or_insert(Batch {
            chunks: Vec::new(),
            apply: op,
            digest: None,
            commit: None,
            since: now,
            sent: now,
            reads_until,
        });
        batch.chunks.push(chunk);
        (batch.apply, batch.digest, batch.sent) = (op, None, now);
        self.feed_all();
        self.effects.push(Effect::Apply { op, entries });
    }

    pub(super) fn on_applied(&mut self, op: OpId, digest: Hash) {
        let Some(batch) = self.leader.as_mut().and_then(|leader| leader.batch.as_mut()) else {
            return;
        };
        if batch.apply == op {
            batch.digest = Some(digest);
            self.compare_digests();
        }
    }

    /// P18: the same entries brought two servers to different tables.
    pub(super) fn compare_digests(&mut self) {
        let Some(leader) = &self.leader else { return };
        let Some(batch) = &leader.batch else { return };
        let Some(own) = batch.digest else { return };
        let end = batch.last().seq;
        let other = leader.progress.iter().find(|(_, progress)| {
            progress.digest.is_some_and(|(seq, digest)| seq == end && digest != own)
        });
        if let Some((id, _)) = other {
            let id = *id;
            self.fail(format!(
                "the tables differ from those of server {id} at entry {end}; keep both data folders"
            ));
        }
    }

    /// The newest view, proposed or committed.
    pub(super) fn newest_members(&self) -> BTreeSet<ServerId> {
        let leader = self.leader.as_ref();
        let proposed = leader.and_then(|leader| leader.batch.as_ref()?.newest_view());
        proposed.map_or_else(|| self.log.members(), |view| view.members.clone())
    }

    fn minimum(&self) -> usize {
        let forced = self.leader.as_ref().is_some_and(|leader| leader.forced);
        if forced || self.mutant == Some(Mutant::ExcludesOnSilence) {
            1
        } else {
            self.policy_minimum()
        }
    }

    pub(super) fn turn_leader(&mut self) {
        if self.leader.is_none() || self.resign_without_disk() {
            return;
        }
        self.stop_if_stalled();
        self.forget_ended_lives();
        self.shrink();
        self.give_up_if_stuck();
        self.evict_the_stuck();
        self.grow();
        self.try_commit();
        self.feed_again();
    }

    fn stop_if_stalled(&mut self) {
        let Some(batch) = self.leader.as_ref().and_then(|leader| leader.batch.as_ref()) else {
            return;
        };
        let limit = self.settings.timing.stall_timeout;
        let committing = batch.commit.is_some_and(|(_, since)| self.now.0 >= since.0 + limit);
        let applying = batch.digest.is_none() && self.now.0 >= batch.sent.0 + limit;
        if committing || applying {
            self.fail("the own disk did not finish in time; look at it".to_owned());
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
    fn forget_ended_lives(&mut self) {
        let Some(leader) = self.leader.as_mut() else { return };
        let peers = &self.peers;
        leader.progress.retain(|id, progress| peers[id].incarnation == Some(progress.life));
    }

    /// P7.
    fn shrink(&mut self) {
        let Some(leader) = &self.leader else { return };
        if leader.is_committing() {
            return;
        }
        let members = self.newest_members();
        let others = members.iter().filter(|id| **id != self.me());
        let out: BTreeSet<ServerId> =
            others.copied().filter(|id| self.is_excludable(*id)).collect();
        let rest: BTreeSet<ServerId> = members.difference(&out).copied().collect();
        let enough = rest.len() >= self.minimum();
        let back = out.iter().any(|id| self.has_new_life(*id) && self.is_live(*id));
        let now = self.now;
        let leader = self.leader.as_mut().expect("checked above");
        if out.is_empty() {
            leader.short_since = None;
            return;
        }
        if !enough {
            let since = *leader.short_since.get_or_insert(now);
            if back || now.0 >= since.0 + self.settings.timing.failure_timeout {
                self.step_down("too few members are left", false);
            }
            return;
        }
        leader.short_since = None;
        leader.progress.retain(|id, _| !out.contains(id));
        let names: Vec<String> = out.iter().map(ToString::to_string).collect();
        self.tell(format!("goes on without {}", names.join(", ")));
        self.propose(vec![Payload::View(View { members: rest, forced: false })]);
    }

    /// A batch that neither commits nor loses the member it waits for ends with the lead.
    fn give_up_if_stuck(&mut self) {
        let Some(leader) = &self.leader else { return };
        let Some(batch) = &leader.batch else { return };
        let timing = &self.settings.timing;
        let mut limit = timing.failure_timeout + timing.ack_timeout * 2;
        if !leader.serving {
            let installing = leader.progress.values().any(Progress::awaits_snapshot);
            limit *= if installing { 100 } else { 3 };
        }
        if batch.commit.is_none() && batch.digest.is_some() && self.now.0 >= batch.sent.0 + limit {
            self.step_down("a batch found no end", false);
        }
    }

    /// P9: a member whose heart beats and whose disk or stream is stuck is asked to leave.
    fn evict_the_stuck(&mut self) {
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
            self.send(id, nonce, Body::Evict { epoch });
        }
        if let Some(leader) = self.leader.as_mut() {
            leader.next_evict = again;
        }
    }

    /// P8: one server that has everything is taken in.
    fn grow(&mut self) {
        let Some(leader) = &self.leader else { return };
        if leader.batch.is_some() || !leader.serving || self.shutting_down.is_some() {
            return;
        }
        let mut members = self.newest_members();
        let end = self.log.last_seq();
        let joins = leader.progress.iter().find(|(id, progress)| {
            !members.contains(id)
                && progress.acked == end
                && !progress.awaits_snapshot()
                && self.is_live(**id)
                && self.peers[id].incarnation == Some(progress.life)
        });
        let Some((id, progress)) = joins else { return };
        let (id, life) = (*id, progress.life);
        members.insert(id);
        if let Some(leader) = self.leader.as_mut() {
            leader.lives.insert(id, life);
        }
        self.tell(format!("takes server {id} into the in-sync set"));
        self.propose(vec![Payload::View(View { members, forced: false })]);
    }

    /// P5.
    pub(super) fn try_commit(&mut self) {
        let members = self.newest_members();
        let minimum = self.minimum();
        let op = self.new_op();
        let (me, now) = (self.me(), self.now);
        let Some(leader) = self.leader.as_mut() else { return };
        let Some(batch) = leader.batch.as_mut() else { return };
        let end = batch.last().seq;
        let has_it = |id: &ServerId| {
            *id == me || leader.progress.get(id).is_some_and(|progress| progress.acked >= end)
        };
        let ready = batch.commit.is_none() && batch.digest.is_some();
        if ready && members.len() >= minimum && members.iter().all(has_it) {
            batch.commit = Some((op, now));
            self.effects.push(Effect::Commit { op });
        }
    }

    pub(super) fn on_committed(&mut self, op: OpId) {
        let ours = |leader: &Leader| {
            leader.batch.as_ref().and_then(|batch| batch.commit).is_some_and(|(own, _)| own == op)
        };
        if !self.leader.as_deref().is_some_and(ours) {
            self.finish_commit(op);
            return;
        }
        let leader = self.leader.as_mut().expect("checked above");
        let batch = leader.batch.take().expect("checked above");
        let digest = batch.digest.expect("applied before it is committed");
        let new_view = batch.newest_view().is_some();
        for chunk in batch.chunks {
            self.take_in(chunk, digest);
        }
        self.raise_known_to_end();
        if new_view {
            self.view_committed();
        }
        self.effects.push(Effect::Answer { until: self.log.last_seq() });
        self.reads_served_by_batch(batch.reads_until);
        if new_view {
            self.send_heartbeats();
        }
    }

    /// The whole own log is committed, by this server's own lead.
    pub(super) fn raise_known_to_end(&mut self) {
        let end = self.log.last().expect("a committed log is not empty");
        assert!(end.seq >= self.committed_seq(), "what is known to be committed never falls");
        self.known = Some(KnownCommitted { epoch: end.epoch, seq: end.seq, hash: end.hash });
    }

    fn view_committed(&mut self) {
        let members = self.log.members();
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
