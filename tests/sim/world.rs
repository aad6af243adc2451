//! Everything together: one queue of things that happen, in simulated time.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use chinwag::{
    cluster::{Event, Mutant, ServerId, Time},
    node::Input,
};

use crate::{
    calls::{History, Reply},
    chance::Chance,
    client::{Client, Net},
    double::Double,
    exchange::OpenCall,
    network::{Flight, Network},
    plan::Plan,
    reconcile::Part,
    record::Record,
    server::{Server, Start},
    tasks::{Clock, Owner, Tasks},
};

/// Something that will happen.
pub(crate) enum Job {
    Tick(usize, u64),
    Deliver(Box<Flight>),
    Disk(usize, u64),
    Unblock(usize, u64),
    Probed {
        server: usize,
        life: u64,
        peer: usize,
        begun: Time,
        refused: bool,
    },
    StreamEnded {
        server: usize,
        life: u64,
        peer: usize,
    },
    CallArrives(u64),
    ReplyArrives(u64, Box<Reply>),
    CallLost(u64),
    PartArrives(u64),
    PartAnswered(u64, bool),
    Remember(usize, u64),
    Fault(usize),
    FaultEnds(usize),
    Start(usize),
    /// The second process of an id starts.
    Double,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) now: Duration,
    pub(crate) clock: Rc<Clock>,
    pub(crate) net: Rc<Net>,
    pub(crate) tasks: Tasks,
    pub(crate) servers: Vec<Server>,
    pub(crate) double: Option<Double>,
    pub(crate) network: Network,
    pub(crate) chance: Chance,
    pub(crate) record: Record,
    pub(crate) calls: BTreeMap<u64, OpenCall>,
    pub(crate) parts: BTreeMap<u64, Part>,
    pub(crate) targets: BTreeMap<usize, usize>,
    pub(crate) root: PathBuf,
    pub(crate) next: u64,
    pub(crate) healed: bool,
    pub(crate) replies: Rc<RefCell<VecDeque<(u64, Reply)>>>,
    jobs: BTreeMap<(Duration, u64), Job>,
}

impl World {
    pub(crate) fn new(plan: Plan, mutant: Option<Mutant>, root: PathBuf, trace: bool) -> World {
        let clock = Rc::new(Clock::default());
        let now = Duration::from_secs(10);
        clock.now.set(now);
        let net = Rc::new(Net {
            sessions: RefCell::default(),
            clock: clock.clone(),
            history: RefCell::new(History::default()),
            outbox: RefCell::default(),
            over: Cell::new(false),
            servers: plan.servers,
            clients: plan.clients,
            house_keeping: plan.house_keeping,
            began: Instant::now(),
        });
        let servers =
            (0..plan.servers).map(|index| Server::new(root.join(format!("server-{index}"))));
        let mut record = Record::default();
        record.lines = trace.then(Vec::new);
        World {
            now,
            clock,
            net,
            tasks: Tasks::default(),
            servers: servers.collect(),
            double: None,
            network: Network::default(),
            chance: Chance(plan.seed.wrapping_mul(0xd134_2543_de82_ef95)),
            record,
            calls: BTreeMap::new(),
            parts: BTreeMap::new(),
            targets: BTreeMap::new(),
            root,
            next: 0,
            healed: false,
            replies: Rc::default(),
            jobs: BTreeMap::new(),
            plan,
            mutant,
        }
    }

    /// Everything that is known at the beginning: starts, clients, faults.
    pub(crate) fn begin(&mut self) {
        for index in 0..self.servers.len() {
            let late = Duration::from_millis(self.chance.below(200) as u64);
            self.after(late, Job::Start(index));
        }
        for index in 0..self.plan.clients {
            let client = Rc::new(Client::new(index, self.net.clone(), self.chance.number()));
            self.tasks.spawn(Owner::Client(index), client.clone().work(self.plan.pace_ms));
            self.tasks.spawn(Owner::Client(1_000 + index), client.follow());
        }
        let began = self.now;
        for (index, fault) in self.plan.faults.clone().into_iter().enumerate() {
            let at = began + Duration::from_millis(fault.at_ms);
            self.at(at, Job::Fault(index));
            self.at(at + Duration::from_millis(fault.lasts_ms), Job::FaultEnds(index));
        }
    }

