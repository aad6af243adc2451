//! How a server that does not lead asks for what it lacks (P17): it registers with the leader in reach,
//! again and again until the stream fits the end of its log, and takes a snapshot when only that helps.

use std::time::Duration;

use super::{
    core::{Core, Standing},
    epoch::{Epoch, Incarnation, ServerId},
    event::{Effect, OpId, Time},
    log::{LogSummary, Position},
    log_index::LogIndex,
    message::{Body, Message, Mode},
    mutant::Mutant,
    work::{Work, WorkKind},
};

const FIRST_SNAPSHOT_WAIT: Duration = Duration::from_secs(5);
const LONGEST_SNAPSHOT_WAIT: Duration = Duration::from_secs(300);

/// How this server asks for what it lacks.
#[derive(Clone, Debug, Default)]
pub(super) struct Registration {
    /// Not before this.
    pub(super) next_at: Option<Time>,
    target: Option<(ServerId, Epoch, Option<Incarnation>)>,
    /// The first and the newest Register to that target.
    first_nonce: Option<u64>,
    pub(super) newest_nonce: u64,
    /// The end of the log at the first one: a snapshot was chosen for that log.
    first_last: Option<Position>,
    /// Only a snapshot helps; how many updates the present file has that the leader lacks.
    pub(super) snapshot: Option<Option<u64>>,
    snapshot_wait: Option<Duration>,
    /// The stream does not fit the end of the own log, or a part that came another way is complete.
    pub(super) unfit: bool,
    /// How long it waited, or waits, after the newest eviction; none since it was in sync.
    pub(super) eviction_wait: Option<Duration>,
}

impl Registration {
    /// Only a snapshot helps; `aside` as in [`Effect::Install`].
    pub(super) fn want_snapshot(&mut self, aside: Option<u64>) {
        self.snapshot = Some(aside);
        self.next_at = None;
    }

    /// Another leader, or another life of it: what the last one said about the own log does not bind it.
    fn aim_at(&mut self, target: Option<(ServerId, Epoch, Option<Incarnation>)>, keeps_wish: bool) {
        self.target = target;
        self.first_nonce = None;
        self.snapshot_wait = None;
        self.unfit = false;
        if !keeps_wish {
            self.snapshot = None;
        }
        self.soon();
    }

    pub(super) fn soon(&mut self) {
        if self.eviction_wait.is_none() {
            self.next_at = None;
        }
    }
}

impl Core {
    pub(super) fn turn_follower(&mut self) {
        let busy = self.leader.is_some() || self.candidate.is_some() || self.work.is_some();
        if busy || self.shutting_down.is_some() || self.disk_low {
            return;
        }
        let Some((leader, epoch)) = self.leader_to_ask() else { return };
        let target = Some((leader, epoch, self.peers[&leader].incarnation));
        if self.registration.target != target {
            self.registration.aim_at(target, self.standing == Standing::Blank);
        }
        if self.reconciles_with((leader, epoch, self.peers[&leader].incarnation)) {
            return;
        }
        let early = self.registration.next_at.is_some_and(|at| self.now < at);
        if early || !self.may_take_from(epoch) || !self.lacks_something(leader, epoch) {
            return;
        }
        self.register(leader);
    }

    /// The greatest leader in reach that serves, or that this server takes updates from already.
    fn leader_to_ask(&self) -> Option<(ServerId, Epoch)> {
        let begins = self.following.filter(|now| {
            let report = self.peers[&now.leader].report.as_ref();
            let leads = report.is_some_and(|report| report.mode == Mode::Leader(now.epoch));
            leads && self.is_live(now.leader)
        });
        let begins = begins.map(|now| (now.leader, now.epoch));
        begins.into_iter().chain(self.any_live_leader()).max_by_key(|(_, epoch)| *epoch)
    }

