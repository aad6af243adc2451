//! What ten million messages change: the same load on an empty store and on a full one, how long a server takes
//! to start, and how a server that has nothing is brought into the full cluster while people go on sending.
//!
//! `cargo bench --bench growth [-- --messages N --clients N --meanwhile N --seconds N]`. Three servers. The store of the
//! one that led is filled by the code that applies the log, and its log trimmed, as a leader does; the two
//! others then need a copy of everything. Goals: 0.9 of the rate on the empty store, a start within a
//! second at a million messages, 64 MiB more memory on both sides of a copy, 100 MiB a second. Numbers of
//! machines that do other work at the same time mean nothing.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code)]
mod filled;
#[allow(dead_code, unused_imports)]
#[path = "../it/harness/mod.rs"]
mod harness;
#[allow(dead_code)]
mod load;
mod program;
mod rooms;
#[allow(dead_code)]
mod usage;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::{
    harness::{Cluster, User, all, database, until},
    load::{Load, Measured},
    usage::{Usage, resident_kib},
};

const MESSAGES: usize = 10_000_000;
const CLIENTS: usize = 64;
/// Who go on sending while a copy is made.
const MEANWHILE: usize = 8;
/// Whatever takes longer never ends.
const LONG: Duration = Duration::from_secs(3_600);
/// Who takes less than a tenth of a processor for so long has nothing to do.
const BREATH: Duration = Duration::from_secs(2);
/// How often a process's memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

fn main() {
    let messages = program::number("--messages", MESSAGES);
    let clients = program::number("--clients", CLIENTS);
    let meanwhile = program::number("--meanwhile", MEANWHILE).min(clients);
    let seconds = Duration::from_secs(program::number("--seconds", 10) as u64);
    program::runtime().block_on(measure(messages, clients, meanwhile, seconds));
}

