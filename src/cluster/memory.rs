//! P20: what servers remember of each other, so that an old or emptied disk is found out; and what a
//! server does that may have forgotten something.

use std::time::Duration;

use super::{
    core::{Core, Standing},
    epoch::{Epoch, Incarnation, ServerId},
    event::{Effect, LocalState, Time},
    log::Hash,
    message::{Mode, PeerMemory, Report},
    mutant::Mutant,
};

/// How often a changed `durable` alone is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// In the entry about this server itself: its log may lack what it acknowledged once.
const DISTRUSTED: u64 = 0;
/// Whatever it acknowledged is in its log.
const TRUSTED: u64 = 1;
/// How far the first epoch that a life opens may jump.
const JUMP: u64 = 1 << 20;

impl LocalState {
    /// The same for a data folder into which an old log was put, as from a backup: the server promises
    /// nothing until it is in sync again, or until all configured servers are reachable and none serves.
    #[must_use]
    pub fn with_an_old_log(mut self, id: ServerId, lineage: Hash, last: Epoch) -> LocalState {
        let memory = PeerMemory { uuid: self.uuid, starts: 0, durable: DISTRUSTED };
        self.peers.insert(id, memory);
        self.belonged = Some(lineage);
        self.promised = self.promised.max(last);
        self
    }
}

impl Core {
    pub(super) fn remember(&mut self, id: ServerId, life: Incarnation, report: &Report) {
        let durable = report.last.map_or(0, |last| last.seq);
        let in_sync = matches!(report.mode, Mode::Follower(_) | Mode::Leader(_));
        let Some(memory) = self.local.peers.get_mut(&id) else {
            let uuid = report.uuid;
            let memory = PeerMemory { uuid, starts: life.starts, durable };
            self.local.peers.insert(id, memory);
            self.persist();
            return;
        };
        let old = *memory;
        if memory.uuid != report.uuid {
            *memory = PeerMemory { uuid: report.uuid, starts: life.starts, durable: 0 };
        }
        // Less within a life is a word that came late, or a snapshot made the log shorter, which its owner
        // notes. Between two lives only an old disk explains it, unless the server is in sync again.
        let grown = durable >= memory.durable && life.starts >= memory.starts;
        if memory.starts == life.starts {
            memory.durable = memory.durable.max(durable);
        } else if in_sync || grown {
            (memory.starts, memory.durable) = (life.starts, durable);
        }
        if *memory == old {
            return;
        }
        if memory.uuid != old.uuid || memory.starts != old.starts {
            self.persist();
        } else {
            self.memory_changed = true;
        }
    }

    /// A leader commits what every member has: the end of a log that this server led itself says how far the
    /// others were, even where it had no time to write that down.
    pub(super) fn remember_from_own_log(&mut self) {
        let Some(last) = self.log.last().filter(|last| last.epoch.server == self.me()) else {
            return;
        };
        // The entry about itself says whether its log may be trusted, and nothing of this kind.
        for member in self.log.members().iter().filter(|member| **member != self.settings.id) {
            if let Some(memory) = self.local.peers.get_mut(member) {
                memory.durable = memory.durable.max(last.seq);
            }
        }
    }

    /// This life came after one with a greater number, or with the same: its data folder is an old one. Whoever
    /// began it is told so by what is remembered, until it is in sync again.
    pub(super) fn remember_more_than(&mut self, id: ServerId, life: Incarnation) {
        let known = self.peers[&id].incarnation.map_or(0, |known| known.starts);
        if let Some(memory) = self.local.peers.get_mut(&id) {
            memory.starts = memory.starts.max(known).max(life.starts) + 1;
            self.persist();
        }
    }

    /// Whether this life's data folder is older than one that was seen: it may have forgotten promises.
    pub(super) fn is_an_old_folder(&self, id: ServerId, life: Incarnation) -> bool {
        self.local.peers.get(&id).is_some_and(|memory| memory.starts > life.starts)
    }

