//! The leader's side of P4 and P17: who is fed with what, and who needs a snapshot.

use std::{sync::Arc, time::Duration};

use super::{
    core::Core,
    epoch::{Epoch, ServerId},
    event::{Effect, SendLog, Time},
    follower::NO_DIGEST,
    log::{Hash, Position, Seq},
    log_index::Chunk,
    message::{Body, Message, Rejection, Updates},
    mutant::Mutant,
    progress::Progress,
};

/// How many batches may be under way to one server.
const WINDOW: usize = 8;
/// A server that lacks no more batches than these is as good as in sync.
const AT_THE_TIP: usize = 2;
/// Who was fed from memory for so many heartbeat intervals and still lacks more than that, by a little, is
/// taken in all the same. A leader that waits for nobody may make batches faster than others store
/// them, for as long as its clients go on; only being a member slows it down.
const CHASE: u32 = 10;
/// Batches that are sent together have at most so many bytes.
const MERGED_BYTES: usize = 256 * 1024;
/// A log without more entries than this is sent whole to an empty server; otherwise a snapshot is.
const SMALL_LOG: Seq = 1_024;
/// A server that is sent entries from the store must take some within this time.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

impl Core {
    pub(super) fn on_register(&mut self, message: Message) {
        let from = message.from;
        let Body::Register { last, boundaries, lineage } = &message.body else { return };
        let Some(leader) = &self.leader else {
            self.answer(&message, Body::RegisterRefused { reason: "this server does not lead" });
            return;
        };
        let proposed = self.newest_members().contains(&from);
        let member = proposed || self.log.members().contains(&from);
        let early = self.mutant == Some(Mutant::FeedsNewLife);
        if member && self.has_new_life(from) && !early {
            // Its predecessor must be out of the view first, for good.
            let leader = self.leader.as_mut().expect("checked above");
            leader.waiting.insert(from, message);
            return;
        }
        if !leader.serving && !proposed {
            self.answer(
                &message,
                Body::RegisterRefused { reason: "this server does not serve yet" },
            );
            return;
        }
        let own = self.own_lineage();
        if lineage.is_some_and(|theirs| theirs != own) {
            self.answer(&message, Body::RegisterRefused { reason: "another cluster's history" });
            return;
        }
        match last {
            Some(last) if self.holds(*last) => self.feed_from(&message, last.seq, last.hash),
            Some(_) => {
                let common = self.log.common(boundaries, *last);
                let epoch = leader.epoch;
                self.leader.as_mut().expect("checked above").progress.remove(&from);
                self.answer(&message, Body::Diverged { epoch, common });
            }
            None if lineage.is_none() && self.log.last_seq() <= SMALL_LOG => {
                self.feed_from(&message, 0, own);
            }
            None => self.send_snapshot(&message),
        }
    }

    /// Whether the log that ends there is a prefix of the own one, the batch in flight included.
    fn holds(&self, place: Position) -> bool {
        let Some(leader) = &self.leader else { return false };
        let Some(batch) = leader.batch.as_ref().filter(|_| place.seq > self.log.last_seq()) else {
            return self.log.contains(place);
        };
        let mut entries = batch.chunks.iter().flat_map(|chunk| chunk.entries.iter());
        entries.any(|entry| entry.position() == place)
    }

    fn feed_from(&mut self, message: &Message, acked: Seq, hash: Hash) {
        if acked + 1 < self.log.first() {
            self.send_snapshot(message);
            return;
        }
        let mut progress = Progress::new(message.incarnation, acked, hash, self.now);
        let leader = self.leader.as_mut().expect("only a leader feeds");
        let epoch = leader.epoch;
        // Who registers again, for a part got lost or came from the store, has not given up.
        let before = leader.progress.get(&message.from).filter(|old| old.life == progress.life);
        progress.since = before.map_or(progress.since, |before| before.since);
        leader.progress.insert(message.from, progress);
        let end = self.log.last_seq();
        if acked >= end || self.log.cached_after(acked).is_some() {
            self.answer(message, Body::Welcome { epoch });
            self.feed(message.from);
            return;
        }
        let known_committed = self.known_for(message.from);
        let updates = Updates {
            epoch,
            prev_seq: acked,
            prev_hash: hash,
            entries: Arc::new(Vec::new()),
            known_committed,
        };
        let template = self.message(message.from, message.nonce, Body::Suffix(updates));
        self.effects.push(Effect::SendLog(SendLog { template, until: end, known_committed }));
        let leader = self.leader.as_mut().expect("only a leader feeds");
        if let Some(progress) = leader.progress.get_mut(&message.from) {
            progress.from_store = Some(end);
        }
    }

