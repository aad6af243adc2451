//! P20: what servers remember of each other, so that an old or emptied disk is found out; and what a
//! server does that may have forgotten something.

use std::time::Duration;

use super::{
    core::{Core, Standing},
    epoch::{Incarnation, ServerId},
    event::Time,
    message::{Mode, PeerMemory, Report},
    mutant::Mutant,
};

/// How often a changed `durable` alone is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);

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
        // Within a life the log may get shorter by a snapshot; between two lives only an old disk
        // explains it, unless the server is in sync again.
        if memory.starts == life.starts || in_sync || durable >= memory.durable {
            memory.starts = life.starts;
            memory.durable = durable;
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

    pub(super) fn turn_memory(&mut self) {
        if self.memory_changed && self.now >= self.next_memory {
            self.next_memory = Time(self.now.0 + WRITE_EVERY);
            self.persist();
        }
    }

    /// Whether that life of a server has less than it is remembered to have had.
    pub(super) fn reports_less(&self, id: ServerId, life: Incarnation, durable: u64) -> bool {
        self.local.peers.get(&id).is_some_and(|memory| {
            memory.starts > life.starts
                || (memory.starts < life.starts && memory.durable > durable)
        })
    }

    /// A peer says what it remembers of this server.
    pub(super) fn compare_with_memory(&mut self, report: &Report) {
        let Some(memory) = report.remembered else { return };
        let same_folder = memory.uuid == self.local.uuid && report.lineage == self.log.lineage();
        let less = memory.starts < self.local.starts && memory.durable > self.log.last_seq();
        let old = memory.starts > self.local.starts || (less && !self.renewed);
        let trusted = !self.is_blank() && self.work.is_none();
        if same_folder && old && trusted && self.leader.is_none() && self.candidate.is_none() {
            self.tell(format!(
                "this data folder is older than what the others remember of it (entry {} of {}); \
                 a snapshot replaces it, and the old file is kept",
                self.log.last_seq(),
                memory.durable
            ));
            self.standing = Standing::Blank;
            self.known = None;
            self.following = None;
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
        let memory =
            PeerMemory { uuid: self.local.uuid, starts: self.local.starts, durable: self.log.last_seq() };
        if self.local.peers.insert(self.me(), memory).is_none() {
            self.persist();
        }
    }

    pub(super) fn is_distrusted(&self) -> bool {
        self.local.peers.contains_key(&self.settings.id)
    }

    /// In sync: whatever was acknowledged once is here.
    pub(super) fn trust_own_log(&mut self) {
        self.renewed = true;
        let me = self.me();
        if self.local.peers.remove(&me).is_some() {
            self.persist();
        }
    }
}
