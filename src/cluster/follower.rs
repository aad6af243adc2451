//! A server that follows: it takes updates (P4), believes what the leader says is committed, and leaves
//! the view when it is asked to (P9).

use std::time::Duration;

use super::{
    core::{Core, Standing},
    epoch::{Epoch, Incarnation, ServerId},
    event::{Effect, Time},
    log::{Hash, Payload, Seq},
    log_index::Chunk,
    message::{Body, KnownCommitted, Message, Rejection, Updates},
    mutant::Mutant,
    tables::differ,
    work::{Work, WorkKind},
};

/// Digest of an acknowledgement whose sender does not know its own: nothing is compared.
pub(super) const NO_DIGEST: Hash = Hash([0; 32]);
const FIRST_EVICTION: Duration = Duration::from_secs(1);
const LONGEST_EVICTION: Duration = Duration::from_secs(60);

/// The leader that this life takes updates from. Only a leader that addressed this life can set it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Following {
    pub(super) epoch: Epoch,
    pub(super) leader: ServerId,
    pub(super) life: Incarnation,
    /// When its stream brought something.
    pub(super) heard_at: Time,
}

impl Core {
    /// Whether the sender is the leader to follow in this epoch; steps down and promises if need be.
    pub(super) fn follow(&mut self, message: &Message, epoch: Epoch) -> bool {
        if epoch.server != message.from || epoch < self.local.promised {
            return false;
        }
        if !self.may_take_from(epoch) || self.shutting_down.is_some() {
            return false;
        }
        if self.leader.is_some() {
            self.step_down("another server leads a greater epoch", false);
        }
        if self.candidate.as_ref().is_some_and(|candidate| candidate.epoch != epoch) {
            self.give_up_candidacy();
        }
        if self.work_is_under_way() {
            self.keep_for_later(message.clone());
            return false;
        }
        if epoch > self.local.promised {
            self.local.promised = epoch;
            self.local.promised_to.insert(message.from);
            self.persist();
        }
        self.greatest_number = self.greatest_number.max(epoch.number);
        let life = message.incarnation;
        let same = self.following.is_some_and(|now| now.epoch == epoch && now.life == life);
        if !same {
            self.heard = None;
        }
        self.following = Some(Following { epoch, leader: message.from, life, heard_at: self.now });
        true
    }

    pub(super) fn on_welcome(&mut self, message: &Message, epoch: Epoch) {
        if self.follow(message, epoch) {
            self.registration.unfit = false;
        }
    }

    pub(super) fn on_updates(&mut self, message: Message) {
        let (Body::Accept(updates) | Body::Suffix(updates)) = message.body.clone() else { return };
        if updates.epoch < self.local.promised {
            self.reject(&message, updates.epoch, Rejection::LowerEpoch);
            return;
        }
        if self.disk_low {
            self.reject(&message, updates.epoch, Rejection::NoDisk);
            return;
        }
        if !self.follow(&message, updates.epoch) || self.registration.snapshot.is_some() {
            return;
        }
        if let Some(known) = updates.known_committed {
            self.hear(known);
        }
        match self.compare(&updates) {
            Ok(None) => self.acknowledge(&message),
            Ok(Some(chunk)) => self.store(message, chunk),
            Err(reason) => {
                self.reject(&message, updates.epoch, reason);
                if !self.registration.unfit {
                    self.registration.unfit = true;
                    let wait = self.settings.timing.heartbeat_interval * 2;
                    let soon = reason == Rejection::Diverged;
                    let at = Time(if soon { self.now.0 } else { self.now.0 + wait });
                    self.registration.next_at = self.registration.next_at.max(Some(at));
                }
            }
        }
    }

    fn reject(&mut self, message: &Message, epoch: Epoch, reason: Rejection) {
        let last = self.log.last();
        self.answer(message, Body::Rejected { epoch, reason, last });
    }

