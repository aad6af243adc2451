//! Calls against servers that fail in every way.

use std::{net::TcpListener, time::Duration};

use tokio::{io::AsyncReadExt as _, time::timeout};
use tonic::Code;

use super::{
    client,
    fake::{Act, Fake},
    patience,
};
use crate::client::{Client, Error, Notice, Page, Patience};

/// An address where nobody listens.
fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A server that takes a connection, reads a little, and drops it.
async fn breaks_connections() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut some = [0; 64];
            let _ = connection.read(&mut some).await;
        }
    });
    address
}

async fn cluster() -> (Fake, Client) {
    let fake = Fake::start(3).await;
    fake.session("bob");
    let token = fake.session("alice");
    let client = client(&fake.addresses, Some(token));
    (fake, client)
}

/// Whom the sends reached, and that they all came under one request id.
fn asked_with_one_id(fake: &Fake) -> Vec<usize> {
    let world = fake.world();
    let sends: Vec<_> = world.asked.iter().filter(|asked| asked.call == "SendMessage").collect();
    assert!(!sends[0].request_id.is_empty());
    assert!(sends.iter().all(|send| send.request_id == sends[0].request_id), "{sends:?}");
    sends.iter().map(|send| send.server).collect()
}

#[tokio::test]
async fn a_follower_s_hint_leads_to_the_leader_under_the_same_request_id() {
    let (fake, client) = cluster().await;
    fake.lead(2);
    client.send("@bob", "hi").await.unwrap();
    assert_eq!(asked_with_one_id(&fake), [0, 2]);
    client.list_messages("@bob", Page::Latest, 10).await.unwrap();
    assert_eq!(fake.world().asked.last().unwrap().server, 2, "the leader is remembered");
}

#[tokio::test]
async fn a_client_that_knows_one_server_only_finds_the_leader_by_its_hint() {
    let (fake, _) = cluster().await;
    let client = client(&fake.addresses[1..2], Some("token-alice".into()));
    client.send("@bob", "hi").await.unwrap();
    assert_eq!(asked_with_one_id(&fake), [1, 0]);
}

#[tokio::test]
async fn a_lost_answer_does_not_send_twice() {
    let (fake, client) = cluster().await;
    fake.next(0, [Act::LoseAnswer, Act::NoLeader, Act::LoseAnswer]);
    let message = client.send("@bob", "once").await.unwrap();
    assert_eq!(message.seq, 1);
    let sends = asked_with_one_id(&fake);
    assert!(sends.iter().filter(|server| **server == 0).count() == 4, "{sends:?}");
    assert_eq!(fake.world().messages.len(), 1);
}

#[tokio::test]
async fn a_frozen_leader_is_left_for_the_next_one() {
    let (fake, client) = cluster().await;
    fake.lead(1);
    fake.always(0, Act::Freeze);
    let message = timeout(Duration::from_secs(5), client.send("@bob", "hi")).await.unwrap();
    assert_eq!(message.unwrap().body, "hi");
    assert_eq!(asked_with_one_id(&fake), [0, 1]);
    assert_eq!(fake.world().messages.len(), 1);
}

#[tokio::test]
async fn a_frozen_server_is_left_by_its_silence_to_pings_before_an_attempt_is_over() {
    // The kernel accepts for it; nobody answers.
    let frozen = TcpListener::bind("127.0.0.1:0").unwrap();
    let fake = Fake::start(1).await;
    fake.session("alice");
    let servers = [frozen.local_addr().unwrap().to_string(), fake.addresses[0].clone()];
    let long = Duration::from_secs(60);
    let ping = Duration::from_millis(100);
    let patience = Patience { password_attempt: long, call: long, ping, ..patience() };
    let client = Client::new(&servers, patience).unwrap();
    let login = timeout(Duration::from_secs(20), client.login("alice", "password", "")).await;
    login.expect("the ping shows it").unwrap();
}

#[tokio::test]
async fn dead_servers_and_broken_connections_are_passed_over() {
    let fake = Fake::start(1).await;
    fake.session("bob");
    let token = fake.session("alice");
    let servers = [dead(), breaks_connections().await, fake.addresses[0].clone()];
    let client = client(&servers, Some(token));
    client.send("@bob", "hi").await.unwrap();
    assert_eq!(fake.world().messages.len(), 1);
}

