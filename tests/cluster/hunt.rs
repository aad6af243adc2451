//! Many walks on all cores. Which walk fails first does not depend on the number of threads.

use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::walk::Walks;

/// So many walks are taken at once.
const BLOCK: u64 = 64;

/// The first of these seeds whose walk violates something, and what.
pub(crate) fn first_failure(
    walks: &Walks,
    seeds: Range<u64>,
    jobs: usize,
) -> Option<(u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let bound = AtomicU64::new(seeds.end);
    let work = || loop {
        let block = next.fetch_add(BLOCK, Ordering::Relaxed);
        // What comes after a failure is not walked any more.
        let end = (block + BLOCK).min(bound.load(Ordering::Relaxed));
        if block >= end {
            return;
        }
        let failure = (block..end).find_map(|seed| Some((seed, walks.walk(seed, false)?)));
        if let Some((seed, what)) = failure {
            bound.fetch_min(seed, Ordering::Relaxed);
            let mut found = found.lock().expect("a walk's panic is caught");
            if found.as_ref().is_none_or(|(before, _)| seed < *before) {
                *found = Some((seed, what));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..jobs {
            scope.spawn(work);
        }
        work();
    });
    found.into_inner().expect("a walk's panic is caught")
}

/// Short runs do not need several cores.
pub(crate) fn jobs(walks: u64) -> usize {
    if walks < 10_000 { 1 } else { thread::available_parallelism().map_or(1, usize::from) }
}
