//! Random walks over the real core: an adversary delivers, drops, repeats and reorders messages, crashes,
//! wipes and stops servers, cuts links and fills disks, and every invariant is checked all the way.
//!
//! Plain `cargo test` walks for some seconds, with fixed seeds and fresh ones. For more:
//!
//! ```text
//! cargo test --release --test walker -- --walks 1000000 [--policy available|majority] [--seed N]
//!     [--servers 3] [--mutant NAME] [--jobs N] [--trace]
//! cargo test --release --test walker -- --mutants [--within 2000000] [--policy …] [--mutant NAME] [--seed N]
//! ```
//!
//! The second shows for each known bug and policy after how many walks it is found. Long runs take all cores
//! unless `--jobs` says otherwise; the number of threads changes no result.
//!
//! With `--successions N [--load MS]` leaders of new clusters are killed on machines that take up to so many
//! milliseconds for each thing they do.
//!
//! A failure prints its seed; `--seed N --walks 1 --trace` with the same policy shows the walk.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod chance;
mod healing;
mod hunt;
mod show;
mod succession;
mod walk;
mod world;

use std::{ops::Range, process::ExitCode, time::Instant};

use chinwag::cluster::{Mutant, Policy};
use walk::{Profile, Walks};

/// Every known bug, a policy under which it shows, a seed near one that shows it, and the walks within
/// which it must: so that finding it takes seconds as long as nothing changes, and still happens after a change.
/// Stories alone show what [`Mutant::ForgetsPromisedTo`] and [`Mutant::RollsBackAnswered`] break: a lead hardly
/// ever ends while a commit is under way.
const CAUGHT: &[(Mutant, Policy, u64, u64)] = &[
    (Mutant::ResumesOldEpoch, Policy::Available, 1, 2_000),
    (Mutant::SkipsReconcile, Policy::Available, 1, 2_000),
    (Mutant::ExcludesOnSilence, Policy::Majority, 1, 5_000),
    (Mutant::SkipsFetch, Policy::Majority, 15_370, 50_000),
    (Mutant::JoinCountsEarly, Policy::Available, 6_800, 200_000),
    (Mutant::RestartKeepsStanding, Policy::Available, 1, 20_000),
    (Mutant::TakesOthersUpdates, Policy::Available, 1, 20_000),
    (Mutant::ResignIsDeath, Policy::Available, 1, 20_000),
    (Mutant::StaleEvidence, Policy::Available, 1_850, 50_000),
    (Mutant::OldAnswerServesRead, Policy::Majority, 166_111, 50_000),
    (Mutant::ForgetsPromise, Policy::Majority, 26_449, 200_000),
    (Mutant::BelievesUnseen, Policy::Available, 1_550, 20_000),
    (Mutant::RaisesOwnEpoch, Policy::Majority, 16_210, 100_000),
    (Mutant::ForgetsLateBatch, Policy::Available, 1, 5_000),
    (Mutant::FeedsNewLife, Policy::Available, 6_590, 100_000),
    (Mutant::TakesAnySnapshot, Policy::Available, 1, 20_000),
    (Mutant::ResendsWholeBatch, Policy::Majority, 1_425_130, 20_000),
    (Mutant::AnswersWithFew, Policy::Majority, 7_900, 50_000),
    (Mutant::ReadsBeforeCommit, Policy::Majority, 9_440, 50_000),
    (Mutant::BelievesReportsAlone, Policy::Majority, 7_000_181_800, 20_000),
];