    pub(crate) fn violate(&mut self, what: String) {
        self.record.violate(self.now, what);
    }

    pub(crate) fn note(&mut self, what: &str, numbers: &[u64]) {
        self.record.note(self.now, what, numbers);
    }

    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        self.record.say(self.now, line);
    }

    pub(crate) fn at(&mut self, at: Duration, job: Job) {
        self.next += 1;
        self.jobs.insert((at, self.next), job);
    }

    pub(crate) fn after(&mut self, after: Duration, job: Job) {
        self.at(self.now + after, job);
    }

    pub(crate) fn micros(&mut self, least: usize, most: usize) -> Duration {
        Duration::from_micros((least + self.chance.below(most - least + 1)) as u64)
    }

    fn is_life(&self, server: usize, life: u64) -> bool {
        self.servers[server].process.as_ref().is_some_and(|process| process.life == life)
    }

    /// Lets time pass until then; false if something was violated.
    pub(crate) fn run_until(&mut self, end: Duration) -> bool {
        while self.record.failed.is_none() {
            self.settle();
            let job = self.jobs.first_key_value().map(|((at, _), _)| *at);
            let timer = self.clock.next_timer();
            let next = [job, timer].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.set_now(end);
                return true;
            };
            self.set_now(next);
            if timer == Some(next) {
                self.clock.fire();
            } else if let Some((_, job)) = self.jobs.pop_first() {
                self.happen(job);
            }
        }
        false
    }

    /// The same until something holds, looked at every few milliseconds; whether it does.
    pub(crate) fn run_while(
        &mut self,
        limit: Duration,
        step_ms: u64,
        done: impl Fn(&World) -> bool,
    ) -> bool {
        let end = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            if self.now >= end || !self.run_until(self.now + Duration::from_millis(step_ms)) {
                return false;
            }
        }
    }

    fn set_now(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.clock.now.set(self.now);
    }

    /// Everything that follows at once.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut idle = !self.tasks.run();
            for index in 0..self.servers.len() {
                idle &= !self.take_requests(index);
                idle &= !self.take_merging(index);
            }
            if let Some(of) = self.double.as_ref().map(|double| double.of) {
                idle &= !self.as_double(|world| world.take_requests(of) | world.take_merging(of));
            }
            while let Some(call) = self.pop_outgoing() {
                idle = false;
                self.send_call(call);
            }
            while let Some((call, reply)) = self.pop_reply() {
                idle = false;
                self.send_reply(call, reply);
            }
            if idle || self.record.failed.is_some() {
                return;
            }
        }
    }

    fn pop_outgoing(&self) -> Option<crate::client::Outgoing> {
        self.net.outbox.borrow_mut().pop_front()
    }

    fn pop_reply(&self) -> Option<(u64, Reply)> {
        self.replies.borrow_mut().pop_front()
    }

    fn happen(&mut self, job: Job) {
        if self.concerns_double(&job) {
            self.as_double(|world| world.happen_here(job));
        } else {
            self.happen_here(job);
        }
    }

    fn concerns_double(&mut self, job: &Job) -> bool {
        match job {
            Job::Tick(server, life)
            | Job::Disk(server, life)
            | Job::Unblock(server, life)
            | Job::Remember(server, life)
            | Job::Probed { server, life, .. }
            | Job::StreamEnded { server, life, .. } => self.is_double(*server, *life),
            Job::Deliver(flight) => self.double_hears(flight.to),
            _ => false,
        }
    }

    fn happen_here(&mut self, job: Job) {
        match job {
            Job::Tick(server, life) => {
                if !self.is_life(server, life) {
                    return;
                }
                let now = self.now;
                let process = self.servers[server].process.as_mut().expect("it lives");
                if process.tick_at != Some(now) {
                    return;
                }
                process.tick_at = None;
                if process.is_free() {
                    self.input(server, Input::Event(Event::Tick));
                }
            }
            Job::Deliver(flight) => self.deliver(*flight),
            Job::Disk(server, life) => {
                if self.is_life(server, life) {
                    self.disk_done(server);
                }
            }
            Job::Unblock(server, life) => {
                if self.is_life(server, life) {
                    self.unblock(server);
                }
            }
            Job::Probed { server, life, peer, begun, refused } => {
                if self.is_life(server, life) {
                    let refused = refused && self.refuses(server, peer);
                    let peer = ServerId(peer as u32 + 1);
                    self.input(server, Input::Event(Event::Probed { peer, begun, refused }));
                }
            }
            Job::StreamEnded { server, life, peer } => {
                if self.is_life(server, life) {
                    let peer = ServerId(peer as u32 + 1);
                    self.input(server, Input::Event(Event::StreamEnded { peer }));
                }
            }
            Job::CallArrives(call) => self.call_arrives(call),
            Job::ReplyArrives(call, reply) => self.reply_arrives(call, *reply),
            Job::CallLost(call) => {
                self.calls.remove(&call);
            }
            Job::PartArrives(part) => self.part_arrives(part),
            Job::PartAnswered(part, stored) => self.part_answered(part, stored),
            Job::Remember(server, life) => {
                if self.is_life(server, life) {
                    self.write_down(server);
                }
            }
            Job::Fault(index) => self.fault_begins(index),
            Job::FaultEnds(index) => self.fault_ends(index),
            Job::Start(server) => self.start(server),
            Job::Double => self.start_double(),
        }
    }

    pub(crate) fn start(&mut self, index: usize) {
        if self.servers[index].process.is_some() || self.servers[index].held > 0 {
            return;
        }
        self.next += 1;
        let start = Start {
            index,
            servers: self.servers.len(),
            policy: self.plan.policy,
            log_cap: self.plan.log_cap,
            mutant: self.mutant,
            life: self.next,
            clock: &self.clock,
            chance: &mut self.chance,
        };
        self.servers[index].dark = false;
        match self.servers[index].start(start) {
            Ok(first) => {
                self.note("starts", &[index as u64 + 1]);
                self.act(index, first);
                if self.servers[index].low {
                    self.input(index, Input::Event(Event::DiskLow(true)));
                }
            }
            Err(error) => self.cannot_start(index, &error.to_string()),
        }
    }

    /// An operator follows the words: `--reset`, and if that does not help an empty folder.
    fn cannot_start(&mut self, index: usize, words: &str) {
        self.say(|| format!("{} cannot start: {words}", index + 1));
        self.note("cannot start", &[index as u64 + 1]);
        if !self.servers[index].lost {
            self.violate(format!("{} cannot start: {words}", index + 1));
            return;
        }
        let mut uuid = [9; 16];
        uuid[..8].copy_from_slice(&self.chance.number().to_be_bytes());
        let folder = self.servers[index].folder.clone();
        if chinwag::store::reset(&folder, uuid).is_err() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        self.after(Duration::from_millis(100), Job::Start(index));
    }

    /// Whoever serves, if it is one alone.
    pub(crate) fn leaders(&self) -> Vec<usize> {
        let serves = |index: &usize| {
            let process = self.servers[*index].process.as_ref();
            process.is_some_and(|process| process.desk.core().serving())
        };
        (0..self.servers.len()).filter(serves).collect()
    }

    pub(crate) fn workers_left(&self) -> bool {
        (0..self.plan.clients).any(|index| self.tasks.left(Owner::Client(index)))
    }
}
