//! What the core hears and what it wants done.
//!
//! **The order rule.** The driver carries out the effects of a step in their order, and finishes those
//! of one step before it begins the next. [`Effect::Persist`] is durable on disk before any later
//! effect is begun: a promise that is not durable is never sent. Store effects ([`Effect::Apply`],
//! [`Effect::Commit`], [`Effect::Rollback`], [`Effect::Store`], [`Effect::Install`], [`Effect::Trim`])
//! are *begun* in their order, go through one queue, and end with the event named at each; the core
//! sends what depends on them only after that event.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::{
    epoch::{Epoch, ServerId},
    log::{Entry, Hash, LogSummary, Position, Seq},
    message::{KnownCommitted, Message, PeerMemory},
};

/// Own awake-or-not time since an arbitrary start: the boot-time clock, which counts suspension.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Time(pub Duration);

/// Names a store effect in the event that ends it; unique in one life of the process.
pub type OpId = u64;
/// Names a client's update while it is under way.
pub type WaiterId = u64;
/// Names a client's read while it waits; later reads have greater ids.
pub type ReadId = u64;

/// How the cluster decides when too few servers are left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// One survivor suffices; a partition may make two histories, which are merged afterwards.
    Available,
    /// A majority of the configured servers is needed.
    Majority,
}

/// What the core is told once and for all.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This server.
    pub id: ServerId,
    /// All configured servers, this one included.
    pub servers: BTreeSet<ServerId>,
    /// The cluster's policy.
    pub policy: Policy,
    /// The hash of what all servers must have configured alike.
    pub config_hash: u64,
    /// The version of the database schema.
    pub schema_version: u32,
    /// When to do what.
    pub timing: Timing,
    /// Whether refused connects count as DEAD evidence.
    pub trust_refused: bool,
    /// How many entries may be kept for a server that lags before it needs a snapshot.
    pub log_cap: u64,
}

/// PROTOCOL's timing; its relations are checked where the configuration is read.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two heartbeats to the same server.
    pub heartbeat_interval: Duration,
    /// An unanswered probe becomes SILENT evidence after this.
    pub failure_timeout: Duration,
    /// What a rank costs that is not DEAD.
    pub succession_step: Duration,
    /// A batch unacknowledged for so long asks for eviction.
    pub ack_timeout: Duration,
    /// A candidate gives up after this.
    pub election_timeout: Duration,
    /// An own commit may take so long.
    pub stall_timeout: Duration,
    /// A blank cluster waits so long for non-blank servers (`available`).
    pub boot_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            heartbeat_interval: Duration::from_millis(100),
            failure_timeout: Duration::from_millis(1_000),
            succession_step: Duration::from_millis(150),
            ack_timeout: Duration::from_millis(1_000),
            election_timeout: Duration::from_millis(500),
            stall_timeout: Duration::from_millis(5_000),
            boot_timeout: Duration::from_millis(3_000),
        }
    }
}

/// What a server keeps beside its database, never part of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalState {
    /// The identity of the data folder.
    pub uuid: [u8; 16],
    /// How often the server was started, this start included.
    pub starts: u64,
    /// The greatest promised epoch.
    pub promised: Epoch,
    /// Every candidate promised since a view of a promised epoch was durable.
    pub promised_to: BTreeSet<ServerId>,
    /// The lineage that the folder ever belonged to; survives `--reset`.
    pub belonged: Option<Hash>,
    /// What is remembered of the others. An entry about this server itself, kept and read back like the
    /// others, holds two facts: with `durable` 0 its log may lack what it once acknowledged, so that it
    /// promises nothing until it is in sync again; `starts` is the last life in which a snapshot made
    /// the log shorter, so that what others remember of that life and earlier ones proves nothing. Its number is
    /// small and has no other meaning.
    pub peers: BTreeMap<ServerId, PeerMemory>,
}

/// What the driver found at the start.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The local store, `starts` already counted up and durable.
    pub local: LocalState,
    /// The log, if there is one.
    pub log: Option<LogSummary>,
    /// The random part of this life's incarnation, and the seed of the delays after a lost election.
    pub random: u64,
    /// The lineage that this server would give to a new cluster.
    pub fresh_lineage: Hash,
}

