//! What clients do: read a lot, send what is refused, and lose their server.

use std::{collections::BTreeSet, fs, time::Duration};

use chinwag::{
    client::{Client, Patience},
    wire::chat::{
        AcknowledgeMessagesRequest, DeleteMessagesRequest, ListMessagesRequest, MarkReadRequest,
        list_messages_request::Position,
    },
};
use prost::Message as _;
use tokio::time::Instant;

use crate::harness::{Cluster, Options, User, all, contents_are_equal, request_id};

/// Messages of 15 kB that fit into no single answer: 5.4 MB.
const MANY: usize = 360;

/// Fills more of the log than is kept: 1,500 messages of 4 kB are 6 MB.
async fn send_much(cluster: &Cluster, to: &str) {
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..10 {
        let user = User::create(cluster, &format!("writer-{sender}")).await;
        let to = to.to_owned();
        senders.spawn(async move {
            for number in 0..150 {
                user.send(&to, &format!("{number} {}", "x".repeat(4_000))).await;
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.expect("no sender failed");
    }
}

#[tokio::test]
async fn an_inbox_of_more_than_4_mib_is_read_in_pages_and_marked_only_on_demand() {
    let cluster = Cluster::start().await;
    let bob = User::create(&cluster, "bob").await;
    let alice = User::create(&cluster, "alice").await;
    for number in 0..MANY {
        alice.send("@bob", &format!("{number} {}", "x".repeat(15_000))).await;
    }
    let (mut seen, mut after) = (BTreeSet::new(), 0);
    loop {
        let list = ListMessagesRequest {
            conversation: "@alice".into(),
            page_size: 200,
            position: Some(Position::AfterSeq(after)),
        };
        let page = bob.door().messages().list_messages(list).await.expect("his own").into_inner();
        assert!(page.encoded_len() <= 1024 * 1024, "a page has {} bytes", page.encoded_len());
        after = page.messages.last().expect("no page is empty").seq;
        seen.extend(page.messages.into_iter().map(|message| message.seq));
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen.len(), MANY);
    assert_eq!(bob.unread("@alice").await, MANY as i64, "reading is not marking");
}

#[tokio::test]
async fn a_snapshot_of_more_than_4_mib_reaches_an_empty_server() {
    // So short a log that what the empty server lacks is no longer in it.
    let short = ("CHINWAG__LOG__MAX_ENTRIES", "1000".to_owned());
    let options = Options { environment: vec![short], ..Options::default() };
    let mut cluster = Cluster::start_with(options).await;
    User::create(&cluster, "bob").await;
    let gone = cluster.another(cluster.leader().await);
    cluster.kill(gone);
    fs::remove_dir_all(cluster.data(gone)).expect("its folder");
    send_much(&cluster, "@bob").await;
    cluster.start_server(gone).await;
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn no_refused_input_leaves_the_writer_stuck() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let sent = alice.send("@bob", "kept").await;
    let unknown = "0".repeat(32);
    let ids = || vec![sent.message_id.clone(), unknown.clone()];
    for round in 0..5 {
        let mut calls = tokio::task::JoinSet::new();
        let doors = [alice.door(), bob.door()];
        for door in doors {
            let delete = DeleteMessagesRequest { request_id: request_id(), message_ids: ids() };
            let receive =
                AcknowledgeMessagesRequest { request_id: request_id(), message_ids: ids() };
            let conversation = "@nobody".to_owned();
            let mark = MarkReadRequest { request_id: request_id(), conversation, seq: i64::MAX };
            let far = MarkReadRequest {
                request_id: request_id(),
                conversation: "@alice".into(),
                seq: -1,
            };
            let again = door.clone();
            calls.spawn(async move { again.messages().delete_messages(delete).await.is_err() });
            let again = door.clone();
            calls.spawn(
                async move { again.messages().acknowledge_messages(receive).await.is_err() },
            );
            let again = door.clone();
            calls.spawn(async move { again.conversations().mark_read(mark).await.is_err() });
            calls.spawn(async move { door.conversations().mark_read(far).await.is_err() });
        }
        while let Some(refused) = calls.join_next().await {
            assert!(refused.expect("no panic"), "each of them is refused");
        }
        let begun = Instant::now();
        alice.send("@bob", &format!("after round {round}")).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "the writer is free");
    }
    let history = bob.history("@alice").await;
    assert_eq!(history.len(), 6);
    assert!(history.iter().all(|message| !message.deleted && message.received_time.is_none()));
    cluster.in_sync(all()).await;
}

/// The library that the programs use; it meets a broken connection, and asks the next server at once.
#[tokio::test]
async fn a_client_that_loses_its_server_goes_on_as_soon_as_there_is_a_leader() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let servers: Vec<String> = cluster.addresses().collect();
    let client = Client::new(&servers, Patience::default()).expect("good addresses");
    client.set_session_token(Some(alice.token.clone()));
    for round in 0..2 {
        client.send("@alice", "before").await.expect("there is a leader");
        let leader = cluster.leader().await;
        let killed = Instant::now();
        cluster.kill(leader);
        client.send("@alice", "after").await.expect("there will be a leader");
        let pause = killed.elapsed();
        assert!(pause < Duration::from_secs(2), "round {round}: {pause:?}");
    }
    assert_eq!(alice.history("@alice").await.len(), 4);
}
