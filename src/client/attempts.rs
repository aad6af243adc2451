//! One call's life: which server, how long, how often, and when to give up.
//!
//! Pure: time and chance are arguments. Servers are asked in rounds. Within a round every server is
//! asked at most once and without delay, the hinted leader first; only between rounds there is a wait,
//! a few milliseconds at first, for a fail-over takes tens of them. The request id stays the same
//! through all attempts, so that the definite answer of any of them is the answer of the call.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    Patience,
    error::{Error, Refusal},
    failure::Failure,
    route::{Notice, Route, ServerIndex, TELL_AFTER},
};

/// The wait after the first round.
const FIRST_WAIT: Duration = Duration::from_millis(5);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// A busy server that asks for a longer delay is believed: the call is refused.
const LONGEST_BUSY: Duration = Duration::from_secs(1);

/// With less time left no further attempt is begun: cut short, it would leave the outcome unknown
/// where nothing had happened.
const LEAST_ATTEMPT: Duration = Duration::from_millis(50);

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Ask this server, and wait so long for its answer.
    Try(ServerIndex, Duration),
    /// Do nothing for so long, then call [`Attempts::waited`].
    Wait(Duration),
    /// The call is over.
    End(Error),
}

/// The attempts of one call.
#[derive(Debug)]
pub struct Attempts {
    /// `None` for reads, whose repetition is harmless.
    request_id: Option<String>,
    began: Instant,
    deadline: Instant,
    patience: Duration,
    longest_patience: Duration,
    tried: BTreeSet<ServerIndex>,
    hint: Option<ServerIndex>,
    round: u32,
    uncertain: bool,
    /// Whether every server of this round was found not to be the one that it should be.
    distrusted: bool,
    /// Who failed last, and how.
    last: Option<(ServerIndex, Failure)>,
    /// Whether the user was told what a leader lacks.
    told: bool,
}

impl Attempts {
    /// Begins a call whose first attempt may take so long.
    pub fn begin(
        request_id: Option<&str>,
        first_attempt: Duration,
        patience: &Patience,
        now: Instant,
    ) -> Attempts {
        Attempts {
            request_id: request_id.map(Into::into),
            began: now,
            deadline: now + patience.call,
            patience: first_attempt,
            longest_patience: patience.longest_attempt.max(first_attempt),
            tried: BTreeSet::new(),
            hint: None,
            round: 0,
            uncertain: false,
            distrusted: true,
            last: None,
            told: false,
        }
    }

    /// The first attempt.
    pub fn first(&mut self, route: &Route, now: Instant) -> Step {
        self.attempt(route, route.first(self.hint, now), now)
    }

    /// The attempt after a wait.
    pub fn waited(&mut self, route: &Route, now: Instant) -> Step {
        self.tried.clear();
        self.distrusted = true;
        self.attempt(route, route.first(self.hint, now), now)
    }

    /// What follows a failed attempt; `chance` is from 0 to 1 and spreads the waits of many clients.
    pub fn failed(
        &mut self,
        route: &mut Route,
        server: ServerIndex,
        failure: Failure,
        now: Instant,
        chance: f64,
    ) -> Step {
        self.uncertain |= failure.is_uncertain();
        self.distrusted &= matches!(failure, Failure::Distrusted(_));
        self.last = Some((server, failure.clone()));
        self.hint = None;
        match failure {
            Failure::Refused(refusal) => return Step::End(Error::Refused(refusal)),
            Failure::NoSession(detail) => return Step::End(self.no_session(detail)),
            Failure::Busy(refusal, delay) => {
                return self.busy(route, (server, refusal), delay, now);
            }
            // It leads: the others would only name it. If it gives up the lead, it names who leads then.
            Failure::DiskFull(_) | Failure::SearchNotReady(_) => {
                self.hint = Some(server);
                return self.wait(route, backoff(self.round, chance), now);
            }
            Failure::NotLeader(Some(address)) => self.hint = route.find_or_learn(&address),
            // Slow is not frozen: the next attempt gets more time.
            Failure::Silent | Failure::Lost(_) => {
                self.patience = (self.patience * 3 / 2).min(self.longest_patience);
            }
            _ => {}
        }
        match route.next(self.hint, &self.tried, now) {
            Some(server) => self.attempt(route, server, now),
            // Certificates do not become right by waiting, unless they were before.
            None if self.distrusted && route.is_new() && self.tried.len() == route.count() => {
                Step::End(self.verdict(route))
            }
            None => self.wait(route, backoff(self.round, chance), now),
        }
    }

    /// What a user who waits wants to know of a leader that cannot do it now: once, when it lasts.
    pub(super) fn lack(
        &mut self,
        route: &Route,
        server: ServerIndex,
        failure: &Failure,
        now: Instant,
    ) -> Option<Notice> {
        if self.told || now.saturating_duration_since(self.began) < TELL_AFTER {
            return None;
        }
        let notice = match failure {
            Failure::DiskFull(_) => Notice::DiskFull { address: route.address(server).to_owned() },
            Failure::SearchNotReady(_) => Notice::SearchNotReady,
            _ => return None,
        };
        self.told = true;
        Some(notice)
    }

    fn attempt(&mut self, route: &Route, server: ServerIndex, now: Instant) -> Step {
        let left = self.deadline.saturating_duration_since(now);
        if left < LEAST_ATTEMPT && self.last.is_some() {
            return Step::End(self.verdict(route));
        }
        self.tried.insert(server);
        Step::Try(server, self.patience.min(left))
    }

    fn wait(&mut self, route: &Route, delay: Duration, now: Instant) -> Step {
        if now + delay + LEAST_ATTEMPT > self.deadline {
            return Step::End(self.verdict(route));
        }
        self.round += 1;
        Step::Wait(delay)
    }

    fn busy(
        &mut self,
        route: &Route,
        (server, refusal): (ServerIndex, Refusal),
        delay: Duration,
        now: Instant,
    ) -> Step {
        // An earlier attempt may have had its effect: only a repeat can tell.
        if delay > LONGEST_BUSY && !self.may_have_happened() {
            return Step::End(Error::Refused(refusal));
        }
        self.hint = Some(server);
        self.wait(route, delay, now)
    }

    fn no_session(&self, detail: String) -> Error {
        match &self.request_id {
            Some(id) if self.uncertain => Error::OutcomeUnknown { request_id: id.clone(), detail },
            _ => Error::NotLoggedIn { detail },
        }
    }

    fn may_have_happened(&self) -> bool {
        self.uncertain && self.request_id.is_some()
    }

    /// What the call ends with when its time is over.
    fn verdict(&self, route: &Route) -> Error {
        let Some((server, last)) = &self.last else {
            return Error::NoServer { detail: "there was no time to ask".into() };
        };
        let detail = last.detail();
        if let Some(id) = self.request_id.as_ref().filter(|_| self.uncertain) {
            return Error::OutcomeUnknown { request_id: id.clone(), detail };
        }
        match last {
            Failure::Busy(refusal, _) => Error::Refused(refusal.clone()),
            Failure::DiskFull(_) => Error::DiskFull { address: route.address(*server).to_owned() },
            Failure::SearchNotReady(_) => Error::SearchNotReady { detail },
            Failure::Distrusted(_) => Error::Distrusted { detail },
            Failure::NotLeader(_) | Failure::NotNow(_) => Error::NoLeader { detail },
            _ => Error::NoServer { detail },
        }
    }
}

/// Doubles from round to round; between a half and the whole of it, as `chance` (0 to 1) has it.
pub(super) fn backoff(round: u32, chance: f64) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << round.min(10)).min(LONGEST_WAIT);
    whole.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}
