//! How many sends a second three servers acknowledge, and what each costs, beside what this machine can do
//! at all.
//!
//! ```text
//! cargo bench --bench throughput [-- --seconds N --clients 1,16,64,256 --shared 64,256
//!     --streams 16x1,256x1,16x64 --sync-delay MS --sends-only --json FILE --chart FILE.svg]
//! ```
//!
//! Three server processes on one machine, every commit synced to its disk; the load comes from this
//! process, with one call outstanding a client: over a connection each, then over 16 connections together;
//! and then with a stream each (clients x messages in flight).
//! Beside it stand, from the same run, how often the disk syncs in a second, what the store of one server
//! takes without a network, and what a bare gRPC echo in another process answers to the same calls over
//! the same connections. In the end comes what else a server does: reading, logging in, telling subscribers,
//! starting, copying, taking over; `--sends-only` leaves that out. With `--sync-delay` every sync of the servers takes so many milliseconds more,
//! for most disks are slower than this machine's. Numbers of machines that do other work at the same time
//! mean nothing.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod beside;
mod chart;
mod echo;
mod fan_out;
#[allow(dead_code, unused_imports)]
#[path = "../it/harness/mod.rs"]
mod harness;
mod limits;
mod load;
#[allow(dead_code, reason = "not every benchmark freezes a leader")]
mod outages;
mod program;
mod rooms;
#[allow(dead_code)]
mod usage;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use tempfile::TempDir;

use crate::{
    beside::Beside,
    chart::Line,
    harness::{Cluster, Options, User, all, compile_shim, database},
    load::{BODY, Load, Measured},
    usage::{Usage, resident_kib},
};

const CLIENTS: &str = "1,16,64,256";
const SHARED: &str = "64,256";
const STREAMS: &str = "16x1,64x1,256x1,16x64,16x256";
/// What the latter share.
const CONNECTIONS: usize = 16;

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    sync_delay_ms: usize,
    /// 4 KiB appended each time.
    disk_syncs_a_second: f64,
    /// Without a network, 100 and 1,000 messages a transaction.
    store_alone_a_second: [f64; 2],
    rows: Vec<Row>,
    /// By one follower, over the whole run.
    bytes_written_a_send: f64,
    bytes_kept_a_send: f64,
    bytes_of_search_index_a_send: f64,
    leader_resident_mib: f64,
    beside: Option<Beside>,
}

/// One load.
#[derive(Serialize)]
struct Row {
    clients: usize,
    connections: usize,
    /// Messages in flight over each stream; absent for calls.
    window: Option<usize>,
    sends: Measured,
    /// Of calls only.
    echoes: Option<Measured>,
    /// Seconds on a processor a thousand sends.
    leader_cpu: f64,
    /// Of each.
    follower_cpu: f64,
    callers_cpu: f64,
}

fn main() {
    let runtime = program::runtime();
    if env::args().any(|argument| argument == echo::FLAG) {
        return runtime.block_on(echo::serve());
    }
    runtime.block_on(compare());
}

async fn compare() {
    let duration = Duration::from_secs(program::number("--seconds", 4) as u64);
    let delay = program::number("--sync-delay", 0);
    let (own, shared) =
        (program::numbers("--clients", CLIENTS), program::numbers("--shared", SHARED));
    let loads: Vec<(usize, usize, Option<usize>)> = own
        .into_iter()
        .map(|clients| (clients, clients, None))
        .chain(shared.into_iter().map(|clients| (clients, CONNECTIONS.min(clients), None)))
        .chain(streams().into_iter().map(|(clients, window)| (clients, clients, Some(window))))
        .collect();
    let tools = tempfile::tempdir().expect("a folder");
    let mut report = Report {
        sync_delay_ms: delay,
        disk_syncs_a_second: limits::syncs_a_second(tools.path()),
        store_alone_a_second: [100, 1_000]
            .map(|batch| limits::store_alone(tools.path(), batch, &"x".repeat(BODY))),
        rows: Vec::new(),
        bytes_written_a_send: 0.0,
        bytes_kept_a_send: 0.0,
        bytes_of_search_index_a_send: 0.0,
        leader_resident_mib: 0.0,
        beside: None,
    };
    tell_limits(&report);
    let mut cluster = Cluster::start_with(slowed(&tools, delay)).await;
    let most = loads.iter().map(|load| load.0).max().expect("some clients").max(2);
    let mut tokens = Vec::new();
    for number in 0..most {
        tokens.push(User::create(&cluster, &load::name(number)).await.token);
    }
    let leader = cluster.in_sync(all()).await;
    let address = cluster.address(leader);
    let follower = all().find(|id| *id != leader).expect("three servers");
    let [leads, follows] = [leader, follower].map(|id| cluster.process(id).id());
    let echo = echo::Process::start();
    let (before, files) = (Usage::of(Some(follows)), sizes(&cluster, follower));
    let mut sent = 0;
    for (clients, connections, window) in loads {
        let load = Load { tokens: &tokens[..clients], connections, window, duration };
        let measured = || [Some(leads), Some(follows), None].map(Usage::of);
        let earlier = measured();
        let sends = load.run(&address).await;
        let now = measured();
        sent += sends.all;
        let cpu = |who: usize| (now[who] - earlier[who]).cpu * 1_000.0 / sends.all as f64;
        let row = Row {
            clients,
            connections,
            window,
            leader_cpu: cpu(0),
            follower_cpu: cpu(1),
            callers_cpu: cpu(2),
            echoes: match window {
                None => Some(load.run(echo.address()).await),
                Some(_) => None,
            },
            sends,
        };
        tell(&row);
        report.rows.push(row);
    }
    report.leader_resident_mib = resident_kib(leads) as f64 / 1_024.0;
    let a_send = |bytes: u64| bytes as f64 / sent as f64;
    report.bytes_written_a_send = a_send((Usage::of(Some(follows)) - before).written);
    // What waits in the write-ahead log is in the files once a server has ended.
    cluster.stop(follower).await;
    let grown = sizes(&cluster, follower);
    report.bytes_kept_a_send = a_send(grown[0].saturating_sub(files[0]));
    report.bytes_of_search_index_a_send = a_send(grown[1].saturating_sub(files[1]));
    tell_the_rest(&report);
    if !env::args().any(|argument| argument == "--sends-only") {
        cluster.start_server(follower).await;
        report.beside = Some(beside::measure(&mut cluster, &tokens).await);
        report.beside.iter().for_each(Beside::tell);
    }
    cluster.stop_all().await;
    if let Some(path) = program::option("--chart") {
        draw(Path::new(&path), &report.rows);
    }
    if let Some(path) = program::option("--json") {
        let text = serde_json::to_string_pretty(&report).expect("numbers");
        fs::write(path, text).expect("a file that may be written");
    }
}

