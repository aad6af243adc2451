//! One server: its data folder, and the process that runs on it now and then. The real desk over the real
//! core, the real writer and readers over real files; the loop around them is the simulator's.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    num::NonZeroUsize,
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use chinwag::{
    cluster::{
        Boot, Hash, LocalState, Message, Mutant, Payload, Policy, Seq, ServerId, Settings, Time,
        Timing, View,
    },
    node::{Action, Desk, Executed, Hub, Input, Refused, Sessions, Standing},
    store::{OpenOptions, SCHEMA_VERSION, Store, StoreError, Writer, WriterCommand},
};

use crate::{
    chance::Chance,
    door::Door,
    reconcile::Merging,
    tasks::{Clock, Sender},
};

/// Something for a process to look at.
pub(crate) enum Incoming {
    Input(Input),
    Snapshot(Message, std::sync::Arc<Vec<u8>>),
    Call(u64),
    Part(u64),
}

/// What becomes of an update, and the hash of its entry.
type Told = Result<(Executed, Hash), Refused>;

/// A machine.
pub(crate) struct Server {
    pub(crate) folder: PathBuf,
    pub(crate) process: Option<Process>,
    pub(crate) wall: Rc<Cell<i64>>,
    /// What is on its disk, as far as it is kept.
    pub(crate) durable: BTreeMap<Seq, Hash>,
    /// What was on its disk when a snapshot replaced it.
    pub(crate) replaced: BTreeSet<(Seq, Hash)>,
    /// Its disk lost something, and it was not in sync since.
    pub(crate) lost: bool,
    /// It is not to be started while this is not 0.
    pub(crate) held: u32,
    pub(crate) slow: bool,
    /// The next thing that the disk is told fails.
    pub(crate) fails: Option<bool>,
    pub(crate) low: bool,
    /// It may end with a failure.
    pub(crate) may_fail: bool,
    pub(crate) old_copy: Option<PathBuf>,
    /// The machine is off: nothing refuses a connection.
    pub(crate) dark: bool,
}

/// A life of a server.
pub(crate) struct Process {
    pub(crate) life: u64,
    pub(crate) desk: Desk,
    pub(crate) store: Store,
    pub(crate) writer: Writer,
    pub(crate) door: Rc<Door>,
    pub(crate) agenda: VecDeque<Action>,
    /// The loop waits for the local store.
    pub(crate) blocked: bool,
    pub(crate) paused: bool,
    /// The machine sleeps: what arrives is lost.
    pub(crate) asleep: bool,
    pub(crate) inbox: VecDeque<Incoming>,
    pub(crate) work: VecDeque<WriterCommand>,
    pub(crate) working: bool,
    /// The disk was done while the process stood still.
    pub(crate) done_while_paused: bool,
    pub(crate) staged: BTreeMap<u64, PathBuf>,
    pub(crate) waiters: BTreeMap<u64, Sender<Told>>,
    pub(crate) reads: BTreeMap<u64, Sender<Result<(), Refused>>>,
    pub(crate) next_id: u64,
    pub(crate) tick_at: Option<Duration>,
    /// To be made durable some time.
    pub(crate) unwritten: Option<LocalState>,
    /// What the open transaction holds.
    pub(crate) open: Vec<(Seq, Hash)>,
    pub(crate) hashes: BTreeMap<Seq, Hash>,
    pub(crate) views: BTreeMap<Seq, View>,
}

/// What a start needs to know.
pub(crate) struct Start<'a> {
    pub(crate) index: usize,
    pub(crate) servers: usize,
    pub(crate) policy: Policy,
    pub(crate) log_cap: u64,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) life: u64,
    pub(crate) clock: &'a Rc<Clock>,
    pub(crate) chance: &'a mut Chance,
}

impl Server {
    pub(crate) fn new(folder: PathBuf) -> Server {
        Server {
            folder,
            process: None,
            wall: Rc::new(Cell::new(0)),
            durable: BTreeMap::new(),
            replaced: BTreeSet::new(),
            lost: false,
            held: 0,
            slow: false,
            fails: None,
            low: false,
            may_fail: false,
            old_copy: None,
            dark: false,
        }
    }

    /// Opens the folder and begins a life; returns what is to be done first.
    pub(crate) fn start(&mut self, start: Start<'_>) -> Result<Vec<Action>, StoreError> {
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&start.chance.number().to_be_bytes());
        let mut options = OpenOptions::new(&self.folder, uuid);
        options.readers = NonZeroUsize::MIN;
        let opened = Store::open(options)?;
        let mut lineage = [0x11; 32];
        lineage[..8].copy_from_slice(&start.chance.number().to_be_bytes());
        let settings = Settings {
            id: ServerId(start.index as u32 + 1),
            servers: (1..=start.servers as u32).map(ServerId).collect(),
            policy: start.policy,
            config_hash: 1,
            schema_version: SCHEMA_VERSION,
            timing: Timing::default(),
            trust_refused: true,
            log_cap: start.log_cap,
        };
        self.durable = match &opened.log {
            Some(log) => log.recent.iter().copied().collect(),
            None => BTreeMap::new(),
        };
        let views = opened.log.iter().flat_map(|log| log.views.iter().cloned()).collect();
        let random = start.chance.number();
        let boot =
            Boot { local: opened.local, log: opened.log, random, fresh_lineage: Hash(lineage) };
        let now = Time(start.clock.now.get());
        let (desk, first) = Desk::with_mutant(settings, boot, 1_000, now, start.mutant);
        let door = Rc::new(Door {
            store: opened.store.clone(),
            hub: Hub::new(64),
            sessions: Sessions::default(),
            standing: RefCell::new(Standing::of(&desk)),
            watchers: RefCell::default(),
            requests: RefCell::default(),
            merging: Merging::default(),
            clock: start.clock.clone(),
            chance: RefCell::new(Chance(start.chance.number())),
            wall: self.wall.clone(),
        });
        self.process = Some(Process {
            life: start.life,
            desk,
            store: opened.store,
            writer: opened.writer,
            door,
            agenda: VecDeque::new(),
            blocked: false,
            paused: false,
            asleep: false,
            inbox: VecDeque::new(),
            work: VecDeque::new(),
            working: false,
            done_while_paused: false,
            staged: BTreeMap::new(),
            waiters: BTreeMap::new(),
            reads: BTreeMap::new(),
            next_id: 0,
            tick_at: None,
            unwritten: None,
            open: Vec::new(),
            hashes: BTreeMap::new(),
            views,
        });
        Ok(first)
    }

    /// Whether the process runs and is not standing still.
    pub(crate) fn runs(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.paused)
    }
}

impl Process {
    pub(crate) fn is_free(&self) -> bool {
        !self.paused && !self.blocked
    }

    /// Follows the core: clients' calls look at this.
    pub(crate) fn tell_standing(&mut self) {
        let standing = Standing::of(&self.desk);
        let known = *self.door.standing.borrow();
        if standing == known {
            return;
        }
        if standing.serving && !known.serving {
            self.door.sessions.clear();
            self.door.hub.open(standing.epoch);
        }
        *self.door.standing.borrow_mut() = standing;
        for watcher in self.door.watchers.borrow_mut().drain(..) {
            watcher.send(());
        }
    }

    pub(crate) fn learn(&mut self, entries: &[chinwag::cluster::Entry]) {
        for entry in entries {
            self.hashes.insert(entry.seq, entry.hash);
            self.views.split_off(&entry.seq);
            if let Payload::View(view) = &entry.payload {
                self.views.insert(entry.seq, view.clone());
            }
        }
    }
}
