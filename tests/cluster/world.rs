//! Servers on a scripted network, for the stories and the walker: the real core, a store in memory with
//! the semantics of the real one (an open transaction is lost in a crash, the local store is durable when
//! `Persist` returns), and the invariants, checked whenever something becomes durable or is answered.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chinwag::cluster::{
    Body, Boot, Boundary, Core, Effect, Entry, Epoch, Event, Hash, Incarnation, LocalState,
    LogSummary, Message, Mode, Mutant, Operation, Payload, Policy, Position, Seq, ServerId,
    Settings, Time, Timing, View,
};

/// A durable log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) lineage: Hash,
    pub(crate) entries: Vec<Entry>,
}

impl Log {
    pub(crate) fn last(&self) -> Position {
        self.entries[self.entries.len() - 1].position()
    }

    pub(crate) fn holds(&self, seq: Seq, hash: Hash) -> bool {
        seq > 0 && self.entries.get(seq as usize - 1).is_some_and(|entry| entry.hash == hash)
    }

    fn summary(&self) -> LogSummary {
        let mut boundaries: Vec<Boundary> = Vec::new();
        let mut views = Vec::new();
        for entry in &self.entries {
            if boundaries.last().is_none_or(|last| last.epoch != entry.epoch) {
                boundaries.push(Boundary { epoch: entry.epoch, first: entry.seq });
            }
            if let Payload::View(view) = &entry.payload {
                views.push((entry.seq, view.clone()));
            }
        }
        let recent = self.entries.iter().map(|entry| (entry.seq, entry.hash)).collect();
        let lineage = self.lineage;
        LogSummary { lineage, first: 1, last: self.last(), boundaries, views, recent }
    }
}

/// What survives a crash.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) local: LocalState,
    pub(crate) log: Option<Log>,
    pub(crate) aside: Vec<Log>,
}

#[derive(Clone, Debug)]
enum StoreOp {
    Apply(u64, Arc<Vec<Entry>>),
    Commit(u64),
    Rollback,
    Store(u64, Arc<Vec<Entry>>, Hash),
    Install(u64, u64, Option<u64>),
}

/// One server, up or down.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) disk: Disk,
    pub(crate) core: Option<Core>,
    pub(crate) paused: bool,
    /// Its disk does nothing for now.
    pub(crate) stalled: bool,
    pub(crate) trimmed: Seq,
    pub(crate) exit: Option<Option<String>>,
    store: VecDeque<StoreOp>,
    open: Vec<Entry>,
    snapshots: BTreeMap<u64, Arc<Log>>,
    probes: VecDeque<(ServerId, bool)>,
    taken: Vec<(u64, Seq)>,
    reads: BTreeMap<u64, usize>,
    pub(crate) told: Vec<String>,
    wiped: bool,
    in_sync_life: Option<Incarnation>,
}

#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) message: Message,
    snapshot: Option<Arc<Log>>,
}

/// An update that a client was told is stored.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) waiter: u64,
    pub(crate) seq: Seq,
    pub(crate) hash: Hash,
}

/// Everything.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) policy: Policy,
    pub(crate) nodes: BTreeMap<ServerId, Node>,
    pub(crate) network: Vec<Flight>,
    pub(crate) cut: BTreeSet<(ServerId, ServerId)>,
    pub(crate) acknowledged: Vec<Acknowledged>,
    pub(crate) served_reads: Vec<u64>,
    pub(crate) failed: Option<String>,
    /// A server that was in sync was left out although it lived: `available` may then split.
    pub(crate) split: bool,
    /// An operator said that a server shall lead with what it has.
    pub(crate) forced: bool,
    pub(crate) trace: Option<Vec<String>>,
    entries: BTreeMap<(Epoch, Seq), Hash>,
    committed_views: BTreeSet<Hash>,
    served: BTreeMap<Epoch, Incarnation>,
    next_waiter: u64,
    next_random: u64,
    timing: Timing,
    mutant: Option<Mutant>,
}

