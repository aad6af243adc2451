//! The core itself: its state, and who hears what. The rules are in the files named after them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{
    candidate::Candidate,
    epoch::{Epoch, Incarnation, ServerId},
    event::{Boot, Effect, Event, LocalState, OpId, Settings, Time},
    follower::Following,
    leader::Leader,
    log::{Hash, Seq},
    log_index::LogIndex,
    message::{KnownCommitted, Message, Mode},
    mutant::Mutant,
    peer::Peer,
    random::Random,
    reconcile::Reconciling,
    registration::Registration,
    work::Work,
};

/// A longer gap between two steps means that this process was stopped (P14).
const OWN_PAUSE: Duration = Duration::from_millis(500);

/// What this server is worth to the others while it neither leads nor asks to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Knows nothing, or nothing that may be trusted.
    Blank,
    /// Has a log and does not know whether it is current.
    Recovering,
    /// In sync, as far as it knows, with the leader of this epoch.
    Follower(Epoch),
}

/// The protocol of one server: a function from an event and the time to effects.
#[derive(Clone, Debug)]
pub struct Core {
    pub(super) settings: Settings,
    pub(super) local: LocalState,
    pub(super) fresh_lineage: Hash,
    pub(super) incarnation: Incarnation,
    pub(super) now: Time,
    pub(super) started: Time,
    pub(super) log: LogIndex,
    /// The digest of the tables at the end of the log, where it is known.
    pub(super) digest: Option<Hash>,

    pub(super) standing: Standing,
    pub(super) leader: Option<Box<Leader>>,
    pub(super) candidate: Option<Box<Candidate>>,
    pub(super) following: Option<Following>,
    pub(super) registration: Registration,
    pub(super) reconciling: Option<Reconciling>,
    /// What this server knows to be committed, and holds.
    pub(super) known: Option<KnownCommitted>,
    /// What the leader said is committed; believed once the log reaches it.
    pub(super) heard: Option<KnownCommitted>,

    pub(super) peers: BTreeMap<ServerId, Peer>,
    /// A promise may not be given, nor anything else stored, before this ends.
    pub(super) work: Option<Work>,
    pub(super) queue: VecDeque<Message>,
    pub(super) effects: Vec<Effect>,
    next_op: OpId,
    pub(super) next_nonce: u64,
    pub(super) random: Random,
    /// The greatest epoch number that was seen anywhere.
    pub(super) greatest_number: u64,

    pub(super) next_heartbeat: Time,
    pub(super) next_memory: Time,
    pub(super) memory_changed: bool,
    pub(super) leaderless_since: Option<Time>,
    /// A candidate that was promised something has the chance to win until then.
    pub(super) patience: Option<(ServerId, Time)>,
    /// The leader of this epoch resigned and named this server: its rank costs it nothing.
    pub(super) called_after: Option<Epoch>,
    pub(super) no_election_before: Time,
    pub(super) disk_low: bool,
    pub(super) next_disk_resign: Time,
    /// Since when a shutdown is under way.
    pub(super) shutting_down: Option<Time>,
    pub(super) ended: bool,
    /// In this life the log was proved current or replaced, so that older memories of it are void.
    pub(super) renewed: bool,
    /// This life has opened an epoch.
    pub(super) opened_epoch: bool,
    /// A blank server may take updates (P20, `majority`).
    pub(super) promise_learned: bool,
    /// Whether any server said in this life of ours that it has a log.
    pub(super) heard_of_data: bool,
    pub(super) mutant: Option<Mutant>,
}

impl Core {
    /// A server that just started (P1), and the first effects.
    pub fn new(settings: Settings, boot: Boot, now: Time) -> (Core, Vec<Effect>) {
        Core::with_mutant(settings, boot, now, None)
    }

