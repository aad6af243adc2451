//! Servers that come back: late, at once, damaged, or with an old command line.

use std::{fs, time::Duration};

use chinwag::wire::chat::{
    AcknowledgeMessagesRequest, DeleteMessagesRequest, GetAccountRequest, LogoutRequest, Role,
};
use tokio::time::Instant;
use tonic::Code;

use crate::{
    bad_input::assert_refused,
    harness::{
        Cluster, Options, User, all, bodies, contents_are_equal, count, database, request_id,
        stored_messages, until,
    },
};

/// Of what a client changes, everything is replicated, and not only messages.
#[tokio::test]
async fn logouts_read_marks_deletions_and_receipts_survive_a_fail_over() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let phone = User::log_in(&cluster, "bob").await;
    for body in ["read", "deleted", "received", "unread"] {
        alice.send("@bob", body).await;
    }
    let sent = bob.history("@alice").await;
    bob.mark_read("@alice", 1).await.expect("own marker");
    let ids = |index: usize| vec![sent[index].message_id.clone()];
    let delete = DeleteMessagesRequest { request_id: request_id(), message_ids: ids(1) };
    alice.door().messages().delete_messages(delete).await.expect("her own");
    let receive = AcknowledgeMessagesRequest { request_id: request_id(), message_ids: ids(2) };
    bob.door().messages().acknowledge_messages(receive).await.expect("sent to him");
    let logout = LogoutRequest { request_id: request_id() };
    phone.door().sessions().logout(logout).await.expect("its own");

    for _ in 0..2 {
        let leader = cluster.leader().await;
        cluster.kill(leader);
        let history = bob.history("@alice").await;
        assert_eq!(bodies(&history), ["read", "", "received", "unread"]);
        assert!(history[1].deleted && history[2].received_time.is_some());
        assert_eq!(bob.unread("@alice").await, 2, "one is read, one deleted");
        let ended = phone
            .call(|door| async move { door.accounts().get_account(GetAccountRequest {}).await });
        let status = ended.await.expect_err("the session has ended");
        assert_refused(&status, Code::Unauthenticated, "NO_SESSION");
    }
}

#[tokio::test]
async fn an_old_leader_restarted_with_its_old_command_line_follows() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let old = cluster.leader().await;
    cluster.kill(old);
    alice.send("@alice", "in its absence").await;
    cluster.start_server(old).await;
    let leader = cluster.in_sync(all()).await;
    assert_ne!(leader, old);
    let status = cluster.status(old).await.expect("it answers");
    assert_eq!(status.role(), Role::Follower);
    let door = cluster.door(old).with(&alice.token);
    let status = door.accounts().get_account(GetAccountRequest {}).await.expect_err("it follows");
    assert_refused(&status, Code::Unavailable, "NOT_LEADER");
}

#[tokio::test]
async fn a_returned_server_holds_every_message_once() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let mut lines = Vec::new();
    for round in 0..4 {
        let gone = if round % 2 == 0 {
            cluster.leader().await
        } else {
            cluster.another(cluster.leader().await)
        };
        cluster.kill(gone);
        for number in 0..15 {
            let line = format!("{round}/{number}");
            alice.send("@alice", &line).await;
            lines.push(line);
        }
        cluster.start_server(gone).await;
        cluster.in_sync(all()).await;
    }
    cluster.stop_all().await;
    for id in all() {
        let stored: Vec<String> =
            stored_messages(&cluster, id).into_iter().map(|message| message.body).collect();
        assert_eq!(stored, lines, "server {id}");
    }
}

#[tokio::test]
async fn a_quick_restart_within_the_heartbeat_interval_loses_nothing() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    for number in 0..20 {
        alice.send("@alice", &format!("before {number}")).await;
    }
    for round in 0..3 {
        let leader = cluster.leader().await;
        cluster.kill(leader);
        cluster.launch(leader, &[]);
        for number in 0..10 {
            alice.send("@alice", &format!("after {round}/{number}")).await;
        }
        cluster.answers(leader, &[]).await;
        cluster.in_sync(all()).await;
    }
    assert_eq!(alice.history("@alice").await.len(), 50);
    contents_are_equal(&mut cluster).await;
}

