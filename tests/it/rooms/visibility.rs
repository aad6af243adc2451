//! Who sees what of rooms, and is told what.

use chinwag::wire::chat::{
    AcknowledgeMessagesRequest, ListMessagesRequest, SendMessageRequest, SetTypingRequest,
};
use tonic::Code;

use super::*;
use crate::harness::{Cluster, bodies};

#[tokio::test]
async fn a_private_room_is_unknown_to_strangers_whatever_they_try() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    let (mut at_carol, cursor) = live(&carol).await;
    create(&alice, "den", true).await.expect("free");
    add(&alice, "den", "bob").await.expect("her own");
    let secret = alice.send("#den", "a secret for @carol").await;
    assert!(secret.mentions.is_empty(), "she is no member");

    unknown(join(&carol, "den").await);
    unknown(leave(&carol, "den").await);
    unknown(add(&carol, "den", "carol").await);
    unknown(remove(&carol, "den", "bob").await);
    unknown(transfer(&carol, "den", "carol").await);
    unknown(update(&carol, "den", None, Some(false)).await);
    unknown(delete_room(&carol, "den").await);
    unknown(members(&carol, "den").await);
    unknown(carol.try_send(&request_id(), "#den", "hi").await);
    unknown(carol.mark_read("#den", 1).await);
    let list = ListMessagesRequest { conversation: "#den".into(), ..Default::default() };
    unknown(call!(carol, messages.list_messages(list)));
    let typing = SetTypingRequest { conversation: "#den".into() };
    unknown(call!(carol, events.set_typing(typing)));
    let no_message = |answer| refused(answer, Code::NotFound, "NO_SUCH_MESSAGE");
    no_message(edit(&carol, &secret, "mine").await.map(drop));
    no_message(delete(&carol, &secret).await);
    let reply = SendMessageRequest {
        request_id: request_id(),
        conversation: "@bob".into(),
        body: "re".into(),
        reply_to: secret.message_id.clone(),
    };
    no_message(call!(carol, messages.send_message(reply)).map(drop));
    let received = AcknowledgeMessagesRequest {
        request_id: request_id(),
        message_ids: vec![secret.message_id.clone()],
    };
    no_message(call!(carol, messages.acknowledge_messages(received)).map(drop));
    assert!(rooms(&carol, "").await.is_empty() && inbox(&carol).await.is_empty());
    assert_eq!(rooms(&bob, "d*").await.len(), 1);
    not_allowed(add(&bob, "den", "carol").await);

    bob.send("@carol", "for carol").await;
    assert_eq!(told(&mut at_carol).await, "+for carol", "nothing before");
    assert_eq!(replayed(&carol, &cursor).await, ["+for carol"]);
}

#[tokio::test]
async fn a_newcomer_sees_a_public_room_whole_and_a_private_one_from_then_on() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    for (room, private) in [("open", false), ("den", true)] {
        let name = format!("#{room}");
        create(&alice, room, private).await.expect("free");
        let early = alice.send(&name, "early").await;
        add(&alice, room, "bob").await.expect("her own");
        assert_eq!(bob.unread(&name).await, 0, "unread starts at zero");
        let (mut at_bob, _) = live(&bob).await;
        let list = ListMessagesRequest { conversation: name.clone(), ..Default::default() };
        let seen = call!(bob, messages.list_messages(list)).expect("his own").messages;
        assert_eq!(bodies(&seen), if private { vec![] } else { vec!["early"] });
        edit(&alice, &early, "edited").await.expect("her own");
        if !private {
            assert_eq!(told(&mut at_bob).await, "~edited");
        }
        alice.send(&name, "late").await;
        assert_eq!(told(&mut at_bob).await, "+late", "what he cannot see is not told");
        assert_eq!(bob.unread(&name).await, 1);
    }
}

#[tokio::test]
async fn comings_and_goings_are_told_live_and_replayed_and_nothing_to_whoever_left() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    let (mut at_alice, at_first) = live(&alice).await;
    let (mut at_bob, _) = live(&bob).await;
    create(&alice, "room", false).await.expect("free");
    join(&bob, "room").await.expect("public");
    alice.send("#room", "1").await;
    update(&alice, "room", Some("news"), None).await.expect("her own");
    join(&carol, "room").await.expect("public");
    remove(&alice, "room", "bob").await.expect("her own");
    alice.send("#room", "2").await;
    transfer(&alice, "room", "carol").await.expect("a member");
    delete_room(&carol, "room").await.expect("hers by now");
    alice.send("@bob", "end").await;

    let seen = [
        "#room +alice",
        "#room +bob",
        "+1",
        "#room \"news\" false alice",
        "#room +carol",
        "#room -bob",
        "+2",
        "#room \"news\" false carol",
        "#room -alice",
        "+end",
    ];
    for expected in seen {
        assert_eq!(told(&mut at_alice).await, expected);
    }
    for expected in
        ["#room +bob", "+1", "#room \"news\" false alice", "#room +carol", "#room -bob", "+end"]
    {
        assert_eq!(told(&mut at_bob).await, expected, "nothing of the room after that");
    }
    assert_eq!(replayed(&bob, &at_first).await, ["#room -bob", "+end"]);
    assert_eq!(replayed(&alice, &at_first).await, ["#room -alice", "+end"]);
    assert_eq!(replayed(&carol, &at_first).await, ["#room -carol"]);
}

#[tokio::test]
async fn a_replay_of_a_room_tells_members_and_what_it_became() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    create(&alice, "room", true).await.expect("free");
    let (_, cursor) = live(&alice).await;
    add(&alice, "room", "bob").await.expect("her own");
    update(&alice, "room", Some("news"), Some(false)).await.expect("her own");
    bob.send("#room", "hi").await;
    let expected = ["#room +bob", "#room \"news\" false alice", "+hi"];
    assert_eq!(replayed(&alice, &cursor).await, expected);
    assert_eq!(replayed(&bob, &cursor).await, expected);
}

#[tokio::test]
async fn mentions_are_named_and_counted_until_they_are_read() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    User::create(&cluster, "carol").await;
    create(&alice, "room", false).await.expect("free");
    join(&bob, "room").await.expect("public");
    let count = async || inbox(&bob).await[0].mention_count;
    let first = alice.send("#room", "@Bob: ask @carol, not bob@example or @alice").await;
    assert_eq!(first.mentions, ["bob"], "members, and not the author");
    let second = alice.send("#room", "(@bob)").await;
    assert_eq!(bob.history("#room").await[1].mentions, ["bob"]);
    assert_eq!(count().await, 2);
    assert_eq!(edit(&alice, &second, "nobody").await.expect("her own").mentions, [""; 0]);
    assert_eq!(count().await, 1);
    assert_eq!(edit(&alice, &second, "@bob!").await.expect("her own").mentions, ["bob"]);
    assert_eq!(count().await, 2);
    bob.mark_read("#room", 1).await.expect("his own");
    assert_eq!(count().await, 1);
    delete(&alice, &second).await.expect("her own");
    assert_eq!(count().await, 0);
}