/// A client's update.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Who waits for its outcome.
    pub waiter: WaiterId,
    /// Opaque; at most 64 KiB.
    pub payload: Bytes,
}

/// What the core hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Time went by. Queued input is handed in before a tick.
    Tick,
    /// A message arrived; the wire has checked cluster, secret and configured ids.
    Message(Message),
    /// The answer to [`Effect::Probe`]: whether both connects were refused. Anything else (accepted,
    /// timed out, unreachable) is `false`.
    Probed {
        /// Who was probed.
        peer: ServerId,
        /// Which probe it was.
        begun: Time,
        /// Whether both connects were refused.
        refused: bool,
    },
    /// A stream with this server broke; proves nothing, calls for a probe.
    StreamEnded {
        /// The other side.
        peer: ServerId,
    },
    /// Clients' updates, at most 1 MiB; only while `Core::takes_updates` says so.
    Submit(Vec<Operation>),
    /// A client's read; answered by [`Effect::ServeReads`] or [`Effect::Abandon`].
    Read(ReadId),
    /// [`Effect::Apply`] ended well.
    Applied {
        /// Which one.
        op: OpId,
        /// The digest of the tables after it.
        digest: Hash,
    },
    /// [`Effect::Commit`] ended well.
    Committed {
        /// Which one.
        op: OpId,
    },
    /// [`Effect::Store`] ended well.
    Stored {
        /// Which one.
        op: OpId,
        /// The digest of the tables after it.
        digest: Hash,
    },
    /// [`Effect::Install`] ended well; the log is now this one.
    Installed {
        /// Which one.
        op: OpId,
        /// The log of the installed snapshot.
        log: LogSummary,
    },
    /// [`Effect::Reconcile`] ended.
    Reconciled {
        /// Which one.
        op: OpId,
        /// Whether the leader has stored everything.
        done: bool,
    },
    /// A store effect failed (P18), or apply met an error that is no outcome (P3).
    StoreFailed {
        /// What happened, in words.
        reason: String,
    },
    /// Whether free disk space is below `storage.reserve`; told at changes.
    DiskLow(bool),
    /// An operator confirmed that this server shall lead with what it has (P13).
    ForceLead,
    /// An operator wants this in-sync server to lead instead of this one (P16). If that cannot be, nothing
    /// happens but a word about it.
    HandOver {
        /// Who shall lead.
        to: ServerId,
    },
    /// The process shall end: hand over the lead. Ends with [`Effect::Exit`].
    Shutdown,
}

