//! How many sends a second three servers acknowledge, beside what this machine can do at all.
//!
//! `cargo bench --bench throughput [-- --seconds N --clients 1,16]`. Three server processes on one machine, every
//! commit synced to its disk; the load comes from this process, over one connection a client, with one
//! call outstanding on each. Beside it stand, from the same run, how often the disk syncs in a second,
//! and what a bare gRPC echo in another process answers to the same calls. Numbers of machines that do
//! other work at the same time mean nothing.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod echo;
#[allow(dead_code, unused_imports)]
#[path = "../it/harness/mod.rs"]
mod harness;
mod program;

use std::{
    env,
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use chinwag::wire::chat::SendMessageRequest;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::harness::{Cluster, Door, User, request_id};

/// So many clients at the same time, each with its own connection, unless the caller says otherwise.
const CLIENTS: [usize; 4] = [1, 16, 64, 256];
const BODY: usize = 100;
const WARM_UP: Duration = Duration::from_millis(500);

/// What came of one load.
struct Measured {
    per_second: f64,
    latency: Histogram<u64>,
}

fn main() {
    let runtime = program::runtime();
    if env::args().any(|argument| argument == echo::FLAG) {
        return runtime.block_on(echo::serve());
    }
    let seconds = program::number("--seconds", 4) as u64;
    let clients = program::option("--clients").map_or(CLIENTS.to_vec(), |text| {
        text.split(',').map(|part| part.parse().expect("a number")).collect()
    });
    runtime.block_on(compare(Duration::from_secs(seconds), &clients));
}

async fn compare(duration: Duration, rows: &[usize]) {
    let cluster = Cluster::start().await;
    let most = rows.iter().copied().max().expect("some clients").max(2);
    println!("three servers, {BODY}-byte messages, {} s a row", duration.as_secs());
    println!("this disk: {:.0} syncs of 4 KiB a second", syncs_a_second(cluster.folder()));
    let mut tokens = Vec::new();
    for number in 0..most {
        tokens.push(User::create(&cluster, &format!("client-{number}")).await.token);
    }
    let leader = cluster.address(cluster.leader().await);
    let echo = echo::Process::start();

    println!("\n            acknowledged sends              bare echo");
    println!("clients   a second   p50 ms   p99 ms   a second   p50 ms   p99 ms");
    for &clients in rows {
        let sends = load(&leader, &tokens[..clients], duration).await;
        let echoes = load(echo.address(), &tokens[..clients], duration).await;
        println!(
            "{clients:7} {:10.0} {:8.2} {:8.2} {:10.0} {:8.2} {:8.2}",
            sends.per_second,
            sends.milliseconds(0.5),
            sends.milliseconds(0.99),
            echoes.per_second,
            echoes.milliseconds(0.5),
            echoes.milliseconds(0.99),
        );
    }
}

impl Measured {
    fn milliseconds(&self, quantile: f64) -> f64 {
        Duration::from_micros(self.latency.value_at_quantile(quantile)).as_secs_f64() * 1_000.0
    }
}

/// One client for every token, each sending to the next one, one call at a time.
async fn load(address: &str, tokens: &[String], duration: Duration) -> Measured {
    let mut clients = JoinSet::new();
    let begin = Instant::now() + WARM_UP;
    for (number, token) in tokens.iter().enumerate() {
        let to = format!("@client-{}", (number + 1) % tokens.len().max(2));
        clients.spawn(client(Door::to(address).with(token), to, begin, duration));
    }
    let mut latency = histogram();
    while let Some(one) = clients.join_next().await {
        latency.add(one.expect("no call failed")).expect("the same bounds");
    }
    Measured { per_second: latency.len() as f64 / duration.as_secs_f64(), latency }
}

/// Sends until the time is over; counts what was acknowledged after the warm-up and before the end.
async fn client(door: Door, to: String, begin: Instant, duration: Duration) -> Histogram<u64> {
    let mut messages = door.messages();
    let mut latency = histogram();
    let body = "x".repeat(BODY);
    loop {
        let request = SendMessageRequest {
            request_id: request_id(),
            conversation: to.clone(),
            body: body.clone(),
            reply_to: String::new(),
        };
        let sent = Instant::now();
        messages.send_message(request).await.expect("acknowledged");
        let now = Instant::now();
        if now >= begin + duration {
            return latency;
        }
        if now >= begin {
            latency.saturating_record(u64::try_from((now - sent).as_micros()).expect("short"));
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).expect("good bounds")
}

/// How often this disk syncs in a second, a page appended each time.
fn syncs_a_second(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("syncs")).expect("writable");
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(1) {
        file.write_all(&[0x5a; 4096]).expect("writable");
        file.sync_data().expect("the disk syncs");
        count += 1;
    }
    f64::from(count) / begin.elapsed().as_secs_f64()
}
