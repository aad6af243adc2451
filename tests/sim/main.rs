//! Whole servers, clients and faults from one seed.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod calls;
#[path = "../cluster/chance.rs"]
mod chance;
mod checker;
mod client;
mod disk;
mod door;
mod faults;
mod model;
mod network;
mod plan;
mod process;
mod record;
mod run;
mod server;
mod tables;
mod tasks;
mod world;

use std::{process::ExitCode, time::Instant};

use chinwag::cluster::{Mutant, Policy};
use plan::Plan;

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
    let trace = arguments.iter().any(|one| one == "--trace");
    let seeds = number("--seeds").unwrap_or(3);
    let first = number("--seed").unwrap_or(1);
    let folder = run::root();
    let began = Instant::now();
    std::panic::set_hook(Box::new(|_| {}));
    let mut good = true;
    for policy in policies {
        for seed in first..first + seeds {
            let plan = Plan::of(seed, policy);
            let outcome = run::run(&plan, mutant, folder.path(), trace);
            for line in &outcome.lines {
                println!("{line}");
            }
            if let Some(what) = &outcome.failed {
                println!("{policy:?} seed {seed}: {what}");
                for fault in &plan.faults {
                    println!("    {fault}");
                }
                good = false;
            } else if seeds < 5 {
                println!(
                    "{policy:?} {seed}: {:?} {} steps {} calls {} events split {} {:?} {:x}",
                    outcome.simulated, outcome.steps, outcome.calls, outcome.delivered, outcome.split, outcome.times, outcome.trace
                );
            }
        }
    }
    println!("{:?}", began.elapsed());
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
