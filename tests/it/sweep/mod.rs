//! Death at every point: a server kills itself before or after everything that counts, in every role, and
//! comes back with its disk, without it, or with an old copy of it.
//!
//! Plain `cargo test` plays some fixed cases and, for the rest of its time, some drawn fresh. All of them:
//! `CHINWAG_SWEEP=all cargo test --test it sweep -- --nocapture`, which prints a table; a part of them by
//! a word of the line, such as `CHINWAG_SWEEP=commit`. `CHINWAG_SWEEP_POLICY=majority` plays under that.
//! After each case the server is in sync again, all servers store the same, everything acknowledged is there once, and
//! every subscriber heard it once and in order.

mod situation;

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use chinwag::failpoint::Point::{self, *};
use tokio::time::Instant;

use crate::harness::{Cluster, Dice, Exit, Load, Options, People, all, copy_folder, wipe};
use situation::{
    BY_CHANCE, REACHED,
    Situation::{self, *},
    keep_copy,
};

/// What the server finds when it comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Disk {
    Same,
    Wiped,
    OldCopy,
}

const DISKS: [Disk; 3] = [Disk::Same, Disk::Wiped, Disk::OldCopy];

type Case = (Situation, Point, Disk);

/// Always played.
const FIXED: &[Case] = &[
    (Leads, CommitBefore, Disk::OldCopy),
    (Follows, StoreAfter, Disk::Wiped),
    (TakesOver, PrepareSent, Disk::Same),
    (Promises, PromiseSent, Disk::Same),
    (ReturnsOutdated, SwitchAfter, Disk::Same),
];
/// Plain `cargo test` begins no further case after this.
const SLICE: Duration = Duration::from_secs(14);
/// How long a server may take to come to a point.
const PATIENCE: Duration = Duration::from_secs(3);
/// A log of the shortest allowed kind is trimmed for the first time before so many sends.
const SENDS_UNTIL_TRIM: usize = 2_600;
/// What a server that is held against its neighbours' memory says.
const FOUND_OUT: &str = "older than what the others remember";
/// After so many cases a new cluster, lest the comparisons take ever longer.
const A_CLUSTER: usize = 20;

/// A point that nobody came to is tried so many times more.
const AGAIN: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_anywhere_loses_nothing() {
    if !cfg!(debug_assertions) {
        return assert_nothing_is_shipped();
    }
    let wanted = env::var("CHINWAG_SWEEP").ok();
    let mut stage = Stage::new().await;
    match wanted {
        Some(word) => {
            let cases: Vec<Case> =
                all_cases().into_iter().filter(|case| matches(*case, &word)).collect();
            let mut reached = BTreeSet::new();
            for case in &cases {
                if stage.play(*case).await {
                    reached.insert(case.1);
                }
            }
            println!("{} cases, {} points reached", cases.len(), reached.len());
            for point in certain().filter(|_| word == "all") {
                // Who leads next is not always who shall die.
                let again = cases.iter().filter(|(_, known, _)| known == point).cycle().take(AGAIN);
                for case in again {
                    if reached.contains(point) || stage.play(*case).await {
                        reached.insert(*point);
                    }
                }
                assert!(reached.contains(point), "never reached: {point:?}");
            }
        }
        None => {
            let end = Instant::now() + SLICE;
            for case in FIXED {
                assert!(stage.play(*case).await, "{case:?} is reached always");
            }
            let mut dice = Dice::new(getrandom::u64().expect("chance"));
            let quick = |case: &Case| !is_trim(case.1);
            let cases: Vec<Case> = all_cases().into_iter().filter(quick).collect();
            while Instant::now() < end {
                stage.play(*dice.pick(&cases)).await;
            }
        }
    }
}

/// Every point stands in the source, once or more, and the sweep comes to it or says why not.
#[test]
fn no_point_is_forgotten() {
    let mut source = String::new();
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    let swept: BTreeSet<Point> = REACHED.iter().flat_map(|(_, points)| *points).copied().collect();
    for point in Point::ALL {
        let name = format!("Point::{point:?}");
        let used = source.match_indices(&name).any(|(at, _)| {
            !source[at + name.len()..].starts_with(|next: char| next.is_ascii_alphanumeric())
        });
        assert!(used, "{point:?} stands nowhere in the source");
        let known = swept.contains(point) || BY_CHANCE.contains(point);
        assert!(
            known,
            "the sweep does not come to {point:?}; say in which situation it is reached"
        );
    }
}

fn read_all(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, text);
        } else if path.file_name().is_some_and(|name| name != "failpoint.rs") {
            text.push_str(&fs::read_to_string(path).expect("text"));
        }
    }
}

/// A release build of the server does not know failpoints.
fn assert_nothing_is_shipped() {
    let program = fs::read(env!("CARGO_BIN_EXE_server")).expect("the server program");
    let name = b"CHINWAG_FAILPOINTS";
    assert!(!program.windows(name.len()).any(|bytes| bytes == name), "failpoints were shipped");
}

fn certain() -> impl Iterator<Item = &'static Point> {
    Point::ALL.iter().filter(|point| !BY_CHANCE.contains(point))
}

/// What takes long to come to.
fn is_trim(point: Point) -> bool {
    matches!(point, TrimBefore | TrimApplied | TrimAfter)
}

fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (situation, points) in REACHED {
        for point in *points {
            cases.extend(DISKS.map(|disk| (*situation, *point, disk)));
        }
    }
    cases
}

fn line((situation, point, disk): Case) -> String {
    format!("{:24} {:16} {:8}", point.name(), format!("{situation:?}"), format!("{disk:?}"))
}

