//! The desk over the real core, with a store that does what it is told one step at a time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use super::desk::{Action, Desk, Executed, Input, Refused};
use crate::{
    chat::{AccountId, Audience, Change, ChangeKind, Outcome, Refusal, SessionId},
    cluster::{
        Boot, Effect, Entry, Epoch, Event, Hash, LocalState, Payload, Policy, ServerId, Settings,
        Time, Timing,
    },
    store::{Applied, Completion},
};

/// One server that is a cluster by itself, and what it wants of its store.
struct Alone {
    desk: Desk,
    now: Duration,
    wanted: VecDeque<Effect>,
    told: Vec<Action>,
}

impl Alone {
    fn started() -> Alone {
        let id = ServerId(1);
        let settings = Settings {
            id,
            servers: BTreeSet::from([id]),
            policy: Policy::Available,
            config_hash: 1,
            schema_version: 1,
            timing: Timing::default(),
            trust_refused: true,
            log_cap: 1_000,
        };
        let local = LocalState {
            uuid: [1; 16],
            starts: 1,
            promised: Epoch::ZERO,
            promised_to: BTreeSet::new(),
            belonged: None,
            peers: BTreeMap::new(),
        };
        let boot = Boot { local, log: None, random: 7, fresh_lineage: Hash([7; 32]) };
        let (desk, actions) = Desk::new(settings, boot, 4, Time(Duration::ZERO));
        let mut alone =
            Alone { desk, now: Duration::ZERO, wanted: VecDeque::new(), told: Vec::new() };
        alone.take(actions);
        while !alone.desk.core().serving() {
            assert!(alone.now < Duration::from_secs(30), "it leads itself within seconds");
            alone.now += Duration::from_millis(50);
            alone.input(Input::Event(Event::Tick));
            alone.store_everything();
        }
        alone.told.clear();
        alone
    }

    fn input(&mut self, input: Input) {
        let actions = self.desk.handle(input, Time(self.now));
        self.take(actions);
    }

    fn execute(&mut self, waiter: u64) {
        self.input(Input::Execute { waiter, payload: Bytes::from_static(b"update") });
    }

    fn batch(&mut self) {
        let actions = self.desk.batch(Time(self.now));
        self.take(actions);
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Effect(
                    effect @ (Effect::Apply { .. } | Effect::Commit { .. } | Effect::Store { .. }),
                ) => self.wanted.push_back(effect),
                Action::Effect(_) => {}
                told => self.told.push(told),
            }
        }
    }

    /// Carries out the oldest wish.
    fn store_one(&mut self) -> bool {
        let Some(effect) = self.wanted.pop_front() else { return false };
        let digest = Hash([3; 32]);
        let completion = match effect {
            Effect::Apply { op, entries } => {
                let is_update = |entry: &&Entry| matches!(entry.payload, Payload::Update(_));
                let updates = entries.iter().filter(is_update);
                let results = updates.map(|entry| (entry.seq, Ok(Outcome::LoggedOut))).collect();
                let audience = Audience::from(vec![AccountId([1; 16])]);
                let kind = ChangeKind::SessionChanged { session: SessionId([1; 16]), ended: false };
                let updates = entries.iter().filter(is_update);
                let change = |entry: &Entry| Change {
                    log_seq: entry.seq,
                    audience: audience.clone(),
                    kind: kind.clone(),
                };
                let changes = updates.map(change).collect();
                Completion::Applied { op, applied: Applied { digest, results, changes } }
            }
            Effect::Commit { op } => Completion::Committed { op },
            Effect::Store { op, .. } => Completion::Stored { op, digest },
            other => panic!("no wish of the store: {other:?}"),
        };
        self.input(Input::Completed(completion));
        true
    }

    fn store_everything(&mut self) {
        while self.store_one() {}
    }

    fn answered(&self) -> Vec<u64> {
        let waiter = |action: &Action| match action {
            Action::Answer(waiter, Executed { result: Ok(Outcome::LoggedOut), .. }) => {
                Some(*waiter)
            }
            _ => None,
        };
        self.told.iter().filter_map(waiter).collect()
    }

    fn refused(&self) -> Vec<(u64, Refused)> {
        let refused = |action: &Action| match action {
            Action::Refuse(waiter, refused) => Some((*waiter, refused.clone())),
            _ => None,
        };
        self.told.iter().filter_map(refused).collect()
    }
}

