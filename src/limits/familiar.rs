//! From where accounts are used: whoever floods an account's name with wrong passwords from elsewhere must
//! not lock its owner out at home.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Origin;

/// No more pairs are remembered than this.
const MOST: usize = 65_536;
/// An address is familiar for so long after its last use.
const LASTS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The addresses that accounts were used from.
#[derive(Debug)]
pub struct Familiar<Account> {
    used: Mutex<Used<Account>>,
    most: usize,
}

#[derive(Debug)]
struct Used<Account> {
    by_origin: HashMap<Origin, HashMap<Account, Instant>>,
    pairs: usize,
}

impl<Account: Copy + Eq + Hash> Default for Familiar<Account> {
    fn default() -> Self {
        let used = Used { by_origin: HashMap::new(), pairs: 0 };
        Familiar { used: Mutex::new(used), most: MOST }
    }
}

impl<Account: Copy + Eq + Hash> Familiar<Account> {
    /// The account's owner called from there: a session or a password proved it.
    pub fn note(&self, account: Account, origin: Origin, now: Instant) {
        let mut used = self.lock();
        if used.last(account, origin).is_none() && used.pairs >= self.most {
            // Rare, for only owners of accounts come so far.
            used.forget_oldest();
        }
        if used.by_origin.entry(origin).or_default().insert(account, now).is_none() {
            used.pairs += 1;
        }
    }

    /// Whether the account's owner was there.
    pub fn is(&self, account: Account, origin: Origin, now: Instant) -> bool {
        let last = self.lock().last(account, origin);
        last.is_some_and(|last| now.saturating_duration_since(last) < LASTS)
    }

    /// Whether any account's owner was there.
    pub fn is_to_anybody(&self, origin: Origin) -> bool {
        self.lock().by_origin.contains_key(&origin)
    }

    fn lock(&self) -> MutexGuard<'_, Used<Account>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Account: Copy + Eq + Hash> Used<Account> {
    fn last(&self, account: Account, origin: Origin) -> Option<Instant> {
        self.by_origin.get(&origin)?.get(&account).copied()
    }

    fn forget_oldest(&mut self) {
        let pairs = self.by_origin.iter().flat_map(|(origin, accounts)| {
            accounts.iter().map(|(account, last)| (*last, *origin, *account))
        });
        let Some((_, origin, account)) = pairs.min_by_key(|(last, ..)| *last) else { return };
        if let Some(accounts) = self.by_origin.get_mut(&origin) {
            accounts.remove(&account);
            self.pairs -= 1;
            if accounts.is_empty() {
                self.by_origin.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u8) -> Origin {
        Origin::of([10, 0, 0, number].into())
    }

    #[test]
    fn an_address_is_familiar_to_the_account_that_was_there_and_for_a_month() {
        let (familiar, now) = (Familiar::default(), Instant::now());
        familiar.note("alice", at(1), now);
        assert!(familiar.is("alice", at(1), now));
        assert!(!familiar.is("alice", at(2), now) && !familiar.is("bob", at(1), now));
        assert!(!familiar.is("alice", at(1), now + LASTS));
    }

    #[test]
    fn when_it_is_full_the_one_that_was_used_longest_ago_is_forgotten() {
        let (familiar, now) = (Familiar { most: 3, ..Familiar::default() }, Instant::now());
        for number in 1..=3 {
            familiar.note("alice", at(number), now + Duration::from_secs(number.into()));
        }
        familiar.note("alice", at(1), now + Duration::from_secs(10));
        familiar.note("alice", at(4), now + Duration::from_secs(11));
        let there = (1..=4).filter(|number| familiar.is("alice", at(*number), now));
        assert_eq!(there.collect::<Vec<_>>(), [1, 3, 4]);
        assert!(familiar.is_to_anybody(at(1)) && !familiar.is_to_anybody(at(2)));
    }
}
