//! Whole servers, clients and faults from one seed: the real core, desk, store (over real files) and client
//! decisions, on a simulated network, clock and disk. Nothing runs beside anything else and nothing reads
//! a clock, so a seed is a run.
//!
//! A seed chooses a cluster, a load and a swarm of faults (`plan`). After the load everything heals and
//! must come together; then the checker replays the final log through a reference model (`model`) and
//! compares every answer, every event and all tables (`checker`).
//!
//! Plain `cargo test` runs fixed seeds and fresh ones, one seed twice, and a known bug. For more:
//!
//! ```text
//! cargo test --release --test simulator -- --seeds 1000 [--seed N] [--policy available|majority]
//!     [--mutant NAME] [--keep-going] [--trace]
//! ```
//!
//! A failure prints its seed and the fewest faults that still fail; `--seed N --seeds 1 --trace` with the
//! same policy and mutant shows the run.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod calls;
#[path = "../cluster/chance.rs"]
mod chance;
mod checker;
mod client;
mod device;
mod disk;
mod door;
mod double;
mod exchange;
mod faults;
mod feeds;
mod healing;
mod invariants;
mod lost_disks;
mod mail;
mod model;
mod network;
mod people;
mod plan;
mod process;
mod reconcile;
mod record;
mod run;
mod server;
mod shrink;
mod tables;
mod tasks;
mod world;
mod writing;

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use chinwag::cluster::{Mutant, Policy};
use plan::Plan;
use run::{Outcome, run};

/// A known bug that must be found within so many seeds.
const CAUGHT: (Mutant, Policy, u64, u64) = (Mutant::ResumesOldEpoch, Policy::Available, 1_000, 5);

/// Runs that were judged wrongly: a server began to lead, late, an epoch that was over; a disk was replaced where nobody
/// could be met; and one with an old disk led while nobody ran who knew that.
const ONCE_MISJUDGED: [(Policy, u64); 3] = [
    (Policy::Majority, 81_000_001_066),
    (Policy::Available, 92_000_005_120),
    (Policy::Available, 92_000_003_885),
];

/// What the command line asks for.
struct Wanted {
    policies: Vec<Policy>,
    mutant: Option<Mutant>,
    seed: Option<u64>,
    seeds: Option<u64>,
    trace: bool,
    keep_going: bool,
}

