//! Wrong passwords: how often one may be tried.
//!
//! Strangers share a number of free attempts for each name, from wherever they come; after that every
//! further one waits longer than the one before, up to a minute. So many addresses together guess no faster
//! than one. Whoever calls from where the account's owner was before has attempts of his own, which nobody
//! else can use up. And strangers at one address have so many wrong passwords for all names together.
//!
//! An attempt counts from its beginning, so that a thousand at the same time are a thousand; when it
//! turns out to be right, it is taken back. A name that no account has is treated like any other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Buckets, Origin};
use crate::config::Rate;

/// So many wrong passwords cost nothing but the time to check them.
const FREE: u32 = 10;
/// The first wait; each one is twice as long as the one before,
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// and none is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What was tried so long ago counts no more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// No more names are remembered than this.
const MOST: usize = 65_536;
/// Old ones are looked for no more often than this.
const SWEEP: Duration = Duration::from_secs(1);

/// Whose attempts are counted together: those of strangers for one name, or those from one familiar address.
type Key = (Box<str>, Option<Origin>);

/// All attempts; clones share them.
#[derive(Clone, Debug)]
pub struct Guesses {
    by_name: Arc<Mutex<Names>>,
    by_origin: Option<Arc<Buckets<Origin>>>,
    most: usize,
}

#[derive(Default, Debug)]
struct Names {
    tried: HashMap<Key, Tried>,
    swept: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Tried {
    times: u32,
    last: Instant,
}

/// An attempt under way: wrong, unless it is said to be right.
#[derive(Debug)]
#[must_use = "an attempt that is dropped was wrong"]
pub struct Guess {
    guesses: Guesses,
    key: Key,
    origin: Origin,
}

impl Guesses {
    /// One address may be wrong so often; `None` if that is not limited.
    pub fn new(from_one_address: Option<Rate>) -> Guesses {
        Guesses {
            by_name: Arc::default(),
            by_origin: from_one_address.map(|rate| Arc::new(Buckets::new(rate))),
            most: MOST,
        }
    }

    /// Begins an attempt for a name, from an address that may be familiar to its account.
    ///
    /// # Errors
    /// It is too early; the error says in what time it is not.
    pub fn begin(
        &self,
        name: &str,
        origin: Origin,
        is_familiar: bool,
        now: Instant,
    ) -> Result<Guess, Duration> {
        let key: Key = (name.into(), is_familiar.then_some(origin));
        let mut names = self.lock(now);
        let tried = names.of(&key, now);
        let next = tried.last + wait_after(tried.times);
        if next > now {
            return Err(next - now);
        }
        // Whoever else is where the owner was before must not use up what is left at home.
        if let Some(by_origin) = self.by_origin.as_ref().filter(|_| !is_familiar) {
            by_origin.take(origin, now)?;
        }
        names.tried.insert(key.clone(), Tried { times: tried.times.saturating_add(1), last: now });
        drop(names);
        Ok(Guess { guesses: self.clone(), key, origin })
    }

    /// How long a stranger would have to wait for an attempt now: asked before anything is looked up, for
    /// whoever is refused should cost as little as possible.
    pub fn stranger_waits(&self, name: &str, origin: Origin, now: Instant) -> Duration {
        let tried = self.lock(now).of(&(name.into(), None), now);
        let for_name = (tried.last + wait_after(tried.times)).saturating_duration_since(now);
        let for_origin = self.by_origin.as_ref().map(|by_origin| by_origin.wait(origin, now));
        for_name.max(for_origin.unwrap_or_default())
    }

    fn lock(&self, now: Instant) -> MutexGuard<'_, Names> {
        let mut names = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if names.tried.len() >= self.most {
            names.make_room(now);
        }
        names
    }
}

impl Guess {
    /// It was right, and so counts for nothing. At home, the owner's slips before are forgiven; those of
    /// strangers are not, for they may have been anybody's.
    pub fn was_right(self, now: Instant) {
        if self.is_at_home() {
            self.guesses.lock(now).tried.remove(&self.key);
        }
        self.was_none(now);
    }

    /// The password was not looked at, and so this counts for nothing.
    pub fn was_none(self, now: Instant) {
        if let Some(by_origin) = self.guesses.by_origin.as_ref().filter(|_| !self.is_at_home()) {
            by_origin.give_back(self.origin, now);
        }
        if let Some(tried) = self.guesses.lock(now).tried.get_mut(&self.key) {
            tried.times = tried.times.saturating_sub(1);
        }
    }

    fn is_at_home(&self) -> bool {
        self.key.1.is_some()
    }
}

impl Names {
    fn of(&self, key: &Key, now: Instant) -> Tried {
        let known = self.tried.get(key).copied();
        known.filter(|tried| !is_old(tried, now)).unwrap_or(Tried { times: 0, last: now })
    }

