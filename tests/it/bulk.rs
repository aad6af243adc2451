//! Many messages over one stream.

use std::{collections::BTreeSet, time::Duration};

use chinwag::{
    client::{Client, Outgoing, Patience},
    wire::chat::{
        Message, SendMessagesRequest, SendMessagesResponse, send_messages_response::Result as Sent,
    },
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::harness::{Cluster, User, all, bodies, reason, request_id};

fn to_bob(body: impl Into<String>) -> SendMessagesRequest {
    SendMessagesRequest {
        request_id: request_id(),
        conversation: "@bob".into(),
        body: body.into(),
        reply_to: String::new(),
    }
}

/// Sends these and nothing more; the answers, and how the stream ended.
async fn send(
    user: &User,
    messages: Vec<SendMessagesRequest>,
) -> (Vec<SendMessagesResponse>, Result<(), Status>) {
    match user.door().messages().send_messages(tokio_stream::iter(messages)).await {
        Ok(answer) => collect(answer.into_inner()).await,
        Err(status) => (Vec::new(), Err(status)),
    }
}

async fn collect(
    mut incoming: Streaming<SendMessagesResponse>,
) -> (Vec<SendMessagesResponse>, Result<(), Status>) {
    let mut answers = Vec::new();
    loop {
        match incoming.message().await {
            Ok(Some(answer)) => answers.push(answer),
            Ok(None) => return (answers, Ok(())),
            Err(status) => return (answers, Err(status)),
        }
    }
}

fn message(answer: &SendMessagesResponse) -> &Message {
    match answer.result.as_ref().expect("an answer says something") {
        Sent::Message(message) => message,
        Sent::Error(error) => panic!("{error:?}"),
    }
}

fn refused(answer: &SendMessagesResponse) -> (Code, &str) {
    match answer.result.as_ref().expect("an answer says something") {
        Sent::Error(error) => (Code::from_i32(error.code), &error.reason),
        Sent::Message(message) => panic!("{message:?}"),
    }
}

#[tokio::test]
async fn each_message_is_answered_in_its_turn_and_a_refusal_ends_nothing() {
    let cluster = Cluster::start().await;
    User::create(&cluster, "bob").await;
    let alice = User::create(&cluster, "alice").await;
    let mut messages: Vec<_> = (0..1_000).map(|number| to_bob(number.to_string())).collect();
    messages[10].body = String::new();
    messages[20].conversation = "@nobody".into();
    messages[30].request_id = "no id".into();
    messages[40].request_id = String::new();
    messages[50].reply_to = "00".repeat(16);
    messages[60].body = "x".repeat(16_385);
    messages[70] = messages[69].clone();
    messages[80] = SendMessagesRequest { body: "twice".into(), ..messages[79].clone() };
    let (answers, end) = send(&alice, messages.clone()).await;
    end.expect("everything was answered");
    let ids = |answers: &[SendMessagesResponse]| {
        answers.iter().map(|answer| answer.request_id.clone()).collect::<Vec<_>>()
    };
    let sent_ids: Vec<_> = messages.iter().map(|message| message.request_id.clone()).collect();
    assert_eq!(ids(&answers), sent_ids, "in their order");
    for (place, wanted) in [
        (10, (Code::InvalidArgument, "BAD_FIELD")),
        (20, (Code::NotFound, "NO_SUCH_ACCOUNT")),
        (30, (Code::InvalidArgument, "BAD_FIELD")),
        (40, (Code::InvalidArgument, "BAD_FIELD")),
        (50, (Code::NotFound, "NO_SUCH_MESSAGE")),
        (60, (Code::InvalidArgument, "BAD_FIELD")),
        (80, (Code::InvalidArgument, "REQUEST_ID_REUSED")),
    ] {
        assert_eq!(refused(&answers[place]), wanted, "message {place}");
    }
    assert_eq!(message(&answers[69]), message(&answers[70]), "sent once");
    let bad = [10, 20, 30, 40, 50, 60, 70, 80];
    let taken: Vec<_> = (0..1_000).filter(|place| !bad.contains(place)).collect();
    let history = alice.history("@bob").await;
    let wanted: Vec<_> = taken.iter().map(|place| messages[*place].body.as_str()).collect();
    assert_eq!(bodies(&history), wanted, "in their order, each once");
    for (place, stored) in taken.iter().zip(&history) {
        assert_eq!(message(&answers[*place]), stored);
    }

    let (again, end) = send(&alice, messages).await;
    end.expect("everything was answered");
    assert_eq!(again, answers, "a repeat has no effect and the same answers");
    assert_eq!(alice.history("@bob").await, history);
}

#[tokio::test]
async fn a_stream_needs_a_session_while_it_lasts() {
    let cluster = Cluster::start().await;
    User::create(&cluster, "bob").await;
    let alice = User::create(&cluster, "alice").await;
    let leader = cluster.leader().await;
    let nobody = User::nobody(&cluster).only(leader);
    let (_, end) = send(&nobody, vec![to_bob("hi")]).await;
    assert_eq!(reason(&end.expect_err("no session")), "NO_SESSION");

    let (outgoing, requests) = mpsc::channel(1);
    let stream = alice.door().messages().send_messages(ReceiverStream::new(requests)).await;
    let mut stream = stream.expect("a session").into_inner();
    outgoing.send(to_bob("one")).await.expect("open");
    message(&stream.message().await.expect("open").expect("an answer"));
    let logout = chinwag::wire::chat::LogoutRequest { request_id: request_id() };
    alice.door().sessions().logout(logout).await.expect("logged out");
    outgoing.send(to_bob("two")).await.expect("open");
    let answer = stream.message().await.expect("open").expect("an answer");
    assert_eq!(refused(&answer), (Code::Unauthenticated, "NO_SESSION"));
}

#[tokio::test]
async fn whoever_takes_no_answers_is_read_no_further_and_hinders_nobody() {
    let cluster = Cluster::start().await;
    let (alice, bob) = (User::create(&cluster, "alice").await, User::create(&cluster, "bob").await);
    let (outgoing, requests) = mpsc::channel(1);
    let stream = alice.door().messages().send_messages(ReceiverStream::new(requests)).await;
    let stream = stream.expect("a session").into_inner();
    let mut sent = 0;
    // 16 KiB each: the windows of the connection, both ways, hold some hundreds of them.
    while timeout(Duration::from_secs(1), outgoing.send(to_bob("x".repeat(16_384)))).await.is_ok() {
        sent += 1;
        assert!(sent < 20_000, "the server takes whatever comes");
    }
    bob.send("@alice", "goes on").await;
    drop(outgoing);
    let (answers, end) = collect(stream).await;
    end.expect("everything was answered");
    // The one that found no room was given up, here.
    assert_eq!(answers.len(), sent);
}

#[tokio::test]
async fn a_stream_that_the_leader_took_with_it_goes_on_at_the_next_one() {
    let mut cluster = Cluster::start().await;
    User::create(&cluster, "bob").await;
    let alice = User::create(&cluster, "alice").await;
    let servers: Vec<String> = cluster.addresses().collect();
    let client = Client::new(&servers, Patience::default()).expect("addresses");
    client.set_session_token(Some(alice.token.clone()));
    let outgoing: Vec<Outgoing> = (0..6_000)
        .map(|number| Outgoing {
            request_id: request_id(),
            conversation: if number == 4_000 { "@nobody" } else { "@bob" }.into(),
            body: number.to_string(),
            reply_to: String::new(),
        })
        .collect();
    let leader = cluster.in_sync(all()).await;
    let (first, mut begun) = mpsc::channel(1);
    let sending = async {
        let mut answers = vec![None; outgoing.len()];
        let told = |place: usize, answer| {
            assert!(answers[place].replace(answer).is_none(), "message {place} is answered twice");
            let _ = first.try_send(());
        };
        client.send_all(&outgoing, told).await.expect("somebody leads");
        answers
    };
    let killing = async {
        begun.recv().await.expect("it begins");
        cluster.kill(leader);
    };
    let (answers, ()) = tokio::join!(sending, killing);
    let mut ids = BTreeSet::new();
    for (place, answer) in answers.into_iter().enumerate() {
        match answer.expect("everything is answered") {
            Ok(message) => assert!(ids.insert(message.message_id), "message {place} is another"),
            Err(refusal) => {
                assert_eq!((place, refusal.reason.as_str()), (4_000, "NO_SUCH_ACCOUNT"))
            }
        }
    }
    let wanted = outgoing.iter().filter(|one| one.conversation == "@bob");
    let wanted: Vec<_> = wanted.map(|one| one.body.as_str()).collect();
    assert_eq!(bodies(&alice.history("@bob").await), wanted, "in their order, each once");
}
