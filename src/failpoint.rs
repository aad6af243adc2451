//! Failpoints: named places at which a test lets a server die, to show that dying there loses nothing.
//!
//! A server that runs with `CHINWAG_FAILPOINTS=FILE` looks into that file whenever it comes to one of the
//! [`Point`]s. While it reads `NAME` or `NAME:N`, the process kills itself with SIGKILL at the first, or
//! the Nth, time it is there. `tests/it/sweep` does so at every point.
//!
//! Why a file: the point is armed in a server that leads already and is under load, and another one in its
//! next life before it does anything. Why debug builds only: the tests run them anyway, so that no second
//! build with a feature is needed, and what is shipped holds none of it, not even the variable's name
//! (which a test looks for).

/// Defines the points, so that none is missing in [`Point::ALL`].
macro_rules! points {
    ($($point:ident $name:literal $doc:literal)+) => {
        /// A place at which a server can be made to die.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Point {
            $(#[doc = $doc] $point,)+
        }

        impl Point {
            /// Every point, in the order in which they are defined.
            pub const ALL: &[Point] = &[$(Point::$point),+];

            /// Its name for people and for the file.
            pub fn name(self) -> &'static str {
                match self {
                    $(Point::$point => $name,)+
                }
            }
        }
    };
}

points! {
    PersistBefore "persist.before" "The local store is about to be written."
    PersistAfter "persist.after" "The local store is on the disk."

    ApplyBefore "apply.before" "A leader is about to apply a batch."
    ApplyAfter "apply.after" "The batch is applied, and not committed."
    CommitBefore "commit.before" "A leader is about to commit a batch."
    CommitAfter "commit.after" "The batch is committed, and nobody knows."
    RollbackBefore "rollback.before" "A batch is about to be rolled back."
    RollbackAfter "rollback.after" "A batch was rolled back."
    StoreBefore "store.before" "Entries of another server are about to be applied."
    StoreApplied "store.applied" "They are applied, and not committed."
    StoreAfter "store.after" "They are committed, and nobody knows."
    TrimBefore "trim.before" "The log is about to be trimmed."
    TrimApplied "trim.applied" "It is trimmed, and not committed."
    TrimAfter "trim.after" "It is trimmed."
    CloseBefore "close.before" "The database is about to be closed."
    CloseAfter "close.after" "It is closed."

    InstallBefore "install.before" "A snapshot is about to be put in use."
    InstallMoved "install.moved" "It stands in its new generation."
    InstallMarked "install.marked" "The old generation is marked to be kept."
    SwitchBefore "switch.before" "CURRENT is about to be replaced."
    SwitchAfter "switch.after" "CURRENT names the new generation."
    InstallRetire "install.retire" "The old generation is about to be removed or set aside."
    InstallAfter "install.after" "Only the new generation is left."
    ResetUnnamed "reset.unnamed" "CURRENT is set aside."
    ResetMoved "reset.moved" "The old database is set aside."
    ResetForgotten "reset.forgotten" "The folder has its new identity."

    HeartbeatBefore "heartbeat.before" "Before a message of this kind is sent."
    HeartbeatSent "heartbeat.sent" "After it was sent."
    HeartbeatReplyBefore "heartbeat-reply.before" "Before a message of this kind is sent."
    HeartbeatReplySent "heartbeat-reply.sent" "After it was sent."
    RegisterBefore "register.before" "Before a message of this kind is sent."
    RegisterSent "register.sent" "After it was sent."
    WelcomeBefore "welcome.before" "Before a message of this kind is sent."
    WelcomeSent "welcome.sent" "After it was sent."
    SuffixBefore "suffix.before" "Before a message of this kind is sent."
    SuffixSent "suffix.sent" "After it was sent."
    DivergedBefore "diverged.before" "Before a message of this kind is sent."
    DivergedSent "diverged.sent" "After it was sent."
    RegisterRefusedBefore "register-refused.before" "Before a message of this kind is sent."
    RegisterRefusedSent "register-refused.sent" "After it was sent."
    AcceptBefore "accept.before" "Before a message of this kind is sent."
    AcceptSent "accept.sent" "After it was sent."
    AcceptedBefore "accepted.before" "Before a message of this kind is sent."
    AcceptedSent "accepted.sent" "After it was sent."
    RejectedBefore "rejected.before" "Before a message of this kind is sent."
    RejectedSent "rejected.sent" "After it was sent."
    PrepareBefore "prepare.before" "Before a message of this kind is sent."
    PrepareSent "prepare.sent" "After it was sent."
    PromiseBefore "promise.before" "Before a message of this kind is sent."
    PromiseSent "promise.sent" "After it was sent."
    PrepareRefusedBefore "prepare-refused.before" "Before a message of this kind is sent."
    PrepareRefusedSent "prepare-refused.sent" "After it was sent."
    FetchBefore "fetch.before" "Before a message of this kind is sent."
    FetchSent "fetch.sent" "After it was sent."
    FetchedBefore "fetched.before" "Before a message of this kind is sent."
    FetchedSent "fetched.sent" "After it was sent."
    EvictBefore "evict.before" "Before a message of this kind is sent."
    EvictSent "evict.sent" "After it was sent."
    EvictedBefore "evicted.before" "Before a message of this kind is sent."
    EvictedSent "evicted.sent" "After it was sent."
    ResignBefore "resign.before" "Before a message of this kind is sent."
    ResignSent "resign.sent" "After it was sent."

    SnapshotBefore "snapshot.before" "A snapshot is about to be made."
    SnapshotMade "snapshot.made" "It is made, and nothing of it was sent."
    ChunkBefore "chunk.before" "A chunk of a snapshot is about to be sent."
    ChunkSent "chunk.sent" "After it was sent."
    ChunkTaken "chunk.taken" "A chunk was received and written."
    SnapshotTaken "snapshot.taken" "A snapshot was received and is on the disk."
    SnapshotVerified "snapshot.verified" "It was found sound."

    AnswerBefore "answer.before" "A client's update is about to be answered."
    AnswerSent "answer.sent" "After the answer was sent."
    ReadBefore "read.before" "Reads are about to be served."
    ReadServed "read.served" "After they were."
    PublishBefore "publish.before" "Subscribers are about to be told."
    PublishSent "publish.sent" "After they were told."
}

