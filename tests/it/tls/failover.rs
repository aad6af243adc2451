//! What holds without encryption holds with it.

use std::{sync::Arc, time::Duration};

use chinwag::{
    client::{Client, Patience},
    tls::Dialing,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::Instant};

use super::encrypted;
use crate::harness::{
    Cluster, Door, Options, PASSWORD, Receiver, User, all, bodies, contents_are_equal, until,
    within,
};

/// Callers that begin a handshake and never go on: more than may be under way at a time.
const LOITERERS: usize = 400;

#[tokio::test]
async fn every_line_arrives_once_and_in_order_over_tls_while_the_leaders_die() {
    let mut cluster = Cluster::start_with(encrypted(3)).await;
    let servers: Vec<String> = cluster.addresses().collect();
    let dialing = Dialing::trusting(&cluster.certs("ca.pem")).expect("an authority");
    let alice = Client::over(dialing, &servers, Patience::default()).expect("addresses");
    alice.create_account("alice", PASSWORD).await.expect("the name is free");
    let bob = Arc::new(User::create(&cluster, "bob").await);
    let receiver = Receiver::listen(&bob).await;
    let lines: Vec<String> = (0..150).map(|number| format!("line {number}")).collect();
    for (number, line) in lines.iter().enumerate() {
        let kill = number == 50 || number == 100;
        if kill {
            let leader = cluster.leader().await;
            cluster.kill(leader);
        }
        let began = Instant::now();
        alice.send("@bob", line).await.expect("somebody leads");
        if kill {
            println!(
                "over TLS: {} ms from the kill to the next acknowledged send",
                began.elapsed().as_millis()
            );
        }
    }
    assert_eq!(bodies(&receiver.messages(lines.len()).await), lines, "live, in order, each once");
    assert_eq!(receiver.resets(), 0);
    assert_eq!(bodies(&bob.history("@alice").await), lines);
    let last = cluster.leader().await;
    for id in all().filter(|id| *id != last) {
        cluster.start_server(id).await;
    }
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn servers_that_know_each_other_by_the_secret_alone_encrypt_all_the_same() {
    let alone = ("CHINWAG__TLS__CLIENT_CA", String::new());
    let secret = ("CHINWAG_CLUSTER_SECRET", "a-secret-of-at-least-16-characters".to_owned());
    let options = Options { environment: vec![alone, secret], ..encrypted(3) };
    let mut cluster = Cluster::start_with(options).await;
    let alice = User::create(&cluster, "alice").await;
    cluster.kill(cluster.leader().await);
    alice.send("@alice", "still here").await;
    let leader = cluster.leader().await;
    assert!(Door::to(&cluster.address(leader)).status().await.is_none(), "it encrypts");
}

#[tokio::test]
async fn an_emptied_server_gets_its_snapshot_over_tls() {
    let mut cluster = Cluster::start_with(encrypted(3)).await;
    let alice = User::create(&cluster, "alice").await;
    for number in 0..50 {
        alice.send("@alice", &number.to_string()).await;
    }
    let follower = cluster.another(cluster.leader().await);
    cluster.stop(follower).await;
    cluster.start_server_with(follower, &["--reset", "--yes"]).await;
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn callers_who_never_finish_their_handshake_keep_nobody_from_talking() {
    let mut cluster = Cluster::start_with(encrypted(3)).await;
    let alice = User::create(&cluster, "alice").await;
    let leader = cluster.leader().await;
    let epoch = cluster.status(leader).await.expect("it leads").epoch;
    let address = cluster.address(leader);
    let loitering = tokio::spawn(async move {
        let mut open = Vec::new();
        for number in 0..LOITERERS {
            let mut stream = TcpStream::connect(&address).await.expect("it listens");
            // Half of them say nothing at all.
            if number % 2 == 0 {
                let _ = stream.write_all(&[0x16, 3, 1, 2, 0]).await;
            }
            open.push(stream);
        }
        open
    });
    let open = within("the loiterers", Duration::from_secs(30), loitering).await.expect("no panic");
    // A new connection is taken among all those that only hold places, and the old ones go on.
    let bob = User::create(&cluster, "bob").await;
    alice.send("@bob", "are you there?").await;
    bob.send("@alice", "yes").await;
    let lost = cluster.another(leader);
    cluster.kill(lost);
    cluster.start_server(lost).await;
    until("the same leader with all in sync", Duration::from_secs(30), || async {
        let status = cluster.status(leader).await?;
        (status.epoch == epoch && status.copies == 3).then_some(())
    })
    .await;
    drop(open);
    contents_are_equal(&mut cluster).await;
}
