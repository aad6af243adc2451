//! What the core keeps of its own durable log in memory: enough to compare logs and to feed a server
//! that lags a little; never the whole log.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    epoch::{Epoch, ServerId},
    log::{Boundary, Entry, Hash, LogSummary, Payload, Position, RECENT, Seq, View},
};

/// How many bytes of recent batches are kept for servers that lag a little.
const CACHE_BYTES: usize = 4 << 20;

/// Consecutive entries with the hash before them.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) prev_hash: Hash,
    pub(super) entries: Arc<Vec<Entry>>,
}

impl Chunk {
    pub(super) fn prev_seq(&self) -> Seq {
        self.entries[0].seq - 1
    }

    pub(super) fn last(&self) -> Position {
        self.entries[self.entries.len() - 1].position()
    }

    /// What follows this place, which lies before the chunk's last entry.
    pub(super) fn after(self, seq: Seq) -> Chunk {
        let held = usize::try_from(seq.saturating_sub(self.prev_seq())).unwrap_or(usize::MAX);
        if held == 0 {
            return self;
        }
        let prev_hash = self.entries[held - 1].hash;
        Chunk { prev_hash, entries: Arc::new(self.entries[held..].to_vec()) }
    }

    pub(super) fn bytes(&self) -> usize {
        let payload = |entry: &Entry| match &entry.payload {
            Payload::Update(bytes) => bytes.len(),
            Payload::View(_) | Payload::Noop => 0,
        };
        self.entries.iter().map(|entry| payload(entry) + 96).sum()
    }
}

/// The durable log, summed up.
#[derive(Clone, Debug, Default)]
pub(super) struct LogIndex {
    lineage: Option<Hash>,
    first: Seq,
    last: Option<Position>,
    boundaries: Vec<Boundary>,
    views: Vec<(Seq, View)>,
    recent: VecDeque<Hash>,
    cache: VecDeque<Chunk>,
    cache_bytes: usize,
}

