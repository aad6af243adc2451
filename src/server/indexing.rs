//! Keeps the search index close behind the log, on every server, so that a new leader can search at once.
//!
//! A look at the end of the log, five times a second; whatever is new there goes into the index, in a
//! blocking thread and step by step. What was committed a second ago must be in it: a search is refused
//! rather than answered from less.
//!
//! The index is derived, so whatever goes wrong is mended by beginning anew: an indexer that panics is
//! replaced, and its file thrown away, for the reason may stand in it. The waits before that double up to an
//! hour, for the reason may as well be a message, which comes again.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    task::{JoinError, JoinHandle},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use crate::store::{Indexer, Store};

/// How often it looks.
const EVERY: Duration = Duration::from_millis(200);
/// What was committed so many looks ago must be in the index.
const DUE_AFTER: usize = 5;
/// Once in so many looks (an hour), words that were taken out are made to leave the file.
const TIDY_AFTER: u64 = 18_000;
/// After so many failures in a row it waits as many looks before it tries again.
const LONGEST_WAIT: u32 = 150;
/// After a panic it waits twice as many looks as after the one before, from two up to this (an hour).
const LONGEST_WAIT_AFTER_PANIC: u32 = 18_000;

/// Runs until `stop`; returns when the step under way is over.
pub(super) async fn run(store: Store, stop: CancellationToken) {
    let mut chore = Chore::new(store.clone());
    let mut ends = VecDeque::with_capacity(DUE_AFTER);
    let mut looks = tokio::time::interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count: u64 = 0;
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        count += 1;
        if ends.len() == DUE_AFTER {
            store.demand_index(ends.pop_front().unwrap_or_default());
        }
        ends.push_back(store.committed());
        chore.look(&stop, count.is_multiple_of(TIDY_AFTER)).await;
    }
    chore.end().await;
}

/// The indexer, here or at work.
struct Chore {
    store: Store,
    indexer: Option<Indexer>,
    work: Option<JoinHandle<(Indexer, bool)>>,
    failures: u32,
    rest: u32,
}

impl Chore {
    fn new(store: Store) -> Chore {
        let indexer = Some(store.indexer());
        Chore { store, indexer, work: None, failures: 0, rest: 0 }
    }

    async fn look(&mut self, stop: &CancellationToken, tidy: bool) {
        if self.work.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end().await;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        // It may still be at work.
        let Some(mut indexer) = self.indexer.take() else { return };
        if tidy {
            indexer.tidy();
        }
        let stop = stop.clone();
        self.work = Some(tokio::task::spawn_blocking(move || {
            let done = work(&mut indexer, &stop);
            (indexer, done)
        }));
    }

    async fn end(&mut self) {
        let Some(work) = self.work.take() else { return };
        match work.await {
            Ok((indexer, done)) => {
                self.failures = if done { 0 } else { self.failures + 1 };
                self.rest = self.failures.min(LONGEST_WAIT);
                self.indexer = Some(indexer);
            }
            Err(error) => self.begin_anew(&error),
        }
    }

    /// After a panic, with a new indexer and without the file.
    fn begin_anew(&mut self, error: &JoinError) {
        let mut indexer = self.store.indexer();
        indexer.distrust();
        self.indexer = Some(indexer);
        self.failures += 1;
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(LONGEST_WAIT_AFTER_PANIC);
        self.rest = doubled.min(LONGEST_WAIT_AFTER_PANIC);
        let wait_seconds = (EVERY * self.rest).as_secs();
        tracing::error!(%error, wait_seconds, "the search index broke; it is built anew");
    }
}

/// Whether nothing failed.
fn work(indexer: &mut Indexer, stop: &CancellationToken) -> bool {
    loop {
        match indexer.step() {
            Ok(true) if !stop.is_cancelled() => {}
            Ok(_) => return true,
            Err(error) => {
                tracing::warn!(%error, "the search index is behind; it is tried again");
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, num::NonZeroUsize, os::unix::fs::MetadataExt as _};

    use super::*;
    use crate::store::OpenOptions;

    /// Looks until the work that this begins is over; returns how many looks that took.
    async fn work_is_done(chore: &mut Chore) -> u32 {
        let stop = CancellationToken::new();
        let mut looks = 0;
        while chore.work.is_none() {
            chore.look(&stop, false).await;
            looks += 1;
        }
        chore.end().await;
        looks
    }

    #[tokio::test]
    async fn an_indexer_that_panics_is_replaced_and_its_file_built_anew_later_and_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let readers = NonZeroUsize::MIN;
        let options = OpenOptions { readers, ..OpenOptions::new(folder.path(), [1; 16]) };
        let opened = Store::open(options).expect("a new store");
        let mut chore = Chore::new(opened.store);
        assert_eq!(work_is_done(&mut chore).await, 1);
        let first = folder.path().join("the first file");
        fs::hard_link(folder.path().join("search.db"), &first).expect("it is there");

        for rested in [0, 2, 4] {
            let indexer = chore.indexer.as_mut().expect("there is always one");
            indexer.step().expect("nothing is wrong yet");
            indexer.panics_next().expect("it can be opened");
            let looks = work_is_done(&mut chore).await;
            assert_eq!(looks, rested + 1, "it rests before it tries again");
        }
        assert_eq!(work_is_done(&mut chore).await, 8 + 1);
        assert_eq!((chore.failures, chore.rest), (0, 0), "it works");
        assert!(folder.path().join("search.db").exists());
        assert_eq!(fs::metadata(first).expect("kept").nlink(), 1, "it is another file");
    }
}
