//! Copies of the database on their way: how much of each has come or gone, for whoever asks, and a word about it
//! in the log now and then.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::cluster::ServerId;

/// How often the log speaks of a copy that is under way.
const EVERY: Duration = Duration::from_secs(5);
const MIB: u64 = 1 << 20;

/// How far a copy is, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What has come, or gone.
    pub done: u64,
    /// The whole.
    pub size: u64,
}

/// All copies on their way to somebody, by who gets them; cheap to clone.
#[derive(Clone, Default, Debug)]
pub struct Copies(Arc<Mutex<BTreeMap<ServerId, Progress>>>);

impl Copies {
    /// A copy of so many bytes for this server is on its way, for as long as the result is held.
    pub fn begin(&self, to: ServerId, size: u64) -> Copy {
        self.lock().insert(to, Progress { done: 0, size });
        Copy { copies: self.clone(), to, began: Instant::now(), told: Instant::now() }
    }

    /// How far the copy for this server is; `None` if none is on its way.
    pub fn of(&self, server: ServerId) -> Option<Progress> {
        self.lock().get(&server).copied()
    }

    /// All that are on their way.
    pub fn all(&self) -> BTreeMap<ServerId, Progress> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServerId, Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One copy on its way.
#[derive(Debug)]
pub struct Copy {
    copies: Copies,
    to: ServerId,
    began: Instant,
    told: Instant,
}

impl Copy {
    /// So many bytes of it have come, or gone.
    pub fn reached(&mut self, done: u64) {
        let mut all = self.copies.lock();
        let Some(progress) = all.get_mut(&self.to) else { return };
        progress.done = done;
        let size = progress.size;
        drop(all);
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let (of_mib, mib) = (size / MIB, done / MIB);
            tracing::info!(to = %self.to, mib, of_mib, "a copy of the database is on its way");
        }
    }

    /// How long it has been on its way.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.copies.lock().remove(&self.to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_shown_for_as_long_as_it_is_on_its_way() {
        let (copies, to) = (Copies::default(), ServerId(2));
        let mut copy = copies.begin(to, 10);
        assert_eq!(copies.of(to), Some(Progress { done: 0, size: 10 }));
        copy.reached(4);
        assert_eq!(copies.of(to), Some(Progress { done: 4, size: 10 }));
        assert_eq!(copies.of(ServerId(3)), None);
        drop(copy);
        assert_eq!(copies.of(to), None);
    }
}