#[tokio::test]
async fn without_any_server_a_call_says_that_nothing_happened() {
    let patience = Patience { call: Duration::from_millis(200), ..patience() };
    let client = Client::new(&[dead(), dead()], patience).unwrap();
    let error = client.login("alice", "password", "").await.unwrap_err();
    assert!(matches!(error, Error::NoServer { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_under_a_change_leaves_its_outcome_unknown() {
    let patience = Patience { call: Duration::from_millis(300), ..patience() };
    let client = Client::new(&[breaks_connections().await], patience).unwrap();
    let error = client.login("alice", "password", "").await.unwrap_err();
    let Error::OutcomeUnknown { request_id, .. } = error else { panic!("{error:?}") };
    assert_eq!(request_id.len(), 36);
}

#[tokio::test]
async fn an_unknown_outcome_is_settled_by_repeating_with_its_request_id() {
    let fake = Fake::start(1).await;
    fake.session("bob");
    let patience = Patience { call: Duration::from_millis(200), ..patience() };
    let client = Client::new(&fake.addresses, patience).unwrap();
    client.set_session_token(Some(fake.session("alice")));
    fake.always(0, Act::LoseAnswer);
    let error = client.send("@bob", "once").await.unwrap_err();
    let Error::OutcomeUnknown { request_id, .. } = error else { panic!("{error:?}") };
    fake.always(0, Act::Serve);
    assert_eq!(client.send_as(&request_id, "@bob", "once").await.unwrap().seq, 1);
    assert_eq!(fake.world().messages.len(), 1);
}

#[tokio::test]
async fn without_a_leader_in_time_a_call_says_so_in_the_server_s_words() {
    let fake = Fake::start(2).await;
    let patience = Patience { call: Duration::from_millis(100), ..patience() };
    let client = Client::new(&fake.addresses, patience).unwrap();
    fake.always(0, Act::NoLeader);
    fake.always(1, Act::NoLeader);
    let error = client.login("alice", "password", "").await.unwrap_err();
    assert!(matches!(&error, Error::NoLeader { detail } if detail.contains("nobody")), "{error:?}");
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason_and_not_repeated() {
    let (fake, client) = cluster().await;
    let error = client.create_account("bob", "password").await.unwrap_err();
    let Error::Refused(refusal) = error else { panic!("{error:?}") };
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::AlreadyExists, "NAME_TAKEN"));
    assert_eq!(fake.world().asked.len(), 1);
    fake.always(0, Act::Unimplemented);
    let error = client.create_account("carol", "password").await.unwrap_err();
    assert!(matches!(&error, Error::Refused(_)) && error.to_string().contains("cannot do that"));
}

#[tokio::test]
async fn a_busy_leader_is_asked_again_after_the_delay_it_names() {
    let (fake, client) = cluster().await;
    fake.next(0, [Act::Busy(Duration::from_millis(20))]);
    client.send("@bob", "hi").await.unwrap();
    assert_eq!(asked_with_one_id(&fake), [0, 0]);
}

#[tokio::test]
async fn a_session_begins_with_login_or_creation_and_ends_with_logout() {
    let fake = Fake::start(1).await;
    let client = client(&fake.addresses, None);
    let error = client.get_account().await.unwrap_err();
    assert!(matches!(error, Error::NotLoggedIn { .. }), "{error:?}");
    assert!(fake.world().asked.is_empty(), "no server was bothered");
    assert_eq!(client.create_account("alice", "password").await.unwrap().username, "alice");
    client.logout().await.unwrap();
    assert!(client.session_token().is_none());
    let error = client.login("alice", "wrong", "here").await.unwrap_err();
    assert!(matches!(&error, Error::Refused(refusal) if refusal.reason == "BAD_CREDENTIALS"));
    client.login("alice", "password", "here").await.unwrap();
    assert_eq!(client.get_account().await.unwrap().username, "alice");
    fake.world().tokens.clear();
    let error = client.get_account().await.unwrap_err();
    assert!(matches!(error, Error::NotLoggedIn { .. }), "{error:?}");
}

#[tokio::test]
async fn the_move_of_the_leader_and_the_last_copy_are_told() {
    let (fake, client) = cluster().await;
    let mut notices = client.notices();
    client.send("@bob", "one").await.unwrap();
    fake.lead(1);
    fake.world().copies = 1;
    client.send("@bob", "two").await.unwrap();
    let moved = notices.recv().await.unwrap();
    assert!(matches!(moved, Notice::Moved { address, .. } if address == fake.addresses[1]));
    assert_eq!(notices.recv().await.unwrap(), Notice::Copies(1));
}

#[tokio::test]
async fn every_server_is_asked_for_its_status_and_a_dead_one_is_shown_as_such() {
    let fake = Fake::start(2).await;
    let servers = [fake.addresses[0].clone(), dead(), fake.addresses[1].clone()];
    let answers = client(&servers, None).status().await;
    let ids: Vec<_> = answers.iter().map(|a| a.status.as_ref().map(|s| s.server_id)).collect();
    assert_eq!(ids[0], Ok(1));
    assert!(ids[1].as_ref().unwrap_err().contains("refused"), "{ids:?}");
    assert_eq!(ids[2], Ok(2));
}

#[test]
fn an_address_that_is_none_is_refused_before_any_call() {
    let error = Client::new(&["nowhere".into()], Patience::default()).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(Client::new(&[], Patience::default()).is_err());
}
