//! What the world notes of a run: every entry, who acknowledged what, and a trace that two runs of one
//! seed share.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use chinwag::cluster::{Entry, Epoch, Hash, Incarnation, Seq};

#[derive(Default)]
pub(crate) struct Record {
    /// Every entry that any server applied or stored, by its place.
    pub(crate) entries: BTreeMap<Seq, Vec<Entry>>,
    names: BTreeMap<(Epoch, Seq), Hash>,
    /// The digest of the tables after an entry.
    digests: BTreeMap<Hash, Hash>,
    pub(crate) served: BTreeMap<Epoch, Incarnation>,
    pub(crate) acknowledged: BTreeMap<Seq, BTreeSet<Hash>>,
    /// A server that thought itself in sync was left out although it lived: `available` may then split.
    pub(crate) split: bool,
    /// A disk was lost.
    pub(crate) lost: bool,
    /// The server whose id another process used.
    pub(crate) doubled: Option<usize>,
    /// A server could not bring what it stored alone, for its log was trimmed.
    pub(crate) trimmed: bool,
    /// How often something was brought to be merged.
    pub(crate) merges: u64,
    /// How many things happened.
    pub(crate) steps: u64,
    /// What went wrong first.
    pub(crate) failed: Option<String>,
    trace: DefaultHasher,
    pub(crate) lines: Option<Vec<String>>,
}

impl Record {
    pub(crate) fn violate(&mut self, now: Duration, what: String) {
        self.say(now, || format!("VIOLATION {what}"));
        self.failed.get_or_insert(what);
    }

    pub(crate) fn say(&mut self, now: Duration, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>10.3} {}", now.as_secs_f64() * 1_000.0, line()));
        }
    }

    /// A line of the trace that is always part of its hash.
    pub(crate) fn note(&mut self, now: Duration, what: &str, numbers: &[u64]) {
        self.steps += 1;
        (now, what, numbers).hash(&mut self.trace);
        self.say(now, || format!("{what} {numbers:?}"));
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// I2: an (epoch, seq) names one entry.
    pub(crate) fn entries(&mut self, now: Duration, entries: &[Entry]) {
        for entry in entries {
            let known = *self.names.entry((entry.epoch, entry.seq)).or_insert(entry.hash);
            if known != entry.hash {
                let place = format!("{} {}", entry.epoch, entry.seq);
                self.violate(now, format!("I2: two entries at {place}"));
            }
            let there = self.entries.entry(entry.seq).or_default();
            if there.iter().all(|other| other.hash != entry.hash) {
                there.push(entry.clone());
            }
        }
    }

    /// I8: equal history, equal tables.
    pub(crate) fn digest(&mut self, now: Duration, end: Hash, digest: Hash) {
        let known = *self.digests.entry(end).or_insert(digest);
        if known != digest {
            self.violate(now, format!("I8: the tables differ after the same entry {end:?}"));
        }
    }

    /// The whole log that ends with this entry, oldest first.
    pub(crate) fn chain(&self, seq: Seq, hash: Hash) -> Option<Vec<Entry>> {
        let mut chain = Vec::new();
        let mut wanted = hash;
        for seq in (1..=seq).rev() {
            let entry = self.entries.get(&seq)?.iter().find(|entry| entry.hash == wanted)?;
            chain.push(entry.clone());
            if seq == 1 {
                return Some(chain.into_iter().rev().collect());
            }
            let before = self.entries.get(&(seq - 1))?;
            wanted = before.iter().find(|before| entry.follows(before.hash))?.hash;
        }
        None
    }
}
