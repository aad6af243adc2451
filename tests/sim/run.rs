//! One run: load under faults, then healing, and what is demanded at the end.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use chinwag::{
    cluster::{Mutant, Policy},
    store::inspect,
};

use crate::{
    checker::{self, Evidence},
    plan::Plan,
    world::World,
};

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) failed: Option<String>,
    pub(crate) trace: u64,
    pub(crate) simulated: Duration,
    pub(crate) steps: u64,
    pub(crate) calls: usize,
    pub(crate) delivered: usize,
    pub(crate) split: bool,
    pub(crate) merges: u64,
    pub(crate) lines: Vec<String>,
    /// Without a leader after healing, until all agree, without a leader after a last kill.
    pub(crate) times: Option<[Duration; 3]>,
}

/// Where data folders go: in memory where there is such a place.
pub(crate) fn root() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("chinwag-sim-").tempdir_in(place).expect("a temporary folder")
}

/// Runs a plan in an empty folder.
pub(crate) fn run(plan: &Plan, mutant: Option<Mutant>, folder: &Path, trace: bool) -> Outcome {
    let root: PathBuf = folder.join("run");
    std::fs::create_dir_all(&root).expect("a temporary folder");
    let mut world = World::new(plan.clone(), mutant, root.clone(), trace);
    let began = world.now;
    let mut times = None;
    let result = catch_unwind(AssertUnwindSafe(|| times = world.live()));
    if let Err(panic) = result {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.violate(format!("assert: {}", text.unwrap_or_default()));
    }
    world.tasks.clear();
    let history = world.net.history.borrow();
    let outcome = Outcome {
        failed: world.record.failed.clone(),
        trace: world.record.trace(),
        simulated: world.now - began,
        steps: world.record.steps,
        calls: history.ops.iter().filter(|op| op.ended.is_some()).count(),
        delivered: history.feeds.iter().map(|feed| feed.events.len()).sum(),
        split: world.record.split,
        merges: world.record.merges,
        lines: world.record.lines.take().unwrap_or_default(),
        times,
    };
    drop(history);
    drop(world);
    let _ = std::fs::remove_dir_all(root);
    outcome
}

impl World {
    fn live(&mut self) -> Option<[Duration; 3]> {
        self.begin();
        let load = Duration::from_millis(self.plan.load_ms);
        if !self.run_until(self.now + load) {
            return None;
        }
        self.heal();
        let led = self.demand_leader()?;
        let agreed = self.demand_agreement("after healing", Duration::from_secs(70))?;
        self.net.over.set(true);
        self.demand_clients()?;
        let succession = self.last_kill()?;
        self.finish();
        Some([led, agreed, succession])
    }

    /// L2: a leader within twice the failure timeout of the last fault, and the time of a start.
    fn demand_leader(&mut self) -> Option<Duration> {
        let began = self.now;
        let led = self.run_while(Duration::from_secs(10), 20, |world| !world.leaders().is_empty());
        if !led {
            // The only disk of the only member of a view is lost, or its owner was told that it is an old one
            // by those who heard another process: an operator must decide.
            let doubtful = self.record.lost || self.record.doubled.is_some();
            let excused = doubtful && self.plan.policy == Policy::Available;
            if self.record.failed.is_none() && !excused {
                self.violate(format!("L2: nobody leads after healing: {}", self.describe()));
            }
            return None;
        }
        Some(self.now - began)
    }

    /// I10's first half, and L3.
    fn demand_agreement(&mut self, when: &str, limit: Duration) -> Option<Duration> {
        let began = self.now;
        if self.run_while(limit, 50, World::agree) {
            return Some(self.now - began);
        }
        if self.record.failed.is_none() {
            self.violate(format!("I10: no agreement {when}: {}", self.describe()));
        }
        None
    }

    fn demand_clients(&mut self) -> Option<()> {
        let done = self.run_while(Duration::from_secs(20), 50, |world| !world.workers_left());
        if !done {
            if self.record.failed.is_none() {
                self.violate(format!("a client never finishes: {}", self.describe()));
            }
            return None;
        }
        Some(())
    }