/// The calls over own connections.
fn draw(path: &Path, rows: &[Row]) {
    let own = |row: &&Row| row.window.is_none() && row.connections == row.clients;
    let line = |name, value: fn(&Row) -> Option<f64>| {
        let rows = rows.iter().filter(own);
        let points = rows.filter_map(|row| Some((row.clients as f64, value(row)?))).collect();
        Line { name, points }
    };
    let rates = [
        line("acknowledged sends", |row| Some(row.sends.a_second)),
        line("bare gRPC echo", |row| Some(row.echoes.as_ref()?.a_second)),
    ];
    let latencies = [
        line("median", |row| Some(row.sends.p50_ms)),
        line("99 of 100", |row| Some(row.sends.p99_ms)),
        line("bare gRPC echo, median", |row| Some(row.echoes.as_ref()?.p50_ms)),
    ];
    chart::draw(path, &rates, &latencies).expect("a file that may be written");
}

/// Clients with a stream each, and messages in flight over it.
fn streams() -> Vec<(usize, usize)> {
    let text = program::option("--streams").unwrap_or_else(|| STREAMS.to_owned());
    let pair = |word: &str| {
        let (clients, window) = word.split_once('x').expect("clients x messages in flight");
        (clients.parse().expect("a number"), window.parse().expect("a number"))
    };
    text.split(',').filter(|word| !word.is_empty()).map(pair).collect()
}

/// Servers whose syncs take so much longer.
fn slowed(tools: &TempDir, delay: usize) -> Options {
    let mut options = Options::default();
    if delay > 0 {
        let library = compile_shim(tools.path()).unwrap_or_else(|why| panic!("{why}"));
        let order = tools.path().join("order");
        fs::write(&order, format!("slow {delay}")).expect("writable");
        options.environment = vec![
            ("LD_PRELOAD", library.display().to_string()),
            ("SYNC_SHIM", order.display().to_string()),
        ];
    }
    options
}

/// Of a server's database and of its search index, without what waits in their write-ahead logs.
fn sizes(cluster: &Cluster, id: u32) -> [u64; 2] {
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    [size(database(cluster, id)), size(cluster.data(id).join("search.db"))]
}

fn tell_limits(report: &Report) {
    let [hundred, thousand] = report.store_alone_a_second;
    println!("three servers, {BODY}-byte messages, {} ms more a sync", report.sync_delay_ms);
    println!("this disk: {:.0} syncs of 4 KiB a second", report.disk_syncs_a_second);
    println!(
        "one store alone: {hundred:.0} sends a second at 100 a transaction, {thousand:.0} at 1,000"
    );
    println!(
        "\n                     acknowledged sends, ms              CPU s a thousand   bare echo, ms            of"
    );
    println!(
        "clients conns window a second   p50   p99  p99.9  leader follower callers  a second   p50   p99   echo"
    );
}

fn tell(row: &Row) {
    let Row { sends, .. } = row;
    let window = row.window.map_or_else(|| "call".to_owned(), |window| window.to_string());
    print!(
        "{:7} {:5} {window:>6} {:8.0} {:5.2} {:5.1} {:6.1} {:7.3} {:8.3} {:7.3}",
        row.clients,
        row.connections,
        sends.a_second,
        sends.p50_ms,
        sends.p99_ms,
        sends.p999_ms,
        row.leader_cpu,
        row.follower_cpu,
        row.callers_cpu,
    );
    if let Some(echoes) = &row.echoes {
        print!(
            " {:9.0} {:5.2} {:5.1} {:6.2}",
            echoes.a_second,
            echoes.p50_ms,
            echoes.p99_ms,
            sends.a_second / echoes.a_second,
        );
    }
    println!();
}

fn tell_the_rest(report: &Report) {
    println!(
        "\na follower wrote {:.0} bytes a send and keeps {:.0}, and {:.0} of search index; the leader holds {:.0} MiB",
        report.bytes_written_a_send,
        report.bytes_kept_a_send,
        report.bytes_of_search_index_a_send,
        report.leader_resident_mib,
    );
}
