//! Store work of a server that does not lead: one piece at a time, and what waits for its end (P16: what
//! is begun is finished before any promise or acknowledgement).

use super::{
    core::Core,
    event::{OpId, Time},
    log::{Hash, Position},
    log_index::Chunk,
    message::Message,
};

/// How many messages wait for the end of store work. When it is full, new ones are dropped: their senders
/// send again.
const QUEUE: usize = 16;

/// What the store is doing for this server.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) op: OpId,
    pub(super) since: Time,
    pub(super) kind: WorkKind,
}

/// Why.
#[derive(Clone, Debug)]
pub(super) enum WorkKind {
    /// Entries of a leader; its message is acknowledged at the end.
    Take { chunk: Chunk, question: Box<Message> },
    /// Entries that a candidate fetched, or the first entry of a new cluster.
    Keep { chunk: Chunk },
    /// A snapshot.
    Install,
    /// The commit that had begun when this server stepped down.
    FinishCommit { chunks: Vec<Chunk>, digest: Hash, keeps_standing: bool },
}

impl Core {
    /// Whether own store work forbids promises now; a leader's commit counts.
    pub(super) fn work_is_under_way(&self) -> bool {
        let committing = self.leader.as_ref().is_some_and(|leader| leader.is_committing());
        self.work.is_some() || committing
    }

    pub(super) fn keep_for_later(&mut self, message: Message) {
        if self.queue.len() < QUEUE {
            self.queue.push_back(message);
        }
    }

    pub(super) fn on_stored(&mut self, op: OpId, digest: Hash) {
        let work = self.end_work(op);
        match work.kind {
            WorkKind::Take { chunk, question } => {
                self.take_in(chunk, digest);
                self.acknowledge(&question);
            }
            WorkKind::Keep { chunk } => {
                self.take_in(chunk, digest);
                self.fetched_is_durable();
            }
            WorkKind::Install | WorkKind::FinishCommit { .. } => {
                panic!("the store ended another kind of work")
            }
        }
    }

    /// The commit that had begun before this server stepped down is done: everybody had it.
    pub(super) fn finish_commit(&mut self, op: OpId) {
        let work = self.end_work(op);
        let WorkKind::FinishCommit { chunks, digest, keeps_standing } = work.kind else {
            panic!("the store ended another kind of work")
        };
        for chunk in chunks {
            self.take_in(chunk, digest);
        }
        if keeps_standing {
            self.raise_known_to_end();
        }
    }

    fn end_work(&mut self, op: OpId) -> Work {
        let work = self.work.take().expect("store work ended that was not begun");
        assert_eq!(work.op, op, "store work ended out of order");
        work
    }

    /// Entries are durable.
    pub(super) fn take_in(&mut self, chunk: Chunk, digest: Hash) {
        let last: Position = chunk.last();
        self.void_evidence_of_joiners(&chunk);
        self.log.append(chunk.clone());
        self.digest = Some(digest);
        self.view_became_durable(&chunk);
        assert!(self.log.last() == Some(last), "the log ends where the entries end");
    }

    pub(super) fn turn_work(&mut self) {
        while !self.ended && !self.work_is_under_way() {
            let Some(message) = self.queue.pop_front() else { break };
            let life = self.peers[&message.from].incarnation;
            if life == Some(message.incarnation) {
                self.dispatch(message);
            }
        }
        let stalled = |since: Time| self.now.0 >= since.0 + self.settings.timing.stall_timeout;
        let committing = matches!(
            &self.work,
            Some(Work { kind: WorkKind::FinishCommit { .. }, since, .. }) if stalled(*since)
        );
        if committing {
            self.fail("a commit did not return in time; look at the disk".to_owned());
        }
    }

    /// How long the oldest unfinished store work has waited.
    pub(super) fn oldest_work(&self) -> std::time::Duration {
        let batch = self.leader.as_ref().and_then(|leader| leader.batch.as_ref());
        let batch = batch.map(|batch| batch.since);
        let oldest = self.work.as_ref().map(|work| work.since).into_iter().chain(batch).min();
        oldest.map_or(std::time::Duration::ZERO, |since| self.now.0.saturating_sub(since.0))
    }
}
