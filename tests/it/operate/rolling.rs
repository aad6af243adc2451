//! A rolling restart under load: through the client library no call fails, and the pause is short.

use super::{
    client, object,
    talk::{Talk, pauses},
};
use crate::harness::{Cluster, all, contents_are_equal};

#[tokio::test]
async fn the_lead_goes_to_whom_an_operator_names_and_no_call_fails() {
    let mut cluster = Cluster::start().await;
    let talk = Talk::begin(&cluster, 8).await;
    let first = cluster.leader().await;
    // Asked at whoever leads, and at another one; to each server in turn.
    for (round, to) in all().chain(all()).enumerate() {
        talk.more(50).await;
        let (to, at) = (to.to_string(), (1 + round % 3).to_string());
        let said = client(&cluster, &["--json", "lead", &to, "--id", &at]).await;
        said.exits_with(0);
        let told = object(&said);
        assert_eq!(told["type"], "handed_over");
        assert_eq!(told["led_before"], round == 0 && to == first.to_string(), "{told}");
        assert_eq!(cluster.in_sync(all()).await.to_string(), to, "everybody stays in sync");
    }
    let (failed, answered) = talk.end().await;
    assert!(failed.is_empty(), "{failed:?}");
    let (gap, call) = pauses(&answered);
    println!(
        "{} sends answered while the lead went round twice, 0 failed; the longest time without an answer \
         {gap:.1?}, the longest call {call:.1?}",
        answered.len(),
    );
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn nobody_is_made_to_lead_who_cannot() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let other = cluster.another(leader);
    cluster.kill(other);
    cluster.status_when(leader, "two copies", |status| status.copies == 2).await;
    let (name, at) = (other.to_string(), leader.to_string());
    let said = client(&cluster, &["--json", "lead", &name, "--id", &at]).await;
    said.exits_with(1);
    assert_eq!(object(&said)["reason"], "NOT_IN_SYNC", "{}", said.stdout);
    let said = client(&cluster, &["lead", "9", "--id", &at]).await;
    said.exits_with(65);
    assert_eq!(cluster.leader().await, leader);
}

#[tokio::test]
async fn a_rolling_restart_under_load_fails_no_call() {
    let mut cluster = Cluster::start().await;
    let talk = Talk::begin(&cluster, 8).await;
    talk.more(200).await;
    let leader = cluster.leader().await;
    let order = all().filter(|id| *id != leader).chain([leader]);
    for id in order {
        let exit = cluster.stop(id).await;
        assert_eq!(exit.status.code(), Some(0), "{}", exit.log);
        talk.more(100).await;
        cluster.start_server(id).await;
        cluster.in_sync(all()).await;
        talk.more(100).await;
    }
    let (failed, answered) = talk.end().await;
    assert!(failed.is_empty(), "{failed:?}");
    let (gap, call) = pauses(&answered);
    println!(
        "{} sends answered through a rolling restart of three servers, 0 failed; the longest time without \
         an answer {gap:.1?}, the longest call {call:.1?}",
        answered.len(),
    );
    contents_are_equal(&mut cluster).await;
}
