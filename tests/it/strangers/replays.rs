//! Whoever recorded what servers said may say it again, with the secret and all: messages of an earlier
//! life or of an earlier epoch change nothing.

use std::{collections::BTreeSet, time::Duration};

use chinwag::wire::cluster::{
    AcceptUpdatesRequest, EvictRequest, PrepareRequest, RegisterFollowerRequest, ResignRequest,
};
use prost::Message as _;
use tokio::task::JoinSet;

use super::{
    calls::call,
    recorder::{Recorded, Recorder},
    scene::{SECRET, Scene},
};
use crate::harness::{Cluster, Options, User, all};

/// What is dropped is never answered; nobody needs to wait for that.
const SHORT: Duration = Duration::from_millis(300);
/// So many of each kind are said again.
const OF_A_KIND: usize = 30;

#[tokio::test]
async fn what_was_said_in_an_earlier_life_or_epoch_changes_nothing_when_it_is_said_again() {
    let mut recorder = Recorder::of(3);
    let options = Options { fronts: Some(recorder.ports()), ..Scene::options() };
    let mut cluster = Cluster::prepare(options).await;
    recorder.pass_on(cluster.addresses());
    for id in all() {
        cluster.start_server(id).await;
    }
    let first = cluster.in_sync(all()).await;
    let bob = User::create(&cluster, "bob").await;
    for number in 0..20 {
        bob.send("@bob", &number.to_string()).await;
    }
    // The first leader gets another life, the others another epoch.
    let mut old = recorder.tape();
    cluster.stop(first).await;
    let last_words = recorder.tape().split_off(old.len());
    old.extend(last_words.into_iter().filter(|recorded| recorded.method == "Resign"));
    cluster.leader().await;
    cluster.start_server(first).await;
    let second = cluster.in_sync(all()).await;
    assert_ne!(first, second, "the first leader gave up the lead");

    let scene = Scene::watch(cluster, all().collect()).await;
    let told = old_news(&old);
    let kinds: BTreeSet<&str> = told.iter().map(|recorded| recorded.method.as_str()).collect();
    for kind in ["AcceptUpdates", "Evict", "Heartbeat", "Prepare", "RegisterFollower", "Resign"] {
        assert!(kinds.contains(kind), "{kind} is replayed");
    }
    let mut calls = JoinSet::new();
    for recorded in told {
        let channel = scene.cluster.door(recorded.to).channel();
        calls.spawn(async move {
            call(channel, &recorded.method, Some(SECRET), vec![recorded.message], SHORT).await
        });
        if calls.len() >= 8 {
            calls.join_next().await;
        }
    }
    calls.join_all().await;
    scene.nothing_changed().await;
}

/// The newest of each kind between each two servers; and what the leader and the followers of that time
/// may have said as well, in the same envelopes.
fn old_news(old: &[Recorded]) -> Vec<Recorded> {
    let mut chosen: Vec<Recorded> = Vec::new();
    for recorded in old.iter().rev() {
        let alike =
            |other: &&Recorded| (other.to, &other.method) == (recorded.to, &recorded.method);
        if chosen.iter().filter(alike).count() < OF_A_KIND {
            chosen.push(recorded.clone());
        }
    }
    let batches: Vec<Recorded> =
        chosen.iter().filter(|recorded| recorded.method == "AcceptUpdates").cloned().collect();
    for batch in batches {
        let request = AcceptUpdatesRequest::decode(batch.message).expect("a server's own words");
        let (envelope, to) = (request.envelope, batch.to);
        let epoch = request.updates.expect("a batch").epoch;
        let left = envelope.as_ref().and_then(|envelope| envelope.incarnation);
        let evict = EvictRequest { envelope: envelope.clone(), epoch, tables: None };
        let prepare = PrepareRequest { envelope: envelope.clone(), epoch };
        let resign = ResignRequest { envelope: envelope.clone(), epoch, left, successor: None };
        let register = RegisterFollowerRequest { envelope, ..Default::default() };
        let mut add = |method: &str, message: Vec<u8>| {
            chosen.push(Recorded { to, method: method.into(), message: message.into() });
        };
        add("Evict", evict.encode_to_vec());
        add("Prepare", prepare.encode_to_vec());
        add("Resign", resign.encode_to_vec());
        add("RegisterFollower", register.encode_to_vec());
    }
    chosen
}
