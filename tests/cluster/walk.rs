//! One random walk: what the adversary may do, how often, and what must hold at the end.

mod moves;
mod old_copy;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use chinwag::cluster::{Event, Mode, Mutant, Policy, ServerId, Timing};

use crate::{
    chance::Chance,
    healing::heal_and_demand,
    world::{Flight, World},
};

/// What kind of walks.
pub(crate) struct Profile {
    policy: Policy,
    servers: Option<u32>,
    mutant: Option<Mutant>,
}

impl Profile {
    pub(crate) fn new(policy: Policy, servers: Option<u32>, mutant: Option<Mutant>) -> Profile {
        Profile { policy, servers, mutant }
    }

    pub(crate) fn name(&self) -> String {
        let policy = match self.policy {
            Policy::Available => "available",
            Policy::Majority => "majority",
        };
        match self.mutant {
            None => policy.to_owned(),
            Some(mutant) => format!("{policy} with {mutant:?}"),
        }
    }
}

/// Short, so that few steps bring a walk to the interesting states.
const TIMING: Timing = Timing {
    heartbeat_interval: Duration::from_millis(100),
    failure_timeout: Duration::from_millis(300),
    succession_step: Duration::from_millis(30),
    ack_timeout: Duration::from_millis(250),
    election_timeout: Duration::from_millis(200),
    stall_timeout: Duration::from_millis(5_000),
    boot_timeout: Duration::from_millis(600),
};

/// Walks that begin in clusters that already run, kept for each size.
pub(crate) struct Walks {
    begun: Vec<World>,
    mutant: Option<Mutant>,
}

impl Walks {
    pub(crate) fn new(profile: &Profile) -> Walks {
        let sizes = match profile.servers {
            Some(count) => vec![count],
            None => vec![3, 3, 3, 3, 3, 3, 4, 5],
        };
        let sized = |cap: u64| sizes.iter().map(move |count| begin(*count, cap, profile));
        // Most remember everything, some so little that who comes back needs a snapshot.
        let short = matches!(
            profile.mutant,
            None | Some(Mutant::TakesAnySnapshot | Mutant::ResendsWholeBatch)
        );
        let mut begun: Vec<World> = sized(100_000).collect();
        if short {
            begun.extend(sized(4));
        }
        Walks { begun, mutant: profile.mutant }
    }

    /// What was violated, if anything.
    pub(crate) fn walk(&self, seed: u64, trace: bool) -> Option<String> {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let start = &self.begun[chance.below(self.begun.len())];
        let mut world = start.clone();
        world.trace = trace.then(Vec::new);
        world.loses = true;
        let mut walk = Walk::new(&mut world, chance);
        if let Some(mutant) = self.mutant {
            walk.focus(mutant);
        } else {
            walk.fails = walk.chance.percent(15);
            // Chance of its own, so that the walks without it stay what they are.
            walk.restores = seed % 5 == 2;
            walk.hand_overs = (seed % 5 == 1).then_some(Chance(!seed));
        }
        let result = catch_unwind(AssertUnwindSafe(|| walk.go(shows_at_the_end(self.mutant))));
        if let Err(panic) = result {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            world.violate(format!("assert: {}", text.unwrap_or_default()));
        }
        for line in world.trace.take().unwrap_or_default() {
            println!("{line}");
        }
        world.failed
    }
}

/// Whether a walk is to heal and to be judged at its end: most mutants break what must never be.
fn shows_at_the_end(mutant: Option<Mutant>) -> bool {
    matches!(mutant, None | Some(Mutant::ResendsWholeBatch | Mutant::SkipsReconcile))
}

fn begin(servers: u32, log_cap: u64, profile: &Profile) -> World {
    let mut world = World::new(servers, profile.policy, TIMING, 1_000, profile.mutant);
    world.log_cap = log_cap;
    for id in world.ids() {
        world.start(id);
    }
    for _ in 0..100 {
        world.run_for(Duration::from_millis(100));
        let full = |id: &ServerId| {
            matches!(
                world.core(*id).map(|core| core.mode()),
                Some(Mode::Follower(_) | Mode::Leader(_))
            )
        };
        if world.ids().all(|id| full(&id)) {
            break;
        }
    }
    assert_eq!(world.failed, None, "the cluster begins without a fault");
    assert_eq!(world.leaders().len(), 1, "a cluster begins");
    world
}

