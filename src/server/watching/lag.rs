//! How long ago it was that the log ended at some place: what makes seconds of a follower's entries.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, interval};

use crate::{cluster::Seq, store::Store};

/// How often it is looked where the log ends; no lag is told more exactly.
const EVERY: Duration = Duration::from_millis(250);
/// So many ends are remembered (an hour); a follower that is further behind is told to be so far.
const REMEMBERED: usize = 4 * 3_600;

/// Where the log ended at which time, of late.
#[derive(Debug, Default)]
pub(super) struct Past(Mutex<VecDeque<(Instant, Seq)>>);

impl Past {
    /// Looks where the log ends, for as long as it is polled.
    pub(super) async fn follow(&self, store: &Store) {
        let mut looks = interval(EVERY);
        loop {
            looks.tick().await;
            self.note(Instant::now(), store.committed());
        }
    }

    fn note(&self, now: Instant, end: Seq) {
        let mut ends = self.lock();
        // A log that does not grow needs no more than the first and the last time that it ended there.
        let stays = ends.len() >= 2 && ends.iter().rev().take(2).all(|(_, known)| *known == end);
        if stays {
            ends.pop_back();
        }
        // A snapshot that was installed may end earlier, and then nothing before it counts.
        while ends.back().is_some_and(|(_, known)| *known > end) {
            ends.pop_back();
        }
        ends.push_back((now, end));
        if ends.len() > REMEMBERED {
            ends.pop_front();
        }
    }

    /// How long ago the log was no longer than this; zero if it is not longer now.
    pub(super) fn age(&self, reached: Seq, now: Instant) -> Duration {
        let ends = self.lock();
        let after = ends.partition_point(|(_, end)| *end <= reached);
        if after == ends.len() {
            return Duration::ZERO;
        }
        let (then, _) = ends[after.saturating_sub(1)];
        now.saturating_duration_since(then)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, Seq)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_is_as_old_as_the_last_time_when_the_log_ended_where_it_stands() {
        let (past, begin) = (Past::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        for (seconds, end) in [(0, 10), (1, 10), (2, 10), (3, 10), (4, 20), (5, 30)] {
            past.note(at(seconds), end);
        }
        let age = |reached| past.age(reached, at(6)).as_secs();
        assert_eq!(age(30), 0, "it lacks nothing");
        assert_eq!(age(29), 2, "what it lacks was written after the fourth second");
        assert_eq!(age(10), 3, "the log stood still for long, and only then went on");
        assert_eq!(age(5), 6, "older than what is remembered");
        assert_eq!(past.lock().len(), 4, "a log that stands still takes no room");
    }

    #[tokio::test]
    async fn a_log_that_became_shorter_is_followed_from_there() {
        let (past, begin) = (Past::default(), Instant::now());
        past.note(begin, 10);
        past.note(begin + Duration::from_secs(1), 4);
        past.note(begin + Duration::from_secs(2), 6);
        assert_eq!(past.age(6, begin + Duration::from_secs(3)), Duration::ZERO);
        assert_eq!(past.age(4, begin + Duration::from_secs(3)), Duration::from_secs(2));
    }
}
