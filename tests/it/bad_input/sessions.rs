//! Calls without a session, or with one that has ended.

use std::future::Future;

use chinwag::wire::chat::{
    AcknowledgeMessagesRequest, DeleteMessagesRequest, Event, GetAccountRequest,
    ListAccountsRequest, ListConversationsRequest, ListMessagesRequest, LogoutRequest,
    MarkReadRequest, SendMessageRequest, SubscribeRequest,
};
use tonic::{Code, Status};

use super::assert_refused;
use crate::harness::{Cluster, Door, User, bodies, request_id};

/// The first thing that is said on a stream; a session is looked at before anything is.
async fn subscribe(door: &Door) -> Result<Option<Event>, Status> {
    let mut events = door.events().subscribe(SubscribeRequest::default()).await?.into_inner();
    events.message().await
}

/// Every call that needs a session, on behalf of whoever holds the door.
async fn every_call(door: &Door) -> Vec<(&'static str, Option<Status>)> {
    async fn end<T>(call: impl Future<Output = Result<T, Status>>) -> Option<Status> {
        call.await.err()
    }
    let conversation = || "@bob".to_owned();
    let send = SendMessageRequest {
        request_id: request_id(),
        conversation: conversation(),
        body: "forged".into(),
        reply_to: String::new(),
    };
    let (mut accounts, mut sessions) = (door.accounts(), door.sessions());
    let (mut conversations, mut messages) = (door.conversations(), door.messages());
    let list = ListMessagesRequest { conversation: conversation(), ..Default::default() };
    let mark = MarkReadRequest { request_id: request_id(), conversation: conversation(), seq: 1 };
    let delete =
        DeleteMessagesRequest { request_id: request_id(), message_ids: vec!["0".repeat(32)] };
    let receive =
        AcknowledgeMessagesRequest { request_id: request_id(), message_ids: vec!["0".repeat(32)] };
    let logout = LogoutRequest { request_id: request_id() };
    vec![
        ("GetAccount", end(accounts.get_account(GetAccountRequest {})).await),
        ("ListAccounts", end(accounts.list_accounts(ListAccountsRequest::default())).await),
        ("Logout", end(sessions.logout(logout)).await),
        (
            "ListConversations",
            end(conversations.list_conversations(ListConversationsRequest::default())).await,
        ),
        ("MarkRead", end(conversations.mark_read(mark)).await),
        ("SendMessage", end(messages.send_message(send)).await),
        ("ListMessages", end(messages.list_messages(list)).await),
        ("DeleteMessages", end(messages.delete_messages(delete)).await),
        ("AcknowledgeMessages", end(messages.acknowledge_messages(receive)).await),
        ("Subscribe", end(subscribe(door)).await),
    ]
}

#[tokio::test]
async fn without_a_live_session_nothing_is_done_or_told() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    alice.send("@bob", "kept").await;
    let leader = cluster.door(cluster.leader().await);
    let ended = User::log_in(&cluster, "bob").await;
    let request = LogoutRequest { request_id: request_id() };
    ended.door().sessions().logout(request).await.expect("its own session");

    let strangers = [
        ("nobody", leader.clone()),
        ("a made-up token", leader.with("0123456789abcdef0123456789abcdef")),
        ("another spelling", leader.with(&alice.token.to_uppercase().replace('A', "B"))),
        ("an ended session", leader.with(&ended.token)),
    ];
    for (who, door) in strangers {
        for (call, status) in every_call(&door).await {
            let status = status.unwrap_or_else(|| panic!("{who} may call {call}"));
            assert_eq!(status.code(), Code::Unauthenticated, "{who}, {call}: {status:?}");
            assert_refused(&status, Code::Unauthenticated, "NO_SESSION");
        }
    }
    assert_eq!(bodies(&bob.history("@alice").await), ["kept"]);
    assert_eq!(bob.unread("@alice").await, 1);
}

#[tokio::test]
async fn an_authorization_of_another_form_is_no_session() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let leader = cluster.door(cluster.leader().await);
    for value in [alice.token.clone(), format!("Basic {}", alice.token), "Bearer ".into()] {
        let mut request = tonic::Request::new(GetAccountRequest {});
        request.metadata_mut().insert("authorization", value.parse().expect("printable"));
        let status = leader.accounts().get_account(request).await.expect_err("not a session");
        assert_refused(&status, Code::Unauthenticated, "NO_SESSION");
    }
}
