//! How long nobody answers when a leader fails under load.

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::{Cluster, Load, People, all, until};

/// People who talk without a pause meanwhile.
const SENDERS: usize = 16;
/// So many sends are acknowledged between a join and the next fault.
const BETWEEN: usize = 500;
const EVER: Duration = Duration::from_secs(30);

/// How a leader fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL; it is started again.
    Killed,
    /// SIGSTOP; it goes on when another one leads.
    Frozen,
}

/// From each of so many faults to the next acknowledged send, the shortest first. Every send is accounted
/// for in the end.
pub(crate) async fn measure(cluster: &mut Cluster, fault: Fault, times: usize) -> Vec<Duration> {
    let people = People { listeners: 1, senders: SENDERS, scouts: true, histories: false };
    let mut load = Load::begin(cluster, people).await;
    let mut outages = Vec::new();
    for _ in 0..times {
        let leader = cluster.in_sync(all()).await;
        load.more(BETWEEN).await;
        let since = Instant::now();
        match fault {
            Fault::Killed => cluster.kill(leader),
            Fault::Frozen => cluster.freeze(leader),
        }
        outages.push(next(&load, since, leader).await - since);
        match fault {
            Fault::Killed => cluster.start_server(leader).await,
            Fault::Frozen => cluster.thaw(leader),
        }
    }
    cluster.in_sync(all()).await;
    load.end().await;
    outages.sort_unstable();
    outages
}

/// When somebody else than this server acknowledged a send. A sender that calls one server only says for
/// certain who did.
async fn next(load: &Load, since: Instant, failed: u32) -> Instant {
    until("the next acknowledged send", EVER, || {
        let found = load.newest(|newest| {
            let after = newest.take_while(|one| one.at > since);
            let others = after.filter(|one| one.only.is_some_and(|only| only != failed));
            others.map(|one| one.at).last()
        });
        async move { found }
    })
    .await
}