async fn measure(messages: usize, clients: usize, meanwhile: usize, duration: Duration) {
    let mut cluster = Cluster::start().await;
    let mut tokens = Vec::new();
    for number in 0..clients {
        tokens.push(User::create(&cluster, &load::name(number)).await.patient());
    }
    let room = || "everybody".to_owned();
    rooms::create(&tokens[0], room()).await;
    for user in &tokens[1..] {
        rooms::join(user, room()).await;
    }
    let tokens: Vec<String> = tokens.into_iter().map(|user| user.token).collect();
    let leader = cluster.in_sync(all()).await;
    let pid = cluster.process(leader).id();
    println!("the leader of an empty store holds {} MiB, idle", resident_kib(pid) / 1_024);
    let few = run(&cluster, leader, &tokens, duration).await;
    tell("an empty store", &few);
    println!("it holds {} MiB after that", resident_kib(pid) / 1_024);

    let others: Vec<u32> = all().filter(|id| *id != leader).collect();
    for id in &others {
        cluster.stop(*id).await;
    }
    cluster.in_sync([leader]).await;
    cluster.stop(leader).await;
    let began = Instant::now();
    let (folder, file) = (cluster.data(leader), database(&cluster, leader));
    let speakers = filled::sessions(&file);
    let filling = tokio::task::spawn_blocking(move || filled::fill(&folder, &speakers, messages));
    filling.await.expect("filled");
    println!("{messages} messages are stored after {:.0} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    cluster.start_server(leader).await;
    let answers = began.elapsed();
    cluster.in_sync([leader]).await;
    println!(
        "a start: {:.0} ms to the first answer, {:.0} ms to leading",
        milliseconds(answers),
        milliseconds(began.elapsed()),
    );

    println!("its search index is built after {:.0} s", idle(&mut cluster).await.as_secs_f64());
    for (id, senders) in others.into_iter().zip([meanwhile, 0]) {
        copy(&mut cluster, leader, id, &tokens[..senders]).await;
        println!(
            "  its search index is built after {:.0} s",
            idle(&mut cluster).await.as_secs_f64()
        );
    }
    let many = run(&cluster, leader, &tokens, duration).await;
    tell("a full store", &many);
    let pid = cluster.process(leader).id();
    println!("it holds {} MiB after that", resident_kib(pid) / 1_024);
    println!("a full store takes {:.2} of an empty one's rate", many.a_second / few.a_second);
}

async fn run(cluster: &Cluster, leader: u32, tokens: &[String], duration: Duration) -> Measured {
    let load = Load { tokens, connections: tokens.len(), window: None, duration };
    load.run(&cluster.address(leader)).await
}

fn tell(what: &str, measured: &Measured) {
    let Measured { a_second, p50_ms, p99_ms, .. } = measured;
    println!("{what}: {a_second:.0} sends a second, p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms");
}

/// Waits until the servers have nothing left to do, such as building an index.
async fn idle(cluster: &mut Cluster) -> Duration {
    let began = Instant::now();
    let running: Vec<u32> = cluster.ids().filter(|id| cluster.is_up(*id)).collect();
    let pids: Vec<u32> = running.into_iter().map(|id| cluster.process(id).id()).collect();
    let used = || pids.iter().map(|pid| Usage::of(Some(*pid)).cpu).sum::<f64>();
    until("the servers to have nothing to do", LONG, || async {
        let before = used();
        tokio::time::sleep(BREATH).await;
        (used() - before < BREATH.as_secs_f64() / 10.0).then_some(())
    })
    .await;
    began.elapsed()
}

/// Lets a server join that needs a copy of everything, while some people send.
async fn copy(cluster: &mut Cluster, leader: u32, id: u32, tokens: &[String]) {
    let size = fs::metadata(database(cluster, leader)).expect("there").len();
    let mib = size as f64 / f64::from(1 << 20);
    let calm = run(cluster, leader, tokens, Duration::from_secs(2)).await;
    let leads = Memory::watch(cluster.process(leader).id());
    cluster.start_server(id).await;
    let follows = Memory::watch(cluster.process(id).id());
    let began = Instant::now();
    let joined = AtomicBool::new(false);
    let joining = async {
        cluster.in_sync_within(LONG, [leader, id]).await;
        joined.store(true, Ordering::Relaxed);
        began.elapsed()
    };
    let sending = async {
        let mut worst: f64 = 0.0;
        while !tokens.is_empty() && !joined.load(Ordering::Relaxed) {
            let meanwhile = run(cluster, leader, tokens, Duration::from_secs(1)).await;
            worst = worst.max(meanwhile.p99_ms);
        }
        worst
    };
    let (time, worst) = tokio::join!(joining, sending);
    println!(
        "server {id} has a copy of {mib:.0} MiB and is in sync after {:.1} s: {:.0} MiB a second",
        time.as_secs_f64(),
        mib / time.as_secs_f64(),
    );
    println!(
        "  {} senders meanwhile: p99 {worst:.1} ms in the worst second ({:.1} ms before)",
        tokens.len(),
        calm.p99_ms,
    );
    println!(
        "  at most {} MiB more at the leader; {} MiB in all at the follower",
        leads.growth_mib(),
        follows.most_mib(),
    );
}

/// The most that a process held while it was watched.
struct Memory {
    before: i64,
    most: Arc<AtomicI64>,
    watching: JoinHandle<()>,
}

impl Memory {
    fn watch(pid: u32) -> Memory {
        let before = resident_kib(pid);
        let most = Arc::new(AtomicI64::new(before));
        let seen = most.clone();
        let watching = tokio::spawn(async move {
            let mut looks = tokio::time::interval(LOOK);
            loop {
                looks.tick().await;
                seen.fetch_max(resident_kib(pid), Ordering::Relaxed);
            }
        });
        Memory { before, most, watching }
    }

    fn most_mib(&self) -> i64 {
        self.most.load(Ordering::Relaxed) / 1_024
    }

    fn growth_mib(&self) -> i64 {
        (self.most.load(Ordering::Relaxed) - self.before) / 1_024
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
