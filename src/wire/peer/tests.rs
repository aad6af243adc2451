//! Whatever is sent arrives as it was, and what is not a chain does not arrive.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::{
    Question, RegisterPart, accept_response, evict_response, fetch_response, heartbeat_response,
    message_of_accept, message_of_evict, message_of_fetch, message_of_heartbeat,
    message_of_prepare, message_of_register, prepare_response, register_response,
};
use crate::{
    cluster::{
        Body, Boundary, Entry, Epoch, Hash, Incarnation, KnownCommitted, Message, Mode, Payload,
        PeerMemory, Position, Promise, Rejection, Report, ServerId, Updates, View,
    },
    wire::{Malformed, cluster as proto},
};

const EPOCH: Epoch = Epoch { number: 7, server: ServerId(2) };
const LIFE: Incarnation = Incarnation { starts: 3, bumps: 1, random: u64::MAX };

fn view() -> View {
    View { members: BTreeSet::from([ServerId(1), ServerId(3)]), forced: true }
}

fn position() -> Position {
    Position { epoch: EPOCH, seq: 41, hash: Hash([9; 32]) }
}

fn committed() -> KnownCommitted {
    KnownCommitted { epoch: EPOCH, seq: 40, hash: Hash([8; 32]) }
}

fn updates() -> Updates {
    let prev_hash = Hash([5; 32]);
    let first = Entry::after(prev_hash, 11, EPOCH, Payload::Update(Bytes::from_static(b"hello")));
    let second = Entry::after(first.hash, 12, EPOCH, Payload::View(view()));
    let third = Entry::after(second.hash, 13, EPOCH, Payload::Noop);
    let entries = Arc::new(vec![first, second, third]);
    Updates { epoch: EPOCH, prev_seq: 10, prev_hash, entries, known_committed: Some(committed()) }
}

fn report() -> Report {
    Report {
        uuid: [6; 16],
        mode: Mode::Leader(EPOCH),
        serving: true,
        last: Some(position()),
        view: Some((12, view())),
        known_committed: Some(committed()),
        leader_contact: Some(Duration::from_millis(20)),
        oldest_work: Duration::from_millis(3),
        config_hash: u64::MAX,
        schema_version: 1,
        log_format: 1,
        lineage: Some(Hash([1; 32])),
        belonged: true,
        remembered: Some(PeerMemory { uuid: [2; 16], starts: 4, durable: 39 }),
    }
}

fn message(body: Body) -> Message {
    let (from, to) = (ServerId(1), ServerId(2));
    let receiver = Some(Incarnation { starts: 1, bumps: 0, random: 5 });
    Message { from, to, incarnation: LIFE, receiver, nonce: 77, promised: EPOCH, body }
}

fn questions() -> Vec<Body> {
    let boundaries = vec![Boundary { epoch: EPOCH, first: 1 }];
    vec![
        Body::Heartbeat(Box::new(report())),
        Body::Register {
            last: Some(position()),
            boundaries: boundaries.clone(),
            lineage: Some(Hash([1; 32])),
        },
        Body::Register { last: None, boundaries: vec![], lineage: None },
        Body::Accept(updates()),
        Body::Prepare { epoch: EPOCH },
        Body::Fetch { epoch: EPOCH, boundaries, after: Some(position()), until: 50 },
        Body::Evict { epoch: EPOCH, tables: None },
        Body::Evict { epoch: EPOCH, tables: Some((9, Hash([5; 32]))) },
        Body::Resign { epoch: EPOCH, left: Some(LIFE), successor: None },
        Body::Resign { epoch: EPOCH, left: None, successor: Some(ServerId(3)) },
    ]
}

fn answers() -> Vec<Body> {
    let promised_to = BTreeSet::from([ServerId(1), ServerId(2)]);
    vec![
        Body::HeartbeatReply(Box::new(report())),
        Body::Welcome { epoch: EPOCH },
        Body::Suffix(updates()),
        Body::Diverged { epoch: EPOCH, common: 6 },
        Body::Accepted { epoch: EPOCH, seq: 4, hash: Hash([3; 32]), digest: Hash([4; 32]) },
        Body::Rejected { epoch: EPOCH, reason: Rejection::Gap, last: Some(position()) },
        Body::Promise(Box::new(Promise {
            epoch: EPOCH,
            last: Some(position()),
            view: Some((12, view())),
            known_committed: Some(committed()),
            promised_to,
            forgetful: true,
        })),
        Body::Fetched(updates()),
        Body::Evicted { epoch: EPOCH, left: LIFE },
    ]
}

fn there_and_back(answer: &Message) -> Result<Message, Malformed> {
    if let Some(response) = heartbeat_response(answer, "demo") {
        return message_of_heartbeat(response);
    }
    if let Some(response) = accept_response(answer, "demo") {
        return message_of_accept(response);
    }
    if let Some(response) = prepare_response(answer, "demo") {
        return message_of_prepare(response);
    }
    if let Some(response) = evict_response(answer, "demo") {
        return message_of_evict(response);
    }
    if let Some(response) = fetch_response(answer, "demo") {
        return message_of_fetch(response);
    }
    match message_of_register(register_response(answer, "demo").expect("an answer"))? {
        RegisterPart::Message(message) => Ok(message),
        part => panic!("{part:?}"),
    }
}

#[test]
fn every_question_arrives_as_it_was() {
    for body in questions() {
        let sent = message(body);
        let question = Question::of(&sent, "demo").expect("a question");
        assert_eq!(question.parse(), Ok(sent));
    }
}

#[test]
fn every_answer_arrives_as_it_was() {
    for body in answers() {
        let sent = message(body);
        assert!(Question::of(&sent, "demo").is_none(), "an answer is no question");
        assert_eq!(there_and_back(&sent), Ok(sent));
    }
}

#[test]
fn entries_that_are_not_a_chain_do_not_arrive() {
    let spoil: [fn(&mut proto::Updates); 4] = [
        |updates| updates.prev_seq += 1,
        |updates| updates.prev_hash = Bytes::from_static(&[0; 32]),
        |updates| updates.entries[1].payload = Bytes::from_static(b"\0\0\0\0\x01"),
        |updates| {
            updates.entries.remove(1);
        },
    ];
    for spoil in spoil {
        let question = Question::of(&message(Body::Accept(updates())), "demo");
        let Some(Question::Accept(mut request)) = question else { panic!("a question") };
        spoil(request.updates.as_mut().expect("updates"));
        assert_eq!(Question::Accept(request).parse(), Err(Malformed("entries are not a chain")));
    }
}

proptest! {
    #[test]
    fn garbage_is_refused_in_words_and_never_breaks_anything(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        if let Ok(request) = proto::AcceptUpdatesRequest::decode(&*bytes) {
            let _ = Question::Accept(request).parse();
        }
        if let Ok(request) = proto::HeartbeatRequest::decode(&*bytes) {
            let _ = Question::Heartbeat(request).parse();
        }
        if let Ok(response) = proto::RegisterFollowerResponse::decode(&*bytes) {
            let _ = message_of_register(response);
        }
        if let Ok(response) = proto::PrepareResponse::decode(&*bytes) {
            let _ = message_of_prepare(response);
        }
    }
}