fn main() -> ExitCode {
    // A broken assert is reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let wanted = Wanted::parse();
    let folder = run::root();
    let good = match wanted.seeds {
        Some(count) => {
            let first = wanted.seed.unwrap_or_else(fresh_seed);
            let batch = |policy: &Policy| batch(&wanted, *policy, first, count, folder.path());
            wanted.policies.iter().fold(true, |good, policy| batch(policy) & good)
        }
        None => plain(&wanted, folder.path()),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What plain `cargo test` does.
fn plain(wanted: &Wanted, folder: &Path) -> bool {
    let mut good = repeats_itself(folder);
    for policy in &wanted.policies {
        good &= batch(wanted, *policy, 1, 1, folder);
        good &= batch(wanted, *policy, fresh_seed(), 1, folder);
    }
    for (policy, seed) in ONCE_MISJUDGED {
        good &= batch(wanted, policy, seed, 1, folder);
    }
    good & is_caught(folder)
}

impl Wanted {
    fn parse() -> Wanted {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let value = |name: &str| {
            let at = arguments.iter().position(|one| one == name)?;
            arguments.get(at + 1).cloned()
        };
        let number = |name: &str| value(name).map(|text| text.parse::<u64>().expect("a number"));
        let has = |name: &str| arguments.iter().any(|one| one == name);
        Wanted {
            policies: match value("--policy").as_deref() {
                Some("available") => vec![Policy::Available],
                Some("majority") => vec![Policy::Majority],
                _ => vec![Policy::Available, Policy::Majority],
            },
            mutant: value("--mutant").map(|name| {
                let found = Mutant::ALL.iter().find(|(own, _)| *own == name);
                found.expect("a mutant's name").1
            }),
            seed: number("--seed"),
            seeds: number("--seeds"),
            trace: has("--trace"),
            keep_going: has("--keep-going"),
        }
    }
}

fn fresh_seed() -> u64 {
    // Short enough to be typed again.
    getrandom::u64().expect("the system's random numbers") % 1_000_000_000
}

/// What a batch of runs came to.
#[derive(Default)]
struct Sum {
    runs: u64,
    failed: u64,
    split: u64,
    merges: u64,
    simulated: Duration,
    steps: u64,
    calls: usize,
    delivered: usize,
    longest: [Duration; 3],
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.failed += u64::from(outcome.failed.is_some());
        self.split += u64::from(outcome.split);
        self.merges += outcome.merges;
        self.simulated += outcome.simulated;
        self.steps += outcome.steps;
        self.calls += outcome.calls;
        self.delivered += outcome.delivered;
        for (longest, time) in self.longest.iter_mut().zip(outcome.times.unwrap_or_default()) {
            *longest = time.max(*longest);
        }
    }
}

fn batch(wanted: &Wanted, policy: Policy, first: u64, count: u64, folder: &Path) -> bool {
    let began = Instant::now();
    let mut sum = Sum::default();
    for seed in first..first + count {
        let plan = Plan::of(seed, policy);
        let outcome = run(&plan, wanted.mutant, folder, wanted.trace);
        for line in &outcome.lines {
            println!("{line}");
        }
        sum.add(&outcome);
        if let Some(what) = outcome.failed {
            println!("{policy:?}: seed {seed} fails: {what}");
            if wanted.keep_going {
                continue;
            }
            tell_of(&plan, wanted.mutant, what, folder);
            return false;
        }
    }
    let rate = sum.runs as f64 * 60.0 / began.elapsed().as_secs_f64();
    println!(
        "{policy:?}: {} seeds from {first}, {} failed, {} split, {} merges; {:.1} simulated hours, {} steps, {} \
         calls, {} events; {rate:.0} seeds a minute; at most {:.1?} without a leader after healing, \
         {:.1?} until all agreed, {:.1?} without a leader after a last kill",
        sum.runs,
        sum.failed,
        sum.split,
        sum.merges,
        sum.simulated.as_secs_f64() / 3_600.0,
        sum.steps,
        sum.calls,
        sum.delivered,
        sum.longest[0],
        sum.longest[1],
        sum.longest[2],
    );
    sum.failed == 0
}

/// The fewest faults that still fail.
fn tell_of(plan: &Plan, mutant: Option<Mutant>, what: String, folder: &Path) {
    let fails = |plan: &Plan| run(plan, mutant, folder, false).failed;
    let (least, what) = shrink::shrink(plan, what, fails);
    println!("with these faults alone: {what}");
    for fault in &least.faults {
        println!("    {fault}");
    }
    println!("again: --seed {} --seeds 1 --trace with the same policy and mutant", plan.seed);
}

fn repeats_itself(folder: &Path) -> bool {
    let plan = Plan::of(7, Policy::Available);
    let (one, other) = (run(&plan, None, folder, false), run(&plan, None, folder, false));
    let same = one.trace == other.trace && one.steps == other.steps;
    let words = if same { "is" } else { "is NOT" };
    println!("the same seed {words} the same run: {} steps, {:x}", one.steps, one.trace);
    same
}

fn is_caught(folder: &Path) -> bool {
    let (mutant, policy, first, within) = CAUGHT;
    let fails = |seed| run(&Plan::of(seed, policy), Some(mutant), folder, false).failed;
    let found = (first..first + within).find_map(|seed| Some((seed, fails(seed)?)));
    match &found {
        Some((seed, what)) => {
            println!("{mutant:?} is caught after {} seeds: {what}", seed - first + 1);
        }
        None => println!("{mutant:?} is NOT caught"),
    }
    found.is_some()
}
