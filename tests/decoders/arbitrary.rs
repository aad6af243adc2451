//! Messages between servers and log entries, drawn at random.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chinwag::cluster::{
    Body, Boundary, Entry, Epoch, Hash, Incarnation, KnownCommitted, Message, Mode, Payload,
    PeerMemory, Position, Promise, Rejection, Report, ServerId, Updates, View,
};
use proptest::{collection::vec, option, prelude::*};

/// A few hundred bytes, or none.
pub(crate) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..400)
}

fn server() -> impl Strategy<Value = ServerId> {
    any::<u32>().prop_map(ServerId)
}

pub(crate) fn epoch() -> impl Strategy<Value = Epoch> {
    (0..=1_u64 << 62, server()).prop_map(|(number, server)| Epoch { number, server })
}

pub(crate) fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn position() -> impl Strategy<Value = Position> {
    (epoch(), any::<u64>(), hash()).prop_map(|(epoch, seq, hash)| Position { epoch, seq, hash })
}

fn known() -> impl Strategy<Value = KnownCommitted> {
    (epoch(), any::<u64>(), hash()).prop_map(|(epoch, seq, hash)| KnownCommitted {
        epoch,
        seq,
        hash,
    })
}

fn life() -> impl Strategy<Value = Incarnation> {
    any::<(u64, u64, u64)>().prop_map(|(starts, bumps, random)| Incarnation {
        starts,
        bumps,
        random,
    })
}

fn servers(least: usize) -> impl Strategy<Value = BTreeSet<ServerId>> {
    proptest::collection::btree_set(server(), least..5)
}

fn view() -> impl Strategy<Value = View> {
    (servers(1), any::<bool>()).prop_map(|(members, forced)| View { members, forced })
}

fn boundaries() -> impl Strategy<Value = Vec<Boundary>> {
    vec((epoch(), any::<u64>()).prop_map(|(epoch, first)| Boundary { epoch, first }), 0..4)
}

pub(crate) fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        bytes().prop_map(|bytes| Payload::Update(bytes.into())),
        view().prop_map(Payload::View),
        Just(Payload::Noop),
    ]
}

/// A chain of entries with what stands before it.
pub(crate) fn updates(least: usize) -> impl Strategy<Value = Updates> {
    let entries = vec((epoch(), payload()), least..5);
    (epoch(), 0..1_u64 << 60, hash(), entries, option::of(known())).prop_map(
        |(epoch, prev_seq, prev_hash, payloads, known_committed)| {
            let (mut entries, mut last) = (Vec::new(), prev_hash);
            for (seq, (epoch, payload)) in (prev_seq + 1..).zip(payloads) {
                let entry = Entry::after(last, seq, epoch, payload);
                last = entry.hash;
                entries.push(entry);
            }
            Updates { epoch, prev_seq, prev_hash, entries: Arc::new(entries), known_committed }
        },
    )
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        Just(Mode::Blank),
        Just(Mode::Recovering),
        Just(Mode::Reconciling),
        epoch().prop_map(Mode::Follower),
        epoch().prop_map(Mode::Candidate),
        epoch().prop_map(Mode::Leader),
    ]
}

fn memory() -> impl Strategy<Value = PeerMemory> {
    any::<([u8; 16], u64, u64)>().prop_map(|(uuid, starts, durable)| PeerMemory {
        uuid,
        starts,
        durable,
    })
}

fn report() -> impl Strategy<Value = Box<Report>> {
    let place = (option::of(position()), option::of((any::<u64>(), view())), option::of(known()));
    let ages = (option::of(any::<u32>()), any::<u32>());
    let versions = (any::<u64>(), any::<u32>(), any::<u32>());
    let rest = (option::of(hash()), any::<bool>(), option::of(memory()));
    (any::<[u8; 16]>(), mode(), any::<bool>(), place, ages, versions, rest).prop_map(
        |(uuid, mode, serving, place, ages, versions, rest)| {
            Box::new(Report {
                uuid,
                mode,
                serving,
                last: place.0,
                view: place.1,
                known_committed: place.2,
                leader_contact: ages.0.map(|ms| Duration::from_millis(ms.into())),
                oldest_work: Duration::from_millis(ages.1.into()),
                config_hash: versions.0,
                schema_version: versions.1,
                log_format: versions.2,
                lineage: rest.0,
                belonged: rest.1,
                remembered: rest.2,
            })
        },
    )
}

fn rejection() -> impl Strategy<Value = Rejection> {
    prop_oneof![
        Just(Rejection::WrongIncarnation),
        Just(Rejection::LowerEpoch),
        Just(Rejection::Gap),
        Just(Rejection::Diverged),
        Just(Rejection::NoDisk),
    ]
}

fn question() -> impl Strategy<Value = Body> {
    prop_oneof![
        report().prop_map(Body::Heartbeat),
        (option::of(position()), boundaries(), option::of(hash()))
            .prop_map(|(last, boundaries, lineage)| Body::Register { last, boundaries, lineage }),
        updates(0).prop_map(Body::Accept),
        epoch().prop_map(|epoch| Body::Prepare { epoch }),
        (epoch(), boundaries(), option::of(position()), any::<u64>()).prop_map(
            |(epoch, boundaries, after, until)| Body::Fetch { epoch, boundaries, after, until }
        ),
        (epoch(), option::of((any::<u64>(), hash())))
            .prop_map(|(epoch, tables)| Body::Evict { epoch, tables }),
        (epoch(), option::of(life()), option::of(server()))
            .prop_map(|(epoch, left, successor)| Body::Resign { epoch, left, successor }),
    ]
}

fn answer() -> impl Strategy<Value = Body> {
    let promise =
        (epoch(), option::of(position()), option::of((any::<u64>(), view())), option::of(known()));
    prop_oneof![
        report().prop_map(Body::HeartbeatReply),
        epoch().prop_map(|epoch| Body::Welcome { epoch }),
        updates(0).prop_map(Body::Suffix),
        (epoch(), any::<u64>()).prop_map(|(epoch, common)| Body::Diverged { epoch, common }),
        (epoch(), any::<u64>(), hash(), hash())
            .prop_map(|(epoch, seq, hash, digest)| Body::Accepted { epoch, seq, hash, digest }),
        (epoch(), rejection(), option::of(position()))
            .prop_map(|(epoch, reason, last)| Body::Rejected { epoch, reason, last }),
        (promise, servers(0), any::<bool>()).prop_map(|(known, promised_to, forgetful)| {
            let (epoch, last, view, known_committed) = known;
            let promise = Promise { epoch, last, view, known_committed, promised_to, forgetful };
            Body::Promise(Box::new(promise))
        }),
        updates(0).prop_map(Body::Fetched),
        (epoch(), life()).prop_map(|(epoch, left)| Body::Evicted { epoch, left }),
    ]
}

/// A message that says this.
fn saying(body: impl Strategy<Value = Body>) -> impl Strategy<Value = Message> {
    (server(), server(), life(), option::of(life()), any::<u64>(), epoch(), body).prop_map(
        |(from, to, incarnation, receiver, nonce, promised, body)| Message {
            from,
            to,
            incarnation,
            receiver,
            nonce,
            promised,
            body,
        },
    )
}

pub(crate) fn questions() -> impl Strategy<Value = Message> {
    saying(question())
}

pub(crate) fn answers() -> impl Strategy<Value = Message> {
    saying(answer())
}
