//! Fail-over on busy machines: messages, disks and probes take their time, servers stand still for moments,
//! and nothing is lost. Whoever dies, somebody serves soon, and as a rule it is the lowest live server (L1, P10).

use std::{collections::BTreeMap, time::Duration};

use chinwag::cluster::{Core, Event, Mode, Policy, ServerId, Time, Timing};

use crate::{
    chance::Chance,
    world::{Flight, World},
};

/// What takes time.
enum Job {
    Deliver(Box<Flight>),
    Store(ServerId),
    Probe(ServerId),
    Merge(ServerId),
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
    merging: BTreeMap<ServerId, bool>,
    /// Until when a server does nothing.
    still: BTreeMap<ServerId, Duration>,
    arrival: BTreeMap<(ServerId, ServerId), Duration>,
    /// How slow everything is, in milliseconds.
    load: usize,
}

/// What befalls the leader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Blow {
    /// It dies, and its streams tell.
    Crash,
    /// It dies, and who takes over dies meanwhile or soon after.
    SecondCrash,
    /// Nothing comes from or to it, and no stream tells.
    Silence,
}

use Blow::*;

impl Blow {
    /// L1: how long nobody may serve, from the last blow on.
    fn goal(self, timing: &Timing) -> Duration {
        match self {
            Crash | SecondCrash => Duration::from_millis(150),
            // The silent leader itself has the rank before the lowest live server's.
            Silence => timing.failure_timeout + timing.succession_step + ODDMENTS,
        }
    }
}

/// What came after the blow.
struct Succession {
    /// Whether the lowest live server serves.
    lowest: bool,
    /// How long nobody did.
    without: Duration,
    /// How long it took all servers to be in sync once everything was whole again.
    back: Duration,
}

/// L1 leaves 100 ms for the last heartbeat, which may be that old; the messages and disks of the election take up
/// to 90 ms here, as they do after a crash.
const ODDMENTS: Duration = Duration::from_millis(200);
/// How slow a machine may be, in milliseconds, that is held to the goals.
const BEARABLE: u64 = 3;
/// Whatever takes longer never happens.
const PATIENCE: Duration = Duration::from_secs(20);
/// L3.
const IN_SYNC_AGAIN: Duration = Duration::from_secs(1);

/// Strikes the leaders of so many new clusters.
pub(crate) fn demand(policy: Policy, seed: u64, count: u64, load: u64, trace: bool) -> bool {
    let timing = Timing::default();
    let mut ends: BTreeMap<Blow, Vec<Succession>> = BTreeMap::new();
    for seed in seed..seed + count {
        let blow = match (seed % 4, policy) {
            (0, _) => Silence,
            // Of three servers one alone has no majority.
            (1, Policy::Available) => SecondCrash,
            _ => Crash,
        };
        let wrong = match one(policy, blow, seed, load, trace) {
            Ok(end) => {
                let good =
                    end.lowest && end.without <= blow.goal(&timing) && end.back <= IN_SYNC_AGAIN
                        || load > BEARABLE;
                let words = format!(
                    "by the lowest: {}, without a leader {:?}, in sync again after {:?}",
                    end.lowest, end.without, end.back
                );
                ends.entry(blow).or_default().push(end);
                (!good).then_some(words)
            }
            Err(what) => Some(what),
        };
        if let Some(what) = wrong {
            println!(
                "{policy:?}, a succession after {blow:?}: {what}; again: --successions 1 --seed {seed} \
                 --load {load} --trace"
            );
            return false;
        }
    }
    for (blow, ends) in ends {
        let others = ends.iter().filter(|end| !end.lowest).count();
        let (median, longest) = spread(ends.iter().map(|end| end.without));
        let (_, back) = spread(ends.iter().map(|end| end.back));
        println!(
            "{policy:?}: {} successions after {blow:?} from seed {seed} at load {load}: {others} by another \
             than the lowest; without a leader {median:.1?}, at most {longest:.1?}; all in sync again \
             after {back:.1?} at most",
            ends.len()
        );
    }
    true
}

/// The median and the greatest.
fn spread(times: impl Iterator<Item = Duration>) -> (Duration, Duration) {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}

