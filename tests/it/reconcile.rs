//! Under `available` two sides may go on alone; when they meet again, everything that either acknowledged is
//! there once, on all servers.

use std::sync::Arc;

use chinwag::wire::chat::{
    CreateAccountRequest, DeleteMessagesRequest, LoginRequest, LogoutRequest, event::Kind,
    reset::Reason,
};

use crate::harness::{
    Cluster, Receiver, User, all, bodies, contents_are_equal, reason, request_id,
};

/// What one side acknowledges while the other is down.
async fn say(user: &User, side: &str) -> Vec<(String, String, String)> {
    let mut said = Vec::new();
    for number in 0..20 {
        let (request, body) = (request_id(), format!("{side} {number}"));
        let message = user.try_send(&request, "@bob", &body).await.expect("it is acknowledged");
        said.push((request, body, message.message_id));
    }
    said
}

/// Server 1 goes on alone; then it is dead, and server 2 is forced to go on with what it has.
async fn the_other_side(cluster: &mut Cluster) {
    cluster.kill(1);
    cluster.start_server_told(2, &["--force-lead"], "test\n").await;
    cluster.start_server(3).await;
    assert_eq!(cluster.in_sync(2..=3).await, 2);
}

async fn alone(cluster: &mut Cluster) {
    assert_eq!(cluster.in_sync(all()).await, 1);
    cluster.kill(3);
    cluster.kill(2);
    assert_eq!(cluster.leader().await, 1);
}

#[tokio::test]
async fn two_histories_become_one_that_holds_all_of_both() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = Arc::new(User::create(&cluster, "bob").await);
    let common = alice.send("@bob", "common").await;
    let gone = alice.send("@bob", "to be deleted").await;

    alone(&mut cluster).await;
    let ours = say(&alice, "ours").await;
    let carol = User::create(&cluster, "carol").await;
    carol.send("@bob", "I am new").await;
    let delete = DeleteMessagesRequest {
        request_id: request_id(),
        message_ids: vec![gone.message_id.clone()],
    };
    alice
        .call(|door| {
            let delete = delete.clone();
            async move { door.messages().delete_messages(delete).await }
        })
        .await
        .expect("her own message");
    let lost_cursor = cursor_after(&bob, "ours 19").await;
    let device = User::log_in(&cluster, "bob").await;
    let logout = LogoutRequest { request_id: request_id() };
    let ended = device.call(|door| {
        let logout = logout.clone();
        async move { door.sessions().logout(logout).await }
    });
    ended.await.expect("it logs out");

    the_other_side(&mut cluster).await;
    // The answer to the first of these was lost, let us say: it is asked for again on the other side.
    let (request, body, _) = &ours[0];
    let repeated = alice.try_send(request, "@bob", body).await.expect("it is acknowledged");
    let theirs = say(&alice, "theirs").await;
    let dave = User::create(&cluster, "dave").await;
    dave.send("@bob", "I am new too").await;

    cluster.start_server(1).await;
    assert_eq!(cluster.in_sync(all()).await, 2);

    let mut wanted: Vec<&str> = ours.iter().chain(&theirs).map(|(_, body, _)| &body[..]).collect();
    wanted.extend(["common", ""]);
    wanted.sort_unstable();
    let history = bob.history("@alice").await;
    let mut there = bodies(&history);
    there.sort_unstable();
    assert_eq!(there, wanted, "all of both sides, each once, the deleted one empty");
    for (request, body, id) in ours.iter().skip(1).chain(&theirs) {
        let stands =
            history.iter().any(|message| message.message_id == *id && message.body == *body);
        assert!(stands, "{body} keeps its id {id}");
        let again = alice.try_send(request, "@bob", body).await.expect("the first answer");
        assert_eq!(again.message_id, *id, "a repeat finds it");
    }
    let again = alice.try_send(request, "@bob", body).await.expect("the first answer");
    assert_eq!(again.message_id, repeated.message_id);
    assert_eq!(history.iter().filter(|message| message.body == *body).count(), 1);
    let deleted = history.iter().find(|message| message.message_id == gone.message_id);
    assert!(deleted.is_some_and(|message| message.deleted), "a deletion on either side counts");
    assert_eq!(history[0].message_id, common.message_id);
    assert_eq!(bodies(&bob.history("@carol").await), ["I am new"]);
    assert_eq!(bodies(&bob.history("@dave").await), ["I am new too"]);
    carol.send("@dave", "we meet").await;
    let refused = device.try_send(&request_id(), "@carol", "still here").await;
    assert_eq!(reason(&refused.expect_err("it logged out")), "NO_SESSION");
    assert_eq!(bob.unread("@alice").await, 41, "others' undeleted messages, none of them read");

    let status = cluster.status(1).await.expect("it answers");
    assert_eq!(status.diverged.len(), 1, "its own file is kept");
    assert_eq!(status.diverged[0].updates, 0, "and holds nothing that is missing elsewhere");

    // A device of the side that gave way is told that messages moved, and hears all that it lacks.
    let mut events = bob.subscribe(&lost_cursor).await;
    let first = events.message().await.expect("a stream").expect("an event");
    let Some(Kind::Reset(reset)) = first.kind else { panic!("{first:?}") };
    assert_eq!(reset.reason(), Reason::Merged);
    let mut heard = Vec::new();
    loop {
        match events.message().await.expect("a stream").expect("an event").kind {
            Some(Kind::MessageCreated(event)) => {
                heard.push(event.body);
            }
            Some(Kind::CaughtUp(_)) => break,
            _ => {}
        }
    }
    for (_, body, _) in theirs.iter().chain(&ours) {
        assert_eq!(heard.iter().filter(|one| *one == body).count(), 1, "{body} in {heard:?}");
    }
    let receiver = Receiver::listen(&bob).await;
    alice.send("@bob", "live").await;
    assert_eq!(bodies(&receiver.messages(1).await), ["live"]);
    contents_are_equal(&mut cluster).await;
}

