//! What a server counts and times, and how it is told to Prometheus.
//!
//! **Promises.** Counting never waits: every number is an atomic of its own, so that a call costs the same
//! whether somebody looks or not. Names follow the conventions of Prometheus, and what stands in a label
//! comes from a fixed list: no name of a user or a room, nothing that a stranger can make grow.
//!
//! **May not** know what is counted: the rooms that do the work hold a [`Metrics`] and count themselves.
//! What can be asked for at any time (who leads, how large a file is) is not counted here at all; whoever
//! writes a [`Page`] asks.
//!
//! **Why by hand.** The text format is a few lines. The crates that write it keep a histogram behind a lock
//! and look every label up in a map; here all series are known at the start, so an observation is two
//! additions.

mod calls;
mod histogram;
mod page;

use std::sync::atomic::{AtomicU64, Ordering};

pub use calls::{Calls, Code, Method};
pub use histogram::Histogram;
pub use page::{Family, Label, Page};

/// What one server counts; shared by the rooms that do the work.
#[derive(Debug, Default)]
pub struct Metrics {
    /// The writer's thread.
    pub writer: WriterMetrics,
    /// The node's loop.
    pub node: NodeMetrics,
    /// The services.
    pub calls: Calls,
}

/// What the writer's thread times.
#[derive(Debug)]
pub struct WriterMetrics {
    /// To apply a batch in the open transaction.
    pub apply: Histogram,
    /// To commit it: almost all of that is the sync of the disk.
    pub commit: Histogram,
    /// Entries in a batch.
    pub batch_entries: Histogram,
    /// Bytes of updates in a batch.
    pub batch_bytes: Histogram,
}

impl Default for WriterMetrics {
    fn default() -> WriterMetrics {
        WriterMetrics {
            apply: Histogram::of_durations(),
            commit: Histogram::of_durations(),
            batch_entries: Histogram::of(&[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000]),
            batch_bytes: Histogram::of(&[256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10]),
        }
    }
}

/// What the node's loop counts.
#[derive(Debug)]
pub struct NodeMetrics {
    /// From the moment an update is handed in until it is acknowledged.
    pub acknowledgement: Histogram,
    /// What a read waits until it is sure that no other server has acknowledged more.
    pub read_barrier: Histogram,
    /// Updates that were handed in and not answered yet.
    pub underway: Number,
    /// How often this server came to each role; in the order of the roles.
    pub roles: [Number; ROLES],
}

/// How many roles a server can have.
pub const ROLES: usize = 7;

impl Default for NodeMetrics {
    fn default() -> NodeMetrics {
        NodeMetrics {
            acknowledgement: Histogram::of_durations(),
            read_barrier: Histogram::of_durations(),
            underway: Number::default(),
            roles: Default::default(),
        }
    }
}

/// A number that many change and nobody waits for.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// One more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// It is this from now on.
    pub fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }

    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