/// What the core wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Make this durable in the local store before any later effect.
    Persist(LocalState),
    /// Make this durable some time soon, in the order of all that is made durable; nothing depends on it, and a
    /// crash may lose it.
    Remember(LocalState),
    /// Send; it may get lost.
    Send(Message),
    /// Connect twice, 5 ms apart, and tell by [`Event::Probed`].
    Probe {
        /// To whom.
        peer: ServerId,
        /// Names the probe: when it was begun.
        begun: Time,
    },

    /// Leader: apply and log these in the open transaction; begin one if none is open. → `Applied`
    Apply {
        /// Names it.
        op: OpId,
        /// Consecutive entries.
        entries: Arc<Vec<Entry>>,
    },
    /// Leader: commit the open transaction. → `Committed`
    Commit {
        /// Names it.
        op: OpId,
    },
    /// Leader stepping down: roll the open transaction back.
    Rollback,
    /// Follower: apply, log and commit these in one transaction. → `Stored`
    Store {
        /// Names it.
        op: OpId,
        /// Consecutive entries.
        entries: Arc<Vec<Entry>>,
        /// At genesis, and for the first entries of a blank server: the hash before entry 1.
        lineage: Hash,
    },
    /// Install the snapshot that was received under `nonce` as a new generation. → `Installed`
    Install {
        /// Names it.
        op: OpId,
        /// The nonce of the Register that brought it.
        nonce: u64,
        /// Whether the present database is kept aside, for it holds entries that nobody else may have:
        /// the number of updates after the last common entry.
        aside: Option<u64>,
    },
    /// Remove log entries up to here (P19); outcomes and tables stay.
    Trim {
        /// The last entry to remove.
        until: Seq,
    },
    /// Read committed entries from the store and send them, in parts of at most 1 MiB.
    SendLog(SendLog),
    /// Make a snapshot, and stream it as the answer to a Register.
    SendSnapshot {
        /// To whom.
        to: ServerId,
        /// The nonce of the Register.
        nonce: u64,
        /// The leader's epoch.
        epoch: Epoch,
    },

    /// Turn the own entries after `common` into updates that can be merged, and bring them to the leader;
    /// beside everything else, for as long as it takes. → `Reconciled`
    Reconcile {
        /// Names it.
        op: OpId,
        /// Who shall store them.
        leader: ServerId,
        /// Its epoch.
        epoch: Epoch,
        /// The last entry that its history has too.
        common: Seq,
        /// The last one to bring.
        until: Seq,
    },

    /// These waiters' updates became these entries.
    Taken(Vec<(WaiterId, Seq)>),
    /// Everything up to here is on enough disks for ever: answer those who wait for it.
    Answer {
        /// The last entry to answer for.
        until: Seq,
    },
    /// Everything up to here is committed here too: tell the subscribers.
    Publish {
        /// The last committed entry.
        until: Seq,
    },
    /// Serve the reads up to this one, from a snapshot that holds this entry.
    ServeReads {
        /// The newest read.
        until: ReadId,
        /// What the snapshot must hold.
        seq: Seq,
    },
    /// This server leads no more: every waiter hears "unknown, retry the same id", every read and
    /// stream ends with NOT_LEADER.
    Abandon,
    /// Something that an operator wants to read at INFO; a sentence.
    Tell(String),
    /// End the process: cleanly, or because of a failure, with a sentence.
    Exit {
        /// Why; `None` after a shutdown that was asked for.
        failure: Option<String>,
    },
}

/// What [`Effect::SendLog`] sends: [`super::Body::Suffix`] or [`super::Body::Fetched`] messages, made
/// from `template` with the entries filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendLog {
    /// The message to send, with empty entries and the place before the first wanted entry.
    pub template: Message,
    /// The last entry to send.
    pub until: Seq,
    /// What the receiver may take as committed.
    pub known_committed: Option<KnownCommitted>,
}

/// What `GetStatus` shows of the core.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// What this server is doing.
    pub mode: super::message::Mode,
    /// Whether it serves clients.
    pub serving: bool,
    /// The leader it follows, is, or last heard of as serving.
    pub leader: Option<ServerId>,
    /// The greatest promised epoch, or the one that is served or followed.
    pub epoch: Epoch,
    /// The end of the log.
    pub last: Option<Position>,
    /// The in-sync set as far as this server knows.
    pub in_sync: BTreeSet<ServerId>,
    /// Whom it waits for by name (P13), empty when for nobody.
    pub waiting_for: BTreeSet<ServerId>,
    /// Why it does not serve, in words; empty when nothing keeps it.
    pub note: String,
    /// Whether writes are refused for want of disk (P18).
    pub read_only: bool,
    /// The epochs of forced views in the log that is kept.
    pub forced: Vec<Epoch>,
    /// The others, as this server sees them.
    pub peers: BTreeMap<ServerId, PeerStatus>,
}

/// One other server as this one sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerStatus {
    /// What it said it was doing; `None` if it never answered.
    pub mode: Option<super::message::Mode>,
    /// Whether it said that it serves.
    pub serving: bool,
    /// The end of its log.
    pub last: Option<Seq>,
    /// What it holds of this server's log for sure, if this one leads and feeds it.
    pub acked: Option<Seq>,
    /// How long ago it answered.
    pub last_contact: Option<Duration>,
    /// The version of its database schema; `None` if it never told.
    pub schema_version: Option<u32>,
    /// Why its messages are refused (another lineage, configuration…), in words.
    pub refused: Option<String>,
}
