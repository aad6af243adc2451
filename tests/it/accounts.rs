//! Passwords that change, sessions that end, accounts that go: from outside, and across fail-overs.

use std::time::Duration;

use chinwag::wire::chat::{
    ChangePasswordRequest, DeleteAccountRequest, EndSessionRequest, Event, GetAccountRequest,
    ListAccountsRequest, ListSessionsRequest, LoginRequest, LoginResponse, LogoutRequest, Session,
    event::Kind,
};
use tonic::{Code, Status, Streaming};

use crate::{
    bad_input::{assert_bad_field, assert_refused},
    harness::{Cluster, PASSWORD, User, all, bodies, request_id, within},
    rooms,
};

const NEW: &str = "another horse battery";
const LIVE: Duration = Duration::from_secs(10);

pub(crate) async fn change_password(
    user: &User,
    id: &str,
    old: &str,
    new: &str,
) -> Result<(), Status> {
    let request = ChangePasswordRequest {
        request_id: id.into(),
        old_password: old.into(),
        new_password: new.into(),
    };
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.accounts().change_password(request).await }
    });
    answer.await.map(drop)
}

pub(crate) async fn delete_account(user: &User, id: &str, password: &str) -> Result<(), Status> {
    let request = DeleteAccountRequest { request_id: id.into(), password: password.into() };
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.accounts().delete_account(request).await }
    });
    answer.await.map(drop)
}

pub(crate) async fn end_session(user: &User, id: &str, session_id: &str) -> Result<(), Status> {
    let request = EndSessionRequest { request_id: id.into(), session_id: session_id.into() };
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.sessions().end_session(request).await }
    });
    answer.await.map(drop)
}

pub(crate) async fn sessions(user: &User) -> Result<Vec<Session>, Status> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListSessionsRequest { page_size: 2, page_token };
        let answer = user.call(|door| {
            let request = request.clone();
            async move { door.sessions().list_sessions(request).await }
        });
        let page = answer.await?.into_inner();
        all.extend(page.sessions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

pub(crate) async fn log_in(
    user: &User,
    id: &str,
    username: &str,
    password: &str,
) -> Result<LoginResponse, Status> {
    let request = LoginRequest {
        request_id: id.into(),
        username: username.into(),
        password: password.into(),
        device_name: String::new(),
    };
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.sessions().login(request).await }
    });
    answer.await.map(tonic::Response::into_inner)
}

/// The session is good for nothing.
pub(crate) async fn assert_ended(user: &User) {
    let refused = |status: Status| assert_refused(&status, Code::Unauthenticated, "NO_SESSION");
    let answer =
        user.call(|door| async move { door.accounts().get_account(GetAccountRequest {}).await });
    refused(answer.await.expect_err("a read"));
    refused(sessions(user).await.expect_err("a list"));
    refused(user.try_send(&request_id(), "@bob", "hi").await.expect_err("a send"));
    refused(change_password(user, &request_id(), PASSWORD, NEW).await.expect_err("a change"));
    refused(delete_account(user, &request_id(), PASSWORD).await.expect_err("a deletion"));
    let id = "00000000000000000000000000000000";
    refused(end_session(user, &request_id(), id).await.expect_err("an end"));
    let answer = user.call(|door| async move {
        door.sessions().logout(LogoutRequest { request_id: request_id() }).await
    });
    refused(answer.await.expect_err("a logout"));
    let mut events = user.subscribe("").await;
    refused(end_of(&mut events).await);
}

fn assert_bad_credentials(status: &Status) {
    assert_refused(status, Code::Unauthenticated, "BAD_CREDENTIALS");
}

/// What is told but signs of life, presence and the place, until the stream ends or says this.
async fn told(events: &mut Streaming<Event>, last: impl Fn(&Kind) -> bool) -> Vec<Kind> {
    within("the last event", LIVE, async {
        let mut all = Vec::new();
        loop {
            let event = events.message().await.expect("the stream goes on").expect("no end");
            match event.kind.expect("every event is of some kind") {
                Kind::Heartbeat(_) | Kind::Presence(_) | Kind::CaughtUp(_) => {}
                kind => {
                    let done = last(&kind);
                    all.push(kind);
                    if done {
                        return all;
                    }
                }
            }
        }
    })
    .await
}

