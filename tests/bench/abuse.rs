//! How long a well-behaved sender waits while others misbehave.
//!
//! `cargo bench --bench abuse [-- --seconds N --only NAME]`. Three servers with the shipped settings, and one user
//! who sends a message, waits for its acknowledgement, and rests for six milliseconds: first at rest, then
//! under each attack. The attackers are a process of their own, at other addresses of loopback and
//! with the lowest priority, for elsewhere they would have machines of their own. Goal: 99 of 100 sends take at
//! most three times what they take at rest, and none is refused. Numbers of machines that do other work at the
//! same time mean nothing.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code, unused_imports)]
#[path = "../it/harness/mod.rs"]
mod harness;
mod program;
#[allow(dead_code)]
mod usage;

use std::{
    env, fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use usage::{Usage, resident_kib};

use crate::harness::{Attack, Cluster, Options, Target, User, all, request_id};

/// How long the sender rests between two messages.
const REST: Duration = Duration::from_millis(6);
/// Until an attack is in full swing.
const WARM_UP: Duration = Duration::from_secs(4);
const GOAL: f64 = 3.0;

fn main() {
    let runtime = program::runtime();
    match program::option("--attack") {
        Some(attack) => runtime.block_on(attack_for_ever(&attack)),
        None => runtime.block_on(measure_all()),
    }
}

/// With what strength each attack is made.
fn strength(attack: Attack) -> usize {
    match attack {
        Attack::SlowLoris => 3_000,
        Attack::LogIns => 64,
        Attack::Idle => 10_000,
        Attack::Deaf => 4,
        Attack::Sends => 64,
        Attack::Garbage => 32,
        Attack::Oversized => 16,
        Attack::Pings => 8,
    }
}

async fn attack_for_ever(name: &str) {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).expect("its own limit");
    nice(19).expect("a lower priority");
    let given = |option| program::option(option).expect("the other process says it");
    let target =
        Target { address: given("--address"), flooder: given("--flooder"), deaf: given("--deaf") };
    let attack = Attack::ALL.into_iter().find(|attack| format!("{attack:?}") == name);
    let attack = attack.expect("one of them");
    let mut attackers = attack.begin(&target, strength(attack));
    while attackers.join_next().await.is_some() {}
}

/// Ends with its owner.
struct Attackers(Child);

impl Attackers {
    fn begin(attack: Attack, target: &Target) -> Attackers {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args(["--attack", &format!("{attack:?}"), "--address", &target.address]);
        command.args(["--flooder", &target.flooder, "--deaf", &target.deaf]);
        Attackers(command.stdin(Stdio::null()).spawn().expect("it starts"))
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure_all() {
    let duration = Duration::from_secs(program::number("--seconds", 10) as u64);
    let only = program::option("--only");
    let mut cluster = Cluster::start_with(Options::as_shipped()).await;
    let sender = User::create(&cluster, "sender").await.patient();
    let flooder = User::create(&cluster, "flooder").await;
    let deaf = User::create(&cluster, "deaf").await;
    let leader = cluster.in_sync(all()).await;
    let target = Target {
        address: cluster.address(leader),
        flooder: flooder.token.clone(),
        deaf: deaf.token.clone(),
    };
    let pid = cluster.process(leader).id();
    let epoch = epoch(&cluster, leader).await;
    println!(
        "                sends  p50 ms  p99 ms  of rest  worst ms  leader: MiB  files  CPU s a second"
    );
    measure(&sender, WARM_UP).await;
    let rest = Line::of(&sender, pid, duration).await;
    rest.tell("at rest", &rest);
    for attack in Attack::ALL {
        if only.as_ref().is_some_and(|only| *only != format!("{attack:?}")) {
            continue;
        }
        let attackers = Attackers::begin(attack, &target);
        measure(&sender, WARM_UP).await;
        Line::of(&sender, pid, duration).await.tell(&format!("{attack:?}"), &rest);
        drop(attackers);
        measure(&sender, WARM_UP).await;
    }
    Line::of(&sender, pid, duration).await.tell("at rest again", &rest);
    let leads = cluster.in_sync(all()).await;
    let same = leads == leader && epoch == self::epoch(&cluster, leader).await;
    println!("{}", if same { "nobody lost the lead" } else { "the lead was lost" });
    cluster.stop_all().await;
}

async fn epoch(cluster: &Cluster, leader: u32) -> String {
    cluster.status(leader).await.map(|status| status.epoch).unwrap_or_default()
}

/// How long the sender waits, in microseconds.
async fn measure(sender: &User, duration: Duration) -> Histogram<u64> {
    let mut waits = Histogram::new_with_max(60_000_000, 3).expect("good bounds");
    let began = Instant::now();
    while began.elapsed() < duration {
        let sent = Instant::now();
        let answer = sender.try_send(&request_id(), "@deaf", &"x".repeat(100)).await;
        answer.expect("whoever behaves is never refused");
        let micros = u64::try_from(sent.elapsed().as_micros()).expect("short");
        waits.saturating_record(micros);
        tokio::time::sleep(REST).await;
    }
    waits
}

/// What was measured.
struct Line {
    waits: Histogram<u64>,
    mib: i64,
    files: usize,
    cpu: f64,
}

impl Line {
    async fn of(sender: &User, pid: u32, duration: Duration) -> Line {
        let (before, began) = (Usage::of(Some(pid)), Instant::now());
        let waits = measure(sender, duration).await;
        let cpu = (Usage::of(Some(pid)) - before).cpu / began.elapsed().as_secs_f64();
        let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("Linux tells").count();
        Line { waits, mib: resident_kib(pid) / 1_024, files, cpu }
    }

    fn at(&self, quantile: f64) -> f64 {
        self.waits.value_at_quantile(quantile) as f64 / 1_000.0
    }

    fn tell(&self, what: &str, rest: &Line) {
        let times = self.at(0.99) / rest.at(0.99);
        println!(
            "{what:14} {:6} {:7.2} {:7.2} {times:8.1} {:9.1} {:12} {:6} {:15.2}{}",
            self.waits.len(),
            self.at(0.5),
            self.at(0.99),
            self.at(1.0),
            self.mib,
            self.files,
            self.cpu,
            if times > GOAL { "  more than the goal" } else { "" },
        );
    }
}
