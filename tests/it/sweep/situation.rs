//! What a server is doing when it comes to a point, and which points it comes to then.

use std::time::Duration;

use chinwag::failpoint::Point::{self, *};
use rustix::process::Signal;

use crate::harness::{Cluster, Load, all, copy_folder, wipe};

/// Long enough to be noticed by the server itself, and too short for the others to go on without it.
const NAP: Duration = Duration::from_millis(750);
/// The others have heard by then where a server's log ends.
const HEARD: Duration = Duration::from_millis(400);

/// What the server that dies is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Situation {
    /// It leads, under load.
    Leads,
    /// It leads, is asleep for a moment, and finds that it was.
    Wakes,
    /// It leads, and is asked to end.
    Stops,
    /// It leads, and another one returns that lacks a little.
    Feeds,
    /// It leads since its last start, and another one returns that lacks what was said before that.
    FeedsFromStore,
    /// It leads, and another one returns that lost its disk.
    FeedsBlank,
    /// It leads, and another one returns with an old copy of its disk.
    FeedsOutdated,
    /// It follows, under load.
    Follows,
    /// It follows, and is asked to end.
    FollowerStops,
    /// It follows, the leader dies, and it stands for the lead.
    TakesOver,
    /// It follows, the leader dies, and it is asked for its promise.
    Promises,
    /// It starts again.
    Returns,
    /// It starts with an empty disk.
    Joins,
    /// It starts with an old copy of its disk.
    ReturnsOutdated,
    /// It starts with `--reset`.
    Resets,
}

use Situation::*;

/// Which points are reached in which situation.
pub(super) const REACHED: &[(Situation, &[Point])] = &[
    (
        Leads,
        &[
            ApplyBefore,
            ApplyAfter,
            CommitBefore,
            CommitAfter,
            AcceptBefore,
            AcceptSent,
            AnswerBefore,
            AnswerSent,
            PublishBefore,
            PublishSent,
            ReadBefore,
            ReadServed,
            PersistBefore,
            PersistAfter,
            HeartbeatBefore,
            HeartbeatSent,
            HeartbeatReplyBefore,
            HeartbeatReplySent,
            TrimBefore,
            TrimApplied,
            TrimAfter,
        ],
    ),
    (Wakes, &[RollbackBefore, RollbackAfter, ResignBefore, ResignSent]),
    (Stops, &[ResignBefore, ResignSent, CloseBefore, CloseAfter]),
    (Feeds, &[WelcomeBefore, WelcomeSent, ApplyBefore, CommitAfter]),
    (FeedsFromStore, &[SuffixBefore, SuffixSent]),
    (FeedsBlank, &[WelcomeSent, AcceptSent]),
    (FeedsOutdated, &[SnapshotBefore, SnapshotMade, ChunkBefore, ChunkSent, WelcomeSent]),
    (
        Follows,
        &[
            StoreBefore,
            StoreApplied,
            StoreAfter,
            AcceptedBefore,
            AcceptedSent,
            PersistBefore,
            PersistAfter,
            HeartbeatBefore,
            HeartbeatSent,
            HeartbeatReplyBefore,
            HeartbeatReplySent,
            TrimBefore,
            TrimApplied,
            TrimAfter,
        ],
    ),
    (FollowerStops, &[CloseBefore, CloseAfter]),
    (
        TakesOver,
        &[
            PersistBefore,
            PersistAfter,
            PrepareBefore,
            PrepareSent,
            FetchBefore,
            FetchSent,
            ApplyBefore,
            ApplyAfter,
            AcceptBefore,
            AcceptSent,
            CommitBefore,
            CommitAfter,
            AnswerBefore,
            AnswerSent,
            PublishBefore,
            PublishSent,
        ],
    ),
    (
        Promises,
        &[
            PersistBefore,
            PersistAfter,
            PromiseBefore,
            PromiseSent,
            FetchedBefore,
            FetchedSent,
            StoreBefore,
            StoreApplied,
            StoreAfter,
            AcceptedBefore,
            AcceptedSent,
        ],
    ),
    (
        Returns,
        &[
            PersistBefore,
            PersistAfter,
            RegisterBefore,
            RegisterSent,
            StoreBefore,
            StoreApplied,
            StoreAfter,
            AcceptedBefore,
            AcceptedSent,
        ],
    ),
    (
        Joins,
        &[
            PersistBefore,
            PersistAfter,
            SwitchBefore,
            SwitchAfter,
            RegisterBefore,
            RegisterSent,
            StoreBefore,
            StoreApplied,
            StoreAfter,
        ],
    ),
    (
        ReturnsOutdated,
        &[
            PersistBefore,
            PersistAfter,
            RegisterBefore,
            RegisterSent,
            ChunkTaken,
            SnapshotTaken,
            SnapshotVerified,
            InstallBefore,
            InstallMoved,
            InstallMarked,
            SwitchBefore,
            SwitchAfter,
            InstallRetire,
            InstallAfter,
        ],
    ),
    (
        Resets,
        &[
            ResetUnnamed,
            ResetMoved,
            ResetForgotten,
            PersistBefore,
            PersistAfter,
            SwitchBefore,
            SwitchAfter,
            RegisterSent,
            StoreAfter,
        ],
    ),
];

