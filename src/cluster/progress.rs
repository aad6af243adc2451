//! What a leader keeps of a server that it feeds.

use super::{
    epoch::Incarnation,
    event::Time,
    log::{Hash, Seq},
};

/// How far one registered server is.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) life: Incarnation,
    /// When it began to be fed.
    pub(super) since: Time,
    /// It holds everything up to here durably.
    pub(super) acked: Seq,
    pub(super) acked_hash: Hash,
    /// The last entry that was sent to it.
    pub(super) sent: Seq,
    pub(super) sent_at: Time,
    /// It was last sent again from here; once is enough for one gap.
    pub(super) rewound: Option<Seq>,
    /// Entries are under way from the store up to here.
    pub(super) from_store: Option<Seq>,
    /// A snapshot is under way; the log after it is kept.
    pub(super) snapshot_at: Option<Seq>,
    /// The digest that it reached at a place.
    pub(super) digest: Option<(Seq, Hash)>,
    pub(super) no_disk: bool,
}

impl Progress {
    pub(super) fn new(life: Incarnation, acked: Seq, acked_hash: Hash, now: Time) -> Progress {
        Progress {
            life,
            since: now,
            acked,
            acked_hash,
            sent: acked,
            sent_at: now,
            rewound: None,
            from_store: None,
            snapshot_at: None,
            digest: None,
            no_disk: false,
        }
    }

    pub(super) fn awaits_snapshot(&self) -> bool {
        self.snapshot_at.is_some()
    }

    /// The first entry that must be kept for it.
    pub(super) fn needs_after(&self) -> Seq {
        self.snapshot_at.unwrap_or(self.acked)
    }
}