    /// The same with a rule left out, for the tests of the tests.
    #[doc(hidden)]
    pub fn with_mutant(
        settings: Settings,
        boot: Boot,
        now: Time,
        mutant: Option<Mutant>,
    ) -> (Core, Vec<Effect>) {
        assert!(settings.servers.contains(&settings.id), "this server is not a configured one");
        let others = settings.servers.iter().filter(|id| **id != settings.id);
        let mut core = Core {
            peers: others.map(|id| (*id, Peer::new())).collect(),
            incarnation: Incarnation { starts: boot.local.starts, bumps: 0, random: boot.random },
            greatest_number: boot.local.promised.number,
            standing: if boot.log.is_some() { Standing::Recovering } else { Standing::Blank },
            log: LogIndex::new(boot.log),
            local: boot.local,
            fresh_lineage: boot.fresh_lineage,
            random: Random::new(boot.random),
            settings,
            now,
            started: now,
            digest: None,
            leader: None,
            candidate: None,
            following: None,
            registration: Registration::default(),
            reconciling: None,
            known: None,
            heard: None,
            work: None,
            queue: VecDeque::new(),
            effects: Vec::new(),
            next_op: 1,
            next_nonce: 1,
            next_heartbeat: now,
            next_memory: now,
            memory_changed: false,
            leaderless_since: None,
            patience: None,
            called_after: None,
            no_election_before: now,
            disk_low: false,
            next_disk_resign: now,
            shutting_down: None,
            ended: false,
            renewed: false,
            opened_epoch: false,
            promise_learned: false,
            heard_of_data: false,
            mutant,
        };
        core.begin();
        core.turn();
        let effects = std::mem::take(&mut core.effects);
        (core, effects)
    }

    fn begin(&mut self) {
        if let Some(last) = self.log.last() {
            self.greatest_number = self.greatest_number.max(last.epoch.number);
            let lineage = self.log.lineage();
            if self.local.belonged != lineage || self.local.promised < last.epoch {
                self.local.belonged = lineage;
                self.local.promised = self.local.promised.max(last.epoch);
                self.persist();
            }
            self.remember_from_own_log();
        } else if self.local.belonged.is_some() || self.is_distrusted() {
            // The data folder was emptied: what it acknowledged may be known to nobody but its peers.
            self.distrust_own_log();
        }
        self.begin_as_mutant();
    }

    /// What the event brings about, to be carried out in order.
    ///
    /// # Panics
    /// If updates are submitted while [`Core::takes_updates`] denies it, or an invariant is broken.
    pub fn step(&mut self, event: Event, now: Time) -> Vec<Effect> {
        if self.ended {
            return Vec::new();
        }
        let gap = now.0.saturating_sub(self.now.0);
        self.now = self.now.max(now);
        if gap > OWN_PAUSE {
            self.own_pause(gap);
        }
        self.receive(event);
        self.turn();
        std::mem::take(&mut self.effects)
    }

    fn receive(&mut self, event: Event) {
        match event {
            Event::Tick => {}
            Event::Message(message) => self.on_message(message),
            Event::Probed { peer, begun, refused } => {
                self.on_probed(peer, begun, refused);
            }
            Event::StreamEnded { peer } => {
                self.suspect(peer);
                self.stream_ended(peer);
            }
            Event::Submit(operations) => self.on_submit(operations),
            Event::Read(id) => self.on_read(id),
            Event::Applied { op, digest } => self.on_applied(op, digest),
            Event::Committed { op } => self.on_committed(op),
            Event::Stored { op, digest } => self.on_stored(op, digest),
            Event::Installed { op, log } => self.on_installed(op, log),
            Event::Reconciled { op, done } => self.on_reconciled(op, done),
            Event::StoreFailed { reason } => self.fail(reason),
            Event::DiskLow(low) => self.disk_low = low,
            Event::ForceLead => self.force_lead(),
            Event::HandOver { to } => self.hand_over(to),
            Event::Shutdown => self.begin_shutdown(),
        }
    }

    /// Looks at every rule that waits for a state of affairs.
    fn turn(&mut self) {
        if self.ended {
            return;
        }
        if self.now >= self.next_heartbeat {
            self.next_heartbeat = Time(self.now.0 + self.settings.timing.heartbeat_interval);
            self.send_heartbeats();
            self.probe_the_quiet();
        }
        self.turn_probes();
        self.turn_work();
        self.turn_blank();
        self.turn_follower();
        self.turn_succession();
        self.turn_leader();
        self.turn_reads();
        self.turn_shutdown();
        self.turn_memory();
        self.turn_trim();
    }

