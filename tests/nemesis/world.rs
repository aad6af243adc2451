//! The servers, the network between them and their disks: everything that a fault can meet.

use std::{collections::BTreeSet, fs, path::PathBuf, thread, time::Duration};

use tempfile::TempDir;
use tokio::{net::TcpStream, time::Instant};

use crate::{
    disks::SmallDisk,
    harness::{Cluster, Load, Options, People, compile_shim, free_ports, until, wipe},
    net::Net,
    times::{Kind, Times},
};

/// Who calls one server after the other; together with a scout for each server there are 16.
const SENDERS: usize = 13;
const LISTENERS: usize = 6;
/// No fail-over may ever take longer: the machine may be busy with other tests.
const EVER: Duration = Duration::from_secs(20);

/// See the file's header.
pub(crate) struct World {
    /// Before the cluster, whose folder it is mounted in.
    pub(crate) small_disk: Option<(u32, SmallDisk)>,
    pub(crate) cluster: Cluster,
    pub(crate) load: Load,
    pub(crate) net: Net,
    pub(crate) times: Times,
    pub(crate) shim: bool,
    frozen: BTreeSet<u32>,
    story: Vec<String>,
    pub(crate) told: bool,
    /// Holds the library that is loaded into the servers.
    _tools: TempDir,
}

impl World {
    /// So many servers in sync, and everybody talks. `small` is the server with the small disk.
    pub(crate) async fn begin(policy: &'static str, servers: u32, small: u32, tls: bool) -> World {
        let mut options = Options { policy, servers, tls, ..Options::default() };
        options.fronts = Some(free_ports(options.servers));
        let tools = tempfile::tempdir().expect("a folder");
        let shim = match compile_shim(tools.path()) {
            Ok(library) => {
                options.environment = vec![
                    ("LD_PRELOAD", library.display().to_string()),
                    ("SYNC_SHIM", "sync-{id}".into()),
                ];
                true
            }
            Err(why) => {
                println!("LEFT OUT: failing and slow disks: {why}");
                false
            }
        };
        let mut cluster = Cluster::prepare(options).await;
        let small_disk = match SmallDisk::mount(&cluster.data(small)) {
            Ok(disk) => Some((small, disk)),
            Err(why) => {
                println!("LEFT OUT: full disks: {why}");
                None
            }
        };
        let mut net = Net::new(&cluster);
        for id in cluster.ids() {
            start(&mut cluster, &mut net, id, &[]).await;
        }
        cluster.in_sync(cluster.ids()).await;
        let histories = policy == "available";
        let people = People { listeners: LISTENERS, senders: SENDERS, scouts: true, histories };
        let load = Load::begin(&cluster, people).await;
        World {
            small_disk,
            cluster,
            load,
            net,
            times: Times::default(),
            shim,
            frozen: BTreeSet::new(),
            story: Vec::new(),
            told: false,
            _tools: tools,
        }
    }

    /// What happens is told while it happens, or when it ends badly.
    pub(crate) fn tell(&mut self, what: String) {
        if self.told {
            println!("  {what}");
        }
        self.story.push(what);
    }

    pub(crate) async fn kill(&mut self, id: u32) {
        self.net.close(id).await;
        self.frozen.remove(&id);
        self.cluster.kill(id);
    }

    pub(crate) async fn start(&mut self, id: u32) {
        start(&mut self.cluster, &mut self.net, id, &[]).await;
    }

    pub(crate) async fn start_reset(&mut self, id: u32) {
        start(&mut self.cluster, &mut self.net, id, &["--reset", "--yes"]).await;
    }

    pub(crate) async fn stop(&mut self, id: u32) {
        let exit = self.cluster.stop(id).await;
        assert!(exit.status.success(), "server {id}: {}\n{}", exit.status, exit.log);
        self.gone(id).await;
    }

    /// A server has ended by itself or was stopped.
    pub(crate) async fn gone(&mut self, id: u32) {
        self.net.close(id).await;
    }

    pub(crate) fn freeze(&mut self, id: u32) {
        self.frozen.insert(id);
        self.cluster.freeze(id);
    }

    pub(crate) fn thaw(&mut self, id: u32) {
        self.frozen.remove(&id);
        self.cluster.thaw(id);
    }

    pub(crate) fn is_frozen(&self, id: u32) -> bool {
        self.frozen.contains(&id)
    }

    /// Loses a disk that no server uses; a small one stays small.
    pub(crate) fn wipe(&self, id: u32) {
        wipe(&self.cluster.data(id));
    }

    /// What the library says to a server's syncs; `None` lets them be.
    pub(crate) fn disturb_syncs(&self, id: u32, how: Option<&str>) {
        let file: PathBuf = self.cluster.folder().join(format!("sync-{id}"));
        match how {
            Some(how) => fs::write(file, how).expect("a file"),
            None => {
                let _ = fs::remove_file(file);
            }
        }
    }

    /// Everything that was broken is whole again, and all servers are in sync.
    pub(crate) async fn heal(&mut self) {
        self.net.heal();
        if let Some((_, disk)) = &self.small_disk {
            disk.clear();
        }
        for id in self.cluster.ids() {
            self.disturb_syncs(id, None);
            if self.is_frozen(id) {
                self.thaw(id);
            }
        }
        for id in self.cluster.ids() {
            if self.cluster.is_up(id) && !self.cluster.process(id).is_running() {
                self.cluster.died(id, Duration::ZERO).await;
                self.gone(id).await;
            }
            if !self.cluster.is_up(id) {
                self.start(id).await;
            }
        }
        self.cluster.in_sync(self.cluster.ids()).await;
        self.load.look_after();
    }

    /// How long after a fault somebody else than these acknowledged a send, and who. Only what scouts were
    /// told counts: it says who told it.
    pub(crate) async fn outage(&self, since: Instant, without: &[u32]) -> (Duration, u32) {
        let next = until("the next acknowledged send", EVER, || {
            let found = self.load.newest(|newest| {
                newest
                    .take_while(|one| one.at > since)
                    .filter_map(|one| Some((one.at, one.only?)))
                    .filter(|(_, only)| !without.contains(only))
                    .last()
            });
            async move { found }
        });
        let (at, by) = next.await;
        (at - since, by)
    }

    /// Measures and notes an outage. Returns who leads now.
    pub(crate) async fn measure(&mut self, kind: Kind, since: Instant, without: &[u32]) -> u32 {
        let (time, by) = self.outage(since, without).await;
        self.times.note(kind, time);
        self.tell(format!("    {kind:?}: server {by} answers after {} ms", time.as_millis()));
        by
    }
}

/// The front opens as soon as the server's own port does.
async fn start(cluster: &mut Cluster, net: &mut Net, id: u32, arguments: &[&str]) {
    cluster.launch(id, arguments);
    let address = cluster.address(id);
    until("an open port", Duration::from_secs(30), || {
        let ended = !cluster.process(id).is_running();
        let address = address.clone();
        async move { (ended || TcpStream::connect(address).await.is_ok()).then_some(()) }
    })
    .await;
    net.open(id, cluster.process(id).id()).await;
    cluster.answers(id, arguments).await;
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() && !self.told {
            let from = self.story.len().saturating_sub(12);
            eprintln!("what happened last:\n  {}", self.story[from..].join("\n  "));
        }
    }
}
