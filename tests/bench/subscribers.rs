//! What subscribers cost, and how long one message takes to reach them all.
//!
//! `cargo bench --bench subscribers [-- --own N --shared N --tls]`. Three servers; `--own` accounts are in one
//! room, each subscribed over a connection of its own; then `--shared` more subscriptions of theirs come over 16
//! connections together. The memory is the growth of the leader's resident set. Goals: 32 KiB for a
//! subscriber on its own connection, 9 KiB on a shared one. Numbers of machines that do other work at the
//! same time mean nothing.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod fan_out;
#[allow(dead_code, unused_imports)]
#[path = "../it/harness/mod.rs"]
mod harness;
mod program;
mod rooms;
#[allow(dead_code)]
mod usage;

use std::time::Duration;

use fan_out::{rounds, subscribe};
use harness::{Cluster, Door, Options, User, all};
use usage::resident_kib;

const OWN: usize = 1_000;
/// With the others as many as a server takes by default.
const SHARED: usize = 9_000;
const CONNECTIONS: usize = 16;

fn main() {
    let (own, shared) = (program::number("--own", OWN), program::number("--shared", SHARED));
    program::runtime().block_on(measure(own, shared));
}

async fn measure(own: usize, shared: usize) {
    let options = Options { tls: program::is_given("--tls"), ..Options::default() };
    let mut cluster = Cluster::start_with(options).await;
    let speaker = User::create(&cluster, "speaker").await.patient();
    rooms::create(&speaker, "everybody".into()).await;
    let tokens = accounts(&cluster, own).await;
    let leader = cluster.in_sync(all()).await;
    let pid = cluster.process(leader).id();

    let before = resident_kib(pid);
    let mut streams = Vec::new();
    for token in &tokens {
        streams.push(subscribe(&cluster.door(leader).with(token)).await);
    }
    report("an own connection", own, resident_kib(pid) - before);
    let times = rounds(&speaker, &mut streams).await;
    println!("one message reaches all {own} within {}", words(&times));

    let before = resident_kib(pid);
    let doors: Vec<Door> = (0..CONNECTIONS).map(|_| cluster.door(leader)).collect();
    let mut more = Vec::new();
    for number in 0..shared {
        let door = doors[number % CONNECTIONS].with(&tokens[number % tokens.len()]);
        more.push(subscribe(&door).await);
    }
    report("a shared connection", shared, resident_kib(pid) - before);
    streams.extend(more);
    let times = rounds(&speaker, &mut streams).await;
    println!("one message reaches all {} within {}", streams.len(), words(&times));
}

/// Makes so many members of the room; returns their tokens.
async fn accounts(cluster: &Cluster, count: usize) -> Vec<String> {
    let mut tokens = Vec::new();
    for number in 0..count {
        let user = User::create(cluster, &format!("member-{number}")).await.patient();
        rooms::join(&user, "everybody".into()).await;
        tokens.push(user.token);
    }
    tokens
}

fn words(times: &[Duration]) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let (half, last) = (times[times.len() / 2], times[times.len() - 1]);
    format!("{:.0} ms (median of {} sends; at most {:.0} ms)", ms(half), times.len(), ms(last))
}

fn report(what: &str, count: usize, kib: i64) {
    println!("{count} subscribers on {what}: {:.1} KiB each", kib as f64 / count.max(1) as f64);
}
