//! P2 and P20: whose words count when two processes speak for one id, or one after the other and some words
//! come late. Server 1 listens; the others only ever say how they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chinwag::cluster::{
    Body, Boot, Boundary, Core, Effect, Epoch, Event, Hash, Incarnation, KnownCommitted,
    LocalState, LogSummary, Message, Mode, PeerMemory, Policy, Position, Seq, ServerId, Settings,
    Time, Timing, View,
};

const ONE: ServerId = ServerId(1);
const OTHER: ServerId = ServerId(2);

/// A process with an empty log, begun so often in this data folder.
fn process(id: ServerId, folder: u8, starts: u64, random: u64, now: Time) -> Core {
    with_log(id, (folder, starts, random), None, now)
}

fn with_log(id: ServerId, life: (u8, u64, u64), log: Option<LogSummary>, now: Time) -> Core {
    let (folder, starts, random) = life;
    let local = LocalState {
        uuid: [folder; 16],
        starts,
        promised: Epoch::ZERO,
        promised_to: BTreeSet::new(),
        belonged: None,
        peers: BTreeMap::new(),
    };
    let settings = Settings {
        id,
        // The third never comes, so that no cluster begins.
        servers: [ONE, OTHER, ServerId(3)].into(),
        policy: Policy::Majority,
        config_hash: 1,
        schema_version: 1,
        timing: Timing::default(),
        trust_refused: true,
        log_cap: 100,
    };
    let boot = Boot { local, log, random, fresh_lineage: Hash([0; 32]) };
    Core::new(settings, boot, now).0
}

fn log_until(seq: Seq) -> LogSummary {
    let epoch = Epoch { number: 1, server: OTHER };
    let view = View { members: [ONE, OTHER, ServerId(3)].into(), forced: false };
    LogSummary {
        lineage: Hash([0; 32]),
        first: 1,
        last: Position { epoch, seq, hash: Hash([9; 32]) },
        boundaries: vec![Boundary { epoch, first: 1 }],
        views: vec![(1, view)],
        recent: vec![(seq, Hash([9; 32]))],
    }
}

/// What it remembers of the other one, in the words of its next heartbeat.
fn memory_of(one: &mut Core, now: Time) -> PeerMemory {
    let said = sent_to(OTHER, one.step(Event::Tick, Time(now.0 + Duration::from_secs(1))));
    let remembered = said.iter().find_map(|one| match &one.body {
        Body::Heartbeat(report) => report.remembered,
        _ => None,
    });
    remembered.expect("it was heard")
}

fn sent_to(id: ServerId, effects: Vec<Effect>) -> Vec<Message> {
    let message = |effect| match effect {
        Effect::Send(message) if message.to == id => Some(message),
        _ => None,
    };
    effects.into_iter().filter_map(message).collect()
}

fn hear(core: &mut Core, messages: Vec<Message>, now: Time) -> Vec<Effect> {
    messages.into_iter().flat_map(|one| core.step(Event::Message(one), now)).collect()
}

/// Both beat for a while, and hear each other.
fn talk(one: &mut Core, other: &mut Core, now: &mut Time, millis: u64) {
    for _ in 0..millis {
        now.0 += Duration::from_millis(1);
        let asked = sent_to(OTHER, one.step(Event::Tick, *now));
        let mut said = other.step(Event::Tick, *now);
        said.extend(hear(other, asked, *now));
        let answers = hear(one, sent_to(ONE, said), *now);
        let heard = hear(other, sent_to(OTHER, answers), *now);
        hear(one, sent_to(ONE, heard), *now);
    }
}

/// Whether the other one answered within the last two beats.
fn is_heard(one: &Core, now: Time) -> bool {
    let beat = Timing::default().heartbeat_interval;
    let contact = one.status(now).peers[&OTHER].last_contact;
    contact.is_some_and(|age| age <= beat * 2)
}

#[test]
fn one_that_answers_again_after_another_took_its_place_is_heard() {
    let mut now = Time(Duration::from_secs(10));
    let mut one = process(ONE, 1, 1, 101, now);
    let mut server = process(OTHER, 2, 5, 102, now);
    talk(&mut one, &mut server, &mut now, 500);
    assert!(is_heard(&one, now));
    // The server is cut off, and somebody starts a copy of its folder that was made long ago.
    let mut copy = process(OTHER, 2, 3, 103, now);
    talk(&mut one, &mut copy, &mut now, 500);
    assert!(is_heard(&one, now), "nothing but the copy answers");
    // The copy is stopped, and the server is back.
    talk(&mut one, &mut server, &mut now, 500);
    assert!(is_heard(&one, now), "nothing but the server answers");
}