#[test]
fn an_update_is_answered_after_its_commit_and_not_before() {
    let mut alone = Alone::started();
    alone.execute(1);
    alone.batch();
    assert!(alone.store_one(), "it is applied");
    assert_eq!(alone.answered(), [] as [u64; 0]);
    assert!(alone.store_one(), "it is committed");
    assert_eq!(alone.answered(), [1]);
}

#[test]
fn what_waits_while_a_batch_is_in_flight_travels_together() {
    let mut alone = Alone::started();
    alone.execute(1);
    alone.batch();
    alone.execute(2);
    alone.execute(3);
    alone.batch();
    assert_eq!(alone.wanted.len(), 1, "one batch at a time");
    alone.store_everything();
    alone.batch();
    let Some(Effect::Apply { entries, .. }) = alone.wanted.front() else { panic!("a batch") };
    assert_eq!(entries.len(), 2);
    alone.store_everything();
    assert_eq!(alone.answered(), [1, 2, 3]);
}

#[test]
fn a_full_queue_says_so() {
    let mut alone = Alone::started();
    for waiter in 0..4 {
        assert!(alone.desk.has_room());
        alone.execute(waiter);
    }
    assert!(!alone.desk.has_room());
    alone.batch();
    assert!(alone.desk.has_room());
}

#[test]
fn a_server_that_stops_refuses_what_is_queued_and_what_comes() {
    let mut alone = Alone::started();
    alone.execute(1);
    alone.input(Input::Event(Event::Shutdown));
    alone.execute(2);
    assert_eq!(alone.refused(), [(1, Refused::ShuttingDown), (2, Refused::ShuttingDown)]);
}

#[test]
fn after_an_own_pause_what_was_taken_is_unknown_and_what_was_queued_was_never_taken() {
    let mut alone = Alone::started();
    alone.execute(1);
    alone.batch();
    alone.execute(2);
    alone.now += Duration::from_secs(60);
    alone.input(Input::Event(Event::Tick));
    let refused = alone.refused();
    assert_eq!(refused[0], (1, Refused::OutcomeUnknown));
    assert!(matches!(refused[1], (2, Refused::NotLeader(None))), "{refused:?}");
    assert!(alone.told.iter().any(|action| matches!(action, Action::EndSubscriptions)));
}

#[test]
fn what_was_rolled_back_is_never_told_even_if_the_store_applied_it_late() {
    let mut alone = Alone::started();
    alone.execute(1);
    alone.batch();
    alone.now += Duration::from_secs(60);
    alone.input(Input::Event(Event::Tick));
    alone.store_everything();
    while !alone.desk.core().serving() {
        assert!(alone.now < Duration::from_secs(120), "it leads itself again within seconds");
        alone.now += Duration::from_millis(50);
        alone.input(Input::Event(Event::Tick));
        alone.store_everything();
    }
    alone.execute(2);
    alone.batch();
    alone.store_everything();
    let published = alone.told.iter().filter_map(|action| match action {
        Action::Publish(changes) => Some(changes.len()),
        _ => None,
    });
    assert_eq!(published.sum::<usize>(), 1, "only the second update's change");
    assert_eq!(alone.answered(), [2]);
}

#[test]
fn a_refusal_is_an_answer() {
    let mut alone = Alone::started();
    alone.execute(1);
    alone.batch();
    let Some(Effect::Apply { op, entries }) = alone.wanted.pop_front() else { panic!("a batch") };
    let results = vec![(entries[0].seq, Err(Refusal::NameTaken))];
    let applied = Applied { digest: Hash([4; 32]), results, changes: Vec::new() };
    alone.input(Input::Completed(Completion::Applied { op, applied }));
    alone.store_everything();
    let answer = alone.told.iter().find_map(|action| match action {
        Action::Answer(1, executed) => Some(executed.result.clone()),
        _ => None,
    });
    assert_eq!(answer, Some(Err(Refusal::NameTaken)));
}

#[test]
fn alone_a_read_is_served_at_once() {
    let mut alone = Alone::started();
    alone.input(Input::Read(5));
    assert!(alone.told.iter().any(|action| matches!(action, Action::Serve(5))), "{:?}", alone.told);
}

#[test]
fn what_is_queued_when_the_disk_fills_up_is_refused_and_what_is_taken_goes_on() {
    let mut alone = Alone::started();
    alone.execute(1);
    alone.batch();
    alone.execute(2);
    alone.input(Input::Event(Event::DiskLow(true)));
    assert_eq!(alone.refused(), [(2, Refused::StorageFull)]);
    alone.store_everything();
    assert_eq!(alone.answered(), [1]);
}
