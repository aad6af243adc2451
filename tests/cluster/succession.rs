//! Fail-over on busy machines: messages, disks and probes take their time, servers stand still for moments,
//! and nothing is lost. Whoever dies, somebody serves soon, and as a rule it is the lowest live server (L1, P10).

use std::{collections::BTreeMap, time::Duration};

use chinwag::cluster::{Event, Policy, ServerId, Timing};

use crate::{
    chance::Chance,
    world::{Flight, World},
};

/// What takes time.
enum Job {
    Deliver(Box<Flight>),
    Store(ServerId),
    Probe(ServerId),
    StreamEnded(ServerId, ServerId),
}

/// A world whose machines are slow.
struct Busy {
    world: World,
    chance: Chance,
    jobs: BTreeMap<(Duration, u64), Job>,
    next: u64,
    storing: BTreeMap<ServerId, bool>,
    probing: BTreeMap<ServerId, bool>,
    /// Until when a server does nothing.
    still: BTreeMap<ServerId, Duration>,
    arrival: BTreeMap<(ServerId, ServerId), Duration>,
    /// How slow everything is, in milliseconds.
    load: usize,
}

/// Who followed whom, and how long nobody led.
struct Succession {
    first: ServerId,
    second: ServerId,
    without: Duration,
}

/// How slow a machine may be, in milliseconds, that is held to the goals.
const BEARABLE: u64 = 3;
/// L1.
const GOAL: Duration = Duration::from_millis(150);

/// Kills the leaders of so many new clusters.
pub(crate) fn demand(policy: Policy, seed: u64, count: u64, load: u64, trace: bool) -> bool {
    let (mut times, mut second) = (Vec::new(), 0);
    for seed in seed..seed + count {
        let wrong = match one(policy, seed, load, trace) {
            Ok(end) => {
                let lowest = end.second == ServerId(if end.first == ServerId(1) { 2 } else { 1 });
                second += u32::from(!lowest);
                times.push(end.without);
                let good = (lowest && end.without <= GOAL) || load > BEARABLE;
                (!good).then(|| format!("{} followed after {:?}", end.second, end.without))
            }
            Err(what) => Some(what),
        };
        if let Some(what) = wrong {
            println!(
                "{policy:?}, a succession: {what}; again: --successions 1 --seed {seed} --load {load} --trace"
            );
            return false;
        }
    }
    times.sort();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{policy:?}: {count} successions from seed {seed} at load {load}: {second} by another than \
         the lowest; without a leader {median:.1?}, at most {longest:.1?}"
    );
    true
}

/// Starts a cluster, kills its leader, and waits for the next one.
fn one(policy: Policy, seed: u64, load: u64, trace: bool) -> Result<Succession, String> {
    let timing = Timing::default();
    let mut world = World::new(3, policy, timing, seed.wrapping_mul(1_000), None);
    world.trace = trace.then(Vec::new);
    let mut busy = Busy {
        world,
        chance: Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        jobs: BTreeMap::new(),
        next: 0,
        storing: BTreeMap::new(),
        probing: BTreeMap::new(),
        still: BTreeMap::new(),
        arrival: BTreeMap::new(),
        load: load as usize,
    };
    let result = busy.succession();
    for line in busy.world.trace.take().unwrap_or_default() {
        println!("{line}");
    }
    if let Some(what) = busy.world.failed {
        return Err(what);
    }
    result
}

impl Busy {
    fn succession(&mut self) -> Result<Succession, String> {
        for id in self.world.ids() {
            self.world.start(id);
            let pause = self.some(100);
            self.run_until(self.world.now + pause, |_| false);
        }
        let limit = self.world.now + Duration::from_secs(20);
        if !self.run_until(limit, all_in_sync) {
            return Err("a cluster never begins".to_owned());
        }
        let pause = if self.chance.percent(50) { Duration::ZERO } else { self.some(300) };
        self.run_until(self.world.now + pause, |_| false);
        let Some(first) = self.world.leaders().first().copied() else {
            return Err("the leader went without a fault".to_owned());
        };
        self.world.vanish(first);
        for id in self.world.ids() {
            let late = self.delay();
            self.push(late, Job::StreamEnded(id, first));
        }
        let killed = self.world.now;
        let led =
            self.run_until(killed + Duration::from_secs(20), |world| !world.leaders().is_empty());
        if !led {
            return Err("nobody leads after the leader died".to_owned());
        }
        let without = self.world.now - killed;
        Ok(Succession { first, second: self.world.leaders()[0], without })
    }

