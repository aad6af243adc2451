//! A failing run with as few faults as possible.

use crate::plan::{Fault, Plan};

/// More runs than this are not worth the wait.
const MOST_RUNS: usize = 150;

/// Leaves out faults, many at once first and then one by one, as long as the run still fails. Returns what
/// is left, and how the last failing run failed.
pub(crate) fn shrink(
    plan: &Plan,
    failure: String,
    fails: impl Fn(&Plan) -> Option<String>,
) -> (Plan, String) {
    let (mut best, mut words) = (plan.clone(), failure);
    let mut runs = 0;
    let mut size = best.faults.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < best.faults.len() && runs < MOST_RUNS {
            let mut faults: Vec<Fault> = best.faults.clone();
            faults.drain(at..(at + size).min(best.faults.len()));
            let next = Plan { faults, ..best.clone() };
            runs += 1;
            if let Some(what) = fails(&next) {
                (best, words, shorter) = (next, what, true);
            } else {
                at += size;
            }
        }
        if runs >= MOST_RUNS || (size == 1 && !shorter) {
            return (best, words);
        }
        size = (size / 2).max(1);
    }
}