/// Dies here if this point is armed.
#[cfg(debug_assertions)]
pub fn reach(point: Point) {
    armed::reach(point);
}

/// Does nothing: nothing can be armed in what is shipped.
#[cfg(not(debug_assertions))]
pub fn reach(_: Point) {}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        env, fs,
        path::PathBuf,
        sync::{Mutex, OnceLock, PoisonError},
        thread,
        time::Duration,
    };

    use rustix::process::{Signal, getpid, kill_process};

    use super::Point;

    /// So long does what was handed over just now take to leave the process.
    const LEAVING: Duration = Duration::from_millis(3);

    /// Where the point that is armed stands; none in a server of which no test wants anything.
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    /// What the file said, and how often that point was passed since it said so.
    static PASSED: Mutex<(String, u64)> = Mutex::new((String::new(), 0));

    pub(super) fn reach(point: Point) {
        let named = || env::var_os("CHINWAG_FAILPOINTS").map(PathBuf::from);
        let Some(file) = FILE.get_or_init(named) else { return };
        let Ok(order) = fs::read_to_string(file) else { return };
        let (name, nth) = parse(&order);
        if name == point.name() && passed(&order) >= nth {
            die(point);
        }
    }

    /// The point's name, and the time at which it kills.
    pub(super) fn parse(order: &str) -> (&str, u64) {
        match order.trim_end().split_once(':') {
            Some((name, nth)) => (name, nth.parse().unwrap_or(1)),
            None => (order.trim_end(), 1),
        }
    }

    fn passed(order: &str) -> u64 {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.0 != order {
            *passed = (order.to_owned(), 0);
        }
        passed.1 += 1;
        passed.1
    }

    fn die(point: Point) -> ! {
        if point.name().ends_with(".sent") {
            // Handed over is not on the wire; this thread is at rest here, the one that sends is not.
            thread::sleep(LEAVING);
        }
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_point_has_its_own_name() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_point_is_armed_for_its_first_time_or_a_later_one() {
        assert_eq!(armed::parse("commit.after\n"), ("commit.after", 1));
        assert_eq!(armed::parse("commit.after:7"), ("commit.after", 7));
    }
}
