//! A leader: one batch in flight (P3), committed when every member of the newest view has it (P5). How
//! views change is told in `views`.
//!
//! Where enough others have it, those who wait are answered the moment the commit begins (P5b): on a disk that
//! takes milliseconds for a sync, two in a row are what an answer waits for. Nothing can take such a
//! batch back: it has been applied without an error, a step down commits it before anything is promised
//! or acknowledged, and a commit that fails ends the process, whose next life asks the others.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    core::{Core, Standing},
    epoch::{Epoch, Incarnation, ServerId},
    event::{Effect, OpId, Operation, Policy, ReadId, Time},
    log::{Entry, Hash, Payload, Position, Seq, View},
    log_index::Chunk,
    message::{KnownCommitted, Message},
    mutant::Mutant,
    progress::Progress,
    reads::Reads,
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
    /// Who shall lead instead, and since when: it does once the batch in flight is committed.
    pub(super) handing_over: Option<(ServerId, Time)>,
    pub(super) next_evict: Time,
    pub(super) next_expel: Time,
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
    /// P5b: its updates were answered when the commit began.
    pub(super) answered: bool,
    /// When the batch was begun.
    pub(super) since: Time,
    /// When its newest part was sent.
    pub(super) sent: Time,
    /// Reads that waited already when the batch was begun.
    reads_until: Option<ReadId>,
}

impl Batch {
    pub(super) fn last(&self) -> Position {
        self.chunks[self.chunks.len() - 1].last()
    }

    pub(super) fn newest_view(&self) -> Option<&View> {
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
            handing_over: None,
            next_evict: now,
            next_expel: now,
            next_call: now,
        }
    }

    pub(super) fn is_committing(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.commit.is_some())
    }

    /// Whether something was answered that the own disk may lack still: reads wait for it.
    pub(super) fn has_answered_early(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.answered)
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
            answered: false,
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
            self.compare_tables();
        }
    }

    pub(super) fn turn_leader(&mut self) {
        if self.leader.is_none() || self.resign_without_disk() || self.turn_hand_over() {
            return;
        }
        self.stop_if_stalled();
        self.forget_ended_lives();
        self.shrink();
        self.compare_tables();
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

    /// P5 and P5b.
    pub(super) fn try_commit(&mut self) {
        let Some(leader) = self.leader.as_ref() else { return };
        let Some(batch) = leader.batch.as_ref() else { return };
        let (me, end) = (self.me(), batch.last().seq);
        let has_it = |id: &ServerId| {
            *id == me || leader.progress.get(id).is_some_and(|progress| progress.acked >= end)
        };
        let members = self.newest_members();
        let ready = batch.commit.is_none() && batch.digest.is_some();
        let complete = members.len() >= self.minimum() && members.iter().all(has_it);
        if !ready || !complete || !self.tables_agree() {
            return;
        }
        let early = leader.serving && self.may_answer_early(members.len() - 1);
        let (op, now) = (self.new_op(), self.now);
        if let Some(batch) = self.leader.as_mut().and_then(|leader| leader.batch.as_mut()) {
            (batch.commit, batch.answered) = (Some((op, now)), early);
            self.effects.push(Effect::Commit { op });
        }
        if early {
            self.effects.push(Effect::Answer { until: end });
        }
    }

    /// P5b: whether so many disks beside the own one are enough for an answer. From here on the batch is never
    /// rolled back: its commit has begun.
    fn may_answer_early(&self, others: usize) -> bool {
        let majority = self.settings.policy == Policy::Majority;
        let few = self.mutant == Some(Mutant::AnswersWithFew);
        if few { others > 0 } else { others >= 2 && (!majority || others >= self.majority()) }
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
        let until = self.log.last_seq();
        if !batch.answered {
            self.effects.push(Effect::Answer { until });
        }
        self.effects.push(Effect::Publish { until });
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
}
