//! The pure part: which server, when, how long, and what it ends with.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tonic::Code;

use crate::{
    client::{
        Error, Notice, Patience, Refusal,
        attempts::{Attempts, Step, backoff},
        failure::Failure,
        resume::Resume,
        route::Route,
    },
    wire::chat::{Event, Heartbeat, Message, Reset, event::Kind},
};

const A: &str = "127.0.0.1:1";
const B: &str = "127.0.0.1:2";
const C: &str = "127.0.0.1:3";

const PATIENCE: Duration = Duration::from_millis(1_500);

fn route() -> Route {
    Route::new(&[A.into(), B.into(), C.into()])
}

fn lost() -> Failure {
    Failure::Lost("broken".into())
}

fn refused_connect() -> Failure {
    Failure::Unreachable("connection refused".into())
}

/// Drives a call as the shell does: tells the route, then asks for the next step.
struct Story {
    route: Route,
    attempts: Attempts,
    now: Instant,
    step: Step,
}

impl Story {
    fn begin(request_id: Option<&str>) -> Story {
        let (route, now) = (route(), Instant::now());
        let mut attempts = Attempts::begin(request_id, PATIENCE, &Patience::default(), now);
        let step = attempts.first(&route, now);
        Story { route, attempts, now, step }
    }

    fn fails(&mut self, failure: Failure) -> &mut Story {
        let Step::Try(server, _) = self.step else { panic!("no attempt: {:?}", self.step) };
        self.route.failed(server, &failure, self.now);
        self.step = self.attempts.failed(&mut self.route, server, failure, self.now, 1.0);
        self
    }

    fn waits(&mut self) -> Duration {
        let Step::Wait(delay) = self.step else { panic!("no wait: {:?}", self.step) };
        self.now += delay;
        self.step = self.attempts.waited(&self.route, self.now);
        delay
    }

    #[track_caller]
    fn asks(&mut self, server: usize) -> &mut Story {
        assert!(matches!(self.step, Step::Try(asked, _) if asked == server), "{:?}", self.step);
        self
    }

    #[track_caller]
    fn ends(&self) -> &Error {
        let Step::End(error) = &self.step else { panic!("no end: {:?}", self.step) };
        error
    }
}

#[test]
fn every_server_is_asked_once_without_delay_before_there_is_a_wait() {
    let mut story = Story::begin(None);
    story.asks(0).fails(refused_connect()).asks(1).fails(Failure::NotLeader(None));
    story.asks(2).fails(Failure::NotLeader(None));
    assert_eq!(story.waits(), Duration::from_millis(5));
    assert!(matches!(story.step, Step::Try(..)));
}

#[test]
fn a_leader_hint_is_followed_at_once() {
    let mut story = Story::begin(None);
    story.asks(0).fails(Failure::NotLeader(Some(C.into()))).asks(2);
}

#[test]
fn a_hint_to_an_unknown_server_is_learned_but_nonsense_is_not() {
    let mut story = Story::begin(None);
    story.fails(Failure::NotLeader(Some("127.0.0.1:9".into()))).asks(3);
    let mut story = Story::begin(None);
    story.fails(Failure::NotLeader(Some("nonsense".into()))).asks(1);
}

#[test]
fn a_hint_to_a_server_that_just_failed_waits_for_the_next_round() {
    let mut story = Story::begin(None);
    story.asks(0).fails(refused_connect());
    story.asks(1).fails(Failure::NotLeader(Some(A.into())));
    story.asks(2).fails(Failure::NotLeader(Some(A.into())));
    story.waits();
    story.asks(0);
}

#[test]
fn a_hint_to_a_frozen_server_is_not_followed_while_it_is_suspect() {
    let mut story = Story::begin(None);
    story.asks(0).fails(Failure::Silent);
    story.asks(1).fails(Failure::NotLeader(Some(A.into())));
    story.asks(2).fails(Failure::NotLeader(Some(A.into())));
    story.waits();
    assert!(!matches!(story.step, Step::Try(0, _)), "{:?}", story.step);
    story.now += Duration::from_secs(2);
    story.fails(Failure::NotLeader(Some(A.into()))).asks(0);
}

