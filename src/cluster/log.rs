//! The log: entries chained by hashes, and what the core keeps of it in memory.

use std::{collections::BTreeSet, fmt};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::epoch::{Epoch, ServerId};

/// A place in the log; the first entry is 1, 0 is before it.
pub type Seq = u64;

/// A SHA-256: of the chain of entries, of the tables' digest, or the random lineage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}{:02x}", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// All of it, in hex.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The set of in-sync members. A view is a log entry, in the same order as the updates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// Never empty.
    pub members: BTreeSet<ServerId>,
    /// Whether an operator forced it; shown in the status for ever.
    pub forced: bool,
}

/// What an entry carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Opaque to the protocol.
    Update(Bytes),
    /// The in-sync set from this entry on.
    View(View),
    /// Nothing.
    Noop,
}

impl Payload {
    /// 1 update, 2 view, 3 no-op: the number stored and sent.
    pub fn kind(&self) -> u8 {
        match self {
            Payload::Update(_) => 1,
            Payload::View(_) => 2,
            Payload::Noop => 3,
        }
    }

    /// The stored, sent and hashed form. A view is one byte of flags and four big-endian bytes a member.
    pub fn bytes(&self) -> Bytes {
        match self {
            Payload::Update(bytes) => bytes.clone(),
            Payload::View(view) => {
                let mut out = vec![u8::from(view.forced)];
                for member in &view.members {
                    out.extend_from_slice(&member.0.to_be_bytes());
                }
                out.into()
            }
            Payload::Noop => Bytes::new(),
        }
    }

    /// Reads what [`Payload::kind`] and [`Payload::bytes`] wrote; `None` if it is malformed.
    pub fn parse(kind: u8, bytes: Bytes) -> Option<Payload> {
        match kind {
            1 => Some(Payload::Update(bytes)),
            2 => {
                let (flags, members) = bytes.split_first()?;
                if *flags > 1 || members.is_empty() || members.len() % 4 != 0 {
                    return None;
                }
                let ids = members
                    .chunks_exact(4)
                    .map(|id| u32::from_be_bytes([id[0], id[1], id[2], id[3]]));
                let view = View { members: ids.map(ServerId).collect(), forced: *flags == 1 };
                (view.members.len() * 4 == members.len()).then_some(Payload::View(view))
            }
            3 => bytes.is_empty().then_some(Payload::Noop),
            _ => None,
        }
    }
}

/// One log entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// Who wrote it; an (epoch, seq) is never used twice.
    pub epoch: Epoch,
    /// What it carries.
    pub payload: Payload,
    /// The hash of everything up to and including it.
    pub hash: Hash,
}

impl Entry {
    /// The entry that follows `prev` (the lineage, for the first one).
    pub fn after(prev: Hash, seq: Seq, epoch: Epoch, payload: Payload) -> Entry {
        let hash = chain(prev, epoch, seq, payload.kind(), &payload.bytes());
        Entry { seq, epoch, payload, hash }
    }

    /// Whether its hash is right after `prev`.
    pub fn follows(&self, prev: Hash) -> bool {
        self.hash == chain(prev, self.epoch, self.seq, self.payload.kind(), &self.payload.bytes())
    }

    /// Its place with its hash.
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.seq, hash: self.hash }
    }
}

fn chain(prev: Hash, epoch: Epoch, seq: Seq, kind: u8, payload: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(prev.0);
    hasher.update(epoch.number.to_be_bytes());
    hasher.update(epoch.server.0.to_be_bytes());
    hasher.update(seq.to_be_bytes());
    hasher.update([kind]);
    hasher.update(payload);
    Hash(hasher.finalize().into())
}

/// A place in the log with the hash of everything up to it. Logs are compared by (epoch, seq).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Who wrote the entry there.
    pub epoch: Epoch,
    /// The place.
    pub seq: Seq,
    /// The hash up to it.
    pub hash: Hash,
}

/// Where an epoch begins in a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Boundary {
    /// The epoch.
    pub epoch: Epoch,
    /// Its first entry.
    pub first: Seq,
}

/// What the driver reads from the store when it opens it or has installed a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSummary {
    /// The random hash before the first entry, drawn at genesis.
    pub lineage: Hash,
    /// The oldest entry that is still kept.
    pub first: Seq,
    /// The newest entry.
    pub last: Position,
    /// The start of every epoch of the log, trimmed part included, in order.
    pub boundaries: Vec<Boundary>,
    /// Every view entry that is kept, in order: at least the newest one.
    pub views: Vec<(Seq, View)>,
    /// The hashes of the newest entries in order, ending with `last` (at most [`RECENT`]).
    pub recent: Vec<(Seq, Hash)>,
}

/// How many of the newest hashes the core keeps in memory.
pub const RECENT: usize = 16_384;
