//! A cluster of server processes on free ports, in a temporary folder.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    env, fmt, fs,
    net::TcpListener,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use chinwag::wire::chat::{GetStatusResponse, Role};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    door::Door,
    options::{CERTS, Options},
    process::{Exit, Process},
    wait::until,
};

/// So many clusters live at the same time in one test process.
static PLACES: Semaphore = Semaphore::const_new(2);
/// A server that was started answers, and a healthy cluster gets a leader, within this.
const READY: Duration = Duration::from_secs(30);
/// What the server says when somebody else has its port.
const PORT_IN_USE: &str = "in use";

/// See the file's header.
pub(crate) struct Cluster {
    options: Options,
    ports: Vec<u16>,
    fronts: Vec<u16>,
    processes: BTreeMap<u32, Process>,
    folder: Option<TempDir>,
    /// The certificate of the servers' authority, if they encrypt.
    authority: Option<String>,
    _place: SemaphorePermit<'static>,
}

/// Room on this machine for a cluster of one's own making, until it is dropped.
pub(crate) async fn place() -> SemaphorePermit<'static> {
    PLACES.acquire().await.expect("never closed")
}

/// The IDs of a cluster of three.
pub(crate) fn all() -> RangeInclusive<u32> {
    1..=3
}

impl Cluster {
    /// Three servers with the shipped settings, all in sync.
    pub(crate) async fn start() -> Cluster {
        Cluster::start_with(Options::default()).await
    }

    /// Servers with these settings, all in sync.
    pub(crate) async fn start_with(options: Options) -> Cluster {
        let mut cluster = Cluster::prepare(options).await;
        for id in cluster.ids() {
            cluster.start_server(id).await;
        }
        cluster.in_sync(cluster.ids()).await;
        cluster
    }

    /// The files of a cluster, without any server started.
    pub(crate) async fn prepare(options: Options) -> Cluster {
        let place = place().await;
        let folder = tempfile::Builder::new().prefix("chinwag-test-").tempdir().expect("a folder");
        // Somebody else may take a port between here and the server's start: `start_server` tries
        // again until it is free.
        let ports = free_ports(options.servers);
        let fronts = options.fronts.clone().unwrap_or_else(|| ports.clone());
        let config = options.config(&ports, &fronts, folder.path());
        fs::write(folder.path().join("cluster.yaml"), config).expect("a config file");
        if let Some(secret) = options.secret {
            fs::write(folder.path().join("secret"), secret).expect("a secret file");
        }
        let authority = options.tls.then(|| {
            make_certificates(folder.path(), &[]);
            let path = folder.path().join(CERTS).join("ca.pem");
            fs::read_to_string(path).expect("it was made")
        });
        Cluster {
            authority,
            options,
            ports,
            fronts,
            processes: BTreeMap::new(),
            folder: Some(folder),
            _place: place,
        }
    }

    /// All configured IDs.
    pub(crate) fn ids(&self) -> RangeInclusive<u32> {
        1..=self.options.servers
    }