impl World {
    pub(crate) fn new(
        servers: u32,
        policy: Policy,
        timing: Timing,
        seed: u64,
        mutant: Option<Mutant>,
    ) -> World {
        let mut world = World {
            now: Duration::from_secs(10),
            policy,
            nodes: BTreeMap::new(),
            network: Vec::new(),
            cut: BTreeSet::new(),
            acknowledged: Vec::new(),
            served_reads: Vec::new(),
            failed: None,
            split: false,
            forced: false,
            trace: None,
            entries: BTreeMap::new(),
            committed_views: BTreeSet::new(),
            served: BTreeMap::new(),
            next_waiter: 1,
            next_random: seed,
            timing,
            mutant,
        };
        for id in (1..=servers).map(ServerId) {
            let disk = world.empty_disk(None);
            world.nodes.insert(id, Node::new(disk));
        }
        world
    }

    fn empty_disk(&mut self, belonged: Option<Hash>) -> Disk {
        self.next_random += 1;
        let mut uuid = [7; 16];
        uuid[..8].copy_from_slice(&self.next_random.to_be_bytes());
        let local = LocalState {
            uuid,
            starts: 0,
            promised: Epoch::ZERO,
            promised_to: BTreeSet::new(),
            belonged,
            peers: BTreeMap::new(),
        };
        Disk { local, log: None, aside: Vec::new() }
    }