async fn end_of(events: &mut Streaming<Event>) -> Status {
    within("the end of the stream", LIVE, async {
        loop {
            match events.message().await {
                Ok(Some(event)) => assert!(
                    !matches!(event.kind, Some(Kind::MessageCreated(_))),
                    "nothing is told after the end: {event:?}"
                ),
                Ok(None) => panic!("the stream ended without saying why"),
                Err(status) => return status,
            }
        }
    })
    .await
}

async fn fail_over(cluster: &mut Cluster) {
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.leader().await;
    cluster.start_server(leader).await;
    cluster.in_sync(all()).await;
}

#[tokio::test]
async fn a_changed_password_ends_every_other_session_and_its_streams() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let phone = User::log_in(&cluster, "alice").await;
    let mut at_phone = phone.subscribe("").await;
    let login = request_id();
    let early = log_in(&bob, &login, "alice", PASSWORD).await.expect("the old password");
    let id = request_id();
    let wrong = change_password(&alice, &id, "a wrong password", NEW).await;
    assert_bad_credentials(&wrong.expect_err("the old password is not this"));
    let malformed = change_password(&alice, &id, "short", NEW).await;
    assert_bad_credentials(&malformed.expect_err("nobody has such a password"));
    let bad = change_password(&alice, &id, PASSWORD, "short").await;
    assert_bad_field(&bad.expect_err("too short"), "new_password");
    change_password(&alice, &id, PASSWORD, NEW).await.expect("she knows the old one");
    assert_refused(&end_of(&mut at_phone).await, Code::Unauthenticated, "NO_SESSION");
    for round in ["on the same leader", "on the next leader"] {
        assert_ended(&phone).await;
        let mut early_device = User::nobody(&cluster);
        early_device.become_holder("alice", &early.session_token);
        assert_ended(&early_device).await;
        assert_eq!(sessions(&alice).await.expect(round).len(), 1, "{round}");
        change_password(&alice, &id, PASSWORD, NEW).await.expect("a repeat");
        let old = log_in(&bob, &request_id(), "alice", PASSWORD).await;
        assert_bad_credentials(&old.expect_err("the password is another one"));
        let repeat = log_in(&bob, &login, "alice", PASSWORD).await;
        assert_bad_credentials(&repeat.expect_err("what the repeat proves is old"));
        fail_over(&mut cluster).await;
    }
    log_in(&bob, &request_id(), "alice", NEW).await.expect("the new password");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let (phone, desk) =
        (User::log_in(&cluster, "alice").await, User::log_in(&cluster, "alice").await);
    let listed = sessions(&phone).await.expect("a session");
    let devices: Vec<_> = listed.iter().map(|s| (s.device_name.as_str(), s.current)).collect();
    assert_eq!(devices, [("", false), ("test", true), ("test", false)], "the oldest first");
    assert!(listed.iter().all(|session| session.create_time.is_some()));

    let mut at_desk = desk.subscribe("").await;
    let unknown = end_session(&phone, &request_id(), &request_id()).await.expect_err("unknown");
    assert_refused(&unknown, Code::NotFound, "NO_SUCH_SESSION");
    let others = end_session(&bob, &request_id(), &listed[2].session_id).await;
    assert_refused(&others.expect_err("not bob's"), Code::NotFound, "NO_SUCH_SESSION");
    let malformed = end_session(&phone, &request_id(), "desk").await.expect_err("no id");
    assert_bad_field(&malformed, "session_id");
    let (of_desk, own) = (request_id(), request_id());
    end_session(&phone, &of_desk, &listed[2].session_id).await.expect("a device of hers");
    assert_refused(&end_of(&mut at_desk).await, Code::Unauthenticated, "NO_SESSION");
    let mut at_phone = phone.subscribe("").await;
    end_session(&phone, &own, &listed[1].session_id).await.expect("its own");
    assert_refused(&end_of(&mut at_phone).await, Code::Unauthenticated, "NO_SESSION");
    for _ in 0..2 {
        end_session(&phone, &own, &listed[1].session_id).await.expect("a repeat of its own end");
        let other = end_session(&phone, &of_desk, &listed[2].session_id).await;
        assert_refused(&other.expect_err("not its own"), Code::Unauthenticated, "NO_SESSION");
        assert_ended(&phone).await;
        assert_ended(&desk).await;
        let left = sessions(&alice).await.expect("alice is where she was");
        assert_eq!(left.len(), 1);
        assert!(left[0].current);
        fail_over(&mut cluster).await;
    }
}

