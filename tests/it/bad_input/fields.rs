//! Fields that are not what they may be, and names of what is not there.

use chinwag::wire::chat::{
    CreateAccountRequest, DeleteMessagesRequest, ListAccountsRequest, ListMessagesRequest,
    LoginRequest, SendMessageRequest,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{assert_bad_field, assert_refused};
use crate::harness::{Cluster, PASSWORD, User, all, bodies, request_id};

#[tokio::test]
async fn a_malformed_field_is_named_and_nothing_happens() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let kept = alice.send("@bob", "kept").await;
    let door = alice.door();

    let good = SendMessageRequest {
        request_id: request_id(),
        conversation: "@bob".into(),
        body: "hello".into(),
        reply_to: String::new(),
    };
    let too_long = "x".repeat(16 * 1024 + 1);
    let bad = [
        ("body", SendMessageRequest { body: String::new(), ..good.clone() }),
        ("body", SendMessageRequest { body: too_long, ..good.clone() }),
        ("conversation", SendMessageRequest { conversation: String::new(), ..good.clone() }),
        ("conversation", SendMessageRequest { conversation: "bob".into(), ..good.clone() }),
        ("conversation", SendMessageRequest { conversation: "@bob\n".into(), ..good.clone() }),
        ("conversation", SendMessageRequest { conversation: "#".into(), ..good.clone() }),
        ("request_id", SendMessageRequest { request_id: "one".into(), ..good.clone() }),
        ("reply_to", SendMessageRequest { reply_to: "one".into(), ..good.clone() }),
    ];
    for (field, request) in bad {
        let answer = door.messages().send_message(request).await;
        assert_bad_field(&answer.expect_err(field), field);
    }
    let ids =
        |ids: Vec<String>| DeleteMessagesRequest { request_id: request_id(), message_ids: ids };
    for bad in [vec!["one".to_owned()], vec![kept.message_id.clone(); 501]] {
        let answer = door.messages().delete_messages(ids(bad)).await;
        assert_bad_field(&answer.expect_err("bad ids"), "message_ids");
    }
    let list = ListAccountsRequest { page_token: "nonsense".into(), ..Default::default() };
    let answer = door.accounts().list_accounts(list).await;
    assert_bad_field(&answer.expect_err("a bad token"), "page_token");
    let list = ListMessagesRequest { conversation: "bob".into(), ..Default::default() };
    let answer = door.messages().list_messages(list).await;
    assert_bad_field(&answer.expect_err("a bad address"), "conversation");

    assert_eq!(bodies(&bob.history("@alice").await), ["kept"]);
}

#[tokio::test]
async fn a_password_has_8_to_1024_bytes() {
    let cluster = Cluster::start().await;
    let leader = cluster.door(cluster.leader().await);
    let create = |username: &str, password: String| CreateAccountRequest {
        request_id: request_id(),
        username: username.into(),
        password,
    };
    for password in [String::new(), "x".repeat(7), "x".repeat(1025)] {
        let answer = leader.accounts().create_account(create("bob", password)).await;
        assert_bad_field(&answer.expect_err("a bad password"), "password");
    }
    for (username, length) in [("short", 8), ("long", 1024)] {
        let answer = leader.accounts().create_account(create(username, "x".repeat(length))).await;
        assert!(answer.is_ok(), "{length} bytes: {answer:?}");
    }
}

#[tokio::test]
async fn the_largest_body_passes_whole() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    for body in ["x".repeat(16 * 1024), "ü".repeat(8 * 1024), "a\nb\t\u{0}c\u{1F600}".to_owned()] {
        alice.send("@bob", &body).await;
        assert_eq!(bob.history("@alice").await.last().expect("sent").body, body);
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    let kept = alice.send("@bob", "kept").await;

    let answer = alice.try_send(&request_id(), "@nobody", "hello").await;
    assert_refused(&answer.expect_err("no account"), Code::NotFound, "NO_SUCH_ACCOUNT");
    let answer = alice.try_send(&request_id(), "#nowhere", "hello").await;
    assert_refused(&answer.expect_err("no room"), Code::NotFound, "NO_SUCH_ROOM");
    let list = ListMessagesRequest { conversation: "@nobody".into(), ..Default::default() };
    let answer = alice.door().messages().list_messages(list).await;
    assert_refused(&answer.expect_err("no account"), Code::NotFound, "NO_SUCH_ACCOUNT");

    let delete = |ids: [&str; 2]| DeleteMessagesRequest {
        request_id: request_id(),
        message_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    let unknown = "0".repeat(32);
    let answer =
        alice.door().messages().delete_messages(delete([&kept.message_id, &unknown])).await;
    assert_refused(&answer.expect_err("one is unknown"), Code::NotFound, "NO_SUCH_MESSAGE");
    let others = delete([&kept.message_id, &kept.message_id]);
    let answer = carol.call(|door| {
        let request = others.clone();
        async move { door.messages().delete_messages(request).await }
    });
    let status = answer.await.expect_err("not hers, and she may not see it");
    assert_refused(&status, Code::NotFound, "NO_SUCH_MESSAGE");
    let history = bob.history("@alice").await;
    assert_eq!(bodies(&history), ["kept"], "all or nothing");
}

#[tokio::test]
async fn a_page_holds_at_most_200() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    User::create(&cluster, "bob").await;
    for number in 0..210 {
        alice.send("@bob", &number.to_string()).await;
    }
    for (page_size, expected) in [(0, 50), (7, 7), (200, 200), (100_000, 200)] {
        let conversation = "@bob".to_owned();
        let list = ListMessagesRequest { conversation, page_size, ..Default::default() };
        let page = alice.door().messages().list_messages(list).await.expect("its own").into_inner();
        assert_eq!(page.messages.len(), expected);
        assert!(page.has_more);
        assert_eq!(page.messages.last().expect("some").seq, 210, "without a position, the latest");
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_look_the_same() {
    let cluster = Cluster::start().await;
    User::create(&cluster, "bob").await;
    let leader = cluster.door(cluster.leader().await);
    let mut words = Vec::new();
    for (username, password) in [("bob", "a wrong password"), ("nobody", PASSWORD), ("bob", "x")] {
        let request = LoginRequest {
            request_id: request_id(),
            username: username.into(),
            password: password.into(),
            device_name: String::new(),
        };
        let answer = leader.sessions().login(request).await;
        let status = answer.expect_err("no such pair");
        assert_refused(&status, Code::Unauthenticated, "BAD_CREDENTIALS");
        words.push(status.message().to_owned());
    }
    assert!(words.windows(2).all(|pair| pair[0] == pair[1]), "{words:?}");
}

#[tokio::test]
async fn a_follower_answers_with_the_leaders_address() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let leader = cluster.leader().await;
    for id in all().filter(|id| *id != leader) {
        let door = cluster.door(id).with(&alice.token);
        let list = ListMessagesRequest { conversation: "@alice".into(), ..Default::default() };
        let status = door.messages().list_messages(list).await.expect_err("it follows");
        assert_refused(&status, Code::Unavailable, "NOT_LEADER");
        let metadata = status.get_details_error_info().expect("details").metadata;
        assert_eq!(metadata.get("leader_id"), Some(&leader.to_string()));
        assert_eq!(metadata.get("leader_address"), Some(&cluster.address(leader)));
        assert!(status.get_details_retry_info().is_some(), "{status:?}");
    }
}
