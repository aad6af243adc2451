//! Chinwag beside what teams put behind a chat otherwise, in one run on one machine.
//!
//! ```text
//! cargo bench --bench peers [-- --seconds N --clients 1,16,64,256 --kills 5]
//! ```
//!
//! Three nodes each, one after the other, on temp data: Chinwag (calls, then a stream a client), and of etcd,
//! PostgreSQL, Redis and NATS those whose servers are installed (Debian: etcd-server, postgresql, redis-server,
//! nats-server). Every client has a connection of its own and one 100-byte message outstanding. Of Chinwag and
//! etcd the leader is also killed (SIGKILL) under 16 senders, and Chinwag's frozen (SIGSTOP). What an
//! acknowledgement means is not the same everywhere:
//!
//! - Chinwag: checked, numbered, kept with its request id; on the disk of all three.
//! - etcd: a key and its value on the disk of two of three.
//! - PostgreSQL: the same three rows in one transaction; on the disks of the primary and of both standbys.
//! - Redis: appended to a list; synced by the first (`appendfsync always`), received by the other two (`WAIT 2`).
//! - NATS JetStream, three replicas: received by two of three and not synced.
//!
//! Numbers of machines that do other work at the same time mean nothing.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "peers/etcd.rs"]
mod etcd;
#[allow(dead_code, unused_imports)]
#[path = "../it/harness/mod.rs"]
mod harness;
#[allow(dead_code)]
mod load;
#[path = "peers/nats.rs"]
mod nats;
#[path = "peers/nodes.rs"]
mod nodes;
mod outages;
#[path = "peers/postgres.rs"]
mod postgres;
mod program;
#[path = "peers/redis.rs"]
mod redis;
#[allow(dead_code)]
mod usage;

use std::time::Duration;

use crate::{
    harness::{Cluster, User, all},
    load::{Caller, Load, Measured},
    outages::Fault,
    usage::{Usage, shared_out_kib},
};

/// Who put keys while etcd's leader is killed; as many as send to Chinwag.
const PUTTERS: usize = 16;

fn main() {
    program::runtime().block_on(async {
        let bench = Bench {
            duration: Duration::from_secs(program::number("--seconds", 4) as u64),
            clients: program::numbers("--clients", "1,16,64,256"),
            kills: program::number("--kills", 5),
        };
        println!("three nodes each, one 100-byte message outstanding a client");
        println!(
            "\n                   clients  a second  p50 ms  p99 ms  CPU s a thousand, all nodes"
        );
        bench.chinwag().await;
        bench.etcd().await;
        bench.postgres().await;
        bench.redis().await;
        bench.nats().await;
    });
}

struct Bench {
    duration: Duration,
    clients: Vec<usize>,
    kills: usize,
}

impl Bench {
    async fn chinwag(&self) {
        let mut cluster = Cluster::start().await;
        let most = self.clients.iter().copied().max().expect("some clients").max(2);
        let mut tokens = Vec::new();
        for number in 0..most {
            tokens.push(User::create(&cluster, &load::name(number)).await.token);
        }
        let leader = cluster.in_sync(all()).await;
        let address = cluster.address(leader);
        let pids: Vec<Vec<u32>> = all().map(|id| vec![cluster.process(id).id()]).collect();
        for (name, window) in [("Chinwag, calls", None), ("Chinwag, streams", Some(1))] {
            for &clients in &self.clients {
                let tokens = &tokens[..clients];
                let load = Load { tokens, connections: clients, window, duration: self.duration };
                let before = used(&pids);
                let measured = load.run(&address).await;
                tell(name, clients, &measured, used_since(&before));
            }
        }
        tell_memory(&pids);
        for (name, fault) in [("SIGKILL", Fault::Killed), ("SIGSTOP", Fault::Frozen)] {
            let mut cluster = Cluster::start().await;
            tell_outages(name, &outages::measure(&mut cluster, fault, self.kills).await);
        }
    }

    async fn etcd(&self) {
        let Some(mut nodes) = etcd::start().await else { return };
        for &clients in &self.clients {
            let callers = (0..clients).map(|number| etcd::Client::new(&nodes.leader, number));
            self.measure("etcd", &nodes.pids(), callers.collect()).await;
        }
        tell_memory(&nodes.pids());
        tell_outages("SIGKILL", &etcd::outages(&mut nodes, PUTTERS, self.kills).await);
    }

    async fn postgres(&self) {
        let Some(nodes) = postgres::start().await else { return };
        for &clients in &self.clients {
            let mut callers = Vec::new();
            for number in 0..clients {
                // A conversation of its own in every load.
                let number = clients * 1_000 + number;
                let mut client = postgres::Client::connect(&nodes.leader, number).await;
                client.prepare().await;
                callers.push(client);
            }
            self.measure("PostgreSQL", &nodes.pids(), callers).await;
        }
        tell_memory(&nodes.pids());
    }

    async fn redis(&self) {
        let Some(nodes) = redis::start().await else { return };
        for &clients in &self.clients {
            let mut callers = Vec::new();
            for _ in 0..clients {
                callers.push(redis::Client::connect(&nodes.leader).await);
            }
            self.measure("Redis", &nodes.pids(), callers).await;
        }
        tell_memory(&nodes.pids());
    }

    async fn nats(&self) {
        let Some(nodes) = nats::start().await else { return };
        for &clients in &self.clients {
            let mut callers = Vec::new();
            for number in 0..clients {
                callers.push(nats::Client::connect(&nodes.leader, &number.to_string()).await);
            }
            self.measure("NATS", &nodes.pids(), callers).await;
        }
        tell_memory(&nodes.pids());
    }

    async fn measure<One: Caller>(&self, name: &str, pids: &[Vec<u32>], callers: Vec<One>) {
        let (clients, before) = (callers.len(), used(pids));
        let measured = load::measure(callers, self.duration).await;
        tell(name, clients, &measured, used_since(&before));
    }
}

/// What each process has used so far.
fn used(nodes: &[Vec<u32>]) -> Vec<(u32, f64)> {
    let used = |pid: &u32| Some((*pid, Usage::if_alive(Some(*pid))?.cpu));
    nodes.iter().flatten().filter_map(used).collect()
}

/// What those of them that still run have used since, in seconds.
fn used_since(before: &[(u32, f64)]) -> f64 {
    let since = |(pid, before): &(u32, f64)| Some(Usage::if_alive(Some(*pid))?.cpu - before);
    before.iter().filter_map(since).sum()
}

fn tell(name: &str, clients: usize, measured: &Measured, cpu: f64) {
    let Measured { a_second, p50_ms, p99_ms, all, .. } = measured;
    let cpu = cpu * 1_000.0 / *all as f64;
    println!("{name:18} {clients:7} {a_second:9.0} {p50_ms:7.2} {p99_ms:7.1}  {cpu:.3}");
}

fn tell_outages(name: &str, outages: &[Duration]) {
    let times: Vec<String> = outages.iter().map(|time| time.as_millis().to_string()).collect();
    println!("{:18} {name} of the leader to the next acknowledgement: {} ms", "", times.join(", "));
}

fn tell_memory(nodes: &[Vec<u32>]) {
    let most = nodes.iter().map(|pids| shared_out_kib(pids)).max().unwrap_or_default();
    println!("{:18} the largest node holds {} MiB", "", most / 1_024);
}