#[test]
fn waits_double_up_to_a_quarter_of_a_second_and_are_spread_by_chance() {
    let wholes: Vec<u128> = (0..8).map(|round| backoff(round, 1.0).as_millis()).collect();
    assert_eq!(wholes, [5, 10, 20, 40, 80, 160, 250, 250]);
    assert_eq!(backoff(3, 0.0), Duration::from_millis(20));
    assert_eq!(backoff(u32::MAX, 1.0), Duration::from_millis(250));
}

#[test]
fn a_silent_server_gets_more_time_at_the_next_attempt() {
    let mut story = Story::begin(None);
    let patience = |story: &Story| match story.step {
        Step::Try(_, patience) => patience,
        _ => panic!("{:?}", story.step),
    };
    assert_eq!(patience(&story), Duration::from_millis(1_500));
    story.fails(Failure::Silent);
    assert_eq!(patience(&story), Duration::from_millis(2_250));
    story.now += Duration::from_secs(29);
    story.fails(lost());
    assert_eq!(patience(&story), Duration::from_secs(1), "never beyond the call's own time");
}

#[test]
fn a_change_whose_answer_got_lost_ends_as_unknown_with_its_request_id() {
    let mut story = Story::begin(Some("id-1"));
    story.fails(lost());
    story.now += Duration::from_secs(30);
    story.fails(refused_connect());
    let Error::OutcomeUnknown { request_id, .. } = story.ends() else { panic!("{:?}", story.step) };
    assert_eq!(request_id, "id-1");
    assert!(story.ends().to_string().contains("id-1"));
}

#[test]
fn what_never_reached_a_leader_ends_as_no_server_or_no_leader() {
    let end = |failure: Failure, id: Option<&str>| {
        let mut story = Story::begin(id);
        story.now += Duration::from_secs(30);
        story.fails(failure);
        story.ends().clone()
    };
    assert!(matches!(end(refused_connect(), Some("id")), Error::NoServer { .. }));
    assert!(matches!(end(Failure::NotLeader(None), Some("id")), Error::NoLeader { .. }));
    let no_quorum = end(Failure::NotNow("two of three are needed".into()), Some("id"));
    assert!(no_quorum.to_string().contains("two of three"), "{no_quorum}");
    assert!(matches!(end(lost(), None), Error::NoServer { .. }), "a lost read changed nothing");
}

#[test]
fn when_no_server_was_ever_believed_and_none_is_now_waiting_does_not_help() {
    let wrong = || Failure::Distrusted("another authority".into());
    let mut story = Story::begin(Some("id"));
    story.fails(wrong()).asks(1).fails(wrong()).asks(2).fails(wrong());
    assert!(matches!(story.ends(), Error::Distrusted { .. }));
    // One that may yet be believed is waited for.
    let mut story = Story::begin(Some("id"));
    story.fails(wrong()).asks(1).fails(refused_connect()).asks(2).fails(wrong());
    story.waits();
    story.fails(wrong()).fails(wrong()).fails(wrong());
    assert!(matches!(story.ends(), Error::Distrusted { .. }));
    // Whoever was served before waits until the certificates are right again.
    let mut story = Story::begin(Some("id"));
    story.route.served(0, story.now);
    story.fails(wrong()).fails(wrong()).fails(wrong());
    story.waits();
    // What an earlier attempt did is not forgotten.
    let mut story = Story::begin(Some("id"));
    story.fails(lost()).fails(wrong()).fails(wrong());
    story.waits();
    story.fails(wrong()).fails(wrong()).fails(wrong());
    assert!(matches!(story.ends(), Error::OutcomeUnknown { .. }));
}

#[test]
fn no_attempt_is_begun_that_would_be_cut_short() {
    let mut story = Story::begin(Some("id"));
    story.now += Duration::from_millis(29_980);
    story.fails(refused_connect());
    assert!(matches!(story.ends(), Error::NoServer { .. }));
}