struct Walk<'a> {
    world: &'a mut World,
    chance: Chance,
    /// What this walk indulges in.
    cuts: bool,
    pauses: bool,
    wipes: bool,
    /// What replaces a disk is an old copy of it.
    images: bool,
    disks: bool,
    forces: bool,
    fails: bool,
    /// A lost disk is not empty: an operator put a backup there.
    restores: bool,
    /// An operator asks leaders to hand over, now and then.
    hand_overs: Option<Chance>,
    /// How many percent of the choices are faults.
    faults: usize,
    /// How many percent of the choices let everything happen in order.
    fair: usize,
    wiped: bool,
    /// How many percent of the messages take a long way.
    holds: usize,
    /// Messages that take a long way.
    held: Vec<Flight>,
}

impl<'a> Walk<'a> {
    fn new(world: &'a mut World, mut chance: Chance) -> Walk<'a> {
        let cuts = chance.percent(40);
        let pauses = chance.percent(20);
        let wipes = chance.percent(20);
        let images = chance.percent(50);
        for id in world.ids() {
            world.keep_copy(id);
        }
        let disks = chance.percent(10);
        let forces = chance.percent(3);
        let fails = false;
        let faults = 3 + chance.below(12);
        let fair = chance.below(25);
        let holds = [2, 2, 20][chance.below(3)];
        let (wiped, held) = (false, Vec::new());
        Walk {
            world,
            chance,
            cuts,
            pauses,
            wipes,
            images,
            disks,
            forces,
            fails,
            restores: false,
            hand_overs: None,
            faults,
            fair,
            wiped,
            holds,
            held,
        }
    }

    /// Faults that would excuse a mutant are left out; those that it needs are in.
    fn focus(&mut self, mutant: Mutant) {
        self.forces = false;
        self.disks = mutant == Mutant::ResignIsDeath;
        match mutant {
            Mutant::FeedsNewLife | Mutant::ForgetsPromisedTo => {
                (self.cuts, self.pauses, self.wipes) = (true, false, false)
            }
            Mutant::ForgetsPromise => self.wipes = true,
            Mutant::BelievesReportsAlone => (self.wipes, self.restores) = (true, true),
            Mutant::TakesOthersUpdates | Mutant::ExcludesOnSilence | Mutant::JoinCountsEarly => {
                (self.cuts, self.pauses, self.wipes) = (true, false, false);
            }
            _ => {}
        }
    }

    fn go(&mut self, demand_liveness: bool) {
        let steps = 40 + self.chance.below(160);
        for _ in 0..steps {
            if self.world.failed.is_some() {
                return;
            }
            self.choose();
            self.ask_to_hand_over();
            self.hold_snapshots();
            if !self.held.is_empty() && self.chance.percent(2) {
                self.release();
            }
            if self.cuts && self.chance.percent(10) {
                self.cut_off_a_joiner();
            }
        }
        if demand_liveness && self.chance.percent(25) && self.world.failed.is_none() {
            heal_and_demand(self.world, self.wiped);
        }
    }

    fn some_server(&mut self) -> ServerId {
        ServerId(1 + self.chance.below(self.world.nodes.len()) as u32)
    }

    fn choose(&mut self) {
        if self.chance.percent(self.faults) {
            self.fault();
            return;
        }
        if self.chance.percent(self.fair) {
            self.world.settle();
            return;
        }
        match self.chance.below(10) {
            0..=3 => self.handle_message(),
            4 | 5 => self.work(),
            6 | 7 => self.let_time_pass(),
            _ => self.ask(),
        }
    }

    fn ask(&mut self) {
        for id in self.world.leaders() {
            if self.chance.percent(30) {
                self.world.read(id);
            } else {
                self.world.submit(id);
            }
        }
    }

    fn handle_message(&mut self) {
        let count = self.world.network.len();
        if count == 0 {
            self.let_time_pass();
            return;
        }
        // Mostly the oldest, so that conversations get somewhere.
        let at = if self.chance.percent(60) { 0 } else { self.chance.below(count) };
        if self.chance.percent(5) {
            self.world.network.remove(at);
        } else if self.chance.percent(self.holds) {
            self.held.extend(self.world.network.remove(at));
        } else if self.chance.percent(5) {
            let again = self.world.network[at].clone();
            self.world.deliver(again);
        } else {
            let flight = self.world.network.remove(at).expect("it is under way");
            self.world.deliver(flight);
        }
    }

    fn work(&mut self) {
        let id = self.some_server();
        if self.world.has_store_work(id) {
            if self.fails && self.chance.percent(3) {
                let durable = self.chance.percent(50);
                self.world.fail_store(id, durable);
            } else {
                self.world.run_store(id);
            }
        } else if self.world.has_merge(id) && self.chance.percent(50) {
            self.world.run_merge(id);
        } else if self.world.has_probe(id) {
            self.world.end_probe(id);
        } else {
            self.handle_message();
        }
    }

    fn let_time_pass(&mut self) {
        let Some(next) = self.world.next_moment() else { return };
        let now = self.world.now;
        self.world.now = next.clamp(now, now + Duration::from_millis(100));
        self.world.tick();
        // Old messages beyond a bound are lost.
        let surplus = self.world.network.len().saturating_sub(80);
        self.world.network.drain(..surplus);
        if self.chance.percent(50) {
            self.world.settle();
        }
    }

    fn fault(&mut self) {
        let id = self.some_server();
        match self.chance.below(16) {
            0..=4 => self.crash(id),
            7 if self.cuts && self.chance.percent(20) => self.die_after_a_promise(),
            5..=7 => {
                if !self.world.is_up(id) {
                    self.world.start(id);
                }
            }
            9 | 10 if self.cuts && self.chance.percent(30) => self.cut_off_a_newcomer(id),
            8 | 9 if self.cuts => self.cut_or_heal(id),
            10 if self.cuts => self.world.cut.clear(),
            11 if self.pauses => self.pause(id),
            12 if self.wipes => self.wipe(id),
            13 if self.disks => {
                let low = self.chance.percent(50);
                self.world.step(id, Event::DiskLow(low));
            }
            14 if self.chance.percent(30) => self.world.step(id, Event::Shutdown),
            15 if self.forces => {
                self.world.forced = true;
                self.world.step(id, Event::ForceLead);
            }
            8..=11 if !self.held.is_empty() => self.release(),
            _ => self.crash_at_a_bad_moment(),
        }
    }

    /// Snapshots are large: at times one arrives a second time, late.
    fn hold_snapshots(&mut self) {
        for flight in std::mem::take(&mut self.world.sent_snapshots) {
            if self.chance.percent(30) {
                self.held.push(flight);
            }
        }
    }

    /// A message that was on the way for a long time arrives after all.
    fn release(&mut self) {
        let at = self.chance.below(self.held.len());
        let flight = self.held.swap_remove(at);
        self.world.deliver(flight);
    }

    fn crash(&mut self, id: ServerId) {
        if self.world.is_up(id) {
            self.world.crash(id);
            if self.images && self.chance.percent(20) {
                self.world.keep_copy(id);
            }
            if self.chance.percent(30) {
                self.world.start(id);
            }
        }
    }

    fn cut_or_heal(&mut self, id: ServerId) {
        let other = self.some_server();
        let both = self.chance.percent(70);
        if self.chance.percent(30) {
            for other in self.world.ids() {
                self.world.cut.insert((id, other));
                self.world.cut.insert((other, id));
            }
            return;
        }
        for pair in [(id, other), (other, id)] {
            if !self.world.cut.remove(&pair) {
                self.world.cut.insert(pair);
            }
            if !both {
                return;
            }
        }
    }

    fn pause(&mut self, id: ServerId) {
        let node = self.world.node(id);
        if node.core.is_some() {
            node.paused = !node.paused;
        }
    }

    /// One disk a walk is lost, or becomes what it was once.
    fn wipe(&mut self, id: ServerId) {
        if self.wiped || self.world.is_up(id) {
            return;
        }
        if self.restores && self.world.restore_copy(id).is_some() {
            self.wiped = true;
            self.world.start(id);
            return;
        }
        if self.images && !self.world.bears_the_old_copy(id) {
            return;
        }
        self.wiped = true;
        if self.images {
            self.world.put_copy_back(id);
            self.world.start(id);
            return;
        }
        let reset = self.world.policy == Policy::Available || self.chance.percent(50);
        self.world.wipe(id, reset);
        self.world.start(id);
    }
}
