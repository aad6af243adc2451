//! A bucket of tokens for each caller: a call takes one, and they come back at a steady rate.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::config::Rate;

/// No more callers are remembered than this.
const MOST: usize = 65_536;
/// Those whose bucket is full again are forgotten no more often than this.
const SWEEP: Duration = Duration::from_secs(1);

/// The buckets of all callers.
#[derive(Debug)]
pub struct Buckets<Key> {
    /// In what time one token comes back.
    spacing: Duration,
    /// In what time an empty bucket is full again.
    depth: Duration,
    most: usize,
    state: Mutex<State<Key>>,
}

#[derive(Debug)]
struct State<Key> {
    /// When each bucket is full again; one that is full is as good as none.
    full_at: HashMap<Key, Instant>,
    swept: Option<Instant>,
}

impl<Key: Copy + Eq + Hash> Buckets<Key> {
    /// Full buckets for everybody.
    pub fn new(rate: Rate) -> Buckets<Key> {
        Buckets::bounded(rate, MOST)
    }

    fn bounded(rate: Rate, most: usize) -> Buckets<Key> {
        let spacing = rate.each / rate.count.max(1);
        Buckets {
            spacing,
            depth: spacing * rate.burst.max(1),
            most,
            state: Mutex::new(State { full_at: HashMap::new(), swept: None }),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// There is none; the error says in what time there will be one.
    pub fn take(&self, key: Key, now: Instant) -> Result<(), Duration> {
        let mut state = self.lock(now);
        let full_at = state.full_at(key, now) + self.spacing;
        let wait = full_at.saturating_duration_since(now).saturating_sub(self.depth);
        if !wait.is_zero() {
            return Err(wait);
        }
        state.full_at.insert(key, full_at);
        Ok(())
    }

    /// In what time there will be a token; none is taken.
    pub fn wait(&self, key: Key, now: Instant) -> Duration {
        let full_at = self.lock(now).full_at(key, now) + self.spacing;
        full_at.saturating_duration_since(now).saturating_sub(self.depth)
    }

    /// Takes tokens even from an empty bucket, and says how long to wait until nothing is owed.
    pub fn charge(&self, key: Key, tokens: u32, now: Instant) -> Duration {
        let mut state = self.lock(now);
        let full_at = state.full_at(key, now) + self.spacing * tokens;
        state.full_at.insert(key, full_at);
        full_at.saturating_duration_since(now).saturating_sub(self.depth)
    }

    /// Gives back a token that was taken.
    pub fn give_back(&self, key: Key, now: Instant) {
        let mut state = self.lock(now);
        let full_at = state.full_at(key, now);
        if let Some(earlier) = full_at.checked_sub(self.spacing) {
            state.full_at.insert(key, earlier);
        }
    }

    /// The state, with room for one more.
    fn lock(&self, now: Instant) -> MutexGuard<'_, State<Key>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.full_at.len() >= self.most {
            state.make_room(now);
        }
        state
    }
}

impl<Key: Copy + Eq + Hash> State<Key> {
    fn full_at(&self, key: Key, now: Instant) -> Instant {
        self.full_at.get(&key).copied().unwrap_or(now).max(now)
    }

    fn make_room(&mut self, now: Instant) {
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            let before = self.full_at.len();
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() < before {
                return;
            }
        }
        // Whoever comes from so many addresses is not held up by forgetting one of them.
        if let Some(any) = self.full_at.keys().next().copied() {
            self.full_at.remove(&any);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { count: 10, each: Duration::from_secs(1), burst: 5 };
    const TENTH: Duration = Duration::from_millis(100);

    #[test]
    fn a_burst_passes_and_then_the_rate_holds_for_each_caller_alone() {
        let (buckets, now) = (Buckets::new(RATE), Instant::now());
        let taken = (0..20).filter(|_| buckets.take("alice", now).is_ok()).count();
        assert_eq!(taken, 5);
        assert_eq!(buckets.take("alice", now), Err(TENTH), "it says when to come back");
        assert!(buckets.take("bob", now).is_ok());
        assert!(buckets.take("alice", now + TENTH).is_ok(), "and that is true");
        assert!(buckets.take("alice", now + TENTH).is_err());
        let later = now + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| buckets.take("alice", later).is_ok()).count(), 5);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_what_is_owed_is_waited_for() {
        let (buckets, now) = (Buckets::new(RATE), Instant::now());
        for _ in 0..5 {
            assert_eq!(buckets.charge("alice", 1, now), Duration::ZERO);
        }
        assert_eq!(buckets.charge("alice", 1, now), TENTH);
        assert_eq!(buckets.charge("alice", 3, now), TENTH * 4);
        for _ in 0..5 {
            buckets.give_back("alice", now);
        }
        assert!(buckets.take("alice", now).is_ok());
        assert!(buckets.take("alice", now).is_err());
        buckets.give_back("nobody", now);
        assert_eq!((0..20).filter(|_| buckets.take("nobody", now).is_ok()).count(), 5);
    }

    #[test]
    fn the_memory_is_bounded_however_many_come() {
        let (buckets, now) = (Buckets::bounded(RATE, 100), Instant::now());
        for key in 0..10_000 {
            assert!(buckets.take(key, now).is_ok(), "a newcomer has a full bucket");
            assert!(buckets.state.lock().unwrap().full_at.len() <= 100);
        }
        buckets.take(10_001, now + Duration::from_secs(60)).unwrap();
        let left = buckets.state.lock().unwrap().full_at.len();
        assert_eq!(left, 1, "whose bucket is full again needs no memory");
    }
}
