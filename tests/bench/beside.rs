//! What else a server does, measured on the cluster that a load has filled: reading, logging in, telling
//! subscribers, starting, copying, and being replaced.

use std::{
    fs,
    future::Future,
    time::{Duration, Instant},
};

use chinwag::wire::chat::{ListMessagesRequest, LoginRequest, MarkReadRequest};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::{
    fan_out,
    harness::{Cluster, Door, PASSWORD, User, all, database, request_id, wipe},
    load,
    outages::{self, Fault},
    rooms,
};

const CALLS: usize = 300;
/// Log-ins at the same time, and of each of those who log in.
const LOG_INS: [usize; 2] = [16, 4];
const SUBSCRIBERS: usize = 256;
/// What they share.
const CONNECTIONS: usize = 16;
const KILLS: usize = 5;

/// In milliseconds, where nothing else is said.
#[derive(Serialize)]
pub(crate) struct Beside {
    /// Median and p99, as of the next one.
    list_messages: [f64; 2],
    mark_read: [f64; 2],
    /// 16 people at the same time.
    log_in: [f64; 2],
    log_ins_a_second: f64,
    /// Until 256 subscribers heard one message: median and worst.
    fan_out: [f64; 2],
    /// From the start of a server's process to its first answer, and to its being in sync.
    start: [f64; 2],
    database_mib: f64,
    /// From the start of a server without data to its being in sync.
    copy: f64,
    copied_mib_a_second: f64,
    /// From each SIGKILL of the leader under 16 senders to the next acknowledged send.
    killed: Vec<f64>,
}

/// See the file's header. Two of the accounts behind the tokens have written to each other.
pub(crate) async fn measure(cluster: &mut Cluster, tokens: &[String]) -> Beside {
    let leader = cluster.in_sync(all()).await;
    let door = Door::to(&cluster.address(leader)).with(&tokens[0]);
    let list_messages = quantiles(timed(CALLS, |_| list(&door)).await);
    let mark_read = quantiles(timed(CALLS, |call| mark(&door, call)).await);
    let began = Instant::now();
    let log_in = log_in(cluster, leader).await;
    let log_ins_a_second = log_in.len() as f64 / began.elapsed().as_secs_f64();
    let fan_out = tell_everybody(cluster, leader).await;
    let follower = cluster.another(leader);
    cluster.stop(follower).await;
    let start = start(cluster, follower).await;
    let database_mib = mib(cluster, follower);
    cluster.stop(follower).await;
    wipe(&cluster.data(follower));
    let [_, copy] = self::start(cluster, follower).await;
    let killed = outages::measure(cluster, Fault::Killed, KILLS).await;
    Beside {
        list_messages,
        mark_read,
        log_in: quantiles(log_in),
        log_ins_a_second,
        fan_out,
        start,
        database_mib,
        copy,
        copied_mib_a_second: database_mib / (copy / 1_000.0),
        killed: killed.into_iter().map(milliseconds).collect(),
    }
}

impl Beside {
    /// Prints it.
    pub(crate) fn tell(&self) {
        let pair = |what: &str, [half, most]: [f64; 2], words: &str| {
            println!("{what:34} {half:8.2} {most:8.2}   {words}");
        };
        println!("\nbeside sends, ms                     median      p99");
        pair("ListMessages, 50 of them", self.list_messages, "");
        pair("MarkRead", self.mark_read, "");
        let words = format!("{:.0} a second", self.log_ins_a_second);
        pair("Login, 16 at the same time", self.log_in, &words);
        pair("one message to 256 subscribers", self.fan_out, "(the second is the worst)");
        let [answer, in_sync] = self.start;
        println!(
            "a server's start: {answer:.0} ms to its first answer, {in_sync:.0} ms to in sync"
        );
        println!(
            "a copy of {:.0} MiB: {:.0} ms, {:.0} MiB a second",
            self.database_mib, self.copy, self.copied_mib_a_second,
        );
        let killed: Vec<String> = self.killed.iter().map(|time| format!("{time:.0}")).collect();
        println!("SIGKILL of the leader to the next acknowledged send: {} ms", killed.join(", "));
    }
}

async fn timed<F: Future<Output = ()>>(
    calls: usize,
    mut call: impl FnMut(usize) -> F,
) -> Vec<Duration> {
    let mut times = Vec::with_capacity(calls);
    for number in 0..calls {
        let began = Instant::now();
        call(number).await;
        times.push(began.elapsed());
    }
    times
}

fn quantiles(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    [times.len() / 2, times.len() * 99 / 100].map(|at| milliseconds(times[at]))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn partner() -> String {
    format!("@{}", load::name(1))
}

async fn list(door: &Door) {
    let request = ListMessagesRequest { conversation: partner(), position: None, page_size: 50 };
    let answer = door.messages().list_messages(request).await.expect("answered");
    assert!(!answer.into_inner().messages.is_empty());
}

async fn mark(door: &Door, call: usize) {
    let seq = i64::try_from(call).expect("few") + 1;
    let request = MarkReadRequest { request_id: request_id(), conversation: partner(), seq };
    door.conversations().mark_read(request).await.expect("answered");
}

async fn log_in(cluster: &Cluster, leader: u32) -> Vec<Duration> {
    let address = cluster.address(leader);
    let [people, each] = LOG_INS;
    let mut logging_in = JoinSet::new();
    for _ in 0..people {
        let door = Door::to(&address);
        logging_in.spawn(async move {
            timed(each, |_| {
                let request = LoginRequest {
                    request_id: request_id(),
                    username: load::name(0),
                    password: PASSWORD.into(),
                    device_name: "bench".into(),
                };
                let door = door.clone();
                async move { drop(door.sessions().login(request).await.expect("answered")) }
            })
            .await
        });
    }
    logging_in.join_all().await.concat()
}

async fn tell_everybody(cluster: &Cluster, leader: u32) -> [f64; 2] {
    let speaker = User::create(cluster, "speaker").await;
    rooms::create(&speaker, "everybody".into()).await;
    let listener = User::create(cluster, "listener").await;
    rooms::join(&listener, "everybody".into()).await;
    let address = cluster.address(leader);
    let doors: Vec<Door> =
        (0..CONNECTIONS).map(|_| Door::to(&address).with(&listener.token)).collect();
    let mut streams = Vec::new();
    for number in 0..SUBSCRIBERS {
        streams.push(fan_out::subscribe(&doors[number % CONNECTIONS]).await);
    }
    let times = fan_out::rounds(&speaker, &mut streams).await;
    [times.len() / 2, times.len() - 1].map(|at| milliseconds(times[at]))
}

/// Until a server that was started answers, and until it is in sync.
async fn start(cluster: &mut Cluster, id: u32) -> [f64; 2] {
    let began = Instant::now();
    cluster.start_server(id).await;
    let answers = began.elapsed();
    cluster.in_sync(all()).await;
    [answers, began.elapsed()].map(milliseconds)
}

fn mib(cluster: &Cluster, id: u32) -> f64 {
    let size = fs::metadata(database(cluster, id)).map_or(0, |file| file.len());
    size as f64 / f64::from(1 << 20)
}