    fn make_room(&mut self, now: Instant) {
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            let before = self.tried.len();
            self.tried.retain(|_, tried| !is_old(tried, now));
            if self.tried.len() < before {
                return;
            }
        }
        // Whoever tries so many names is held up by their number, not by the waits for each.
        if let Some(any) = self.tried.keys().next().cloned() {
            self.tried.remove(&any);
        }
    }
}

fn is_old(tried: &Tried, now: Instant) -> bool {
    now.saturating_duration_since(tried.last) >= FORGOTTEN_AFTER
}

/// How long after the last attempt the next one may come, after so many.
fn wait_after(times: u32) -> Duration {
    match times.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => FIRST_WAIT.saturating_mul(1 << more.min(10)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u32) -> Origin {
        Origin::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    /// Wrong passwords for a name, each from another address, until one is refused.
    fn wrong(guesses: &Guesses, name: &str, now: Instant) -> (u32, Duration) {
        for number in 0.. {
            match guesses.begin(name, at(number), false, now) {
                Ok(guess) => drop(guess),
                Err(wait) => return (number, wait),
            }
        }
        unreachable!("it has no end")
    }

    #[test]
    fn many_addresses_guess_no_faster_than_one_and_each_wait_is_longer() {
        let (guesses, mut now) = (Guesses::new(None), Instant::now());
        assert_eq!(guesses.stranger_waits("alice", at(1), now), Duration::ZERO);
        let (free, mut wait) = wrong(&guesses, "alice", now);
        assert_eq!(guesses.stranger_waits("alice", at(1), now), wait);
        assert_eq!((free, wait), (FREE, FIRST_WAIT));
        let mut waits = Vec::new();
        for _ in 0..9 {
            now += wait;
            let one;
            (one, wait) = wrong(&guesses, "alice", now);
            assert_eq!(one, 1, "one attempt after each wait");
            waits.push(wait.as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(wrong(&guesses, "bob", now).0, FREE, "others' names are not touched");
        now += FORGOTTEN_AFTER;
        assert_eq!(wrong(&guesses, "alice", now).0, FREE, "after a quiet time it is forgotten");
    }

    #[test]
    fn where_the_owner_was_before_strangers_use_up_nothing() {
        let (guesses, now) = (Guesses::new(None), Instant::now());
        wrong(&guesses, "alice", now);
        let home = at(7);
        let guess = guesses.begin("alice", home, true, now).expect("a way in");
        guess.was_right(now);
        assert!(guesses.begin("alice", at(8), false, now).is_err(), "strangers still wait");
        for _ in 0..FREE - 1 {
            drop(guesses.begin("alice", home, true, now).expect("a slip"));
        }
        guesses.begin("alice", home, true, now).expect("the last free one").was_right(now);
        for _ in 0..FREE {
            drop(guesses.begin("alice", home, true, now).expect("all are forgiven"));
        }
        assert!(guesses.begin("alice", home, true, now).is_err(), "at home one waits as well");
    }

    #[test]
    fn right_passwords_use_up_nothing_and_those_under_way_count() {
        let (guesses, now) = (Guesses::new(None), Instant::now());
        for _ in 0..100 {
            guesses.begin("alice", at(1), false, now).expect("free").was_right(now);
        }
        let under_way: Vec<_> =
            (0..FREE).map(|_| guesses.begin("alice", at(1), false, now).expect("free")).collect();
        assert!(guesses.begin("alice", at(1), false, now).is_err());
        for guess in under_way {
            guess.was_none(now);
        }
        assert!(guesses.begin("alice", at(1), false, now).is_ok());
    }

    #[test]
    fn one_address_is_wrong_so_often_for_all_names_together() {
        let rate = Rate { count: 30, each: Duration::from_secs(60), burst: 50 };
        let (guesses, now) = (Guesses::new(Some(rate)), Instant::now());
        let name = |number: u32| format!("name-{number}");
        let tried = (0..200).filter(|n| guesses.begin(&name(*n), at(1), false, now).is_ok());
        assert_eq!(tried.count(), 50);
        let wait = guesses.begin("another", at(1), false, now).expect_err("no more");
        assert_eq!(wait, Duration::from_secs(2));
        assert_eq!(guesses.stranger_waits("another", at(1), now), wait);
        assert!(guesses.begin("another", at(2), false, now).is_ok());
        assert!(guesses.begin("at-home", at(1), true, now).is_ok(), "whoever lives there comes in");
        for number in 0..200 {
            let right = guesses.begin(&name(number), at(3), false, now).expect("all are right");
            right.was_right(now);
        }
    }

    #[test]
    fn the_memory_is_bounded_however_many_names_are_tried() {
        let (guesses, now) = (Guesses { most: 100, ..Guesses::new(None) }, Instant::now());
        for number in 0..10_000_u32 {
            drop(guesses.begin(&number.to_string(), at(number), false, now));
            assert!(guesses.by_name.lock().unwrap().tried.len() <= 100);
        }
    }
}
