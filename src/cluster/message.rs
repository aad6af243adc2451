//! What servers say to each other, as data. Every message is one-way for the core; the driver ties
//! answers to calls by `nonce`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    epoch::{Epoch, Incarnation, ServerId},
    log::{Boundary, Entry, Hash, Position, Seq, View},
};

/// A message with its addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Who speaks.
    pub from: ServerId,
    /// To whom.
    pub to: ServerId,
    /// Which life of the sender speaks.
    pub incarnation: Incarnation,
    /// Which life of the receiver is meant; `None` while it is not known (Heartbeat and Prepare then
    /// still pass, everything else is dropped).
    pub receiver: Option<Incarnation>,
    /// An answer carries its question's. Unique per sender and life.
    pub nonce: u64,
    /// The greatest epoch that the sender durably promised.
    pub promised: Epoch,
    /// What is said.
    pub body: Body,
}

/// What is said. Answers stand below their questions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// P2: how are you?
    Heartbeat(Box<Report>),
    /// How I am.
    HeartbeatReply(Box<Report>),

    /// P17, follower to leader: where I stand; send what I lack.
    Register {
        /// The end of the log; `None` when it is empty.
        last: Option<Position>,
        /// The start of every epoch in it.
        boundaries: Vec<Boundary>,
        /// The lineage it belongs to.
        lineage: Option<Hash>,
    },
    /// The stream of updates brings the rest.
    Welcome {
        /// The leader's epoch.
        epoch: Epoch,
    },
    /// The next missing entries. Taken like [`Body::Accept`], and acknowledged the same way.
    Suffix(Updates),
    /// A verified snapshot of the leader's database, received by the driver; it is not installed yet.
    /// It reaches the core when it is complete.
    Snapshot {
        /// The leader's epoch.
        epoch: Epoch,
        /// Where in the log it stands.
        position: Position,
    },
    /// The follower's log holds entries that the leader's lacks.
    Diverged {
        /// The leader's epoch.
        epoch: Epoch,
        /// The last entry that both hold; 0 when none.
        common: Seq,
    },
    /// The asked server does not lead.
    RegisterRefused {
        /// In words, for the log.
        reason: &'static str,
    },

    /// P3/P4, leader to follower: take these.
    Accept(Updates),
    /// They are durable.
    Accepted {
        /// The leader's epoch.
        epoch: Epoch,
        /// The end of the follower's log.
        seq: Seq,
        /// The hash there.
        hash: Hash,
        /// The digest of the tables there; all zero when the follower does not know it.
        digest: Hash,
    },
    /// They are not taken.
    Rejected {
        /// The epoch that was refused.
        epoch: Epoch,
        /// Why.
        reason: Rejection,
        /// The end of the follower's log.
        last: Option<Position>,
    },

    /// P11: let me lead this epoch.
    Prepare {
        /// Greater than everything the candidate has seen.
        epoch: Epoch,
    },
    /// I shall take nothing from a lower epoch.
    Promise(Box<Promise>),
    /// I shall not; `promised` of the message says what stands against it.
    PrepareRefused {
        /// The epoch that was asked for.
        epoch: Epoch,
        /// In words, for the log.
        reason: &'static str,
        /// It has nothing to promise for, but takes nothing from a lower epoch: a candidate that has everything
        /// may do without it.
        renounces: bool,
    },

    /// P12: the candidate lacks what this promiser has.
    Fetch {
        /// The candidate's epoch.
        epoch: Epoch,
        /// The start of every epoch in the candidate's log.
        boundaries: Vec<Boundary>,
        /// The end of the candidate's log.
        after: Option<Position>,
        /// The last seq that is wanted.
        until: Seq,
    },
    /// Some of the entries, the last part when it ends at `until`.
    Fetched(Updates),

    /// P9: your disk or stream is stuck; leave the view. Or P18: your tables are not those of the others.
    Evict {
        /// The leader's epoch.
        epoch: Epoch,
        /// The digest of most members' tables after that entry, for one that has others.
        tables: Option<(Seq, Hash)>,
    },
    /// I left; this message comes from my next life.
    Evicted {
        /// The leader's epoch.
        epoch: Epoch,
        /// The life that is over.
        left: Incarnation,
    },
    /// P16: I lead no more.
    Resign {
        /// The epoch that I gave up.
        epoch: Epoch,
        /// The life that is over; only such a Resign is DEAD evidence. `None`: I keep my standing.
        left: Option<Incarnation>,
        /// Who shall lead: it need not wait for its rank, and the others let it go first. A wish, no more.
        successor: Option<ServerId>,
    },
}