impl LogIndex {
    pub(super) fn new(summary: Option<LogSummary>) -> LogIndex {
        let Some(summary) = summary else { return LogIndex { first: 1, ..LogIndex::default() } };
        let consecutive = summary.recent.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0);
        assert!(consecutive, "the newest hashes of the log have a hole");
        assert!(!summary.views.is_empty(), "a log has a view");
        LogIndex {
            lineage: Some(summary.lineage),
            first: summary.first,
            last: Some(summary.last),
            boundaries: summary.boundaries,
            views: summary.views,
            recent: summary.recent.into_iter().map(|(_, hash)| hash).collect(),
            cache: VecDeque::new(),
            cache_bytes: 0,
        }
    }

    pub(super) fn lineage(&self) -> Option<Hash> {
        self.lineage
    }

    pub(super) fn set_lineage(&mut self, lineage: Hash) {
        assert!(self.last.is_none() || self.lineage == Some(lineage), "a log changed its lineage");
        self.lineage = Some(lineage);
    }

    /// The oldest entry that is kept.
    pub(super) fn first(&self) -> Seq {
        self.first
    }

    pub(super) fn last(&self) -> Option<Position> {
        self.last
    }

    pub(super) fn last_seq(&self) -> Seq {
        self.last.map_or(0, |last| last.seq)
    }

    pub(super) fn last_hash(&self) -> Option<Hash> {
        self.last.map(|last| last.hash).or(self.lineage)
    }

    pub(super) fn boundaries(&self) -> &[Boundary] {
        &self.boundaries
    }

    pub(super) fn newest_view(&self) -> Option<&(Seq, View)> {
        self.views.last()
    }

    /// The newest view at or before this place.
    pub(super) fn view_at(&self, seq: Seq) -> Option<&(Seq, View)> {
        self.views.iter().rev().find(|(at, _)| *at <= seq)
    }

    /// Whether this server is in the newest view at `seq` and in every later one. The later ones count
    /// too, for a server that was excluded and taken back meanwhile is in sync only once it knows that
    /// its return is committed.
    pub(super) fn in_every_view_from(&self, seq: Seq, id: ServerId) -> bool {
        let Some((from, _)) = self.view_at(seq) else { return false };
        self.views.iter().filter(|(at, _)| at >= from).all(|(_, view)| view.members.contains(&id))
    }

    /// The hash up to this place; `None` when it is no longer in memory, or not in the log.
    pub(super) fn hash_at(&self, seq: Seq) -> Option<Hash> {
        if seq == 0 {
            return self.lineage;
        }
        let back = self.last_seq().checked_sub(seq)?;
        let index = self.recent.len().checked_sub(1 + usize::try_from(back).ok()?)?;
        self.recent.get(index).copied()
    }

    /// Who wrote the entry at this place.
    pub(super) fn epoch_at(&self, seq: Seq) -> Option<Epoch> {
        if seq == 0 || seq > self.last_seq() {
            return None;
        }
        self.boundaries.iter().rev().find(|boundary| boundary.first <= seq).map(|b| b.epoch)
    }

    /// Whether the log that ends at `position` is a prefix of this one: the same (epoch, seq) means the
    /// same prefix, and hashes are compared wherever they are known.
    pub(super) fn contains(&self, position: Position) -> bool {
        self.epoch_at(position.seq) == Some(position.epoch)
            && self.hash_at(position.seq).is_none_or(|hash| hash == position.hash)
    }

    /// The last entry that this log shares with one that ends at `last`; 0 when none.
    pub(super) fn common(&self, boundaries: &[Boundary], last: Option<Position>) -> Seq {
        let Some(last) = last else { return 0 };
        for (index, theirs) in boundaries.iter().enumerate().rev() {
            if let Some(own) = self.boundaries.iter().position(|own| own == theirs) {
                let end = |list: &[Boundary], at: usize, last: Seq| {
                    list.get(at + 1).map_or(last, |next| next.first - 1)
                };
                let own_end = end(&self.boundaries, own, self.last_seq());
                return own_end.min(end(boundaries, index, last.seq));
            }
        }
        0
    }

    /// Takes entries that became durable after the last one.
    pub(super) fn append(&mut self, chunk: Chunk) {
        assert_eq!(chunk.prev_seq(), self.last_seq(), "the log has a hole");
        assert_eq!(Some(chunk.prev_hash), self.last_hash(), "the chain of the log is broken");
        for entry in chunk.entries.iter() {
            if self.last.is_none_or(|last| last.epoch != entry.epoch) {
                let rises = self.boundaries.last().is_none_or(|newest| newest.epoch < entry.epoch);
                assert!(rises, "an epoch came back");
                self.boundaries.push(Boundary { epoch: entry.epoch, first: entry.seq });
            }
            if let Payload::View(view) = &entry.payload {
                self.views.push((entry.seq, view.clone()));
            }
            self.recent.push_back(entry.hash);
            self.last = Some(entry.position());
        }
        while self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        self.cache_bytes += chunk.bytes();
        self.cache.push_back(chunk);
        while self.cache_bytes > CACHE_BYTES && self.cache.len() > 1 {
            self.cache_bytes -= self.cache.pop_front().map_or(0, |oldest| oldest.bytes());
        }
    }

    /// The cached batch that holds the entry after `seq`.
    pub(super) fn cached_after(&self, seq: Seq) -> Option<&Chunk> {
        let index = self.cache.partition_point(|chunk| chunk.last().seq <= seq);
        self.cache.get(index).filter(|chunk| chunk.prev_seq() <= seq)
    }

    /// Forgets entries up to `until`, which the store removes; boundaries and the newest view stay.
    pub(super) fn trim(&mut self, until: Seq, known_committed: Seq) {
        assert!(until < self.last_seq(), "the end of the log is never removed");
        self.first = self.first.max(until + 1);
        let keep = self.view_at(known_committed.min(until)).map_or(0, |(at, _)| *at);
        self.views.retain(|(at, view)| *at >= keep || view.forced);
    }

    /// The epochs of forced views that are kept.
    pub(super) fn forced(&self) -> Vec<Epoch> {
        let forced = self.views.iter().filter(|(_, view)| view.forced);
        forced.filter_map(|(seq, _)| self.epoch_at(*seq)).collect()
    }

    /// The members of the newest view; empty without a log.
    pub(super) fn members(&self) -> &BTreeSet<ServerId> {
        static NOBODY: BTreeSet<ServerId> = BTreeSet::new();
        self.newest_view().map_or(&NOBODY, |(_, view)| &view.members)
    }
}