    /// L1: in good health, the leader dies; and it comes back.
    fn last_kill(&mut self) -> Option<Duration> {
        // What was found before the healing may still cost somebody its place in sync.
        self.run_until(self.now + Duration::from_millis(1_200));
        self.demand_agreement("before the last kill", Duration::from_secs(70))?;
        let leader = self.leaders()[0];
        self.note("the last kill", &[leader as u64 + 1]);
        let rest = self.servers.len() - 1;
        let enough = self.plan.policy == Policy::Available || rest > self.servers.len() / 2;
        self.stop(leader, false);
        let killed = self.now;
        let limit = Duration::from_millis(if enough { 1_000 } else { 100 });
        let led = self.run_while(limit, 1, |world| !world.leaders().is_empty());
        let without = self.now - killed;
        if self.record.failed.is_none() && enough && (!led || without > Duration::from_millis(150))
        {
            self.violate(format!("L1: {without:?} without a leader: {}", self.describe()));
        }
        self.servers[leader].held = 0;
        self.start(leader);
        self.demand_agreement("after the last kill", Duration::from_secs(5))?;
        Some(without)
    }

    /// Followers of events get there, servers end, and the checker looks at everything.
    fn finish(&mut self) {
        let limit = Duration::from_secs(16);
        let open = |world: &World| {
            world.net.history.borrow().feeds.iter().all(|feed| feed.open || feed.over)
        };
        self.run_until(self.now + Duration::from_secs(1));
        if !self.run_while(limit, 200, open) && self.record.failed.is_none() {
            self.violate("a subscriber never gets its stream back".to_owned());
        }
        self.run_until(self.now + Duration::from_millis(500));
        if self.record.failed.is_some() {
            return;
        }
        let leader = self.leaders()[0];
        let process = self.servers[leader].process.as_ref().expect("it serves");
        let last = process.store.read_now(|reader| reader.last_position());
        let Ok(Some(last)) = last else {
            self.violate("the leader cannot read the end of its log".to_owned());
            return;
        };
        for index in 0..self.servers.len() {
            self.end_process(index, true, false);
        }
        self.check(last);
    }

    /// I8, I9, I10 and I12 over everything that clients saw.
    fn check(&mut self, last: chinwag::cluster::Position) {
        let mut contents = Vec::new();
        for server in &self.servers {
            match inspect::contents(&server.folder) {
                Ok(text) => contents.push(text),
                Err(error) => {
                    let what = format!("a database cannot be read at the end: {error}");
                    self.record.violate(self.now, what);
                    return;
                }
            }
        }
        if let Some(other) = contents.iter().position(|text| *text != contents[0]) {
            let what = format!("I8: the tables of server {} differ at the end", other + 1);
            self.violate(what);
            return;
        }
        let Some(chain) = self.record.chain(last.seq, last.hash) else {
            self.violate("the final log cannot be put together".to_owned());
            return;
        };
        let aside = self.servers.iter().flat_map(|server| aside(&server.folder)).collect();
        // Where one may lead alone, a second process with an old copy of the only disk that held something
        // brings those who heard it to take the server itself for an old one: its tables are kept aside.
        let doubled = self.record.doubled.is_some();
        let splits = self.record.split || doubled;
        let excuses = self.plan.policy == Policy::Available && splits;
        let evidence = Evidence {
            chain: &chain,
            contents: &contents[0],
            history: &self.net.history.borrow(),
            split: excuses,
            lost: self.record.lost,
            kept_aside: self.record.trimmed || doubled,
            aside,
        };
        if let Err(what) = checker::check(&evidence) {
            self.record.violate(self.now, what);
        }
    }
}

/// What the databases hold that were set aside.
fn aside(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("diverged-"))
        .map(|entry| entry.path().join("chat.db"))
        .collect();
    names.sort();
    names.iter().filter_map(|path| inspect::contents_of(path).ok()).collect()
}
