//! A box that is gone is replaced by an empty one under its ID, with nothing stopped and nothing lost.

use crate::{
    harness::{Cluster, Load, Options, People, all, wipe},
    operate::client,
};

/// Every box in turn, the leader's among them, while people talk.
async fn every_box_is_replaced(policy: &'static str) {
    let mut cluster = Cluster::start_with(Options { policy, ..Options::default() }).await;
    let people = People { listeners: 1, senders: 3, scouts: false, histories: false };
    let mut load = Load::begin(&cluster, people).await;
    load.more(30).await;
    let leader = cluster.leader().await;
    let others = all().filter(|id| *id != leader);
    for id in [leader].into_iter().chain(others) {
        cluster.kill(id);
        wipe(&cluster.data(id));
        load.more(30).await;
        cluster.start_server(id).await;
        cluster.in_sync(all()).await;
        load.more(10).await;
    }
    client(&cluster, &["verify"]).await.exits_with(0);
    load.end().await;
    cluster.stop_all().await;
    println!("{policy}: {}", load.account(&cluster).await.expect("nothing is missing"));
}

#[tokio::test]
async fn every_box_can_be_replaced_in_turn_under_available() {
    every_box_is_replaced("available").await;
}

#[tokio::test]
async fn every_box_can_be_replaced_in_turn_under_majority() {
    every_box_is_replaced("majority").await;
}