/// Walks that broke something once: a leader that sent, again and again, a batch that began before the
/// receiver's log; candidates that could not fetch another history and stood in turns for ever; a server that
/// was left out by what a probe had found of its life before; an old disk with a forced lead that had the greatest
/// end and did not stand; a member that found its disk old when a leader waited for it alone; a life that believed
/// what a late heartbeat told the one before it; a server that leaders evicted again and again while it waited; a
/// restored server that asked to lead, and so did not say that it is one; and one that was judged wrongly, for its
/// split began with a view that was under way for long.
const ONCE_BROKEN: [u64; 8] = [
    249_973_625_253,
    20_818_790,
    46_205_728,
    60_374_028,
    2_101_042_555,
    6_006_054_264,
    7_000_167_752,
    700_178_052,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|one| one == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str| value(name).map(|text| text.parse::<u64>().expect("a number"));
    let policies = match value("--policy").as_deref() {
        Some("available") => vec![Policy::Available],
        Some("majority") => vec![Policy::Majority],
        _ => vec![Policy::Available, Policy::Majority],
    };
    let mutant = value("--mutant").map(|name| {
        let found = Mutant::ALL.iter().find(|(own, _)| *own == name);
        found.expect("a mutant's name").1
    });
    let walks = number("--walks");
    let mut good = true;
    // A broken assert is reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let trace = arguments.iter().any(|one| one == "--trace");
    let successions = number("--successions");
    let hunts = arguments.iter().any(|one| one == "--mutants");
    let seed = number("--seed").unwrap_or_else(fresh_seed);
    if successions.is_some() || (walks.is_none() && !hunts) {
        let count = successions.unwrap_or(300);
        let load = number("--load").unwrap_or(3);
        good &= policies.iter().all(|policy| succession::demand(*policy, seed, count, load, trace));
    }
    if successions.is_some() {
        return if good { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let jobs = number("--jobs").map(|count| count as usize);
    if hunts {
        let seed = number("--seed").unwrap_or(1);
        let within = number("--within").unwrap_or(2_000_000);
        good = find_mutants(mutant, &policies, seed..seed + within, jobs);
        return if good { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    for policy in policies {
        let profile = Profile::new(policy, number("--servers").map(|count| count as u32), mutant);
        match walks {
            Some(1) if trace => good &= Walks::new(&profile).walk(seed, true).is_none(),
            Some(count) => {
                let jobs = jobs.unwrap_or_else(|| hunt::jobs(count));
                good &= walk_for(&profile, seed, count, jobs);
            }
            None => {
                good &= walk_for(&profile, 1, 500, 1);
                good &= ONCE_BROKEN.iter().all(|seed| walk_for(&profile, *seed, 1, 1));
                good &= walk_for(&profile, seed, 500, 1);
            }
        }
    }
    if walks.is_none() {
        good &= CAUGHT.iter().all(|(mutant, policy, from, within)| {
            is_caught(*mutant, *policy, *from..*from + *within, 1)
        });
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fresh_seed() -> u64 {
    // Short enough to be typed again.
    getrandom::u64().expect("the system's random numbers") % 1_000_000_000_000
}

fn walk_for(profile: &Profile, seed: u64, count: u64, jobs: usize) -> bool {
    let began = Instant::now();
    let failure = hunt::first_failure(&Walks::new(profile), seed..seed + count, jobs);
    let name = profile.name();
    match failure {
        None => {
            let elapsed = began.elapsed();
            println!("{name}: {count} walks from seed {seed} without a violation in {elapsed:.1?}");
            true
        }
        Some((at, what)) => {
            println!("{name}: after {} walks: {what}", at - seed + 1);
            println!("again: --seed {at} --walks 1 --trace and the same policy and mutant");
            false
        }
    }
}

fn is_caught(mutant: Mutant, policy: Policy, seeds: Range<u64>, jobs: usize) -> bool {
    let profile = Profile::new(policy, None, Some(mutant));
    let (first, began) = (seeds.start, Instant::now());
    let found = hunt::first_failure(&Walks::new(&profile), seeds, jobs);
    let (name, elapsed) = (profile.name(), began.elapsed());
    match &found {
        Some((seed, what)) => {
            let walks = seed - first + 1;
            println!("{name} is caught after {walks} walks in {elapsed:.1?}: {what}");
        }
        None => println!("{name} is NOT caught in {elapsed:.1?}"),
    }
    found.is_some()
}

/// Each known bug under each policy. Some show under one of them only; every one must under some.
fn find_mutants(
    wanted: Option<Mutant>,
    policies: &[Policy],
    seeds: Range<u64>,
    jobs: Option<usize>,
) -> bool {
    let jobs = jobs.unwrap_or_else(|| hunt::jobs(u64::MAX));
    let chosen = Mutant::ALL.iter().map(|(_, mutant)| *mutant);
    let mut good = true;
    for mutant in chosen.filter(|mutant| wanted.is_none_or(|wanted| wanted == *mutant)) {
        let found = policies.iter().map(|policy| is_caught(mutant, *policy, seeds.clone(), jobs));
        good &= found.filter(|found| *found).count() > 0;
    }
    good
}