/// Starts a cluster, strikes its leader, waits for the next one, and makes everything whole again.
fn one(
    policy: Policy,
    blow: Blow,
    seed: u64,
    load: u64,
    trace: bool,
) -> Result<Succession, String> {
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
        merging: BTreeMap::new(),
        still: BTreeMap::new(),
        arrival: BTreeMap::new(),
        load: load as usize,
    };
    let result = busy.succession(blow);
    for line in busy.world.trace.take().unwrap_or_default() {
        println!("{line}");
    }
    if let Some(what) = busy.world.failed {
        return Err(what);
    }
    result
}

impl Busy {
    fn succession(&mut self, blow: Blow) -> Result<Succession, String> {
        for id in self.world.ids() {
            self.world.start(id);
            let pause = self.some(100);
            self.run_for(pause);
        }
        if !self.run_until(self.world.now + PATIENCE, all_in_sync) {
            return Err("a cluster never begins".to_owned());
        }
        let pause = if self.chance.percent(50) { Duration::ZERO } else { self.some(300) };
        self.run_for(pause);
        let Some(first) = self.world.leaders().first().copied() else {
            return Err("the leader went without a fault".to_owned());
        };
        let mut fallen = vec![first];
        if blow == Silence {
            self.cut_off(first);
        } else {
            self.kill(first);
        }
        if blow == SecondCrash {
            let pause = self.some(60);
            self.run_for(pause);
            let heir = self.lowest_without(&fallen);
            self.kill(heir);
            fallen.push(heir);
        }
        let struck = self.world.now;
        let next = |world: &World| world.leaders().into_iter().find(|id| !fallen.contains(id));
        if !self.run_until(struck + PATIENCE, |world| next(world).is_some()) {
            return Err("nobody leads any more".to_owned());
        }
        let (second, without) = (next(&self.world), self.world.now - struck);
        let lowest = second == Some(self.lowest_without(&fallen));
        let back = self.make_whole(&fallen)?;
        Ok(Succession { lowest, without, back })
    }

    fn lowest_without(&self, fallen: &[ServerId]) -> ServerId {
        self.world.ids().find(|id| !fallen.contains(id)).expect("one is left")
    }

    fn kill(&mut self, id: ServerId) {
        self.world.vanish(id);
        for other in self.world.ids().filter(|other| *other != id) {
            let late = self.delay();
            self.push(late, Job::StreamEnded(other, id));
        }
    }

    fn cut_off(&mut self, id: ServerId) {
        self.world.loses = true;
        for other in self.world.ids() {
            self.world.cut.extend([(id, other), (other, id)]);
        }
    }

    /// L3.
    fn make_whole(&mut self, fallen: &[ServerId]) -> Result<Duration, String> {
        let pause = self.some(500);
        self.run_for(pause);
        self.world.cut.clear();
        for id in fallen.iter().filter(|id| !self.world.is_up(**id)).collect::<Vec<_>>() {
            self.world.start(*id);
        }
        let whole = self.world.now;
        if !self.run_until(whole + PATIENCE, all_in_sync) {
            return Err("not everybody is in sync again".to_owned());
        }
        Ok(self.world.now - whole)
    }

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.world.now + time, |_| false);
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
            if self.world.has_merge(id) && !self.merging.get(&id).copied().unwrap_or(false) {
                self.merging.insert(id, true);
                let after = self.delay();
                self.push(after, Job::Merge(id));
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
            let due = self.world.core(id).and_then(Core::next_deadline);
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
            Job::Store(id) | Job::Probe(id) | Job::Merge(id) | Job::StreamEnded(id, _) => *id,
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
            Job::Merge(id) => {
                self.merging.insert(id, false);
                self.world.run_merge(id);
            }
            Job::StreamEnded(id, peer) => self.world.step(id, Event::StreamEnded { peer }),
        }
    }
}

/// And all of them know it.
fn all_in_sync(world: &World) -> bool {
    let [leader] = world.leaders()[..] else { return false };
    let Some(core) = world.core(leader) else { return false };
    let follows = |id: ServerId| {
        world
            .core(id)
            .is_some_and(|core| matches!(core.mode(), Mode::Follower(_) | Mode::Leader(_)))
    };
    core.status(Time(world.now)).in_sync.len() == 3 && world.ids().all(follows)
}
