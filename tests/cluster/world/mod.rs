//! Servers on a scripted network, for the stories and the walker: the real core, a store in memory with
//! the semantics of the real one (an open transaction is lost in a crash, the local store is durable when
//! `Persist` returns), and the invariants, checked whenever something becomes durable or is answered.

mod contact;
mod effects;
mod invariants;
mod merge;
mod store;
mod time;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chinwag::cluster::{
    Boot, Core, Entry, Epoch, Event, Hash, Incarnation, LocalState, Message, Mutant, Operation,
    Policy, Seq, ServerId, Settings, Time, Timing,
};
use contact::Contacts;
use merge::Merging;
use store::StoreOp;

pub(crate) use store::{Disk, Log};

/// One server, up or down.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) disk: Disk,
    pub(crate) copy: Option<Disk>,
    /// The disk is an old one: words of a life with a greater number may still come.
    put_back: bool,
    pub(crate) core: Option<Core>,
    pub(crate) paused: bool,
    /// Its disk does nothing for now.
    pub(crate) stalled: bool,
    /// Its tables are not what its log says.
    pub(crate) spoiled: bool,
    /// The version of its program's database schema.
    pub(crate) schema: u32,
    pub(crate) trimmed: Seq,
    pub(crate) exit: Option<Option<String>>,
    store: VecDeque<StoreOp>,
    open: Vec<Entry>,
    snapshots: BTreeMap<u64, Arc<Log>>,
    probes: VecDeque<(ServerId, Time, bool)>,
    taken: Vec<(u64, Seq)>,
    reads: BTreeMap<u64, usize>,
    pub(crate) told: Vec<String>,
    wiped: bool,
    contacts: Contacts,
    in_sync_life: Option<Incarnation>,
    merging: Option<Merging>,
}

#[derive(Clone, Debug)]
pub(crate) struct Flight {
    /// Boxed, for those behind it move up when it is taken out of the middle.
    pub(crate) message: Box<Message>,
    snapshot: Option<Arc<Log>>,
}

/// An update that a client was told is stored.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) waiter: u64,
    pub(crate) seq: Seq,
    pub(crate) hash: Hash,
    pub(crate) payload: Bytes,
    /// Of the lead that acknowledged it.
    pub(crate) epoch: Epoch,
}

/// Everything.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) policy: Policy,
    pub(crate) nodes: BTreeMap<ServerId, Node>,
    /// Most are delivered from its front.
    pub(crate) network: VecDeque<Flight>,
    pub(crate) cut: BTreeSet<(ServerId, ServerId)>,
    /// Copies of the snapshots that were sent, for an adversary to deliver again.
    pub(crate) sent_snapshots: Vec<Flight>,
    pub(crate) acknowledged: Vec<Acknowledged>,
    pub(crate) served_reads: Vec<u64>,
    pub(crate) failed: Option<String>,
    /// A server that was in sync was left out although it lived: `available` may then split.
    pub(crate) split: bool,
    /// Links may be cut, messages lost and servers frozen: only then can one that lives be silent.
    pub(crate) loses: bool,
    /// An operator said that a server shall lead with what it has.
    pub(crate) forced: bool,
    pub(crate) trace: Option<Vec<String>>,
    entries: BTreeMap<(Epoch, Seq), Hash>,
    committed_views: BTreeSet<Hash>,
    /// Who was left out of which proposed view although it cannot be silent; whether it answered lately.
    left_out: BTreeMap<(Hash, ServerId), bool>,
    /// Whom a proposed view leaves out for its silence, although it lived and was in sync.
    wrongly_silent: BTreeSet<(Hash, ServerId)>,
    served: BTreeMap<Epoch, Incarnation>,
    /// How many entries the servers keep.
    pub(crate) log_cap: u64,
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
            network: VecDeque::new(),
            cut: BTreeSet::new(),
            sent_snapshots: Vec::new(),
            acknowledged: Vec::new(),
            served_reads: Vec::new(),
            failed: None,
            split: false,
            loses: false,
            forced: false,
            trace: None,
            entries: BTreeMap::new(),
            committed_views: BTreeSet::new(),
            left_out: BTreeMap::new(),
            wrongly_silent: BTreeSet::new(),
            served: BTreeMap::new(),
            log_cap: 100_000,
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

    /// All of them, in order.
    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = ServerId> + use<> {
        (1..=self.nodes.len() as u32).map(ServerId)
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
            schema_version: self.nodes[&id].schema,
            timing: self.timing,
            trust_refused: true,
            log_cap: self.log_cap,
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

    /// It dies, and no stream tells of it.
    pub(crate) fn vanish(&mut self, id: ServerId) {
        self.note(|| format!("{id} crashes"));
        self.forget(id);
    }

    /// kill -9.
    pub(crate) fn crash(&mut self, id: ServerId) {
        self.vanish(id);
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
        node.merging = None;
        node.contacts = Contacts::default();
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
        self.node(id).spoiled = false;
    }

    /// Somebody copies the data folder.
    pub(crate) fn keep_copy(&mut self, id: ServerId) {
        let node = self.node(id);
        node.copy = Some(node.disk.clone());
    }

    /// The data folder is replaced by the copy.
    pub(crate) fn put_copy_back(&mut self, id: ServerId) -> Option<()> {
        assert!(!self.is_up(id));
        self.note(|| format!("{id} gets an old copy of its data folder"));
        let node = self.node(id);
        node.disk = node.copy.take()?;
        (node.wiped, node.put_back) = (true, true);
        Some(())
    }

    /// The data folder is lost, and the log of the copy is put into a new one, as from a backup.
    pub(crate) fn restore_copy(&mut self, id: ServerId) -> Option<()> {
        assert!(!self.is_up(id));
        let log = self.node(id).copy.take()?.log?;
        self.note(|| format!("{id} is restored from a backup"));
        let disk = self.empty_disk(None);
        let local = disk.local.with_an_old_log(id, log.lineage, log.last().epoch);
        let node = self.node(id);
        node.disk = Disk { local, log: Some(log), ..disk };
        (node.wiped, node.spoiled) = (true, false);
        Some(())
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
        self.ids().filter(serves).collect()
    }
}

impl Node {
    /// Of the tables after the entry with this hash.
    fn digest(&self, last: Hash) -> Hash {
        let Hash(mut bytes) = last;
        bytes[0] ^= u8::from(self.spoiled);
        Hash(bytes)
    }

    fn new(disk: Disk) -> Node {
        Node {
            disk,
            core: None,
            paused: false,
            stalled: false,
            spoiled: false,
            schema: 1,
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
            copy: None,
            put_back: false,
            contacts: Contacts::default(),
            in_sync_life: None,
            merging: None,
        }
    }
}
