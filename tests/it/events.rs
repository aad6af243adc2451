//! What a subscriber hears, and what never.

use std::{sync::Arc, time::Duration};

use chinwag::wire::chat::{
    AcknowledgeMessagesRequest, DeleteMessagesRequest, Event, LogoutRequest, SubscribeRequest,
    event::Kind,
};
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

use crate::harness::{Cluster, Door, Options, Receiver, User, bodies, reason, request_id, within};

/// A live event arrives within this.
const LIVE: Duration = Duration::from_secs(5);

/// The next event.
async fn next(events: &mut Streaming<Event>) -> Event {
    let event = within("the next event", LIVE, events.message()).await;
    event.expect("the stream goes on").expect("the stream does not end")
}

/// The next event that is no heartbeat.
async fn next_kind(events: &mut Streaming<Event>) -> Kind {
    loop {
        match next(events).await.kind.expect("every event is of some kind") {
            Kind::Heartbeat(_) => {}
            kind => return kind,
        }
    }
}

/// A stream that has said `caught_up`, and the cursor of that.
async fn live(user: &User) -> (Streaming<Event>, String) {
    let mut events = user.subscribe("").await;
    let first = next(&mut events).await;
    assert!(matches!(first.kind, Some(Kind::CaughtUp(_))), "first comes caught_up: {first:?}");
    assert!(!first.cursor.is_empty(), "caught_up has a cursor");
    (events, first.cursor)
}

/// How a stream ends; whatever came before is dropped.
async fn end(events: &mut Streaming<Event>) -> Status {
    within("the end of the stream", LIVE, async {
        loop {
            match events.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without saying why"),
                Err(status) => return status,
            }
        }
    })
    .await
}

fn created(kind: Kind) -> String {
    match kind {
        Kind::MessageCreated(message) => message.body,
        other => panic!("expected a new message, not {other:?}"),
    }
}

#[tokio::test]
async fn a_message_reaches_every_device_of_both_sides() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let bobs_phone = User::log_in(&cluster, "bob").await;
    let (mut at_alice, _) = live(&alice).await;
    let (mut at_bob, _) = live(&bob).await;
    let (mut at_phone, _) = live(&bobs_phone).await;
    let sent = alice.send("@bob", "hello").await;

    for (events, conversation) in
        [(&mut at_alice, "@bob"), (&mut at_bob, "@alice"), (&mut at_phone, "@alice")]
    {
        let Kind::MessageCreated(message) = next_kind(events).await else { panic!("no message") };
        assert_eq!(message.message_id, sent.message_id);
        assert_eq!((message.conversation.as_str(), message.seq), (conversation, 1));
        assert_eq!((message.sender.as_str(), message.body.as_str()), ("alice", "hello"));
    }
}

#[tokio::test]
async fn a_cursor_goes_on_after_it_with_everything_that_changed() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let old = alice.send("@bob", "old").await;
    let (stream, cursor) = live(&bob).await;
    drop(stream);
    let received = alice.send("@bob", "received").await;
    let deleted = alice.send("@bob", "deleted").await;
    let ids = vec![received.message_id.clone()];
    let request = AcknowledgeMessagesRequest { request_id: request_id(), message_ids: ids };
    bob.door().messages().acknowledge_messages(request).await.expect("own messages");
    let ids = vec![deleted.message_id.clone(), old.message_id.clone()];
    let request = DeleteMessagesRequest { request_id: request_id(), message_ids: ids };
    alice.door().messages().delete_messages(request).await.expect("own messages");
    bob.mark_read("@alice", 2).await.expect("own marker");

    let mut events = bob.subscribe(&cursor).await;
    let (mut created, mut gone, mut read) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match next_kind(&mut events).await {
            Kind::MessageCreated(message) => created.push(message),
            Kind::MessageChanged(message) => created.push(message),
            Kind::MessageDeleted(message) => gone.push(message.message_id),
            Kind::ReadMoved(moved) => read.push((moved.conversation, moved.read_seq)),
            Kind::CaughtUp(_) => break,
            other => panic!("nothing else happened: {other:?}"),
        }
    }
    let known = |id: &str| created.iter().any(|message| message.message_id == id);
    assert!(known(&received.message_id), "a new message is replayed");
    assert!(gone.contains(&old.message_id), "the deletion of an older message is replayed");
    let last = created.iter().rfind(|message| message.message_id == deleted.message_id);
    assert!(
        gone.contains(&deleted.message_id) || last.is_some_and(|message| message.deleted),
        "the deletion of a new one is told, too"
    );
    assert!(created.iter().all(|message| message.body != "deleted"), "not what it said");
    assert_eq!(read, [("@alice".to_owned(), 2)]);
    alice.send("@bob", "live").await;
    assert_eq!(self::created(next_kind(&mut events).await), "live", "then it is live");
}

