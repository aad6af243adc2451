//! What servers say to each other, and the log that they share.

use chinwag::{
    cluster::{Entry, Hash, Payload},
    wire::{
        cluster as proto,
        peer::{self, Question, RegisterPart},
    },
};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};
use prost::Message as _;

use super::{
    Property,
    arbitrary::{answers, bytes, epoch, hash, payload, questions, updates},
    words,
};

pub(crate) const PROPERTIES: &[(&str, Property)] = &[
    ("no bytes break a peer's decoder", garbage),
    ("damaged messages break no decoder", damage),
    ("every question arrives as it was", whole_questions),
    ("every answer arrives as it was", whole_answers),
    ("a payload has one spelling", payloads),
    ("a flipped bit anywhere in a chain is noticed", chains),
    ("an entry's hash covers all of it", entries),
];

/// Parses bytes as everything that they could be.
fn parse_as_everything(bytes: &[u8]) {
    let questions = [
        proto::HeartbeatRequest::decode(bytes).ok().map(Question::Heartbeat),
        proto::RegisterFollowerRequest::decode(bytes).ok().map(Question::Register),
        proto::AcceptUpdatesRequest::decode(bytes).ok().map(Question::Accept),
        proto::PrepareRequest::decode(bytes).ok().map(Question::Prepare),
        proto::FetchLogRequest::decode(bytes).ok().map(Question::Fetch),
        proto::EvictRequest::decode(bytes).ok().map(Question::Evict),
        proto::ResignRequest::decode(bytes).ok().map(Question::Resign),
    ];
    for question in questions.into_iter().flatten() {
        let _ = question.parse();
    }
    let _ = proto::HeartbeatResponse::decode(bytes).map(peer::message_of_heartbeat);
    let _ = proto::AcceptUpdatesResponse::decode(bytes).map(peer::message_of_accept);
    let _ = proto::PrepareResponse::decode(bytes).map(peer::message_of_prepare);
    let _ = proto::EvictResponse::decode(bytes).map(peer::message_of_evict);
    let _ = proto::FetchLogResponse::decode(bytes).map(peer::message_of_fetch);
    let _ = proto::RegisterFollowerResponse::decode(bytes).map(peer::message_of_register);
}

fn garbage(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&bytes(), |bytes| {
        parse_as_everything(&bytes);
        Ok(())
    }))
}

/// The bytes of a question.
fn encoded(question: Question) -> Vec<u8> {
    match question {
        Question::Heartbeat(request) => request.encode_to_vec(),
        Question::Register(request) => request.encode_to_vec(),
        Question::Accept(request) => request.encode_to_vec(),
        Question::Prepare(request) => request.encode_to_vec(),
        Question::Fetch(request) => request.encode_to_vec(),
        Question::Evict(request) => request.encode_to_vec(),
        Question::Resign(request) => request.encode_to_vec(),
    }
}

fn damage(runner: &mut TestRunner) -> Result<(), String> {
    let changes = proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4);
    words(runner.run(&(questions(), changes, any::<Index>()), |(message, changes, end)| {
        let mut bytes = encoded(Question::of(&message, "demo").expect("a question"));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        parse_as_everything(&bytes);
        bytes.truncate(end.index(bytes.len()));
        parse_as_everything(&bytes);
        Ok(())
    }))
}

fn whole_questions(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&questions(), |message| {
        let question = Question::of(&message, "demo").expect("a question");
        prop_assert_eq!(question.parse(), Ok(message));
        Ok(())
    }))
}

fn whole_answers(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&answers(), |message| {
        let name = "demo";
        let parsed = None
            .or_else(|| peer::heartbeat_response(&message, name).map(peer::message_of_heartbeat))
            .or_else(|| peer::accept_response(&message, name).map(peer::message_of_accept))
            .or_else(|| peer::prepare_response(&message, name).map(peer::message_of_prepare))
            .or_else(|| peer::evict_response(&message, name).map(peer::message_of_evict))
            .or_else(|| peer::fetch_response(&message, name).map(peer::message_of_fetch));
        let parsed = parsed.unwrap_or_else(|| {
            let response = peer::register_response(&message, name).expect("an answer");
            peer::message_of_register(response).map(|part| match part {
                RegisterPart::Message(message) => message,
                other => panic!("{other:?}"),
            })
        });
        prop_assert_eq!(parsed, Ok(message));
        Ok(())
    }))
}

fn payloads(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&(0_u8..6, bytes(), payload()), |(kind, bytes, payload)| {
        if let Some(parsed) = Payload::parse(kind, bytes.clone().into()) {
            prop_assert_eq!(parsed.kind(), kind);
            if kind != 2 {
                prop_assert_eq!(&parsed.bytes()[..], &bytes[..]);
            }
            prop_assert_eq!(Payload::parse(kind, parsed.bytes()), Some(parsed));
        }
        prop_assert_eq!(Payload::parse(payload.kind(), payload.bytes()), Some(payload));
        Ok(())
    }))
}

fn flip(bytes: &mut [u8], bit: Index) {
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}

fn flipped(bytes: &[u8], bit: Index) -> bytes::Bytes {
    let mut bytes = bytes.to_vec();
    flip(&mut bytes, bit);
    bytes.into()
}

/// Damages one field of one entry, or what the chain begins with.
fn damage_chain(updates: &mut proto::Updates, which: Index, field: usize, bit: Index) {
    let index = which.index(updates.entries.len());
    let entry = &mut updates.entries[index];
    let epoch = entry.epoch.as_mut().expect("every entry has one");
    match field {
        0 => entry.seq ^= 1 << bit.index(64),
        1 => epoch.number ^= 1 << bit.index(64),
        2 => epoch.server ^= 1 << bit.index(32),
        3 => entry.kind ^= 1 << bit.index(32),
        4 => entry.hash = flipped(&entry.hash, bit),
        5 if entry.payload.is_empty() => entry.payload = bytes::Bytes::from_static(&[0]),
        5 => entry.payload = flipped(&entry.payload, bit),
        6 => updates.prev_seq ^= 1 << bit.index(64),
        _ => updates.prev_hash = flipped(&updates.prev_hash, bit),
    }
}

fn chains(runner: &mut TestRunner) -> Result<(), String> {
    let strategy = (questions(), updates(1), any::<Index>(), 0..8_usize, any::<Index>());
    words(runner.run(&strategy, |(mut message, updates, which, field, bit)| {
        message.body = chinwag::cluster::Body::Accept(updates);
        let Some(Question::Accept(mut request)) = Question::of(&message, "demo") else {
            panic!("a question")
        };
        damage_chain(request.updates.as_mut().expect("there"), which, field, bit);
        prop_assert!(Question::Accept(request).parse().is_err());
        Ok(())
    }))
}

fn entries(runner: &mut TestRunner) -> Result<(), String> {
    let strategy = (hash(), any::<u64>(), epoch(), payload(), 0..5_usize, any::<Index>());
    words(runner.run(&strategy, |(Hash(mut prev), seq, epoch, payload, field, bit)| {
        let mut entry = Entry::after(Hash(prev), seq, epoch, payload);
        prop_assert!(entry.follows(Hash(prev)));
        match field {
            0 => flip(&mut prev, bit),
            1 => entry.seq ^= 1 << bit.index(64),
            2 => entry.epoch.number ^= 1 << bit.index(64),
            3 => entry.epoch.server.0 ^= 1 << bit.index(32),
            _ => flip(&mut entry.hash.0, bit),
        }
        prop_assert!(!entry.follows(Hash(prev)));
        Ok(())
    }))
}
