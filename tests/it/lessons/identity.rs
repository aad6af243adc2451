//! Who is who and what is what: ids, names, repeats, ports.

use std::{collections::BTreeSet, time::Duration};

use chinwag::wire::chat::{
    CreateAccountRequest, GetAccountRequest, ListAccountsRequest, LoginRequest,
};
use tokio::time::Instant;
use tonic::Code;

use crate::{
    bad_input::{assert_bad_field, assert_refused},
    harness::{
        Cluster, PASSWORD, User, all, bodies, contents_are_equal, database, request_id,
        stored_messages,
    },
};

#[tokio::test]
async fn accounts_created_at_once_with_one_name_end_in_one_account() {
    let cluster = Cluster::start().await;
    let leader = cluster.door(cluster.leader().await);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let door = leader.clone();
        calls.spawn(async move {
            let request = CreateAccountRequest {
                request_id: request_id(),
                username: "bob".into(),
                password: PASSWORD.into(),
            };
            door.accounts().create_account(request).await
        });
    }
    let mut winners = Vec::new();
    while let Some(answer) = calls.join_next().await {
        match answer.expect("no panic") {
            Ok(answer) => winners.push(answer.into_inner()),
            Err(status) => assert_refused(&status, Code::AlreadyExists, "NAME_TAKEN"),
        }
    }
    assert_eq!(winners.len(), 1, "one caller has the name");
    let door = leader.with(&winners[0].session_token);
    let account = door.accounts().get_account(GetAccountRequest {}).await.expect("a session");
    assert_eq!(account.into_inner().account, winners[0].account);
}

#[tokio::test]
async fn sixteen_log_ins_at_once_are_all_answered() {
    let cluster = Cluster::start().await;
    User::create(&cluster, "bob").await;
    let leader = cluster.door(cluster.leader().await);
    let begun = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let door = leader.clone();
        calls.spawn(async move {
            let request = LoginRequest {
                request_id: request_id(),
                username: "bob".into(),
                password: PASSWORD.into(),
                device_name: String::new(),
            };
            door.sessions().login(request).await
        });
    }
    let mut tokens = BTreeSet::new();
    while let Some(answer) = calls.join_next().await {
        let answer = answer.expect("no panic").expect("the password is right").into_inner();
        assert_eq!(answer.account.expect("OK carries the account").username, "bob");
        tokens.insert(answer.session_token);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(tokens.len(), 16, "each has its own session");
}

#[tokio::test]
async fn ids_are_never_used_again_after_a_fail_over() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let mut ids = BTreeSet::new();
    let mut sent = 0;
    for _ in 0..4 {
        for _ in 0..10 {
            let message = alice.send("@alice", &sent.to_string()).await;
            assert!(ids.insert(message.message_id), "a message's id is its own");
            sent += 1;
            assert_eq!(message.seq, sent, "seq goes on");
        }
        let leader = cluster.leader().await;
        cluster.kill(leader);
        cluster.leader().await;
        cluster.start_server(leader).await;
        cluster.in_sync(all()).await;
    }
    cluster.stop_all().await;
    for id in all() {
        let stored = stored_messages(&cluster, id);
        let known: BTreeSet<String> = stored.into_iter().map(|m| m.message_id).collect();
        assert_eq!(known, ids, "server {id}");
    }
}

#[tokio::test]
async fn a_retry_of_an_acknowledged_send_is_answered_and_not_stored_again() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    for round in 0..3 {
        let id = request_id();
        let body = round.to_string();
        let sent = alice.try_send(&id, "@bob", &body).await.expect("an account");
        let leader = cluster.leader().await;
        cluster.kill(leader);
        // The answer was lost, for all that the client knows.
        let again = alice.try_send(&id, "@bob", &body).await.expect("answered again");
        assert_eq!(again, sent);
        cluster.start_server(leader).await;
        cluster.in_sync(all()).await;
    }
    assert_eq!(bodies(&bob.history("@alice").await), ["0", "1", "2"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_second_process_with_the_same_id_is_refused_and_disturbs_nobody() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    for id in all() {
        let mut twin = cluster.spawn(id, &[], format!("twin-{id}.log"));
        let exit = twin.ended(Duration::from_secs(10)).await;
        assert_eq!(exit.status.code(), Some(1), "{}", exit.log);
        assert!(exit.log.contains("in use"), "{}", exit.log);
    }
    alice.send("@alice", "and more").await;
    cluster.in_sync(all()).await;
    assert_eq!(bodies(&alice.history("@alice").await), ["kept", "and more"]);
}

#[tokio::test]
async fn a_data_folder_in_use_is_refused_also_on_another_port() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    // The same ID and folder, elsewhere: a configuration that was copied.
    let text = std::fs::read_to_string(cluster.config()).expect("there");
    let copied = cluster.folder().join("copied.yaml");
    let port = cluster.address(1).rsplit_once(':').expect("a port").1.to_owned();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
    let free = free.expect("bound").port().to_string();
    std::fs::write(&copied, text.replace(&port, &free)).expect("writable");
    let mut twin = cluster.spawn_with(1, &copied, &[], "twin.log".into(), "");
    let exit = twin.ended(Duration::from_secs(10)).await;
    assert_eq!(exit.status.code(), Some(1), "{}", exit.log);
    assert!(exit.log.contains("in use") && exit.log.contains("server-1"), "{}", exit.log);
    // Not even a reset may take it.
    let mut twin = cluster.spawn_with(1, &copied, &["--reset"], "reset.log".into(), "");
    let exit = twin.ended(Duration::from_secs(10)).await;
    assert_eq!(exit.status.code(), Some(1), "{}", exit.log);
    assert!(database(&cluster, 1).exists());
    alice.send("@alice", "and more").await;
    cluster.in_sync(all()).await;
}

#[tokio::test]
async fn empty_giant_and_broken_names_and_messages_are_refused() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let leader = cluster.door(cluster.leader().await);
    let giant = "x".repeat(200_000);
    let long = "x".repeat(33);
    let names =
        ["", " ", "bob\n", "a b", "-bob", "~bob", "bob~1", "b\u{f6}b", "bob\0", &long, &giant];
    for name in names {
        let request = CreateAccountRequest {
            request_id: request_id(),
            username: name.into(),
            password: PASSWORD.into(),
        };
        let answer = leader.accounts().create_account(request).await;
        let what = &name[..name.len().min(40)];
        assert_bad_field(&answer.expect_err(what), "username");
    }
    let huge = "x".repeat(3_900_000);
    for body in ["", &huge] {
        let status = alice.try_send(&request_id(), "@alice", body).await.expect_err("not sent");
        assert_bad_field(&status, "body");
    }
    assert!(alice.history("@alice").await.is_empty());
    let list = alice.door().accounts().list_accounts(ListAccountsRequest::default()).await;
    assert_eq!(list.expect("a session").into_inner().accounts.len(), 1);
}
