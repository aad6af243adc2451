//! Every call of rooms, good and bad.

use chinwag::wire::chat::{
    CreateRoomRequest, JoinRoomRequest, ListMembersRequest, ListRoomsRequest, UpdateRoomRequest,
};
use tonic::Code;

use super::*;
use crate::{
    bad_input::assert_bad_field,
    harness::{Cluster, all, bodies, contents_are_equal},
};

#[tokio::test]
async fn a_room_is_made_entered_handed_on_and_closed() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let room = create(&alice, "#General", false).await.expect("the name is free");
    assert_eq!((room.conversation.as_str(), room.topic.as_str()), ("#general", "about"));
    assert_eq!((room.owner.as_str(), room.private, room.member), ("alice", false, true));
    assert_eq!((room.last_seq, room.unread_count), (0, 0));
    alice.send("#general", "before bob").await;

    let room = join(&bob, "general").await.expect("it is public");
    assert_eq!((room.last_seq, room.read_seq, room.unread_count), (1, 1, 0));
    assert_eq!(room.last_message.expect("he sees it").body, "before bob");
    assert_eq!(members(&bob, "general").await.expect("his own"), ["alice", "bob"]);
    alice.send("#general", "to bob").await;
    bob.send("#general", "to alice").await;
    assert_eq!(bodies(&bob.history("#general").await), ["before bob", "to bob", "to alice"]);
    assert_eq!((alice.unread("#general").await, bob.unread("#general").await), (1, 1));
    assert_eq!(bob.mark_read("#general", 99).await.expect("his own"), 3);
    assert_eq!(bob.unread("#general").await, 0);

    let room = update(&alice, "general", Some("news"), None).await.expect("her own");
    assert_eq!((room.topic.as_str(), room.private), ("news", false));
    not_allowed(leave(&alice, "general").await);
    transfer(&alice, "general", "bob").await.expect("her own");
    assert_eq!(rooms(&alice, "").await[0].owner, "bob");
    leave(&alice, "general").await.expect("she owns it no more");
    not_allowed(alice.try_send(&request_id(), "#general", "hello?").await);
    assert!(inbox(&alice).await.is_empty());
    remove(&bob, "general", "alice").await.expect("so it is");

    delete_room(&bob, "general").await.expect("his own");
    unknown(join(&alice, "general").await);
    assert!(rooms(&alice, "").await.is_empty());
    create(&alice, "general", true).await.expect("the name is free again");
    assert_eq!(alice.send("#general", "new").await.seq, 1);
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn every_refusal_has_its_reason() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    create(&alice, "open", false).await.expect("free");
    add(&alice, "open", "bob").await.expect("an account");
    refused(create(&bob, "open", true).await, Code::AlreadyExists, "NAME_TAKEN");
    for account in ["nobody", "nobody~abc"] {
        let no_account = |answer| refused(answer, Code::NotFound, "NO_SUCH_ACCOUNT");
        no_account(add(&bob, "open", account).await);
        no_account(remove(&alice, "open", account).await);
        no_account(transfer(&alice, "open", account).await);
    }
    not_allowed(transfer(&alice, "open", "carol").await);
    not_allowed(transfer(&bob, "open", "bob").await);
    not_allowed(remove(&bob, "open", "alice").await);
    not_allowed(remove(&alice, "open", "alice").await);
    not_allowed(update(&bob, "open", Some("mine"), None).await);
    not_allowed(delete_room(&bob, "open").await);
    not_allowed(leave(&carol, "open").await);
    not_allowed(add(&carol, "open", "carol").await);
    not_allowed(members(&carol, "open").await);
    not_allowed(carol.try_send(&request_id(), "#open", "hi").await);
    not_allowed(carol.mark_read("#open", 1).await);
    unknown(join(&carol, "nowhere").await);
    unknown(leave(&carol, "nowhere").await);
    unknown(update(&carol, "nowhere", None, None).await);
    unknown(transfer(&carol, "nowhere", "bob").await);
    unknown(delete_room(&carol, "nowhere").await);
    add(&bob, "open", "carol").await.expect("any member, for it is public");
    add(&bob, "open", "carol").await.expect("so it is");
    join(&carol, "open").await.expect("so it is");

    let stranger = User::nobody(&cluster);
    refused(create(&stranger, "mine", false).await, Code::Unauthenticated, "NO_SESSION");
    refused(join(&stranger, "open").await, Code::Unauthenticated, "NO_SESSION");
}