#[tokio::test]
async fn a_cursor_is_good_on_another_server_after_a_kill() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = Arc::new(User::create(&cluster, "bob").await);
    let (mut events, _) = live(&bob).await;
    alice.send("@bob", "1").await;
    let Event { cursor, kind } = next(&mut events).await;
    assert_eq!(created(kind.expect("of some kind")), "1");
    alice.send("@bob", "2").await;
    let leader = cluster.leader().await;
    cluster.kill(leader);
    alice.send("@bob", "3").await;

    let mut events = bob.subscribe(&cursor).await;
    assert_eq!(created(next_kind(&mut events).await), "2");
    assert_eq!(created(next_kind(&mut events).await), "3");
    assert!(matches!(next_kind(&mut events).await, Kind::CaughtUp(_)));
    alice.send("@bob", "4").await;
    assert_eq!(created(next_kind(&mut events).await), "4");
}

#[tokio::test]
async fn a_leader_that_steps_down_ends_its_streams_with_not_leader() {
    let mut cluster = Cluster::start().await;
    let bob = User::create(&cluster, "bob").await;
    let (mut events, _) = live(&bob).await;
    let leader = cluster.leader().await;
    cluster.process(leader).signal(rustix::process::Signal::TERM);
    let status = end(&mut events).await;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(["NOT_LEADER", "SHUTTING_DOWN"].contains(&reason(&status).as_str()), "{status:?}");
}

#[tokio::test]
async fn a_quiet_stream_beats() {
    let cluster = Cluster::start().await;
    let bob = User::create(&cluster, "bob").await;
    let (mut events, _) = live(&bob).await;
    for _ in 0..2 {
        let begun = Instant::now();
        let beat = within("a heartbeat every 5 s", Duration::from_secs(7), events.message()).await;
        let beat = beat.expect("alive").expect("alive");
        assert!(matches!(beat.kind, Some(Kind::Heartbeat(_))), "{beat:?}");
        assert!(!beat.cursor.is_empty(), "a heartbeat carries a cursor");
        assert!(begun.elapsed() > Duration::from_secs(2), "not all the time");
    }
}