    /// What may get lost in a crash is written within a second.
    pub(super) fn remember_later(&mut self) {
        self.memory_changed = true;
        self.next_memory = Time(self.now.0 + WRITE_EVERY);
    }

    pub(super) fn turn_memory(&mut self) {
        if self.memory_changed && self.now >= self.next_memory {
            self.next_memory = Time(self.now.0 + WRITE_EVERY);
            self.memory_changed = false;
            self.effects.push(Effect::Remember(self.local.clone()));
        }
    }

    /// A peer says what it remembers of this server.
    pub(super) fn compare_with_memory(&mut self, report: &Report) {
        let Some(memory) = report.remembered else { return };
        let same_folder = memory.uuid == self.local.uuid && report.lineage == self.log.lineage();
        let shortened = self.own_memory().map_or(0, |own| own.starts);
        // An old folder that was started again and again counts as many starts as are remembered.
        let less = (shortened + 1..=self.local.starts).contains(&memory.starts)
            && memory.durable > self.log.last_seq();
        // What was under way since before the log was replaced says nothing about the new one.
        let old = (memory.starts > self.local.starts || less) && !self.renewed;
        let trusted = !self.is_blank() && self.work.is_none();
        if same_folder && old && trusted && self.leader.is_none() && self.candidate.is_none() {
            self.tell(format!(
                "this data folder is older than what the others remember of it (entry {} of {}); \
                 a snapshot replaces it, and the old file is kept",
                self.log.last_seq(),
                memory.durable
            ));
            // This life's place in a view ends with it: a leader that waits for its acknowledgement would send
            // snapshots that lack what was acknowledged already, and those are not taken.
            self.bump();
            self.standing = Standing::Blank;
            self.distrust_own_log();
            self.registration.want_snapshot(Some(0));
        }
    }

    /// The own log may lack what this server acknowledged in an earlier life, or before its disk was
    /// lost: it promises nothing until it is in sync again. An entry about itself says so durably.
    pub(super) fn distrust_own_log(&mut self) {
        if self.mutant == Some(Mutant::ForgetsPromise) {
            return;
        }
        if !self.is_distrusted() {
            let starts = self.own_memory().map_or(0, |own| own.starts);
            self.note_about_itself(starts, DISTRUSTED);
        }
    }

    pub(super) fn is_distrusted(&self) -> bool {
        self.own_memory().is_some_and(|own| own.durable == DISTRUSTED)
    }

    /// In sync: whatever was acknowledged once is here.
    pub(super) fn trust_own_log(&mut self) {
        self.renewed = true;
        if self.is_distrusted() {
            let starts = self.own_memory().map_or(0, |own| own.starts);
            self.note_about_itself(starts, TRUSTED);
        }
    }

    /// The log became shorter for a good reason: what others remember of this life and of earlier ones
    /// proves nothing any more.
    pub(super) fn log_became_shorter(&mut self) {
        let trust = self.own_memory().map_or(TRUSTED, |own| own.durable);
        self.note_about_itself(self.local.starts, trust);
    }

    /// How far to jump over the greatest epoch number that was seen. A server with an old copy of its disk, or,
    /// where one may lead alone, with a wiped one, may have led in an epoch that nobody in reach has heard of,
    /// itself included; its next one must be another.
    pub(super) fn epoch_jump(&mut self) -> u64 {
        let first = !std::mem::replace(&mut self.opened_epoch, true);
        if first { 1 + self.random.number_below(JUMP) } else { 1 }
    }

    fn own_memory(&self) -> Option<PeerMemory> {
        self.local.peers.get(&self.settings.id).copied()
    }

    fn note_about_itself(&mut self, starts: u64, durable: u64) {
        let memory = PeerMemory { uuid: self.local.uuid, starts, durable };
        self.local.peers.insert(self.settings.id, memory);
        self.persist();
    }
}