/// Points that three healthy servers do not come to for certain: they belong to a stuck disk, to two
/// histories, to a message that overtakes another, to a candidate that lost a race, or to a batch that
/// happened to be open. The walks over the core come to all of them.
pub(super) const BY_CHANCE: &[Point] = &[
    DivergedBefore,
    DivergedSent,
    RegisterRefusedBefore,
    RegisterRefusedSent,
    RejectedBefore,
    RejectedSent,
    PrepareRefusedBefore,
    PrepareRefusedSent,
    FetchBefore,
    FetchSent,
    FetchedBefore,
    FetchedSent,
    EvictBefore,
    EvictSent,
    EvictedBefore,
    EvictedSent,
    RollbackBefore,
    RollbackAfter,
];

impl Situation {
    /// Whether the server that dies took a snapshot in this life, or lost its disk before it.
    pub(super) fn copies(self) -> bool {
        matches!(self, Joins | ReturnsOutdated | Resets)
    }

    /// Whether one of those that are left when it dies forgot something, and may promise nothing alone.
    pub(super) fn leaves_a_forgetful_one(self) -> bool {
        matches!(self, FeedsBlank | FeedsOutdated)
    }

    /// Whether the server that dies can come back with this disk.
    ///
    /// Whose turn it is to die.
    pub(super) fn victim(self, leader: u32) -> u32 {
        let mut followers = all().filter(|id| *id != leader);
        let heir = followers.next().expect("three servers");
        match self {
            Leads | Wakes | Stops | Feeds | FeedsBlank | FeedsOutdated => leader,
            TakesOver | FeedsFromStore => heir,
            _ => followers.next().expect("three servers"),
        }
    }

    /// Brings the situation about; `arm` is called before the victim can come to the point.
    pub(super) async fn bring_about(
        self,
        cluster: &mut Cluster,
        load: &mut Load,
        leader: u32,
        arm: impl Fn(&Cluster),
    ) {
        let victim = self.victim(leader);
        let other = Follows.victim(leader);
        match self {
            Leads | Follows => arm(cluster),
            Wakes => {
                arm(cluster);
                cluster.freeze(leader);
                tokio::time::sleep(NAP).await;
                cluster.thaw(leader);
            }
            Stops | FollowerStops => {
                arm(cluster);
                cluster.process(victim).signal(Signal::TERM);
            }
            TakesOver | Promises => {
                arm(cluster);
                cluster.kill(leader);
            }
            Feeds | Returns => {
                cluster.kill(other);
                load.more(30).await;
                arm(cluster);
                cluster.launch(other, &[]);
            }
            FeedsFromStore => {
                cluster.kill(other);
                load.more(30).await;
                // The victim starts again, and then leads: it has nothing from before in memory.
                for id in [victim, leader] {
                    cluster.kill(id);
                    cluster.start_server(id).await;
                    cluster.in_sync([leader, victim]).await;
                }
                arm(cluster);
                cluster.launch(other, &[]);
            }
            FeedsBlank | Joins => {
                cluster.kill(other);
                wipe(&cluster.data(other));
                arm(cluster);
                cluster.launch(other, &[]);
            }
            FeedsOutdated | ReturnsOutdated => {
                let copy = keep_copy(cluster, other);
                load.more(30).await;
                tokio::time::sleep(HEARD).await;
                cluster.kill(other);
                copy_folder(&copy, &cluster.data(other));
                arm(cluster);
                cluster.launch(other, &[]);
            }
            Resets => {
                cluster.kill(other);
                arm(cluster);
                cluster.launch(other, &["--reset", "--yes"]);
            }
        }
    }
}

/// Copies the disk of a running server as it is at one moment, as a crash would leave it.
pub(super) fn keep_copy(cluster: &mut Cluster, id: u32) -> std::path::PathBuf {
    let copy = cluster.folder().join(format!("copy-{id}"));
    cluster.freeze(id);
    copy_folder(&cluster.data(id), &copy);
    cluster.thaw(id);
    copy
}