    fn send_snapshot(&mut self, message: &Message) {
        let (hash, at) = (self.own_lineage(), self.log.last_seq());
        let now = self.now;
        let leader = self.leader.as_mut().expect("only a leader feeds");
        let epoch = leader.epoch;
        let mut progress = Progress::new(message.incarnation, 0, hash, now);
        progress.snapshot_at = Some(at);
        leader.progress.insert(message.from, progress);
        let (to, nonce) = (message.from, message.nonce);
        self.effects.push(Effect::SendSnapshot { to, nonce, epoch });
    }

    pub(super) fn feed_all(&mut self) {
        let fed = self.leader.as_ref().map(|leader| leader.progress.keys().copied().collect());
        let fed: Vec<ServerId> = fed.unwrap_or_default();
        for id in fed {
            self.feed(id);
        }
    }

    /// Sends what fits into the window.
    fn feed(&mut self, id: ServerId) {
        loop {
            let Some(progress) = self.leader.as_ref().and_then(|leader| leader.progress.get(&id))
            else {
                return;
            };
            if progress.from_store.is_some() || progress.awaits_snapshot() {
                return;
            }
            if self.chunks_between(progress.acked, progress.sent) >= WINDOW {
                return;
            }
            let (sent, idle) = (progress.sent, progress.acked == progress.sent);
            let chunk =
                if idle { self.chunks_after(sent) } else { self.chunk_after(sent).cloned() };
            let Some(chunk) = chunk else {
                if sent < self.end_of_batch() {
                    // No longer in memory: it registers again and is fed from the store.
                    let leader = self.leader.as_mut().expect("checked above");
                    leader.progress.remove(&id);
                }
                return;
            };
            // The receiver may not know the hash of anything before its own end.
            let whole = self.mutant == Some(Mutant::ResendsWholeBatch);
            let chunk = if whole { chunk } else { chunk.after(sent) };
            let end = chunk.last().seq;
            self.send_chunk(id, chunk);
            let now = self.now;
            let leader = self.leader.as_mut().expect("checked above");
            let progress = leader.progress.get_mut(&id).expect("checked above");
            (progress.sent, progress.sent_at) = (end, now);
        }
    }

    fn send_chunk(&mut self, id: ServerId, chunk: Chunk) {
        let epoch = self.leader.as_ref().expect("only a leader feeds").epoch;
        let nonce = self.new_nonce();
        let updates = Updates {
            epoch,
            prev_seq: chunk.prev_seq(),
            prev_hash: chunk.prev_hash,
            entries: chunk.entries,
            known_committed: self.known_for(id),
        };
        self.send(id, nonce, Body::Accept(updates));
    }

    /// The next batch, and those after it as far as they fit: whoever lags stores them in one transaction,
    /// and so catches up with servers that store them one by one.
    fn chunks_after(&self, seq: Seq) -> Option<Chunk> {
        let mut all = self.chunk_after(seq)?.clone();
        while let Some(next) = self.chunk_after(all.last().seq) {
            if all.bytes() + next.bytes() > MERGED_BYTES {
                break;
            }
            Arc::make_mut(&mut all.entries).extend(next.entries.iter().cloned());
        }
        Some(all)
    }

    fn chunk_after(&self, seq: Seq) -> Option<&Chunk> {
        if seq < self.log.last_seq() {
            return self.log.cached_after(seq);
        }
        let batch = self.leader.as_ref()?.batch.as_ref()?;
        batch.chunks.iter().find(|chunk| chunk.last().seq > seq)
    }

    /// Whether this server lacks at most the last few batches, and these are on their way; or not much
    /// more, after it could not do better for a while.
    pub(super) fn is_at_the_tip(&self, progress: &Progress) -> bool {
        if progress.from_store.is_some() || progress.awaits_snapshot() {
            return false;
        }
        let patience = self.settings.timing.heartbeat_interval * CHASE;
        let chases = self.now.0 >= progress.since.0 + patience;
        let end = self.end_of_batch();
        let (mut place, mut count, mut bytes) = (progress.acked, 0, 0);
        while place < end {
            let Some(chunk) = self.chunk_after(place) else { return false };
            (place, count, bytes) = (chunk.last().seq, count + 1, bytes + chunk.bytes());
            let little = count <= AT_THE_TIP || (chases && bytes <= MERGED_BYTES);
            if !little {
                return false;
            }
        }
        chases || progress.sent == end
    }

    fn chunks_between(&self, after: Seq, until: Seq) -> usize {
        let mut count = 0;
        let mut place = after;
        while place < until && count < WINDOW {
            let Some(chunk) = self.chunk_after(place) else { break };
            place = chunk.last().seq;
            count += 1;
        }
        count
    }

