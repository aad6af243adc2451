//! Editing messages.

use chinwag::wire::chat::EditMessageRequest;
use tonic::Code;

use super::*;
use crate::{bad_input::assert_bad_field, harness::Cluster};

#[tokio::test]
async fn an_edit_reaches_everybody_and_a_deletion_wins() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    create(&alice, "room", false).await.expect("free");
    join(&bob, "room").await.expect("public");
    let (mut at_alice, cursor) = live(&alice).await;
    let (mut at_bob, _) = live(&bob).await;
    for place in ["#room", "@bob"] {
        let message = alice.send(place, "frist").await;
        not_allowed(edit(&bob, &message, "mine").await);
        let edited = edit(&alice, &message, "first").await.expect("her own");
        assert_eq!((edited.body.as_str(), edited.seq), ("first", message.seq));
        assert_eq!(edited.message_id, message.message_id);
        assert_eq!(edited.create_time, message.create_time);
        assert!(edited.edit_time.is_some() && message.edit_time.is_none());
        let seen = if place == "@bob" { "@alice" } else { place };
        assert_eq!(bob.history(seen).await[0].body, "first");
        assert_eq!(bob.history(seen).await[0].edit_time, edited.edit_time);
        assert_eq!(bob.unread(seen).await, 1, "an edit makes nothing unread");
        delete(&alice, &message).await.expect("her own");
        let again = edit(&alice, &message, "too late").await;
        refused(again, Code::NotFound, "NO_SUCH_MESSAGE");
        assert!(bob.history(seen).await[0].deleted);
        for events in [&mut at_alice, &mut at_bob] {
            for expected in ["+frist", "~first", "-1"] {
                assert_eq!(told(events).await, expected);
            }
        }
    }
    // What came and is gone by now is told as it is now, and then as gone.
    assert_eq!(replayed(&bob, &cursor).await, ["+", "-1", "+", "-1"]);
}

#[tokio::test]
async fn a_bad_edit_is_refused_and_a_repeat_is_answered_as_before() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let message = alice.send("@bob", "once").await;
    let good = EditMessageRequest {
        request_id: request_id(),
        message_id: message.message_id.clone(),
        body: "twice".into(),
    };
    for (field, request) in [
        ("body", EditMessageRequest { body: String::new(), ..good.clone() }),
        ("body", EditMessageRequest { body: "x".repeat(16 * 1024 + 1), ..good.clone() }),
        ("message_id", EditMessageRequest { message_id: "one".into(), ..good.clone() }),
        ("request_id", EditMessageRequest { request_id: "one".into(), ..good.clone() }),
    ] {
        let answer = call!(alice, messages.edit_message(request));
        assert_bad_field(&answer.expect_err(field), field);
    }
    let nowhere =
        EditMessageRequest { message_id: "f".repeat(32), request_id: request_id(), ..good.clone() };
    let answer = call!(alice, messages.edit_message(nowhere));
    refused(answer, Code::NotFound, "NO_SUCH_MESSAGE");
    let first = call!(alice, messages.edit_message(good.clone())).expect("her own");
    let leader = cluster.leader().await;
    cluster.kill(leader);
    let (_, cursor) = live(&bob).await;
    assert_eq!(call!(alice, messages.edit_message(good.clone())).expect("a repeat"), first);
    assert_eq!(replayed(&bob, &cursor).await, Vec::<String>::new(), "nothing happened");
    let other = EditMessageRequest { body: "thrice".into(), ..good };
    let answer = call!(alice, messages.edit_message(other));
    refused(answer, Code::InvalidArgument, "REQUEST_ID_REUSED");
}