    /// The addresses of all servers, in the order of their IDs.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = String> {
        self.ports.iter().map(|port| format!("127.0.0.1:{port}"))
    }

    /// The address of a server.
    pub(crate) fn address(&self, id: u32) -> String {
        format!("127.0.0.1:{}", self.ports[index(id)])
    }

    /// Where the others reach a server; its own port, unless somebody stands in between.
    pub(crate) fn front(&self, id: u32) -> u16 {
        self.fronts[index(id)]
    }

    /// A new connection to a server.
    pub(crate) fn door(&self, id: u32) -> Door {
        let address = self.address(id);
        match &self.authority {
            Some(authority) => Door::trusting(&address, authority, None),
            None => Door::to(&address),
        }
    }

    /// A new connection to each server, in the order of their IDs.
    pub(crate) fn doors(&self) -> Vec<Door> {
        self.ids().map(|id| self.door(id)).collect()
    }

    /// The servers' authority is this one from now on.
    pub(crate) fn know(&mut self, authority: &str) {
        self.authority = Some(authority.into());
    }

    /// A file that has to do with certificates.
    pub(crate) fn certs(&self, name: &str) -> PathBuf {
        self.folder().join(CERTS).join(name)
    }

    /// Writes the configuration anew, for so many servers: some more, or without the last ones.
    pub(crate) fn configure(&mut self, servers: u32) {
        let known = u32::try_from(self.ports.len()).expect("few");
        let more = free_ports(servers.saturating_sub(known));
        self.fronts.extend(&more);
        self.ports.extend(more);
        self.options.servers = servers;
        let few = servers as usize;
        self.ports.truncate(few);
        self.fronts.truncate(few);
        let config = self.options.config(&self.ports, &self.fronts, self.folder());
        fs::write(self.config(), config).expect("a config file");
    }

    /// Gives all servers new certificates of the same authority.
    pub(crate) fn renew_certificates(&self) {
        make_certificates(self.folder(), &["--renew"]);
    }

    /// What a server that the cluster keeps has written.
    pub(crate) fn log(&self, id: u32) -> String {
        self.processes[&id].log()
    }

    /// The folder that holds everything.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().expect("there until the drop").path()
    }

    /// The config file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("cluster.yaml")
    }

    /// The folder of a server's own files.
    pub(crate) fn data(&self, id: u32) -> PathBuf {
        self.folder().join("data").join(format!("server-{id}"))
    }

    /// Starts a server and waits until it answers.
    pub(crate) async fn start_server(&mut self, id: u32) {
        self.start_server_with(id, &[]).await;
    }

    /// The same with more arguments.
    pub(crate) async fn start_server_with(&mut self, id: u32, arguments: &[&str]) {
        self.launch(id, arguments);
        self.answers(id, arguments).await;
    }

    /// Waits until a launched server answers; launches it again if somebody else had its port.
    pub(crate) async fn answers(&mut self, id: u32, arguments: &[&str]) {
        let door = self.door(id);
        let end = tokio::time::Instant::now() + READY;
        loop {
            if door.status().await.is_some() {
                return;
            }
            let process = self.processes.get_mut(&id).expect("just launched");
            if !process.is_running() {
                let log = process.log();
                assert!(log.contains(PORT_IN_USE), "server {id} ended at its start:\n{log}");
                self.launch(id, arguments);
            }
            assert!(tokio::time::Instant::now() < end, "server {id} does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts a server and waits for nothing.
    pub(crate) fn launch(&mut self, id: u32, arguments: &[&str]) {
        let process = self.spawn(id, arguments, format!("server-{id}.log"));
        self.processes.insert(id, process);
    }

    /// A process with a server's ID that the cluster does not keep.
    pub(crate) fn spawn(&self, id: u32, arguments: &[&str], log: String) -> Process {
        self.spawn_with(id, &self.config(), arguments, log, "")
    }

    /// Starts a server that the cluster keeps, with something on its standard input.
    pub(crate) async fn start_server_told(&mut self, id: u32, arguments: &[&str], input: &str) {
        let log = format!("server-{id}.log");
        let process = self.spawn_with(id, &self.config(), arguments, log, input);
        self.processes.insert(id, process);
        self.answers(id, arguments).await;
    }

    /// The same with another config file, and something on its standard input.
    pub(crate) fn spawn_with(
        &self,
        id: u32,
        config: &Path,
        arguments: &[&str],
        log: String,
        input: &str,
    ) -> Process {
        let (id, config) = (id.to_string(), config.display().to_string());
        let mut all = vec!["--id", &id, "--config", &config];
        all.extend(arguments);
        let log = self.folder().join(log);
        let environment = self.options.environment_of(&id);
        Process::start(&all, &environment, self.folder(), log, input)
    }

    /// A server dies when it comes to this failpoint for the `nth` time from now on, or in its next life.
    pub(crate) fn arm(&self, id: u32, point: &str, nth: u64) {
        let file = self.folder().join(format!("failpoint-{id}"));
        let new = file.with_extension("new");
        fs::write(&new, format!("{point}:{nth}")).expect("a failpoint's file");
        fs::rename(new, file).expect("at once");
    }

    /// Takes the failpoint away.
    pub(crate) fn disarm(&self, id: u32) {
        let _ = fs::remove_file(self.folder().join(format!("failpoint-{id}")));
    }

    /// Waits for a server to end by itself; `None` if it goes on.
    pub(crate) async fn died(&mut self, id: u32, deadline: Duration) -> Option<Exit> {
        let end = tokio::time::Instant::now() + deadline;
        while self.process(id).is_running() {
            if tokio::time::Instant::now() > end {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let exit = self.process(id).ended(Duration::from_secs(1)).await;
        self.processes.remove(&id);
        Some(exit)
    }

    /// Whether a server was started and did not end, as far as the test knows.
    pub(crate) fn is_up(&self, id: u32) -> bool {
        self.processes.contains_key(&id)
    }

    /// A server's process.
    pub(crate) fn process(&mut self, id: u32) -> &mut Process {
        self.processes.get_mut(&id).unwrap_or_else(|| panic!("server {id} was not started"))
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, id: u32) {
        self.process(id).kill();
        self.processes.remove(&id);
    }

    /// Freezes a server.
    pub(crate) fn freeze(&mut self, id: u32) {
        self.process(id).signal(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&mut self, id: u32) {
        self.process(id).signal(Signal::CONT);
    }

    /// Asks a server to end, and waits until it did.
    pub(crate) async fn stop(&mut self, id: u32) -> Exit {
        self.process(id).signal(Signal::TERM);
        let exit = self.process(id).ended(Duration::from_secs(10)).await;
        self.processes.remove(&id);
        exit
    }

    /// Ends all servers cleanly, the leader last, so that nothing waits for anything.
    pub(crate) async fn stop_all(&mut self) {
        for id in self.processes.keys().copied().collect::<Vec<_>>() {
            self.process(id).signal(Signal::TERM);
        }
        for id in self.processes.keys().copied().collect::<Vec<_>>() {
            let exit = self.process(id).ended(Duration::from_secs(10)).await;
            assert!(exit.status.success(), "server {id}: {}\n{}", exit.status, exit.log);
            self.processes.remove(&id);
        }
    }

    /// How a server is; `None` when it does not answer.
    pub(crate) async fn status(&self, id: u32) -> Option<GetStatusResponse> {
        self.door(id).status().await
    }

    /// Waits for a server's status to be as wanted.
    pub(crate) async fn status_when(
        &self,
        id: u32,
        what: &str,
        wanted: impl Fn(&GetStatusResponse) -> bool,
    ) -> GetStatusResponse {
        let door = self.door(id);
        until(&format!("server {id}: {what}"), READY, || async {
            door.status().await.filter(&wanted)
        })
        .await
    }

    /// Waits until some server leads, and returns its ID.
    pub(crate) async fn leader(&self) -> u32 {
        let doors: Vec<(u32, Door)> = self.ids().map(|id| (id, self.door(id))).collect();
        until("a leader", READY, || async {
            for (id, door) in &doors {
                let status =
                    if self.processes.contains_key(id) { door.status().await } else { None };
                if status.is_some_and(|status| status.role() == Role::Leader) {
                    return Some(*id);
                }
            }
            None
        })
        .await
    }

    /// Waits until the leader counts all of these servers as in sync, and they do so themselves (a leader
    /// may not have seen yet that a server died and came back); returns the leader's ID.
    pub(crate) async fn in_sync(&self, wanted: impl IntoIterator<Item = u32>) -> u32 {
        self.in_sync_within(READY, wanted).await
    }

    pub(crate) async fn in_sync_within(
        &self,
        deadline: Duration,
        wanted: impl IntoIterator<Item = u32>,
    ) -> u32 {
        let wanted: Vec<u32> = wanted.into_iter().collect();
        let doors: Vec<Door> = wanted.iter().map(|id| self.door(*id)).collect();
        let seen = RefCell::new(Vec::new());
        let what = fmt::from_fn(|f| {
            write!(f, "servers {wanted:?} in sync; seen in this order: {:?}", seen.borrow())
        });
        until(what, deadline, || async {
            seen.borrow_mut().clear();
            let mut leader = None;
            for door in &doors {
                let status = door.status().await;
                let role = status.as_ref().map(|status| (status.role(), status.leader_id));
                seen.borrow_mut().push(role);
                let status = status?;
                match status.role() {
                    Role::Leader if holds_all(&status, &wanted) => {
                        leader = u32::try_from(status.server_id).ok();
                    }
                    Role::Follower => {}
                    _ => return None,
                }
            }
            leader
        })
        .await
    }

    /// A running server that is not this one.
    pub(crate) fn another(&self, than: u32) -> u32 {
        let mut running = self.processes.keys().copied();
        running.find(|id| *id != than).expect("another one is running")
    }
}

fn holds_all(status: &GetStatusResponse, wanted: &[u32]) -> bool {
    wanted.iter().all(|id| {
        let mut servers = status.servers.iter();
        servers.any(|server| server.server_id.cast_unsigned() == *id && server.in_sync)
    })
}

/// As an operator does.
fn make_certificates(folder: &Path, more: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(["certs", "--config", "cluster.yaml", "--out", CERTS]).args(more);
    let made = command.current_dir(folder).output().expect("the server program starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn index(id: u32) -> usize {
    usize::try_from(id).expect("small") - 1
}

/// Ports that were free a moment ago, all different.
pub(crate) fn free_ports(count: u32) -> Vec<u16> {
    let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listeners: Vec<TcpListener> = (0..count).map(bind).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("bound").port()).collect()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.processes.clear();
            return;
        }
        let busy: Vec<String> = self.processes.values_mut().map(Process::busy_threads).collect();
        for ((id, process), busy) in self.processes.iter().zip(busy) {
            eprintln!("---- log of server {id} ----\n{}", tail(&process.log()));
            eprintln!("---- its busy threads ----\n{busy}");
        }
        self.processes.clear();
        if env::var_os("CHINWAG_KEEP").is_some()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("kept {}", folder.keep().display());
        }
    }
}

/// The last lines, enough to see what happened.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(150)..].join("\n")
}
