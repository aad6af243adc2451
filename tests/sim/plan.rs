//! What a seed means: how the cluster is, what clients do, and which faults come when.

use std::fmt;

use chinwag::cluster::Policy;

use crate::chance::Chance;

/// A fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// kill -9; it is back afterwards.
    Crash,
    /// kill -9, and back at once.
    Restart,
    /// The machine dies in the middle of a sync: the end of what was being written is gone, and no
    /// connection tells of it.
    PowerLoss,
    /// It ends as it was asked to.
    Shutdown,
    /// SIGSTOP and SIGCONT.
    Pause,
    /// The whole machine sleeps; what was sent to it is lost.
    Suspend,
    /// The wall clock jumps.
    WallClock,
    /// The next thing that the disk is told fails; what it was may be on the disk all the same.
    DiskError,
    /// There is too little room on the disk.
    DiskFull,
    /// Everything on the disk takes long.
    SlowDisk,
    /// The data folder is gone.
    Wipe,
    /// The data folder is put aside empty by the operator.
    Reset,
    /// The data folder is replaced by an older copy of itself.
    OldCopy,
    /// A stopped server's files are damaged.
    Damage,
    /// Another process uses its id, in an empty folder or in an old copy of its own.
    Double,
    /// Nobody hears this server, and it hears nobody.
    Isolate,
    /// Two servers do not hear each other.
    Cut,
    /// One does not hear the other.
    OneWay,
    /// Clients cannot reach it, servers can.
    ClientsCut,
    /// It takes calls and does not answer.
    Mute,
    /// Batches are accepted by the network and come much later, or never.
    Stuck,
    /// All connections of a server break.
    Break,
    /// Messages get lost.
    Loss,
    /// Messages come twice.
    Twice,
    /// Messages overtake each other.
    Reorder,
    /// Messages take long.
    Delay,
    /// Snapshots never arrive whole.
    SnapshotCut,
    /// What one side of a partition brings to the other is cut at a part.
    MergeCut,
}

/// All of them, and how likely a seed has them.
const KINDS: &[(Kind, usize)] = &[
    (Kind::Crash, 60),
    (Kind::Restart, 40),
    (Kind::PowerLoss, 30),
    (Kind::Shutdown, 20),
    (Kind::Pause, 30),
    (Kind::Suspend, 20),
    (Kind::WallClock, 30),
    (Kind::DiskError, 20),
    (Kind::DiskFull, 20),
    (Kind::SlowDisk, 25),
    (Kind::Wipe, 15),
    (Kind::Reset, 10),
    (Kind::OldCopy, 15),
    (Kind::Damage, 15),
    (Kind::Double, 15),
    (Kind::Isolate, 25),
    (Kind::Cut, 25),
    (Kind::OneWay, 25),
    (Kind::ClientsCut, 20),
    (Kind::Mute, 20),
    (Kind::Stuck, 25),
    (Kind::Break, 30),
    (Kind::Loss, 25),
    (Kind::Twice, 25),
    (Kind::Reorder, 25),
    (Kind::Delay, 25),
    (Kind::SnapshotCut, 25),
    (Kind::MergeCut, 25),
];

impl Kind {
    /// Whether a server's disk lacks afterwards what it acknowledged: at most one a seed.
    pub(crate) fn loses_a_disk(self) -> bool {
        matches!(self, Kind::Wipe | Kind::Reset | Kind::OldCopy | Kind::Damage | Kind::Double)
    }
}

/// Whom it hits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    Leader,
    Server(usize),
}

/// A fault with its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) at_ms: u64,
    pub(crate) lasts_ms: u64,
    pub(crate) kind: Kind,
    pub(crate) who: Who,
    /// Of the fault's own: another server, a strength.
    pub(crate) detail: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.who {
            Who::Leader => "the leader".to_owned(),
            Who::Server(index) => format!("server {}", index + 1),
        };
        write!(
            f,
            "at {} ms for {} ms: {:?} of {who} ({})",
            self.at_ms, self.lasts_ms, self.kind, self.detail
        )
    }
}

/// A whole run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) policy: Policy,
    pub(crate) servers: usize,
    pub(crate) clients: usize,
    /// The longest pause between two calls of a client.
    pub(crate) pace_ms: usize,
    pub(crate) load_ms: u64,
    pub(crate) log_cap: u64,
    /// People are busy with rooms and with what was said last.
    pub(crate) house_keeping: bool,
    pub(crate) faults: Vec<Fault>,
}

impl Plan {
    pub(crate) fn of(seed: u64, policy: Policy) -> Plan {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x51);
        let servers = [3, 3, 3, 3, 3, 3, 3, 2, 4, 5][chance.below(10)];
        let load_ms = 5_000 + chance.below(6_000) as u64;
        let mut plan = Plan {
            seed,
            policy,
            servers,
            clients: 2 + chance.below(3),
            pace_ms: [60, 150, 400][chance.below(3)],
            load_ms,
            log_cap: [100_000, 100_000, 10][chance.below(3)],
            house_keeping: seed.is_multiple_of(4),
            faults: Vec::new(),
        };
        let swarm: Vec<Kind> = KINDS
            .iter()
            .filter(|(_, percent)| chance.percent(*percent))
            .map(|(kind, _)| *kind)
            .collect();
        let count = if swarm.is_empty() { 0 } else { 1 + chance.below(10) };
        let mut lost = false;
        for _ in 0..count {
            let kind = swarm[chance.below(swarm.len())];
            let fault = plan.fault(kind, &mut chance);
            if kind.loses_a_disk() && std::mem::replace(&mut lost, true) {
                continue;
            }
            plan.faults.push(fault);
        }
        // Much of what people do there is worth being done on two sides.
        if plan.house_keeping {
            let split = plan.fault(Kind::Isolate, &mut chance);
            let lasts_ms = split.lasts_ms.max(2_000);
            plan.faults.push(Fault { who: Who::Leader, lasts_ms, ..split });
        }
        plan.faults.sort_by_key(|fault| fault.at_ms);
        plan
    }

    fn fault(&self, kind: Kind, chance: &mut Chance) -> Fault {
        let most = [40, 400, 1_500, 3_000][chance.below(4)];
        // Long enough for two histories, half of the time.
        let least = if kind == Kind::Isolate { [1, 1_200][chance.below(2)] } else { 1 };
        let who = match chance.below(2) {
            0 => Who::Leader,
            _ => Who::Server(chance.below(self.servers)),
        };
        Fault {
            at_ms: 1_000 + chance.below(self.load_ms as usize - 1_000) as u64,
            lasts_ms: least + chance.below(most) as u64,
            kind,
            who,
            detail: chance.number() % 1_000,
        }
    }
}