    /// When the next [`Event::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Time> {
        if self.ended {
            return None;
        }
        let election = self.election_deadline().filter(|at| *at > self.now);
        let silence = self.peers.values().filter_map(Peer::unanswered_since);
        let silence = silence.map(|at| Time(at.0 + self.settings.timing.failure_timeout));
        let later = silence.filter(|at| *at > self.now).min();
        let probe = self.probe_deadline().filter(|at| *at > self.now);
        [Some(self.next_heartbeat), election, later, probe].into_iter().flatten().min()
    }

    /// The present life of this server.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// What this server is doing.
    pub fn mode(&self) -> Mode {
        if let Some(leader) = &self.leader {
            return Mode::Leader(leader.epoch);
        }
        if let Some(candidate) = &self.candidate {
            return Mode::Candidate(candidate.epoch);
        }
        match self.standing {
            Standing::Blank => Mode::Blank,
            Standing::Recovering if self.is_distrusted() => Mode::Blank,
            Standing::Recovering if self.reconciling.is_some() => Mode::Reconciling,
            Standing::Recovering => Mode::Recovering,
            Standing::Follower(epoch) => Mode::Follower(epoch),
        }
    }

    /// Whether this server leads and its first view is committed.
    pub fn serving(&self) -> bool {
        !self.ended && self.leader.as_ref().is_some_and(|leader| leader.serving)
    }

    /// Whether [`Event::Submit`] may come now.
    pub fn takes_updates(&self) -> bool {
        let idle = |leader: &Leader| {
            leader.serving && leader.batch.is_none() && leader.handing_over.is_none()
        };
        self.leader.as_deref().is_some_and(idle)
            && !self.ended
            && !self.disk_low
            && self.shutting_down.is_none()
    }

    /// Whether writes are refused for want of disk (P18).
    pub fn writes_refused_for_disk(&self) -> bool {
        self.disk_low && self.serving()
    }

    pub(super) fn me(&self) -> ServerId {
        self.settings.id
    }

    pub(super) fn majority(&self) -> usize {
        self.settings.servers.len() / 2 + 1
    }

    /// The place up to which this server knows the log to be committed; 0 when it knows nothing.
    pub(super) fn committed_seq(&self) -> Seq {
        self.known.map_or(0, |known| known.seq)
    }

    /// In sync, and it knows so: it may lead without asking those who cannot be asked (P12).
    pub(super) fn has_authority(&self) -> bool {
        let Standing::Follower(_) = self.standing else { return false };
        let early = self.mutant == Some(Mutant::JoinCountsEarly);
        let from = if early { self.log.last_seq() } else { self.committed_seq() };
        from > 0 && self.log.in_every_view_from(from, self.me())
    }

    // A log may name servers that are configured no more, as where a backup is tried on a machine of its own:
    // of those nothing is known.

    pub(super) fn is_live(&self, id: ServerId) -> bool {
        let timeout = self.settings.timing.failure_timeout;
        self.peers.get(&id).is_some_and(|peer| peer.is_live(self.now, timeout))
    }

    pub(super) fn is_dead(&self, id: ServerId) -> bool {
        let timeout = self.settings.timing.failure_timeout;
        self.peers.get(&id).is_some_and(|peer| peer.is_dead(self.now, timeout))
    }

    pub(super) fn is_silent(&self, id: ServerId) -> bool {
        let timeout = self.settings.timing.failure_timeout;
        self.peers.get(&id).is_some_and(|peer| peer.is_silent(self.now, timeout))
    }

    pub(super) fn others(&self) -> Vec<ServerId> {
        self.peers.keys().copied().collect()
    }

    pub(super) fn new_op(&mut self) -> OpId {
        self.next_op += 1;
        self.next_op - 1
    }

    pub(super) fn new_nonce(&mut self) -> u64 {
        self.next_nonce += 1;
        self.next_nonce - 1
    }

    pub(super) fn persist(&mut self) {
        self.memory_changed = false;
        self.effects.push(Effect::Persist(self.local.clone()));
    }

    pub(super) fn tell(&mut self, sentence: String) {
        self.effects.push(Effect::Tell(sentence));
    }
}
