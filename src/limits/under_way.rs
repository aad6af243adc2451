//! How many calls a caller has under way, and how much of what they bring is held meanwhile.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// The calls of all callers that are under way; clones share it. It holds nobody who has none.
#[derive(Debug)]
pub struct UnderWay<Key> {
    calls: Arc<Mutex<HashMap<Key, Entry>>>,
}

#[derive(Debug, Default)]
struct Entry {
    calls: usize,
    bytes: Arc<AtomicUsize>,
}

impl<Key> Clone for UnderWay<Key> {
    fn clone(&self) -> Self {
        UnderWay { calls: self.calls.clone() }
    }
}

impl<Key> Default for UnderWay<Key> {
    fn default() -> Self {
        UnderWay { calls: Arc::default() }
    }
}

impl<Key: Copy + Eq + Hash> UnderWay<Key> {
    /// Begins a call, unless so many are under way already.
    pub fn begin(&self, key: Key, most: usize) -> Option<Share<Key>> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = calls.entry(key).or_default();
        if entry.calls >= most {
            return None;
        }
        entry.calls += 1;
        Some(Share { all: self.clone(), key, own: 0, bytes: entry.bytes.clone() })
    }
}

/// One call's part of what its caller has under way; dropping it ends the call.
#[derive(Debug)]
pub struct Share<Key: Copy + Eq + Hash> {
    all: UnderWay<Key>,
    key: Key,
    /// The bytes of this call,
    own: usize,
    /// and of all calls of its caller.
    bytes: Arc<AtomicUsize>,
}

impl<Key: Copy + Eq + Hash> Share<Key> {
    /// Notes that the call brought so many more bytes; returns how many all its caller's calls hold.
    pub fn holds(&mut self, more: usize) -> usize {
        self.own += more;
        self.bytes.fetch_add(more, Relaxed) + more
    }
}

impl<Key: Copy + Eq + Hash> Drop for Share<Key> {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.own, Relaxed);
        let mut calls = self.all.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = calls.get_mut(&self.key) {
            entry.calls -= 1;
            if entry.calls == 0 {
                calls.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_so_many_calls_under_way_and_nobody_is_remembered_without() {
        let all = UnderWay::default();
        let mut first = all.begin("alice", 2).expect("the first");
        let mut second = all.begin("alice", 2).expect("the second");
        assert!(all.begin("alice", 2).is_none());
        assert!(all.begin("bob", 2).is_some());
        assert_eq!((first.holds(5), second.holds(7), first.holds(1)), (5, 12, 13));
        drop(first);
        let mut third = all.begin("alice", 2).expect("there is room again");
        assert_eq!(third.holds(0), 7);
        drop((second, third));
        assert!(all.calls.lock().unwrap().is_empty());
    }
}