#[tokio::test]
async fn a_deleted_account_is_gone_for_good_and_what_it_said_stays() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let phone = User::log_in(&cluster, "alice").await;
    rooms::create(&alice, "ours", false).await.expect("a free name");
    rooms::join(&bob, "ours").await.expect("a public room");
    alice.send("@bob", "remember me").await;
    alice.send("#ours", "all of you").await;
    bob.send("@alice", "unread for ever").await;
    let mut at_bob = bob.subscribe("").await;
    let mut at_phone = phone.subscribe("").await;
    told_nothing_but_the_place(&mut at_bob).await;
    told_nothing_but_the_place(&mut at_phone).await;
    let id = request_id();
    for wrong in ["a wrong password", "short"] {
        let refused = delete_account(&alice, &id, wrong).await.expect_err("not proved");
        assert_bad_credentials(&refused);
    }
    delete_account(&alice, &id, PASSWORD).await.expect("proved");
    assert_refused(&end_of(&mut at_phone).await, Code::Unauthenticated, "NO_SESSION");
    let events = told(&mut at_bob, |kind| matches!(kind, Kind::AccountChanged(_))).await;
    let [Kind::RoomChanged(room), Kind::MembershipChanged(left), Kind::AccountChanged(gone)] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(room.owner, "bob");
    assert_eq!((left.username.as_str(), left.member), ("alice", false));
    assert_eq!((gone.username.as_str(), gone.deleted), ("alice", true));

    for _ in 0..2 {
        delete_account(&phone, &id, PASSWORD).await.expect("a repeat with an ended token");
        delete_account(&alice, &id, PASSWORD).await.expect("a repeat with an ended token");
        assert_ended(&alice).await;
        assert_ended(&phone).await;
        let login = log_in(&bob, &request_id(), "alice", PASSWORD).await;
        assert_bad_credentials(&login.expect_err("nobody has the name"));
        let address = deleted_peer(&bob).await;
        assert_eq!(bodies(&bob.history(&address).await), ["remember me", "unread for ever"]);
        assert_eq!(bodies(&bob.history("#ours").await), ["all of you"]);
        for to in ["@alice", &address] {
            let refused = bob.try_send(&request_id(), to, "hello?").await.expect_err(to);
            assert_refused(&refused, Code::NotFound, "NO_SUCH_ACCOUNT");
        }
        fail_over(&mut cluster).await;
    }
    let another = User::create(&cluster, "alice").await;
    assert!(another.history("@bob").await.is_empty(), "the name alone is the same");
    bob.send("@alice", "welcome").await;
    assert_eq!(bodies(&another.history("@bob").await), ["welcome"]);
    let listed = bob.door().accounts().list_accounts(ListAccountsRequest::default()).await;
    assert_eq!(listed.expect("a session").into_inner().accounts.len(), 2);
}

/// Waits until the stream is live.
async fn told_nothing_but_the_place(events: &mut Streaming<Event>) {
    let first = within("caught_up", LIVE, events.message()).await.expect("live").expect("live");
    assert!(matches!(first.kind, Some(Kind::CaughtUp(_))), "{first:?}");
}

/// The address under which the user reads what a deleted account said.
pub(crate) async fn deleted_peer(user: &User) -> String {
    use chinwag::wire::chat::ListConversationsRequest;
    let answer = user.call(|door| async move {
        let request = ListConversationsRequest { page_size: 0, page_token: String::new() };
        door.conversations().list_conversations(request).await
    });
    let all = answer.await.expect("the own inbox").into_inner().conversations;
    let found = all.into_iter().find(|found| found.conversation.starts_with("@~"));
    found.expect("a conversation with somebody who is gone").conversation
}