/// What a promiser tells the candidate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Promise {
    /// The epoch that was asked for.
    pub epoch: Epoch,
    /// The end of the promiser's log; `None` when it is empty.
    pub last: Option<Position>,
    /// The newest view of its log with its place.
    pub view: Option<(Seq, View)>,
    /// What it knows to be committed.
    pub known_committed: Option<KnownCommitted>,
    /// Every candidate it promised since a view of a promised epoch was durable.
    pub promised_to: BTreeSet<ServerId>,
    /// Its log may lack what it acknowledged once: it promises only because all configured servers are in
    /// reach, and the candidate must win them all.
    pub forgetful: bool,
}

/// Consecutive entries after a common one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Updates {
    /// The epoch of the leader that sends them (not of the entries).
    pub epoch: Epoch,
    /// The place before the first entry.
    pub prev_seq: Seq,
    /// The hash there (the lineage at 0).
    pub prev_hash: Hash,
    /// In order; encoded once and shared by all followers. May be empty, to carry `known_committed`.
    pub entries: Arc<Vec<Entry>>,
    /// What the leader committed.
    pub known_committed: Option<KnownCommitted>,
}

/// What a leader is known to have committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownCommitted {
    /// The leader that committed.
    pub epoch: Epoch,
    /// Up to here.
    pub seq: Seq,
    /// The hash there.
    pub hash: Hash,
}

/// Why a batch was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// It was meant for another life of the receiver.
    WrongIncarnation,
    /// The receiver promised a greater epoch.
    LowerEpoch,
    /// The receiver's log ends before it.
    Gap,
    /// The receiver's log says something else there.
    Diverged,
    /// The receiver has no room on its disk.
    NoDisk,
}

/// How a server is (P2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The identity of its data folder.
    pub uuid: [u8; 16],
    /// What it is doing.
    pub mode: Mode,
    /// Whether it is a leader whose first view is committed.
    pub serving: bool,
    /// The end of its log.
    pub last: Option<Position>,
    /// The newest view of its log with its place.
    pub view: Option<(Seq, View)>,
    /// What it knows to be committed.
    pub known_committed: Option<KnownCommitted>,
    /// The age of its last round trip with a serving leader.
    pub leader_contact: Option<Duration>,
    /// How long its oldest unfinished work has waited.
    pub oldest_work: Duration,
    /// The hash of what all servers must have configured alike.
    pub config_hash: u64,
    /// The version of the database schema.
    pub schema_version: u32,
    /// The version of the log format.
    pub log_format: u32,
    /// The lineage of its log.
    pub lineage: Option<Hash>,
    /// Whether its data folder ever belonged to a lineage.
    pub belonged: bool,
    /// What it remembers of the receiver (P20).
    pub remembered: Option<PeerMemory>,
}

/// What is remembered durably of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerMemory {
    /// The identity of its data folder.
    pub uuid: [u8; 16],
    /// How often it was started.
    pub starts: u64,
    /// The greatest seq it reported as durable.
    pub durable: Seq,
}

/// What a server is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Knows nothing, or nothing that may be trusted.
    Blank,
    /// Has data and does not know yet whether it is current.
    Recovering,
    /// Follows the leader of this epoch.
    Follower(Epoch),
    /// Asks to be let lead this epoch.
    Candidate(Epoch),
    /// Leads this epoch.
    Leader(Epoch),
    /// Hands its diverged updates to the leader.
    Reconciling,
}