/// The last program that closes a database removes its write-ahead log. A server that has lost its locks on the file
/// would not be counted.
#[tokio::test]
async fn another_program_that_looks_into_the_databases_takes_nothing_away() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "before").await;
    let leader = cluster.leader().await;
    let copied = cluster.another(leader);
    cluster.stop(copied).await;
    cluster.start_server_with(copied, &["--reset", "--yes"]).await;
    cluster.in_sync(all()).await;
    for id in all() {
        let path = database(&cluster, id);
        assert_eq!(count(&path, "messages"), 1);
        assert!(path.with_extension("db-wal").exists(), "server {id} writes to it");
    }
    alice.send("@alice", "after").await;
    for id in all() {
        cluster.kill(id);
    }
    for id in all() {
        cluster.start_server(id).await;
    }
    cluster.in_sync(all()).await;
    assert_eq!(bodies(&alice.history("@alice").await), ["before", "after"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_truncated_database_is_never_taken_for_an_empty_one() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    for number in 0..20 {
        alice.send("@alice", &format!("{number} {}", "x".repeat(1000))).await;
    }
    cluster.stop_all().await;
    let path = database(&cluster, 1);
    for size in [fs::metadata(&path).expect("there").len() / 2, 1000, 0] {
        let file = fs::OpenOptions::new().write(true).open(&path).expect("there");
        file.set_len(size).expect("writable");
        drop(file);
        cluster.launch(1, &[]);
        let exit = cluster.process(1).ended(Duration::from_secs(10)).await;
        assert_eq!(exit.status.code(), Some(1), "{size} bytes are left: {}", exit.log);
        assert!(exit.log.contains("chat.db"), "it names the file: {}", exit.log);
        assert!(!exit.log.contains("panicked"), "{}", exit.log);
    }
    cluster.start_server(2).await;
    cluster.start_server(3).await;
    cluster.start_server_with(1, &["--reset", "--yes"]).await;
    cluster.in_sync(all()).await;
    assert_eq!(alice.history("@alice").await.len(), 20);
    contents_are_equal(&mut cluster).await;
}

/// Under `majority` one of three never takes the lead, so that no history of its own can begin.
#[tokio::test]
async fn a_lone_node_of_three_refuses_under_majority() {
    let options = Options { policy: "majority", ..Options::default() };
    let mut cluster = Cluster::start_with(options).await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "with three").await;
    let leader = cluster.leader().await;
    cluster.kill(leader);
    alice.send("@alice", "with two").await;
    let second = cluster.leader().await;
    cluster.kill(second);
    let last = all().find(|id| ![leader, second].contains(id)).expect("one of three");

    let end = Instant::now() + Duration::from_secs(4);
    let door = cluster.door(last).with(&alice.token);
    until("the end of the watch", Duration::from_secs(20), || async {
        let answer = door.accounts().get_account(GetAccountRequest {}).await;
        let status = answer.expect_err("a minority serves nothing");
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        (Instant::now() > end).then_some(())
    })
    .await;
    let status = door.accounts().get_account(GetAccountRequest {}).await.expect_err("alone");
    assert_refused(&status, Code::Unavailable, "NO_QUORUM");

    cluster.start_server(leader).await;
    alice.send("@alice", "with two again").await;
    cluster.start_server(second).await;
    cluster.in_sync(all()).await;
    let expected = ["with three", "with two", "with two again"];
    assert_eq!(bodies(&alice.history("@alice").await), expected);
    contents_are_equal(&mut cluster).await;
}

/// Under `available` one of three begins a cluster when no other is there, and the others join it.
#[tokio::test]
async fn a_lone_new_node_begins_and_the_others_join_it() {
    let mut cluster = Cluster::prepare(Options::default()).await;
    cluster.start_server(2).await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "alone").await;
    cluster.start_server(1).await;
    cluster.start_server(3).await;
    assert_eq!(cluster.in_sync(all()).await, 2);
    assert_eq!(bodies(&alice.history("@alice").await), ["alone"]);
    contents_are_equal(&mut cluster).await;
}
