//! How long it took from each kind of fault to the next acknowledged send.

use std::{collections::BTreeMap, time::Duration};

/// A kind of fault that somebody must take over after.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    /// The leader was killed.
    Crash,
    /// The next leader was killed as soon as it led.
    SecondCrashAfter,
    /// The next leader was killed while it was taking over.
    SecondCrashDuring,
    /// The leader was frozen.
    Frozen,
    /// Nothing came from or to the leader.
    Cut,
    /// Only one direction was cut.
    CutOneWay,
    /// The leader was asked to end.
    HandOver,
    /// The leader's disk failed.
    DiskFailed,
}

use Kind::*;

impl Kind {
    const ALL: [Kind; 8] =
        [Crash, SecondCrashAfter, SecondCrashDuring, Frozen, Cut, CutOneWay, HandOver, DiskFailed];

    fn name(self) -> &'static str {
        match self {
            Crash => "crash (SIGKILL)",
            SecondCrashAfter => "second crash, at once",
            SecondCrashDuring => "second crash, meanwhile",
            Frozen => "silence (SIGSTOP)",
            Cut => "silence (cut)",
            CutOneWay => "silence (one way cut)",
            HandOver => "hand-over (SIGTERM)",
            DiskFailed => "failed disk",
        }
    }

    /// Which median and which p99 an optimised build shall not exceed, in milliseconds.
    fn goal(self) -> Option<(u128, u128)> {
        match self {
            Crash => Some((50, 150)),
            SecondCrashAfter | SecondCrashDuring => Some((200, 300)),
            Frozen | Cut | CutOneWay => Some((1_500, 1_500)),
            HandOver | DiskFailed => None,
        }
    }
}

/// All that was measured.
#[derive(Default)]
pub(crate) struct Times(BTreeMap<Kind, Vec<Duration>>);

impl Times {
    /// One more.
    pub(crate) fn note(&mut self, kind: Kind, time: Duration) {
        self.0.entry(kind).or_default().push(time);
    }

    /// What another round measured.
    pub(crate) fn extend(&mut self, other: Times) {
        for (kind, times) in other.0 {
            self.0.entry(kind).or_default().extend(times);
        }
    }

    /// Prints the distributions. Returns whether every goal is met.
    pub(crate) fn report(&self, policy: &str) -> bool {
        let mut met = true;
        if self.0.is_empty() {
            return met;
        }
        println!("{policy}: from the fault to the next acknowledged send, in milliseconds");
        println!(
            "  {:24} {:>6} {:>6} {:>7} {:>6} {:>6}  goal",
            "", "faults", "min", "median", "p99", "max"
        );
        for kind in Kind::ALL {
            let Some(times) = self.0.get(&kind) else { continue };
            let mut times: Vec<u128> = times.iter().map(Duration::as_millis).collect();
            times.sort_unstable();
            let (median, p99) = (at(&times, 50), at(&times, 99));
            let verdict = kind.goal().map_or(String::new(), |(half, most)| {
                let good = median <= half && p99 <= most;
                met &= good;
                let word = if good { "met" } else { "missed" };
                format!("median {half}, p99 {most}: {word}")
            });
            println!(
                "  {:24} {:>6} {:>6} {median:>7} {p99:>6} {:>6}  {verdict}",
                kind.name(),
                times.len(),
                times[0],
                times[times.len() - 1],
            );
        }
        met
    }
}

/// The least value that so many of a hundred do not exceed.
fn at(sorted: &[u128], percent: usize) -> u128 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}