    fn some(&mut self, below_millis: usize) -> Duration {
        Duration::from_micros(self.chance.below(below_millis * 1_000 + 1) as u64)
    }

    /// Mostly short, at times long.
    fn delay(&mut self) -> Duration {
        let most = if self.chance.percent(10) { self.load * 5 } else { self.load };
        Duration::from_micros(100) + self.some(most)
    }

    fn push(&mut self, after: Duration, job: Job) {
        self.next += 1;
        self.jobs.insert((self.world.now + after, self.next), job);
    }

    fn plan(&mut self) {
        for flight in std::mem::take(&mut self.world.network) {
            let pair = (flight.message.from, flight.message.to);
            let mut at = self.world.now + self.delay();
            // Mostly in order.
            if self.chance.percent(80) {
                let before = self.arrival.entry(pair).or_default();
                at = at.max(*before);
                *before = at;
            }
            let after = at - self.world.now;
            self.push(after, Job::Deliver(Box::new(flight)));
        }
        for id in self.world.ids() {
            if self.world.has_store_work(id) && !self.storing.get(&id).copied().unwrap_or(false) {
                self.storing.insert(id, true);
                let after = self.delay();
                self.push(after, Job::Store(id));
            }
            if self.world.has_probe(id) && !self.probing.get(&id).copied().unwrap_or(false) {
                self.probing.insert(id, true);
                let after = self.delay() + Duration::from_millis(10);
                self.push(after, Job::Probe(id));
            }
        }
    }

    fn run_until(&mut self, end: Duration, done: impl Fn(&World) -> bool) -> bool {
        loop {
            self.plan();
            if self.world.failed.is_some() || done(&self.world) {
                return true;
            }
            let job = self.jobs.first_key_value().map(|(key, _)| key.0);
            let tick = self.next_tick();
            let Some(next) = job.into_iter().chain(tick).min().filter(|at| *at <= end) else {
                self.world.now = end;
                return false;
            };
            self.world.now = self.world.now.max(next);
            if job.is_some_and(|at| at <= next) {
                let ((_, _), job) = self.jobs.pop_first().expect("there is one");
                self.carry_out(job);
            } else {
                self.tick();
            }
        }
    }

    fn until(&self, id: ServerId) -> Duration {
        self.still.get(&id).copied().unwrap_or_default()
    }

    fn next_tick(&self) -> Option<Duration> {
        let due = |id: &ServerId| {
            let at = self.world.core(*id)?.next_deadline()?;
            Some(at.0.max(self.until(*id)))
        };
        self.world.ids().filter_map(|id| due(&id)).min()
    }

    fn tick(&mut self) {
        for id in self.world.ids() {
            let due = self.world.core(id).and_then(chinwag::cluster::Core::next_deadline);
            if due.is_some_and(|at| at.0 <= self.world.now) && self.until(id) <= self.world.now {
                if self.chance.percent(3) {
                    let still = self.some(self.load * 10);
                    self.still.insert(id, self.world.now + still);
                    continue;
                }
                self.world.step(id, Event::Tick);
            }
        }
    }

    fn carry_out(&mut self, job: Job) {
        let owner = match &job {
            Job::Deliver(flight) => flight.message.to,
            Job::Store(id) | Job::Probe(id) | Job::StreamEnded(id, _) => *id,
        };
        let until = self.until(owner);
        if until > self.world.now {
            self.push(until - self.world.now, job);
            return;
        }
        match job {
            Job::Deliver(flight) => self.world.deliver(*flight),
            Job::Store(id) => {
                self.storing.insert(id, false);
                self.world.run_store(id);
            }
            Job::Probe(id) => {
                self.probing.insert(id, false);
                self.world.end_probe(id);
            }
            Job::StreamEnded(id, peer) => self.world.step(id, Event::StreamEnded { peer }),
        }
    }
}

fn all_in_sync(world: &World) -> bool {
    let leaders = world.leaders();
    let Some(leader) = leaders.first() else { return false };
    let Some(core) = world.core(*leader) else { return false };
    core.status(chinwag::cluster::Time(world.now)).in_sync.len() == 3
}