/// A cursor that this side gave out after a message.
async fn cursor_after(user: &User, body: &str) -> String {
    let history = user.history("@alice").await;
    assert_eq!(history.last().map(|message| &message.body[..]), Some(body));
    let mut events = user.subscribe("").await;
    let first = events.message().await.expect("a stream").expect("an event");
    assert!(matches!(first.kind, Some(Kind::CaughtUp(_))), "{first:?}");
    first.cursor
}

#[tokio::test]
async fn a_name_given_on_both_sides_is_kept_by_one_and_both_can_log_in() {
    let mut cluster = Cluster::start().await;
    alone(&mut cluster).await;
    let bob = User::create(&cluster, "bob").await;
    let ours = eve(&cluster, "the password here").await;
    ours.send("@bob", "from the first").await;
    the_other_side(&mut cluster).await;
    let theirs = eve(&cluster, "the password there").await;
    cluster.start_server(1).await;
    cluster.in_sync(all()).await;

    let kept = log_in(&cluster, "the password there").await;
    assert_eq!(kept, "eve", "the side that goes on keeps its names");
    let renamed = log_in(&cluster, "the password here").await;
    assert!(renamed.starts_with("eve~"), "{renamed}");
    let conversation = format!("@{renamed}");
    assert_eq!(bodies(&bob.history(&conversation).await), ["from the first"]);
    bob.send(&conversation, "to the first").await;
    assert_eq!(bodies(&ours.history("@bob").await), ["from the first", "to the first"]);
    theirs.send("@bob", "from the second").await;
    assert_eq!(bodies(&bob.history("@eve").await), ["from the second"]);
    contents_are_equal(&mut cluster).await;
}

async fn eve(cluster: &Cluster, password: &str) -> User {
    let mut user = User::nobody(cluster);
    let request = CreateAccountRequest {
        request_id: request_id(),
        username: "eve".into(),
        password: password.into(),
    };
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.accounts().create_account(request).await }
    });
    let token = answer.await.expect("free on this side").into_inner().session_token;
    user.become_holder("eve", &token);
    user
}

/// Logs in as eve, and returns how the account is called.
async fn log_in(cluster: &Cluster, password: &str) -> String {
    let request = LoginRequest {
        request_id: request_id(),
        username: "eve".into(),
        password: password.into(),
        device_name: "test".into(),
    };
    let user = User::nobody(cluster);
    let answer = user.call(|door| {
        let request = request.clone();
        async move { door.sessions().login(request).await }
    });
    let account = answer.await.expect("the right password").into_inner().account;
    account.expect("OK carries the account").username
}

#[tokio::test]
async fn a_crash_in_the_middle_of_merging_begins_again() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    alone(&mut cluster).await;
    let mut wanted = say(&alice, "ours").await;
    the_other_side(&mut cluster).await;
    wanted.extend(say(&alice, "theirs").await);
    // The one that brings, and the one that takes, die at several moments of it.
    for pause in [150, 250, 400] {
        cluster.launch(1, &[]);
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        cluster.kill(1);
    }
    cluster.launch(1, &[]);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    cluster.kill(2);
    cluster.in_sync([1, 3]).await;
    cluster.start_server(2).await;
    cluster.in_sync(all()).await;
    let history = bob.history("@alice").await;
    let mut there = bodies(&history);
    let mut wanted: Vec<&str> = wanted.iter().map(|(_, body, _)| &body[..]).collect();
    there.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(there, wanted);
    contents_are_equal(&mut cluster).await;
}