#[test]
fn a_busy_leader_is_asked_again_unless_it_asks_for_a_long_delay() {
    let refusal = Refusal {
        code: Code::ResourceExhausted,
        reason: "RATE_LIMITED".into(),
        message: "too many".into(),
        fields: Vec::new(),
    };
    let busy = |ms| Failure::Busy(refusal.clone(), Duration::from_millis(ms));
    let mut story = Story::begin(Some("id"));
    story.fails(busy(40));
    assert_eq!(story.waits(), Duration::from_millis(40));
    story.asks(0).fails(busy(60_000));
    assert!(matches!(story.ends(), Error::Refused(_)));
}

#[test]
fn a_leader_without_room_is_asked_again_and_named_at_the_end() {
    let full = || Failure::DiskFull("no room".into());
    let mut story = Story::begin(Some("id"));
    story.fails(Failure::NotLeader(Some(C.into()))).asks(2).fails(full());
    story.waits();
    story.asks(2).fails(full());
    story.waits();
    // It gave up the lead, and the next leader has no room either.
    story.asks(2).fails(Failure::NotLeader(Some(B.into()))).asks(1).fails(full());
    story.waits();
    story.now += Duration::from_secs(30);
    story.asks(1).fails(full());
    assert!(
        matches!(story.ends(), Error::DiskFull { address } if address == B),
        "{:?}",
        story.step
    );
    let mut story = Story::begin(Some("id"));
    story.fails(lost()).asks(1).fails(full());
    story.now += Duration::from_secs(30);
    story.waits();
    assert!(matches!(story.ends(), Error::OutcomeUnknown { .. }), "the first one may have it");
}

#[test]
fn a_search_waits_for_the_index_of_whoever_leads() {
    let behind = || Failure::SearchNotReady("being built".into());
    let mut story = Story::begin(None);
    story.fails(behind());
    assert_eq!(story.waits(), Duration::from_millis(5));
    story.asks(0).fails(behind());
    assert_eq!(story.waits(), Duration::from_millis(10));
    story.now += Duration::from_secs(30);
    story.fails(behind());
    let words = story.ends().to_string();
    assert!(words.contains("not ready yet (being built)") && words.contains("safe"), "{words}");
}

#[test]
fn what_a_leader_lacks_is_told_once_when_it_lasts() {
    let mut story = Story::begin(Some("id"));
    let full = Failure::DiskFull("no room".into());
    let told = |story: &mut Story, failure: &Failure, ms: u64| {
        let now = story.now + Duration::from_millis(ms);
        story.attempts.lack(&story.route, 1, failure, now)
    };
    assert_eq!(told(&mut story, &full, 200), None);
    assert_eq!(told(&mut story, &full, 400), Some(Notice::DiskFull { address: B.into() }));
    assert_eq!(told(&mut story, &full, 900), None);
    let behind = Failure::SearchNotReady("being built".into());
    let mut story = Story::begin(None);
    assert_eq!(told(&mut story, &behind, 400), Some(Notice::SearchNotReady));
}

#[test]
fn a_refusal_that_says_nothing_of_an_earlier_attempt_leaves_it_unknown() {
    let mut story = Story::begin(Some("id"));
    story.fails(lost()).fails(Failure::NoSession("ended".into()));
    assert!(matches!(story.ends(), Error::OutcomeUnknown { .. }));
    let mut story = Story::begin(Some("id"));
    story.fails(Failure::NoSession("ended".into()));
    assert!(matches!(story.ends(), Error::NotLoggedIn { .. }));
}

#[test]
fn an_outage_is_told_when_it_lasts_and_its_end_with_the_time() {
    let (mut route, start) = (route(), Instant::now());
    assert_eq!(route.served(0, start), None, "the first answer is no news");
    let at = |ms| start + Duration::from_millis(ms);
    assert_eq!(route.failed(0, &lost(), at(100)), None);
    assert_eq!(route.failed(1, &lost(), at(200)), None);
    let waiting = route.failed(1, &lost(), at(400));
    assert_eq!(waiting, Some(Notice::Waiting { detail: "broken".into() }));
    assert_eq!(route.failed(2, &lost(), at(500)), None, "once an outage");
    let moved = route.served(1, at(600));
    let outage = Duration::from_millis(500);
    assert_eq!(moved, Some(Notice::Moved { address: B.into(), ids: None, outage }));
    assert_eq!(route.served(1, at(700)), None);
}

