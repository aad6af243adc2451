//! A server is added, and one is taken away, as the guide says: all stop for a moment, and no call fails.

use super::{
    client,
    talk::{Talk, pauses},
};
use crate::harness::{Cluster, Options, contents_are_equal};

/// All stop, and go on with so many servers.
async fn restart_with(cluster: &mut Cluster, servers: u32) {
    let before: Vec<u32> = cluster.ids().filter(|id| cluster.is_up(*id)).collect();
    cluster.configure(servers);
    for id in before {
        let exit = cluster.stop(id).await;
        assert_eq!(exit.status.code(), Some(0), "{}", exit.log);
    }
    for id in cluster.ids() {
        cluster.launch(id, &[]);
    }
    for id in cluster.ids() {
        cluster.answers(id, &[]).await;
    }
    cluster.in_sync(cluster.ids()).await;
}

async fn a_server_comes_and_one_goes(policy: &'static str) {
    let mut cluster = Cluster::start_with(Options { policy, ..Options::default() }).await;
    let talk = Talk::begin(&cluster, 8).await;
    talk.more(100).await;
    restart_with(&mut cluster, 4).await;
    talk.more(100).await;
    client(&cluster, &["verify"]).await.exits_with(0);

    cluster.stop(4).await;
    cluster.in_sync(1..=3).await;
    talk.more(100).await;
    restart_with(&mut cluster, 3).await;
    talk.more(100).await;
    let (failed, answered) = talk.end().await;
    assert!(failed.is_empty(), "{policy}: {failed:?}");
    let (gap, call) = pauses(&answered);
    println!(
        "{policy}: {} sends answered while a server came and one went, 0 failed; the longest time without \
         an answer {gap:.1?}, the longest call {call:.1?}",
        answered.len(),
    );
    client(&cluster, &["verify"]).await.exits_with(0);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_server_comes_and_one_goes_under_available() {
    a_server_comes_and_one_goes("available").await;
}

#[tokio::test]
async fn a_server_comes_and_one_goes_under_majority() {
    a_server_comes_and_one_goes("majority").await;
}