    fn lacks_something(&self, leader: ServerId, epoch: Epoch) -> bool {
        let life = self.peers[&leader].incarnation;
        let Some(following) = self.following else { return true };
        let other = following.epoch != epoch || Some(following.life) != life;
        if other || self.registration.unfit || self.registration.snapshot.is_some() {
            return true;
        }
        let Some(report) = &self.peers[&leader].report else { return false };
        let behind = report.last.is_some_and(|last| last.seq > self.log.last_seq());
        let outside = report.view.as_ref().is_some_and(|view| !view.1.members.contains(&self.me()));
        let patience = self.settings.timing.heartbeat_interval * 4;
        (behind || outside) && self.now.0 >= following.heard_at.0 + patience
    }

    fn register(&mut self, leader: ServerId) {
        let nonce = self.new_nonce();
        let heartbeat = self.settings.timing.heartbeat_interval;
        let end = self.log.last();
        let registration = &mut self.registration;
        if registration.first_nonce.is_none() {
            (registration.first_nonce, registration.first_last) = (Some(nonce), end);
        }
        registration.newest_nonce = nonce;
        let snapshot = registration.snapshot.is_some();
        let mut wait = heartbeat * 4;
        if snapshot {
            wait = registration.snapshot_wait.unwrap_or(FIRST_SNAPSHOT_WAIT);
            registration.snapshot_wait = Some((wait * 2).min(LONGEST_SNAPSHOT_WAIT));
        }
        registration.next_at = Some(Time(self.now.0 + wait));
        let last = if snapshot { None } else { self.log.last() };
        let boundaries = if snapshot { Vec::new() } else { self.log.boundaries().to_vec() };
        let lineage = self.log.last().and_then(|_| self.log.lineage());
        self.send(leader, nonce, Body::Register { last, boundaries, lineage });
    }

    pub(super) fn on_snapshot(&mut self, message: &Message, epoch: Epoch, position: Position) {
        let registration = &self.registration;
        let target = registration.target.map(|(leader, epoch, _)| (leader, epoch));
        let asked = registration.first_nonce.is_some_and(|first| first <= message.nonce)
            && message.nonce <= registration.newest_nonce
            && target == Some((message.from, epoch));
        let place = (position.epoch, position.seq);
        let older = self.log.last().is_some_and(|last| (last.epoch, last.seq) > place);
        let any = self.mutant == Some(Mutant::TakesAnySnapshot);
        if !asked || (older && !any) || self.disk_low || !self.follow(message, epoch) {
            return;
        }
        if !any
            && self.registration.snapshot.is_none()
            && self.registration.first_last != self.log.last()
        {
            // Another leader fed it meanwhile: whether the snapshot holds that is to be asked again.
            self.registration.first_nonce = None;
            self.registration.unfit = true;
            self.registration.soon();
            return;
        }
        let aside = self.registration.snapshot.flatten().filter(|_| self.log.last().is_some());
        if self.log.last().is_none() {
            self.distrust_own_log();
        }
        let op = self.new_op();
        self.effects.push(Effect::Install { op, nonce: message.nonce, aside });
        self.work = Some(Work { op, since: self.now, kind: WorkKind::Install });
    }

    pub(super) fn on_installed(&mut self, op: OpId, log: LogSummary) {
        let work = self.work.take().expect("an installation ended that was not begun");
        assert!(work.op == op && matches!(work.kind, WorkKind::Install), "another work ended");
        self.local.belonged = Some(log.lineage);
        self.local.promised = self.local.promised.max(log.last.epoch);
        if log.last.seq < self.log.last_seq() {
            self.log_became_shorter();
        } else {
            self.persist();
        }
        self.log = LogIndex::new(Some(log));
        self.digest = None;
        self.known = None;
        self.standing = Standing::Recovering;
        self.renewed = true;
        self.registration.unfit = true;
        self.registration.snapshot = None;
        self.registration.snapshot_wait = None;
        self.registration.soon();
        self.tell(format!("a snapshot up to entry {} is installed", self.log.last_seq()));
    }

    /// A stream from the followed leader broke: what was under way may be lost.
    pub(super) fn stream_ended(&mut self, peer: ServerId) {
        if self.following.is_some_and(|now| now.leader == peer) {
            self.registration.soon();
        }
    }
}