#[test]
fn a_quick_fail_over_is_told_afterwards_and_a_hiccup_of_the_same_leader_is_not() {
    let (mut route, now) = (route(), Instant::now());
    route.served(0, now);
    route.failed(0, &lost(), now);
    assert_eq!(route.served(0, now), None);
    route.failed(0, &lost(), now);
    route.learn_id(A, 1);
    route.learn_id(C, 3);
    route.learn_id("elsewhere:1", 4);
    let moved = route.served(2, now + Duration::from_millis(60));
    let outage = Duration::from_millis(60);
    assert_eq!(moved, Some(Notice::Moved { address: C.into(), ids: Some((1, 3)), outage }));
}

#[test]
fn the_leader_that_served_last_is_asked_first() {
    let (mut route, now) = (route(), Instant::now());
    route.served(2, now);
    assert_eq!(route.first(None, now), 2);
    route.failed(2, &refused_connect(), now);
    assert_eq!(route.first(None, now), 0);
    assert_eq!(route.next(None, &BTreeSet::from([0, 1, 2]), now), None);
}

#[test]
fn one_copy_left_is_told_once_and_so_is_its_end() {
    let mut route = route();
    let told: Vec<_> = [3, 2, 1, 1, 2, 3].map(|copies| route.copies(copies)).into();
    let one = Some(Notice::Copies(1));
    assert_eq!(told, [None, None, one, None, Some(Notice::Copies(2)), None]);
}

fn created(cursor: &str, id: &str, seq: i64) -> Event {
    let message = Message { message_id: id.into(), seq, ..Message::default() };
    Event { cursor: cursor.into(), kind: Some(Kind::MessageCreated(message)) }
}

#[test]
fn a_subscriber_resumes_at_its_last_cursor_and_takes_each_message_once() {
    let now = Instant::now();
    let mut resume = Resume::after(String::new(), now);
    assert!(resume.take(created("c1", "a", 1), now).is_some());
    assert!(resume.take(created("c2", "b", 2), now).is_some());
    assert_eq!(resume.cursor(), "c2");
    assert!(resume.take(created("c2", "b", 2), now).is_none(), "it was delivered before");
    assert!(resume.take(created("c3", "b", 5), now).is_some(), "a merge moved it");
    let heartbeat = Event { cursor: String::new(), kind: Some(Kind::Heartbeat(Heartbeat {})) };
    assert!(resume.take(heartbeat, now).is_some());
    assert_eq!(resume.cursor(), "c3", "an event without a cursor moves nothing");
}

#[test]
fn after_a_reset_what_comes_again_is_news() {
    let now = Instant::now();
    let mut resume = Resume::after(String::new(), now);
    assert!(resume.take(created("c1", "a", 7), now).is_some());
    let reset = Event { cursor: "c0".into(), kind: Some(Kind::Reset(Reset::default())) };
    assert!(resume.take(reset, now).is_some());
    // Merged into another history, it happens to have the seq again that it had in its own.
    assert!(
        resume.take(created("c9", "a", 7), now).is_some(),
        "the device has read anew meanwhile"
    );
}

#[test]
fn a_stream_counts_as_broken_after_twelve_silent_seconds() {
    let now = Instant::now();
    let mut resume = Resume::after(String::new(), now);
    let heard = now + Duration::from_secs(5);
    resume.take(created("c1", "a", 1), heard);
    assert_eq!(resume.silent_at(), heard + Duration::from_secs(12));
}

#[test]
fn streams_that_break_one_after_the_other_are_opened_more_and_more_slowly() {
    let now = Instant::now();
    let mut resume = Resume::after(String::new(), now);
    resume.broke();
    assert_eq!(resume.delay(1.0), Duration::ZERO);
    resume.broke();
    assert_eq!(resume.delay(1.0), Duration::from_millis(5));
    resume.broke();
    assert_eq!(resume.delay(1.0), Duration::from_millis(10));
    resume.take(created("c1", "a", 1), now);
    assert_eq!(resume.delay(1.0), Duration::ZERO);
}