#[tokio::test]
async fn a_malformed_field_is_named() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    create(&alice, "room", false).await.expect("free");
    let good =
        CreateRoomRequest { request_id: request_id(), room: "x".into(), ..Default::default() };
    let long = "x".repeat(257);
    let bad = [
        ("room", CreateRoomRequest { room: String::new(), ..good.clone() }),
        ("room", CreateRoomRequest { room: "##x".into(), ..good.clone() }),
        ("room", CreateRoomRequest { room: "x~abc".into(), ..good.clone() }),
        ("room", CreateRoomRequest { room: "no spaces".into(), ..good.clone() }),
        ("topic", CreateRoomRequest { topic: long, ..good.clone() }),
        ("topic", CreateRoomRequest { topic: "two\nlines".into(), ..good.clone() }),
        ("request_id", CreateRoomRequest { request_id: "one".into(), ..good.clone() }),
    ];
    for (field, request) in bad {
        let answer = call!(alice, conversations.create_room(request));
        assert_bad_field(&answer.expect_err(field), field);
    }
    let join = JoinRoomRequest { room: "@alice".into(), ..Default::default() };
    assert_bad_field(&call!(alice, conversations.join_room(join)).expect_err("no room"), "room");
    let update = UpdateRoomRequest {
        room: "room".into(),
        topic: Some("\u{7}".into()),
        ..Default::default()
    };
    let answer = call!(alice, conversations.update_room(update));
    assert_bad_field(&answer.expect_err("a bell"), "topic");
    assert_bad_field(&add(&alice, "room", "@bob").await.expect_err("a sign"), "username");
    let list = ListRoomsRequest { pattern: "\n".into(), ..Default::default() };
    let answer = call!(alice, conversations.list_rooms(list));
    assert_bad_field(&answer.expect_err("a bad glob"), "pattern");
    let list = ListRoomsRequest { page_token: "xyz".into(), ..Default::default() };
    let answer = call!(alice, conversations.list_rooms(list));
    assert_bad_field(&answer.expect_err("a bad token"), "page_token");
    let list = ListMembersRequest { room: "room".into(), page_size: -1, ..Default::default() };
    let answer = call!(alice, conversations.list_members(list));
    assert_bad_field(&answer.expect_err("a bad size"), "page_size");
    assert_eq!(rooms(&alice, "").await.len(), 1, "nothing was made");
}

#[tokio::test]
async fn a_repeat_has_no_second_effect_on_any_leader() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let request = CreateRoomRequest {
        request_id: request_id(),
        room: "room".into(),
        topic: "first".into(),
        private: false,
    };
    let first = call!(alice, conversations.create_room(request.clone())).expect("free");
    let enter = JoinRoomRequest { request_id: request_id(), room: "room".into() };
    call!(bob, conversations.join_room(enter.clone())).expect("public");
    leave(&bob, "room").await.expect("his own doing");
    let leader = cluster.leader().await;
    cluster.kill(leader);

    let again = call!(alice, conversations.create_room(request.clone())).expect("a repeat");
    assert_eq!(again, first);
    let other = CreateRoomRequest { topic: "second".into(), ..request };
    let answer = call!(alice, conversations.create_room(other));
    refused(answer, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let entered = call!(bob, conversations.join_room(enter)).expect("a repeat");
    assert!(!entered.conversation.expect("the room").member, "he has left since");
    assert_eq!(members(&alice, "room").await.expect("her own"), ["alice"]);
}