    /// What of the updates is new; an error if they do not continue the own log.
    pub(super) fn compare(&self, updates: &Updates) -> Result<Option<Chunk>, Rejection> {
        let last = self.log.last_seq();
        if updates.prev_seq > last {
            return Err(Rejection::Gap);
        }
        match self.log.hash_at(updates.prev_seq) {
            Some(own) if own != updates.prev_hash => return Err(Rejection::Diverged),
            None if last > 0 => return Err(Rejection::Gap),
            _ => {}
        }
        let mut prev = updates.prev_hash;
        for (index, entry) in updates.entries.iter().enumerate() {
            let place = updates.prev_seq + 1 + index as Seq;
            if entry.seq != place || !entry.follows(prev) {
                return Err(Rejection::Diverged);
            }
            if entry.seq <= last && self.log.hash_at(entry.seq) != Some(entry.hash) {
                return Err(Rejection::Diverged);
            }
            prev = entry.hash;
        }
        let held = usize::try_from(last - updates.prev_seq).unwrap_or(usize::MAX);
        if held >= updates.entries.len() {
            return Ok(None);
        }
        let chunk = Chunk { prev_hash: updates.prev_hash, entries: updates.entries.clone() };
        Ok(Some(chunk.after(last)))
    }

    fn store(&mut self, question: Message, chunk: Chunk) {
        let lineage = if chunk.prev_seq() == 0 { chunk.prev_hash } else { self.own_lineage() };
        if self.log.last().is_none() {
            self.local.belonged = Some(lineage);
            self.distrust_own_log();
            self.persist();
            self.log.set_lineage(lineage);
        }
        let op = self.new_op();
        self.effects.push(Effect::Store { op, entries: chunk.entries.clone(), lineage });
        let kind = WorkKind::Take { chunk, question: Box::new(question) };
        self.work = Some(Work { op, since: self.now, kind });
    }

    pub(super) fn own_lineage(&self) -> Hash {
        self.log.lineage().expect("a log has a lineage")
    }

    /// These updates are durable: says so, unless their leader is not followed any more.
    pub(super) fn acknowledge(&mut self, question: &Message) {
        let (Body::Accept(updates) | Body::Suffix(updates)) = &question.body else { return };
        if self.standing == Standing::Blank && self.registration.snapshot.is_none() {
            self.standing = Standing::Recovering;
        }
        let current = self
            .following
            .is_some_and(|now| now.epoch == updates.epoch && now.life == question.incarnation);
        if !current || self.local.promised != updates.epoch {
            return;
        }
        self.registration.unfit = false;
        self.believe();
        let seq = updates.prev_seq + updates.entries.len() as Seq;
        let Some(hash) = self.log.hash_at(seq) else { return };
        let known = self.digest.filter(|_| seq == self.log.last_seq());
        let digest = known.unwrap_or(NO_DIGEST);
        self.answer(question, Body::Accepted { epoch: updates.epoch, seq, hash, digest });
        let complete = updates.known_committed.is_none_or(|known| known.seq <= seq);
        if matches!(question.body, Body::Suffix(_)) && complete {
            self.registration.unfit = true;
            self.registration.soon();
        }
    }

    fn hear(&mut self, known: KnownCommitted) {
        if self.heard.is_none_or(|heard| (heard.epoch, heard.seq) < (known.epoch, known.seq)) {
            self.heard = Some(known);
        }
    }

    /// The followed leader's report says what is committed.
    pub(super) fn hear_committed(
        &mut self,
        from: ServerId,
        epoch: Epoch,
        known: Option<KnownCommitted>,
    ) {
        let life = self.peers[&from].incarnation;
        let followed = self
            .following
            .is_some_and(|now| now.leader == from && now.epoch == epoch && Some(now.life) == life);
        if let Some(known) = known.filter(|_| followed && self.local.promised == epoch) {
            self.hear(known);
            self.believe();
        }
    }