fn matches(case: Case, word: &str) -> bool {
    word == "all" || line(case).contains(word)
}

/// A cluster under load, on which case after case is played.
struct Stage {
    cluster: Cluster,
    load: Load,
    policy: &'static str,
    played: usize,
}

impl Stage {
    async fn new() -> Stage {
        let policy = match env::var("CHINWAG_SWEEP_POLICY").as_deref() {
            Ok("majority") => "majority",
            _ => "available",
        };
        // The log is trimmed as often as the configuration allows.
        let environment = vec![
            ("CHINWAG__LOG__MAX_ENTRIES", "1000".to_owned()),
            ("CHINWAG_FAILPOINTS", "failpoint-{id}".to_owned()),
        ];
        let options = Options { policy, environment, ..Options::default() };
        let cluster = Cluster::start_with(options).await;
        let load = Load::begin(
            &cluster,
            People { listeners: 2, senders: 4, scouts: false, histories: false },
        )
        .await;
        Stage { cluster, load, policy, played: 0 }
    }

    /// Whether the point was reached; everything is well afterwards.
    async fn play(&mut self, case: Case) -> bool {
        if self.played == A_CLUSTER {
            let policy = self.policy;
            // The old one first, for only so many live at the same time.
            self.load.end().await;
            self.cluster.stop_all().await;
            *self = Stage { policy, ..Stage::new().await };
        }
        self.played += 1;
        let began = Instant::now();
        println!("{}", line(case));
        let reached = self.die_and_return(case).await;
        let silence = self.load.silence().await;
        let account = self.load.account(&self.cluster).await;
        drop(silence);
        account.unwrap_or_else(|trouble| panic!("{}\n{trouble}", line(case)));
        let verdict = if reached { "ok" } else { "not reached" };
        println!("{} -> {verdict} ({:.1} s)", line(case), began.elapsed().as_secs_f32());
        reached
    }

    async fn die_and_return(&mut self, (situation, point, disk): Case) -> bool {
        let leader = self.cluster.in_sync(all()).await;
        let victim = situation.victim(leader);
        let copy = self.prepare(disk, victim).await;
        let arm = |cluster: &Cluster| cluster.arm(victim, point.name(), 1);
        situation.bring_about(&mut self.cluster, &mut self.load, leader, arm).await;
        let died = self.death(victim, point).await;
        self.cluster.disarm(victim);
        let reached = died.as_ref().is_some_and(|exit| exit.status.signal() == Some(9));
        if let Some(exit) = &died
            && !reached
        {
            // Asked to end, it did so without coming to the point; nothing else ends by itself.
            assert!(exit.status.success(), "{victim} ended with {}:\n{}", exit.status, exit.log);
        }
        self.go_on_without(victim, situation).await;
        let found_out = self.mentions(victim);
        if reached {
            match &copy {
                Some(copy) => copy_folder(copy, &self.cluster.data(victim)),
                None if disk == Disk::Wiped => wipe(&self.cluster.data(victim)),
                None => {}
            }
        }
        for id in all() {
            // A reset that was interrupted is refused until it is ordered again.
            let again = id == victim && situation == Resets && disk == Disk::Same;
            let arguments: &[&str] = if again { &["--reset", "--yes"] } else { &[] };
            if !self.cluster.is_up(id) {
                self.cluster.start_server_with(id, arguments).await;
            }
        }
        self.cluster.in_sync(all()).await;
        if reached && disk == Disk::OldCopy && !situation.copies() {
            assert!(self.mentions(victim) > found_out, "server {victim}'s old disk is found out");
        }
        if reached && (disk != Disk::Same || situation.copies()) {
            // What others remember of a life in which a snapshot was taken proves nothing about it.
            self.cluster.kill(victim);
            self.cluster.start_server(victim).await;
        }
        self.cluster.in_sync(all()).await;
        reached
    }

    /// Takes the copy of a disk that will be an old one, and lets it become old.
    async fn prepare(&mut self, disk: Disk, victim: u32) -> Option<PathBuf> {
        if disk != Disk::OldCopy {
            return None;
        }
        let copy = keep_copy(&mut self.cluster, victim);
        let old = copy.with_extension("old");
        copy_folder(&copy, &old);
        self.load.more(30).await;
        // Until the others have heard how far this server is.
        tokio::time::sleep(Duration::from_millis(400)).await;
        Some(old)
    }

    /// How the server ended; `None` if it goes on.
    async fn death(&mut self, victim: u32, point: Point) -> Option<Exit> {
        if !is_trim(point) {
            return self.cluster.died(victim, PATIENCE).await;
        }
        // The log is trimmed now and then.
        let wanted = self.load.count() + SENDS_UNTIL_TRIM;
        while self.load.count() < wanted {
            let died = self.cluster.died(victim, Duration::from_millis(200)).await;
            if died.is_some() {
                return died;
            }
        }
        None
    }

    /// Where the policy lets those who are left go on, they do.
    async fn go_on_without(&mut self, victim: u32, situation: Situation) {
        let left = all().filter(|id| *id != victim && self.cluster.is_up(*id)).count();
        let majority = left == 2 && !situation.leaves_a_forgetful_one();
        if self.policy == "available" || majority {
            self.load.more(5).await;
        }
    }

    fn mentions(&self, id: u32) -> usize {
        let log = self.cluster.folder().join(format!("server-{id}.log"));
        fs::read_to_string(log).unwrap_or_default().matches(FOUND_OUT).count()
    }
}
