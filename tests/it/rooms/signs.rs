//! Typing and presence: told to those who are there, never stored.

use chinwag::wire::chat::{SetPresenceRequest, SetTypingRequest};
use tonic::Code;

use super::*;
use crate::{bad_input::assert_bad_field, harness::Cluster};

async fn typing(user: &User, conversation: &str) -> Result<(), Status> {
    let request = SetTypingRequest { conversation: conversation.into() };
    call!(user, events.set_typing(request)).map(drop)
}

async fn present(user: &User, online: bool) {
    let request = SetPresenceRequest { online };
    call!(user, events.set_presence(request)).expect("a session");
}

#[tokio::test]
async fn typing_is_told_to_members_who_are_there_and_never_replayed() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    create(&alice, "room", false).await.expect("free");
    join(&bob, "room").await.expect("public");
    alice.send("@bob", "hi").await;
    let (mut at_alice, _) = live(&alice).await;
    let (mut at_bob, cursor) = live(&bob).await;
    let (mut at_carol, _) = live(&carol).await;
    typing(&alice, "#room").await.expect("a member");
    assert_eq!(told(&mut at_bob).await, "alice types in #room");
    typing(&alice, "@bob").await.expect("a side");
    assert_eq!(told(&mut at_bob).await, "alice types in @alice");
    typing(&alice, "@carol").await.expect("nobody has said anything there yet");
    not_allowed(typing(&carol, "#room").await);
    unknown(typing(&carol, "#nowhere").await);
    refused(typing(&carol, "@nobody").await, Code::NotFound, "NO_SUCH_ACCOUNT");
    assert_bad_field(&typing(&carol, "room").await.expect_err("no sign"), "conversation");
    let nobody = User::nobody(&cluster);
    refused(typing(&nobody, "#room").await, Code::Unauthenticated, "NO_SESSION");
    // What comes after it shows that nothing came before.
    alice.send("@carol", "end").await;
    assert_eq!(told(&mut at_carol).await, "+end");
    assert_eq!(told(&mut at_alice).await, "+end", "whoever types is not told");
    assert_eq!(replayed(&bob, &cursor).await, Vec::<String>::new());
}

#[tokio::test]
async fn presence_is_told_to_those_who_share_a_conversation() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let phone = User::log_in(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    alice.send("@bob", "hi").await;
    let (mut at_bob, cursor) = live(&bob).await;
    let (mut at_carol, _) = live(&carol).await;
    present(&alice, true).await;
    assert_eq!(told(&mut at_bob).await, "alice true");
    present(&alice, true).await;
    present(&phone, true).await;
    present(&alice, false).await;
    present(&phone, false).await;
    assert_eq!(told(&mut at_bob).await, "alice false", "with the last of her devices");
    present(&alice, true).await;
    assert_eq!(told(&mut at_bob).await, "alice true");
    let mut late = bob.subscribe(&cursor).await;
    assert!(matches!(next(&mut late).await.kind, Some(Kind::CaughtUp(_))), "not replayed");
    assert_eq!(told(&mut late).await, "alice true", "a new stream tells who is there");

    // The leader's memory dies with it; whoever is there says so again.
    let leader = cluster.leader().await;
    cluster.kill(leader);
    let (mut at_bob, _) = live(&bob).await;
    present(&alice, true).await;
    assert_eq!(told(&mut at_bob).await, "alice true");
    carol.send("@carol", "end").await;
    assert!(
        within("the end", LIVE, async {
            while let Ok(Some(event)) = at_carol.message().await {
                if matches!(event.kind, Some(Kind::Presence(_))) {
                    return false;
                }
            }
            true
        })
        .await,
        "a stranger is told nothing"
    );
}