    /// Takes what was heard for true once the own log holds exactly that entry. Without comparing hashes
    /// nobody would come to lead wrongly, for two other rules stand behind: a server finds itself in sync only
    /// by an entry of the leader's own epoch, of which there is one at each place, and a view that lacks
    /// it ends its standing when it is stored. But status and trimming would speak of the wrong entries.
    fn believe(&mut self) {
        let Some(heard) = self.heard else {
            self.find_itself_in_sync();
            return;
        };
        let same = self.log.hash_at(heard.seq) == Some(heard.hash)
            || self.mutant == Some(Mutant::BelievesUnseen);
        let current = self.following.is_some_and(|now| now.epoch == heard.epoch);
        if same && current && heard.seq > self.committed_seq() {
            self.known = Some(heard);
        }
        self.find_itself_in_sync();
    }

    /// P4: a server is in sync once it knows as committed an entry of the leader's own epoch, and is in
    /// every view from there on.
    fn find_itself_in_sync(&mut self) {
        let Some(following) = self.following else { return };
        let early = self.mutant == Some(Mutant::JoinCountsEarly);
        let known = if early { self.log.last_seq() } else { self.committed_seq() };
        let recent = self.log.epoch_at(known) == Some(following.epoch);
        let member = self.log.in_every_view_from(known, self.me());
        let epoch = following.epoch;
        let eligible = self.standing != Standing::Blank
            && self.standing != Standing::Follower(epoch)
            && self.leader.is_none()
            && self.candidate.is_none();
        if recent && member && eligible {
            self.standing = Standing::Follower(epoch);
            self.registration.eviction_wait = None;
            self.trust_own_log();
            self.tell(format!("in sync with server {} in epoch {epoch}", following.leader));
        }
    }

    /// A view that lacks this server ends its standing; one of the promised epoch settles whom it
    /// promised before. That is written later, for a list on the disk that is too long only makes P12
    /// stricter, and the first view of a new leader waits for nothing.
    pub(super) fn view_became_durable(&mut self, chunk: &Chunk) {
        for entry in chunk.entries.iter() {
            let Payload::View(view) = &entry.payload else { continue };
            if entry.epoch == self.local.promised && !self.local.promised_to.is_empty() {
                self.local.promised_to.clear();
                self.remember_later();
            }
            let follows = matches!(self.standing, Standing::Follower(_));
            if !view.members.contains(&self.me()) && follows && self.leader.is_none() {
                self.standing = Standing::Recovering;
                self.tell("out of the in-sync set; catching up".to_owned());
            }
        }
    }

    /// Whoever joins lives: what was found out about it before says nothing about this life.
    pub(super) fn void_evidence_of_joiners(&mut self, chunk: &Chunk) {
        let mut members = self.log.members().clone();
        for entry in chunk.entries.iter() {
            let Payload::View(view) = &entry.payload else { continue };
            for joiner in view.members.difference(&members) {
                if self.mutant == Some(Mutant::StaleEvidence) {
                    break;
                }
                if let Some(peer) = self.peers.get_mut(joiner) {
                    peer.void_dead();
                }
            }
            members.clone_from(&view.members);
        }
    }

    pub(super) fn on_evict(
        &mut self,
        message: &Message,
        epoch: Epoch,
        tables: Option<(Seq, Hash)>,
    ) {
        let followed = self.following.is_some_and(|now| {
            now.epoch == epoch && now.leader == message.from && now.life == message.incarnation
        });
        let member = self.local.promised == epoch && epoch.server == message.from;
        if self.leader.is_some() || self.candidate.is_some() || !(followed || member) {
            return;
        }
        if self.has_odd_tables(tables) {
            self.fail(differ(self.log.last_seq()));
            return;
        }
        let left = self.incarnation;
        self.bump();
        // A new leader took the promise of a server that was still to wait: that is no try of its own.
        let waits = self.registration.next_at.is_some_and(|at| self.now < at);
        let wait = match self.registration.eviction_wait {
            None => FIRST_EVICTION,
            Some(wait) if waits => wait,
            Some(wait) => (wait * 2).min(LONGEST_EVICTION),
        };
        self.registration.eviction_wait = Some(wait);
        self.registration.next_at = Some(Time(self.now.0 + wait));
        self.tell(format!("left the in-sync set on the leader's wish; back in {wait:?}"));
        self.answer(message, Body::Evicted { epoch, left });
    }
}