#[tokio::test]
async fn a_slow_subscriber_is_ended_and_goes_on_at_its_cursor() {
    let buffer = ("CHINWAG__LIMITS__SUBSCRIBER_BUFFER", "16".to_owned());
    let cluster =
        Cluster::start_with(Options { environment: vec![buffer], ..Options::default() }).await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let leader = cluster.leader().await;
    let door = Door::narrow(&cluster.address(leader)).with(&bob.token);
    let request = SubscribeRequest::default();
    let mut events = door.events().subscribe(request).await.expect("it leads").into_inner();
    let mut cursor = next(&mut events).await.cursor;

    // Fills what the connection may hold, and then the buffer.
    let body = "x".repeat(15_000);
    for number in 0..100 {
        alice.send("@bob", &format!("{number} {body}")).await;
    }
    let mut heard = Vec::new();
    let ended = within("the end of the stream", LIVE, async {
        loop {
            match events.message().await {
                Ok(Some(event)) => {
                    cursor = event.cursor;
                    if let Some(Kind::MessageCreated(message)) = event.kind {
                        heard.push(message);
                    }
                }
                Ok(None) => panic!("the stream ended without saying why"),
                Err(status) => return status,
            }
        }
    })
    .await;
    assert_eq!(ended.code(), Code::ResourceExhausted, "{ended:?}");
    assert!(heard.len() < 100, "it did fall behind");

    let mut events = bob.subscribe(&cursor).await;
    while heard.len() < 100 {
        match next_kind(&mut events).await {
            Kind::MessageCreated(message) => heard.push(message),
            Kind::CaughtUp(_) => break,
            other => panic!("nothing else happened: {other:?}"),
        }
    }
    let seqs: Vec<i64> = heard.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>(), "nothing is dropped, nothing told twice");
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_streams() {
    let cluster = Cluster::start().await;
    let bob = User::create(&cluster, "bob").await;
    let phone = User::log_in(&cluster, "bob").await;
    let (mut at_phone, _) = live(&phone).await;
    let (mut at_desk, _) = live(&bob).await;
    let request = LogoutRequest { request_id: request_id() };
    phone.door().sessions().logout(request).await.expect("its own session");
    let status = end(&mut at_phone).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "NO_SESSION"));

    bob.send("@bob", "a note to myself").await;
    assert_eq!(created(next_kind(&mut at_desk).await), "a note to myself", "others go on");
}

#[tokio::test]
async fn no_event_reaches_another_account() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    let (mut events, cursor) = live(&carol).await;
    let sent = alice.send("@bob", "for bob only").await;
    bob.mark_read("@alice", 1).await.expect("own marker");
    let ids = vec![sent.message_id];
    let request = DeleteMessagesRequest { request_id: request_id(), message_ids: ids };
    alice.door().messages().delete_messages(request).await.expect("own message");
    alice.send("@carol", "for carol").await;

    assert_eq!(created(next_kind(&mut events).await), "for carol", "live");
    let mut replay = carol.subscribe(&cursor).await;
    assert_eq!(created(next_kind(&mut replay).await), "for carol", "replayed");
    assert!(matches!(next_kind(&mut replay).await, Kind::CaughtUp(_)));
    assert!(carol.history("@bob").await.is_empty());
}

#[tokio::test]
async fn a_cursor_that_means_nothing_gets_a_reset_and_goes_on_live() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    for cursor in ["nonsense", "ffffffffffffffff", "99999.1.99999"] {
        let mut events = bob.subscribe(cursor).await;
        let first = next(&mut events).await;
        assert!(matches!(first.kind, Some(Kind::Reset(_))), "{cursor}: {first:?}");
        assert!(!first.cursor.is_empty());
        alice.send("@bob", cursor).await;
        let body = loop {
            match next_kind(&mut events).await {
                Kind::MessageCreated(message) => break message.body,
                Kind::CaughtUp(_) => {}
                other => panic!("nothing else happened: {other:?}"),
            }
        };
        assert_eq!(body, cursor);
    }
}

#[tokio::test]
async fn many_subscribers_hear_every_message_of_many_senders() {
    let cluster = Cluster::start().await;
    let bob = Arc::new(User::create(&cluster, "bob").await);
    let mut receivers = Vec::new();
    for _ in 0..5 {
        receivers.push(Receiver::listen(&bob).await);
    }
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..4 {
        let user = User::create(&cluster, &format!("sender-{sender}")).await;
        senders.spawn(async move {
            for number in 0..25 {
                user.send("@bob", &number.to_string()).await;
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.expect("no sender failed");
    }
    let expected: Vec<String> = (0..25).map(|number| number.to_string()).collect();
    for receiver in receivers {
        let heard = receiver.messages(100).await;
        for sender in 0..4 {
            let conversation = format!("@sender-{sender}");
            let own: Vec<_> =
                heard.iter().filter(|m| m.conversation == conversation).cloned().collect();
            assert_eq!(bodies(&own), expected, "in order per conversation, each once");
        }
    }
}