#[test]
fn a_second_process_in_another_folder_is_refused_while_the_first_one_answers() {
    let mut now = Time(Duration::from_secs(10));
    let mut one = process(ONE, 1, 1, 101, now);
    let mut server = process(OTHER, 2, 5, 102, now);
    talk(&mut one, &mut server, &mut now, 500);
    let mut second = process(OTHER, 3, 9, 103, now);
    let said = sent_to(ONE, second.step(Event::Tick, Time(now.0 + Duration::from_secs(1))));
    assert!(!said.is_empty());
    hear(&mut one, said, now);
    let refused = one.status(now).peers[&OTHER].refused.clone();
    assert!(refused.is_some_and(|why| why.contains("two servers use the id 2")));
    // It is the first one that still counts.
    talk(&mut one, &mut server, &mut now, 100);
    assert!(is_heard(&one, now));
    assert_eq!(one.status(now).peers[&OTHER].refused, None);
}

/// What a server that was emptied since said to a life of this one that is over, proves nothing: neither that
/// it lives, nor that the emptied one is older than it.
#[test]
fn an_answer_to_an_earlier_life_introduces_nobody() {
    let mut now = Time(Duration::from_secs(10));
    let mut before = process(ONE, 1, 1, 101, now);
    let mut full = process(OTHER, 2, 5, 102, now);
    talk(&mut before, &mut full, &mut now, 100);
    now.0 += Duration::from_secs(1);
    let asked = sent_to(OTHER, before.step(Event::Tick, now));
    let mut late = sent_to(ONE, hear(&mut full, asked, now));
    late.retain(|one| matches!(one.body, Body::HeartbeatReply(_)));
    assert_eq!(late.len(), 1);

    let mut one = process(ONE, 1, 2, 104, now);
    let mut emptied = process(OTHER, 3, 1, 105, now);
    let said = sent_to(ONE, emptied.step(Event::Tick, Time(now.0 + Duration::from_secs(1))));
    hear(&mut one, said, now);
    hear(&mut one, late, now);
    talk(&mut one, &mut emptied, &mut now, 500);
    let remembered = memory_of(&mut one, now);
    assert_eq!((remembered.uuid, remembered.starts), ([3; 16], 1));
}

#[test]
fn a_late_word_of_the_same_life_does_not_make_its_log_shorter() {
    let mut now = Time(Duration::from_secs(10));
    let mut one = process(ONE, 1, 1, 101, now);
    let mut early = with_log(OTHER, (2, 1, 102), Some(log_until(2)), now);
    now.0 += Duration::from_millis(100);
    let asked = sent_to(OTHER, one.step(Event::Tick, now));
    let mut late = sent_to(ONE, hear(&mut early, asked, now));
    late.retain(|one| matches!(one.body, Body::HeartbeatReply(_)));
    let mut later = with_log(OTHER, (2, 1, 102), Some(log_until(4)), now);
    let said = sent_to(ONE, later.step(Event::Tick, Time(now.0 + Duration::from_millis(100))));
    hear(&mut one, said, now);
    hear(&mut one, late, now);
    assert_eq!(memory_of(&mut one, now).durable, 4);
}

/// A leader's heartbeat that was on its way to an earlier life comes to one that follows the same leader: what it
/// says is committed was said to that life, which was in sync, and this one is not.
#[test]
fn what_is_committed_is_told_to_one_life_alone() {
    let now = Time(Duration::from_secs(10));
    let follow = |meant_for: fn(&Core) -> Option<Incarnation>| {
        let mut one = with_log(ONE, (1, 2, 101), Some(log_until(2)), now);
        let mut leader = with_log(OTHER, (2, 1, 102), Some(log_until(2)), now);
        let epoch = Epoch { number: 1, server: OTHER };
        let mut said = sent_to(ONE, leader.step(Event::Tick, Time(now.0 + Duration::from_secs(1))));
        let mut beat = said.pop().expect("a heartbeat");
        let Body::Heartbeat(report) = &mut beat.body else { panic!("a heartbeat") };
        (report.mode, report.serving) = (Mode::Leader(epoch), true);
        let first = Message { receiver: None, ..beat.clone() };
        let Body::Heartbeat(report) = &mut beat.body else { panic!("a heartbeat") };
        report.known_committed = Some(KnownCommitted { epoch, seq: 2, hash: Hash([9; 32]) });
        let late = Message { receiver: meant_for(&one), nonce: beat.nonce + 1, ..beat.clone() };
        let receiver = Some(one.incarnation());
        let welcome = Message { receiver, body: Body::Welcome { epoch }, ..beat };
        hear(&mut one, vec![first, welcome, late], now);
        one.mode()
    };
    let in_sync = Mode::Follower(Epoch { number: 1, server: OTHER });
    assert_eq!(follow(|one| Some(one.incarnation())), in_sync, "it was said to this life");
    assert_eq!(
        follow(|one| Some(Incarnation { random: 7, ..one.incarnation() })),
        Mode::Recovering
    );
    assert_eq!(follow(|_| None), Mode::Recovering);
}