    pub(super) fn on_accepted(&mut self, message: &Message) {
        let Body::Accepted { epoch, seq, hash, digest } = message.body else { return };
        let now = self.now;
        let Some(leader) = self.leader.as_ref().filter(|leader| leader.epoch == epoch) else {
            return;
        };
        let Some(progress) = leader.progress.get(&message.from) else { return };
        if progress.life != message.incarnation || seq < progress.acked {
            return;
        }
        let own = self.hash_in_log_or_batch(seq);
        if own.is_some_and(|own| own != hash) || seq > self.end_of_batch() {
            return;
        }
        let from = message.from;
        let leader = self.leader.as_mut().expect("checked above");
        let progress = leader.progress.get_mut(&from).expect("checked above");
        progress.acked = seq;
        progress.acked_hash = hash;
        progress.sent = progress.sent.max(seq);
        progress.sent_at = now;
        progress.rewound = None;
        progress.no_disk = false;
        progress.snapshot_at = None;
        if progress.from_store.is_some_and(|until| seq >= until) {
            progress.from_store = None;
        }
        if digest != NO_DIGEST {
            progress.digest = Some((seq, digest));
            self.compare_tables();
        }
        self.feed(from);
    }

    fn end_of_batch(&self) -> Seq {
        let batch = self.leader.as_ref().and_then(|leader| leader.batch.as_ref());
        batch.map_or(self.log.last_seq(), |batch| batch.last().seq)
    }

    fn hash_in_log_or_batch(&self, seq: Seq) -> Option<Hash> {
        if seq <= self.log.last_seq() {
            return self.log.hash_at(seq);
        }
        let batch = self.leader.as_ref()?.batch.as_ref()?;
        let mut entries = batch.chunks.iter().flat_map(|chunk| chunk.entries.iter());
        entries.find(|entry| entry.seq == seq).map(|entry| entry.hash)
    }

    pub(super) fn on_rejected(
        &mut self,
        message: &Message,
        epoch: Epoch,
        reason: Rejection,
        last: Option<Position>,
    ) {
        let from = message.from;
        if self.leader.as_ref().is_none_or(|leader| leader.epoch != epoch) {
            return;
        }
        let place = last.map_or((0, self.own_lineage()), |last| (last.seq, last.hash));
        let holds = last.is_none_or(|last| self.holds(last)) && place.0 + 1 >= self.log.first();
        let leader = self.leader.as_mut().expect("checked above");
        let Some(progress) = leader.progress.get_mut(&from) else { return };
        if progress.life != message.incarnation {
            return;
        }
        match reason {
            Rejection::NoDisk => progress.no_disk = true,
            Rejection::Gap if holds && progress.rewound != Some(place.0) => {
                (progress.sent, progress.rewound) = (place.0, Some(place.0));
                self.feed(from);
            }
            Rejection::Diverged => {
                leader.progress.remove(&from);
            }
            Rejection::Gap | Rejection::WrongIncarnation | Rejection::LowerEpoch => {}
        }
    }

    /// What was sent and is not acknowledged may be lost: once in a while it is sent again.
    pub(super) fn feed_again(&mut self) {
        let end = self.end_of_batch();
        let now = self.now;
        let patience = self.settings.timing.heartbeat_interval * 2;
        let Some(leader) = self.leader.as_mut() else { return };
        let mut again = Vec::new();
        for (id, progress) in &mut leader.progress {
            if progress.acked >= end || progress.awaits_snapshot() {
                continue;
            }
            let wait = if progress.from_store.is_some() { STORE_PATIENCE } else { patience };
            if now.0 >= progress.sent_at.0 + wait {
                progress.from_store = None;
                (progress.sent, progress.sent_at, progress.rewound) = (progress.acked, now, None);
                again.push(*id);
            }
        }
        for id in again {
            self.feed(id);
        }
        self.call_the_unfed(patience);
    }

    /// A member of the first view whose log does not reach the stream finds out by a part of it that
    /// does not fit, and registers.
    fn call_the_unfed(&mut self, patience: Duration) {
        let now = self.now;
        let Some(leader) = self.leader.as_mut() else { return };
        let Some(chunk) = leader.batch.as_ref().and_then(|batch| batch.chunks.first()).cloned()
        else {
            return;
        };
        if leader.serving || now < leader.next_call {
            return;
        }
        leader.next_call = Time(now.0 + patience);
        let unfed: Vec<ServerId> =
            leader.lives.keys().copied().filter(|id| !leader.progress.contains_key(id)).collect();
        for id in unfed {
            if self.newest_members().contains(&id) && !self.has_new_life(id) {
                self.send_chunk(id, chunk.clone());
            }
        }
    }
}
