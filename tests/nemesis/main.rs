//! The nemesis: faults of every kind on real server processes, while 16 senders and some subscribers go on.
//! In the end everything that was acknowledged and every event is accounted for on every server.
//!
//! Plain `cargo test` does this for some seconds under each policy. For more, with an optimised build:
//!
//! ```text
//! cargo test --release --test nemesis -- --seconds 600 [--policy available|majority] [--servers 3]
//!     [--seed N] [--goals] [--tls]
//! cargo test --release --test nemesis -- --busy --seconds 1800
//! ```
//!
//! It kills, freezes, stops, wipes and cuts off servers, and lets their disks fail, fill and take long, as
//! the seed says (but not when: the machine's own rhythm is not repeated). It prints how long it took from
//! each kind of fault to the next acknowledged send; `--goals` fails if that is too long. A cut or frozen
//! server under `available` may make two histories, which are merged: then every message still stands once
//! under its id, on every server and on every subscriber's device, but it may stand later than its sender
//! was told.
//!
//! With `--tls` the servers encrypt. With `--busy` nothing is done to anybody, but every core is kept busy: the leader must stay.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod busy;
mod caller;
mod disks;
mod episodes;
#[allow(dead_code, unused_imports)]
#[path = "../it/harness/mod.rs"]
mod harness;
mod net;
mod times;
mod world;

use std::{env, process::ExitCode, time::Duration};

use tokio::time::Instant;

use episodes::{Episode, Nemesis};
use harness::Dice;
use times::Times;
use world::World;

/// Under each policy, in plain `cargo test`.
const USUAL: Duration = Duration::from_secs(5);
/// Then everything is accounted for, and a new cluster begins: what it stores stays within bounds.
const ROUND: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
struct Run {
    policy: &'static str,
    servers: u32,
    seed: u64,
    duration: Duration,
    told: bool,
    tls: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|one| one == name);
    if has("--list") {
        // What asks for a list of tests finds one.
        if !has("--ignored") {
            println!("nemesis: test");
        }
        return ExitCode::SUCCESS;
    }
    let value = |name: &str| {
        let at = arguments.iter().position(|one| one == name)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value")).clone())
    };
    let number = |name: &str| value(name).map(|text| text.parse::<u64>().expect("a number"));
    let policies = match value("--policy").as_deref() {
        Some("available") => vec!["available"],
        Some("majority") => vec!["majority"],
        Some(other) => panic!("{other} is no policy"),
        None => vec!["available", "majority"],
    };
    let seconds = number("--seconds");
    let servers = number("--servers").map_or(3, |servers| u32::try_from(servers).expect("a few"));
    assert!((3..=7).contains(&servers), "3 to 7 servers");
    let share = u32::try_from(policies.len()).expect("two at most");
    let duration = seconds.map_or(USUAL, |seconds| Duration::from_secs(seconds) / share);
    // Short enough to be typed again.
    let fresh = || getrandom::u64().expect("chance") % 1_000_000_000_000;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut met = true;
    for policy in policies {
        if has("--busy") {
            runtime.block_on(busy::endure(policy, duration));
            continue;
        }
        let seed = number("--seed").unwrap_or_else(fresh);
        let (told, tls) = (seconds.is_some(), has("--tls"));
        let run = Run { policy, servers, seed, duration, told, tls };
        met &= runtime.block_on(harass(run));
    }
    if has("--goals") && !met { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Round after round, each with a cluster and a seed of its own. Whether the goals are met; whatever is lost,
/// twice or out of order panics.
async fn harass(run: Run) -> bool {
    let mut times = Times::default();
    let rounds = run.duration.div_duration_f64(ROUND).ceil() as u32;
    for round in 0..rounds.max(1) {
        let duration = run.duration / rounds.max(1);
        let seed = run.seed + u64::from(round);
        times.extend(play_round(Run { seed, duration, ..run }).await);
    }
    times.report(run.policy)
}

async fn play_round(run: Run) -> Times {
    let Run { policy, servers, seed, duration, told, tls } = run;
    println!("nemesis under {policy}, {servers} servers: --seed {seed}");
    let mut dice = Dice::new(seed);
    let small = u32::try_from(dice.draw(servers.into())).expect("a few") + 1;
    let mut world = World::begin(policy, servers, small, tls).await;
    world.told = told;
    let end = Instant::now() + duration;
    let mut episodes = 0;
    while Instant::now() < end {
        // However short the run is, there is a storm in it.
        let first = episodes == 0;
        let episode = if first { Episode::Storm } else { Episode::draw(&world, &mut dice) };
        let majority = policy == "majority";
        Nemesis { world: &mut world, dice: &mut dice, majority }.play(episode).await;
        episodes += 1;
    }
    world.load.end().await;
    let account = world.load.account(&world.cluster).await;
    world.cluster.stop_all().await;
    let account = match account {
        Ok(_) => world.load.account(&world.cluster).await,
        wrong => wrong,
    };
    match account {
        Ok(words) => println!("{policy}: {episodes} episodes; {words}"),
        Err(trouble) => panic!("{policy}, --seed {seed}, after {episodes} episodes:\n{trouble}"),
    }
    std::mem::take(&mut world.times)
}
