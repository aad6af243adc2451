//! Keeps the search index close behind the log, on every server, so that a new leader can search at once.
//!
//! A look at the end of the log, five times a second; whatever is new there goes into the index, in a
//! blocking thread and step by step. What was committed a second ago must be in it: a search is refused
//! rather than answered from less.

use std::{collections::VecDeque, time::Duration};

use tokio::{task::JoinHandle, time::MissedTickBehavior};
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

/// Runs until `stop`; returns when the step under way is over.
pub(super) async fn run(store: Store, stop: CancellationToken) {
    let mut chore = Chore { indexer: Some(store.indexer()), work: None, failures: 0, rest: 0 };
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
    indexer: Option<Indexer>,
    work: Option<JoinHandle<(Indexer, bool)>>,
    failures: u32,
    rest: u32,
}

impl Chore {
    async fn look(&mut self, stop: &CancellationToken, tidy: bool) {
        if self.work.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end().await;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        // It may still be at work, or be gone after a panic, which was told.
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
            Err(error) => tracing::error!(%error, "the search index is looked after no more"),
        }
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