    pub(crate) fn ids(&self) -> Vec<ServerId> {
        self.nodes.keys().copied().collect()
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let at = self.now.as_millis() - 10_000;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{at:>6} {}", line()));
        }
    }

    pub(crate) fn violate(&mut self, what: String) {
        self.note(|| format!("VIOLATION {what}"));
        self.failed.get_or_insert(what);
    }

    pub(crate) fn is_up(&self, id: ServerId) -> bool {
        self.nodes[&id].core.is_some()
    }

    pub(crate) fn runs(&self, id: ServerId) -> bool {
        self.is_up(id) && !self.nodes[&id].paused
    }

    pub(crate) fn core(&self, id: ServerId) -> Option<&Core> {
        self.nodes[&id].core.as_ref()
    }

    pub(crate) fn node(&mut self, id: ServerId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a configured server")
    }

    pub(crate) fn start(&mut self, id: ServerId) {
        assert!(!self.is_up(id));
        self.next_random += 1;
        let random = self.next_random;
        let mut lineage = [0x11; 32];
        lineage[..8].copy_from_slice(&random.to_be_bytes());
        let servers: BTreeSet<ServerId> = self.nodes.keys().copied().collect();
        let settings = Settings {
            id,
            servers,
            policy: self.policy,
            config_hash: 1,
            schema_version: 1,
            timing: self.timing,
            trust_refused: true,
            log_cap: 100_000,
        };
        let (now, mutant) = (Time(self.now), self.mutant);
        let node = self.node(id);
        node.disk.local.starts += 1;
        node.exit = None;
        node.paused = false;
        let boot = Boot {
            local: node.disk.local.clone(),
            log: node.disk.log.as_ref().map(Log::summary),
            random,
            fresh_lineage: Hash(lineage),
        };
        let (core, effects) = Core::with_mutant(settings, boot, now, mutant);
        node.core = Some(core);
        self.note(|| format!("{id} starts"));
        self.carry_out(id, effects);
    }

    /// kill -9.
    pub(crate) fn crash(&mut self, id: ServerId) {
        self.note(|| format!("{id} crashes"));
        self.forget(id);
        for other in self.ids() {
            if other != id && self.runs(other) && !self.is_cut(other, id) {
                self.step(other, Event::StreamEnded { peer: id });
            }
        }
    }

    fn forget(&mut self, id: ServerId) {
        let node = self.node(id);
        node.core = None;
        node.store.clear();
        node.open.clear();
        node.snapshots.clear();
        node.probes.clear();
        node.taken.clear();
        node.reads.clear();
        node.in_sync_life = None;
        node.paused = false;
        node.stalled = false;
    }

    /// The data folder is emptied; with `reset` the local store still knows where it belonged.
    pub(crate) fn wipe(&mut self, id: ServerId, reset: bool) {
        assert!(!self.is_up(id));
        self.note(|| format!("{id} is wiped"));
        let belonged = self.nodes[&id].disk.local.belonged.filter(|_| reset);
        let mut disk = self.empty_disk(belonged);
        std::mem::swap(&mut self.node(id).disk, &mut disk);
        self.node(id).wiped = true;
    }

    pub(crate) fn is_cut(&self, from: ServerId, to: ServerId) -> bool {
        self.cut.contains(&(from, to))
    }

    pub(crate) fn step(&mut self, id: ServerId, event: Event) {
        if !self.runs(id) || self.failed.is_some() {
            return;
        }
        let now = Time(self.now);
        let core = self.node(id).core.as_mut().expect("it runs");
        let effects = core.step(event, now);
        self.carry_out(id, effects);
        self.check_lead(id);
    }

    fn carry_out(&mut self, id: ServerId, effects: Vec<Effect>) {
        for effect in effects {
            if self.trace.is_some() {
                self.note_effect(id, &effect);
            }
            self.carry_out_one(id, effect);
        }
    }

    fn carry_out_one(&mut self, id: ServerId, effect: Effect) {
        match effect {
            Effect::Persist(local) => {
                let old = &self.nodes[&id].disk.local;
                if local.promised < old.promised || local.starts < old.starts {
                    self.violate(format!("I5: the promise of {id} fell"));
                }
                self.node(id).disk.local = local;
            }
            Effect::Send(message) => self.network.push(Flight { message, snapshot: None }),
            Effect::Probe(peer) => {
                let refused = !self.is_up(peer) && !self.is_cut(id, peer);
                self.node(id).probes.push_back((peer, refused));
            }
            Effect::Apply { op, entries } => {
                self.record(&entries);
                self.node(id).store.push_back(StoreOp::Apply(op, entries));
            }
            Effect::Commit { op } => self.node(id).store.push_back(StoreOp::Commit(op)),
            Effect::Rollback => self.node(id).store.push_back(StoreOp::Rollback),
            Effect::Store { op, entries, lineage } => {
                self.record(&entries);
                self.node(id).store.push_back(StoreOp::Store(op, entries, lineage));
            }
            Effect::Install { op, nonce, aside } => {
                self.node(id).store.push_back(StoreOp::Install(op, nonce, aside));
            }
            Effect::Trim { until } => self.node(id).trimmed = until,
            Effect::SendLog(wanted) => self.send_log(id, wanted.template, wanted.until),
            Effect::SendSnapshot { to, nonce, epoch } => self.send_snapshot(id, to, nonce, epoch),
            Effect::Taken(taken) => self.node(id).taken.extend(taken),
            Effect::Answer { until } => self.acknowledge(id, until),
            Effect::ServeReads { until, seq } => self.serve_reads(id, until, seq),
            Effect::Abandon => {
                self.node(id).taken.clear();
                self.node(id).reads.clear();
            }
            Effect::Tell(sentence) => self.node(id).told.push(sentence),
            Effect::Exit { failure } => {
                if let Some(reason) = failure.as_ref().filter(|reason| reason.contains("differ")) {
                    self.violate(format!("I8: {reason}"));
                }
                self.forget(id);
                self.node(id).exit = Some(failure);
            }
        }
    }

    /// I2: an (epoch, seq) names one entry.
    fn record(&mut self, entries: &[Entry]) {
        for entry in entries {
            let known = *self.entries.entry((entry.epoch, entry.seq)).or_insert(entry.hash);
            if known != entry.hash {
                self.violate(format!("I2: two entries at {} {}", entry.epoch, entry.seq));
            }
        }
    }

    fn send_log(&mut self, id: ServerId, template: Message, until: Seq) {
        let Some(log) = &self.nodes[&id].disk.log else { return };
        let (Body::Suffix(updates) | Body::Fetched(updates)) = &template.body else {
            panic!("not a body with updates")
        };
        let mut parts = Vec::new();
        let wanted = &log.entries[updates.prev_seq as usize..until as usize];
        let (mut prev_seq, mut prev_hash) = (updates.prev_seq, updates.prev_hash);
        for part in wanted.chunks(5) {
            let mut updates = updates.clone();
            (updates.prev_seq, updates.prev_hash) = (prev_seq, prev_hash);
            updates.entries = Arc::new(part.to_vec());
            let last = part[part.len() - 1].position();
            (prev_seq, prev_hash) = (last.seq, last.hash);
            let body = match &template.body {
                Body::Suffix(_) => Body::Suffix(updates),
                _ => Body::Fetched(updates),
            };
            parts.push(Message { body, ..template.clone() });
        }
        self.network.extend(parts.into_iter().map(|message| Flight { message, snapshot: None }));
    }

    fn send_snapshot(&mut self, id: ServerId, to: ServerId, nonce: u64, epoch: Epoch) {
        let Some(log) = self.nodes[&id].disk.log.clone() else { return };
        let Some(core) = self.core(id) else { return };
        let body = Body::Snapshot { epoch, position: log.last() };
        let message = core.message(to, nonce, body);
        self.network.push(Flight { message, snapshot: Some(Arc::new(log)) });
    }

    /// I3's first half: an acknowledged update is on the disk of every member of the view.
    fn acknowledge(&mut self, id: ServerId, until: Seq) {
        let node = self.node(id);
        let (done, rest): (Vec<_>, Vec<_>) =
            node.taken.drain(..).partition(|(_, seq)| *seq <= until);
        node.taken = rest;
        for (waiter, seq) in done {
            let log = self.nodes[&id].disk.log.as_ref().expect("a leader has a log");
            let hash = log.entries[seq as usize - 1].hash;
            self.acknowledged.push(Acknowledged { waiter, seq, hash });
        }
    }

    fn serve_reads(&mut self, id: ServerId, until: u64, seq: Seq) {
        let node = self.node(id);
        let later = node.reads.split_off(&(until + 1));
        let served = std::mem::replace(&mut node.reads, later);
        let durable = node.disk.log.as_ref().map_or(0, |log| log.entries.len() as Seq);
        if seq > durable {
            self.violate(format!("P15: {id} shall read entry {seq}, which it has not committed"));
        }
        self.served_reads.extend(served.keys());
        let Some(count) = served.into_values().max() else { return };
        if let Some(lost) = self.missing_at(id, count) {
            self.violate(format!(
                "I9: a read at {id} misses update {lost}, acknowledged before it"
            ));
        }
    }

    /// The first of the oldest `count` acknowledged updates that this server's log lacks.
    fn missing_at(&self, id: ServerId, count: usize) -> Option<u64> {
        if self.forced || (self.split && self.policy == Policy::Available) {
            return None;
        }
        let log = self.nodes[&id].disk.log.as_ref()?;
        let missing =
            self.acknowledged[..count].iter().find(|one| !log.holds(one.seq, one.hash))?;
        // What no disk holds any more went with the disks, not by a rule.
        let kept = |node: &Node| {
            let logs = node.disk.log.iter().chain(&node.disk.aside);
            logs.into_iter().any(|log| log.holds(missing.seq, missing.hash))
        };
        self.nodes.values().any(kept).then_some(missing.waiter)
    }

    /// I1, I3 and I7: whoever serves is alone in its epoch and has everything acknowledged.
    fn check_lead(&mut self, id: ServerId) {
        let Some(core) = &self.nodes[&id].core else { return };
        let mode = core.mode();
        if matches!(mode, Mode::Follower(_) | Mode::Leader(_)) {
            let life = core.incarnation();
            let serving = core.serving();
            if self.is_in_committed_view(id) {
                self.node(id).in_sync_life = Some(life);
            }
            let Mode::Leader(epoch) = mode else { return };
            if !serving {
                return;
            }
            match self.served.insert(epoch, life) {
                Some(before) if before == life => return,
                Some(_) => {
                    self.violate(format!("I1: epoch {epoch} is served twice"));
                }
                None => {}
            }
            self.note(|| format!("{id} serves epoch {epoch}"));
            if let Some(lost) = self.missing_at(id, self.acknowledged.len()) {
                self.violate(format!("I3: {id} leads without the acknowledged update {lost}"));
            }
        }
    }

    /// Whether the newest view of its log was committed and holds this server.
    fn is_in_committed_view(&self, id: ServerId) -> bool {
        self.newest_view(id).is_some_and(|(hash, view)| {
            view.members.contains(&id) && self.committed_views.contains(&hash)
        })
    }

    /// Whether it is in the newest view of its log, which is not committed yet.
    pub(crate) fn is_joining(&self, id: ServerId) -> bool {
        self.newest_view(id).is_some_and(|(hash, view)| {
            view.members.contains(&id) && !self.committed_views.contains(&hash)
        })
    }

    fn newest_view(&self, id: ServerId) -> Option<(Hash, &View)> {
        let log = self.nodes[&id].disk.log.as_ref()?;
        log.entries.iter().rev().find_map(|entry| match &entry.payload {
            Payload::View(view) => Some((entry.hash, view)),
            _ => None,
        })
    }

    pub(crate) fn has_store_work(&self, id: ServerId) -> bool {
        self.runs(id) && !self.nodes[&id].stalled && !self.nodes[&id].store.is_empty()
    }

    pub(crate) fn run_store(&mut self, id: ServerId) {
        let Some(op) = self.node(id).store.pop_front() else { return };
        match op {
            StoreOp::Apply(op, entries) => {
                let node = self.node(id);
                node.open.extend(entries.iter().cloned());
                let digest = node.open[node.open.len() - 1].hash;
                self.step(id, Event::Applied { op, digest });
            }
            StoreOp::Rollback => self.node(id).open.clear(),
            StoreOp::Commit(op) => {
                let node = self.node(id);
                let entries = std::mem::take(&mut node.open);
                let log = node.disk.log.as_mut().expect("a leader has a log");
                log.entries.extend(entries.iter().cloned());
                self.check_commit(id, &entries);
                self.step(id, Event::Committed { op });
            }
            StoreOp::Store(op, entries, lineage) => {
                let node = self.node(id);
                let log = node.disk.log.get_or_insert_with(|| Log { lineage, entries: Vec::new() });
                let end = log.entries.last().map_or((0, lineage), |last| (last.seq, last.hash));
                let fits = entries[0].seq == end.0 + 1 && entries[0].follows(end.1);
                log.entries.extend(entries.iter().cloned());
                let digest = log.last().hash;
                if !fits {
                    self.violate(format!("I2: {id} stores what does not follow its log"));
                }
                self.step(id, Event::Stored { op, digest });
            }
            StoreOp::Install(op, nonce, aside) => self.install(id, op, nonce, aside),
        }
    }

    fn install(&mut self, id: ServerId, op: u64, nonce: u64, aside: Option<u64>) {
        let node = self.node(id);
        let new = node.snapshots.get(&nonce).expect("the snapshot was received").as_ref().clone();
        let summary = new.summary();
        if let Some(old) = node.disk.log.replace(new.clone()) {
            let last = old.last();
            let contained = new.holds(last.seq, last.hash);
            if aside.is_some() {
                node.disk.aside.push(old);
            } else if !contained {
                self.violate(format!("I11: {id} overwrites entries that nobody else may have"));
            }
        }
        self.step(id, Event::Installed { op, log: summary });
    }

    /// I4, and whether a member that lived was left out.
    fn check_commit(&mut self, id: ServerId, entries: &[Entry]) {
        let log = self.nodes[&id].disk.log.as_ref().expect("just committed");
        let last = log.last();
        let view = |entry: &Entry| match &entry.payload {
            Payload::View(view) => Some(view.clone()),
            _ => None,
        };
        let newest: View = log.entries.iter().rev().find_map(view).expect("a log has a view");
        for (member, node) in &self.nodes {
            let has = node.disk.log.as_ref().is_some_and(|log| log.holds(last.seq, last.hash));
            if newest.members.contains(member) && !has && !node.wiped {
                let what = format!("I4: {id} commits entry {} before {member} has it", last.seq);
                self.violate(what);
                return;
            }
        }
        let views: Vec<Hash> =
            entries.iter().filter(|entry| view(entry).is_some()).map(|entry| entry.hash).collect();
        if !views.is_empty() {
            self.split |= self.nodes.iter().any(|(member, node)| {
                let life = node.core.as_ref().map(Core::incarnation);
                *member != id
                    && !newest.members.contains(member)
                    && life.is_some()
                    && life == node.in_sync_life
            });
        }
        self.committed_views.extend(views);
        for member in newest.members {
            if self.nodes[&member]
                .disk
                .log
                .as_ref()
                .is_some_and(|log| log.holds(last.seq, last.hash))
            {
                self.node(member).wiped = false;
            }
        }
    }

    pub(crate) fn has_probe(&self, id: ServerId) -> bool {
        self.runs(id) && !self.nodes[&id].probes.is_empty()
    }

    pub(crate) fn end_probe(&mut self, id: ServerId) {
        if let Some((peer, refused)) = self.node(id).probes.pop_front() {
            self.step(id, Event::Probed { peer, refused });
        }
    }

    pub(crate) fn deliver(&mut self, flight: Flight) {
        let message = flight.message;
        let (from, to) = (message.from, message.to);
        if self.is_cut(from, to) || !self.is_up(to) {
            return;
        }
        if self.nodes[&to].paused {
            self.network.push(Flight { message, snapshot: flight.snapshot });
            return;
        }
        if let Some(log) = flight.snapshot {
            self.node(to).snapshots.insert(message.nonce, log);
        }
        self.step(to, Event::Message(message));
    }

    /// Ticks every server whose deadline has come.
    pub(crate) fn tick(&mut self) {
        for id in self.ids() {
            let due =
                self.core(id).and_then(Core::next_deadline).is_some_and(|at| at.0 <= self.now);
            if due {
                self.step(id, Event::Tick);
            }
        }
    }

    /// The next moment at which a server wants to act.
    pub(crate) fn next_moment(&self) -> Option<Duration> {
        let running = self.nodes.values().filter(|node| !node.paused);
        let deadlines = running.filter_map(|node| node.core.as_ref()?.next_deadline());
        deadlines.map(|at| at.0).min()
    }

    /// Everything that is under way happens, in order, without faults.
    pub(crate) fn settle(&mut self) {
        for _ in 0..200 {
            let flights = std::mem::take(&mut self.network);
            let mut idle = true;
            for flight in flights {
                idle &= self.nodes[&flight.message.to].paused;
                self.deliver(flight);
            }
            for id in self.ids() {
                while self.has_store_work(id) {
                    self.run_store(id);
                    idle = false;
                }
                while self.has_probe(id) {
                    self.end_probe(id);
                    idle = false;
                }
            }
            if idle || self.failed.is_some() {
                return;
            }
        }
        self.violate("the servers never come to rest".to_owned());
    }

    /// Time goes by without faults.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end && self.failed.is_none() {
            let next = self.next_moment().unwrap_or(end);
            self.now = next.clamp(self.now + Duration::from_millis(1), end.max(self.now));
            self.tick();
            self.settle();
        }
    }

    pub(crate) fn submit(&mut self, id: ServerId) -> Option<u64> {
        self.submit_many(id, 1)
    }

    /// Returns the last one's name, or nothing when no updates are taken.
    pub(crate) fn submit_many(&mut self, id: ServerId, count: u64) -> Option<u64> {
        let takes = self.runs(id) && self.core(id).is_some_and(Core::takes_updates);
        if !takes {
            return None;
        }
        let first = self.next_waiter;
        self.next_waiter += count;
        let operations = (first..first + count).map(|waiter| {
            let payload = Bytes::copy_from_slice(&waiter.to_be_bytes());
            Operation { waiter, payload }
        });
        self.note(|| format!("{id} is asked to store update {first}"));
        self.step(id, Event::Submit(operations.collect()));
        Some(first + count - 1)
    }

    pub(crate) fn read(&mut self, id: ServerId) -> Option<u64> {
        if !self.runs(id) || !self.core(id).is_some_and(Core::serving) {
            return None;
        }
        let read = self.next_waiter;
        self.next_waiter += 1;
        let acknowledged = self.acknowledged.len();
        self.node(id).reads.insert(read, acknowledged);
        self.note(|| format!("{id} is asked to read as {read}"));
        self.step(id, Event::Read(read));
        Some(read)
    }

    pub(crate) fn leaders(&self) -> Vec<ServerId> {
        let serves = |id: &ServerId| self.core(*id).is_some_and(Core::serving);
        self.ids().into_iter().filter(serves).collect()
    }
}

impl Node {
    fn new(disk: Disk) -> Node {
        Node {
            disk,
            core: None,
            paused: false,
            stalled: false,
            trimmed: 0,
            exit: None,
            store: VecDeque::new(),
            open: Vec::new(),
            snapshots: BTreeMap::new(),
            probes: VecDeque::new(),
            taken: Vec::new(),
            reads: BTreeMap::new(),
            told: Vec::new(),
            wiped: false,
            in_sync_life: None,
        }
    }
}
