//! A cluster at work while strangers call it: a user sends all the time, and in the end nothing has changed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant};

use crate::harness::{Cluster, Options, User, stored_messages};

/// The servers' secret.
pub(super) const SECRET: &str = "a-secret-of-at-least-16-characters";
/// Evictions and wrong suspicions would take longer than a send may.
const TIMEOUT_MS: &str = "3000";
/// A send takes no longer, whatever strangers do.
const SEND: Duration = Duration::from_millis(2_500);
/// What a server says when the machine gave it no time. It gives up its standing then, as it must, and
/// the lead may change; nothing is lost even so.
const STARVED: &str = "this process was stopped for";
/// What a server says when it changes the view, the lead or its own standing.
const CHANGES: [&str; 5] =
    ["goes on without", "left the in-sync set", "leads epoch", "leads no more", "panicked"];

/// See the file's header.
pub(super) struct Scene {
    pub(super) cluster: Cluster,
    pub(super) leader: u32,
    running: Vec<u32>,
    alice: Arc<User>,
    epoch: String,
    logs: Vec<usize>,
    stop: Arc<AtomicBool>,
    sending: JoinHandle<(Vec<String>, Duration)>,
}

impl Scene {
    /// Options with a secret, and timeouts that a busy machine does not reach.
    pub(super) fn options() -> Options {
        let timeouts = ["FAILURE", "ACK", "STALL"].map(|name| match name {
            "FAILURE" => ("CHINWAG__FAILOVER__FAILURE_TIMEOUT_MS", TIMEOUT_MS.to_owned()),
            "ACK" => ("CHINWAG__FAILOVER__ACK_TIMEOUT_MS", TIMEOUT_MS.to_owned()),
            _ => ("CHINWAG__FAILOVER__STALL_TIMEOUT_MS", "15000".to_owned()),
        });
        Options { secret: Some(SECRET), environment: timeouts.into(), ..Options::default() }
    }

    /// A cluster of three; where a fourth is configured, it is away.
    pub(super) async fn begin(options: Options) -> Scene {
        let alone_first = options.servers > 3;
        let mut cluster = Cluster::prepare(options).await;
        for id in 1..=3 {
            cluster.start_server(id).await;
            // With one away, two that start together may both begin a history.
            if alone_first {
                cluster.in_sync([1]).await;
            }
        }
        cluster.in_sync(1..=3).await;
        Scene::watch(cluster, [1, 2, 3].into()).await
    }

    /// Nothing may change from now on.
    pub(super) async fn watch(mut cluster: Cluster, running: Vec<u32>) -> Scene {
        let alice = Arc::new(User::create(&cluster, "alice").await);
        let leader = cluster.in_sync(running.iter().copied()).await;
        let epoch = cluster.status(leader).await.expect("it leads").epoch;
        let logs = running.iter().map(|id| cluster.process(*id).log().len()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let sending = tokio::spawn(send_all_the_time(alice.clone(), stop.clone()));
        Scene { cluster, leader, running, alice, epoch, logs, stop, sending }
    }

    /// Nobody crashed, nobody else leads, no send was lost or late, and all servers hold the same.
    pub(super) async fn nothing_changed(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let (sent, slowest) = self.sending.await.expect("every send is acknowledged");
        assert!(sent.len() > 5, "only {} messages were sent meanwhile", sent.len());
        let leader = self.cluster.in_sync(self.running.iter().copied()).await;
        let starved =
            self.running.clone().iter().any(|id| self.cluster.process(*id).log().contains(STARVED));
        if !starved {
            assert!(slowest < SEND, "a send took {slowest:?}");
            assert_eq!(leader, self.leader);
            let status = self.cluster.status(self.leader).await.expect("it leads");
            assert_eq!((status.epoch, status.copies), (self.epoch, 3));
        }
        let history = self.alice.history("@alice").await;
        let bodies: Vec<&str> = history.iter().map(|message| message.body.as_str()).collect();
        assert_eq!(bodies, sent, "all that was sent, once, in order");
        for (id, before) in self.running.iter().zip(&self.logs) {
            assert!(self.cluster.process(*id).is_running(), "server {id} has ended");
            let log = self.cluster.process(*id).log();
            let news = log.get(*before..).expect("logs grow");
            for change in CHANGES.iter().filter(|change| !starved || **change == "panicked") {
                assert!(!news.contains(change), "server {id}: {change}\n{news}");
            }
        }
        self.cluster.stop_all().await;
        let first = stored_messages(&self.cluster, self.running[0]);
        assert!(first.len() >= sent.len(), "all that was sent is stored");
        for id in &self.running {
            assert_eq!(stored_messages(&self.cluster, *id), first, "server {id}");
        }
    }
}

/// What was sent, and how long the slowest send took.
async fn send_all_the_time(alice: Arc<User>, stop: Arc<AtomicBool>) -> (Vec<String>, Duration) {
    let (mut sent, mut slowest) = (Vec::new(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let (body, began) = (sent.len().to_string(), Instant::now());
        alice.send("@alice", &body).await;
        slowest = slowest.max(began.elapsed());
        sent.push(body);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (sent, slowest)
}
