//! Three servers, people, and the network between them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    net::Ipv4Addr,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use chinwag::{
    cluster::{ServerId, Time},
    config::Config,
    server::{Network, Options, run_over},
    tls::Dialing,
    wire::chat::{GetStatusResponse, Role},
};
use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query,
    sql_types::Text,
};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, server::Connected};
use turmoil::Sim;

use super::people::{Sender, Watcher};

const PORT: u16 = 9_000;
/// Simulated time goes in steps of this.
const TICK: Duration = Duration::from_millis(1);
/// Each takes so long at least, so that the writers' threads have their time.
const PACE: Duration = Duration::from_micros(500);
/// The pace is made up for a delay up to this.
const LATE: Duration = Duration::from_millis(20);
/// Whatever is awaited comes within this.
const PATIENCE: Duration = Duration::from_secs(40);
/// When simulated clocks begin to count.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The IDs of all servers.
pub(super) const ALL: [u32; 3] = [1, 2, 3];

/// See the file's header.
pub(super) struct World {
    sim: Sim<'static>,
    began: Instant,
    ticks: u32,
    begins: BTreeMap<u32, CancellationToken>,
    folder: TempDir,
    watcher: Watcher,
    senders: Vec<Sender>,
}

/// The host of a server.
pub(super) fn host(id: u32) -> String {
    format!("s{id}")
}

/// The addresses of all servers.
pub(super) fn addresses() -> Vec<String> {
    ALL.iter().map(|id| format!("{}:{PORT}", host(*id))).collect()
}

/// Makes simulated connections.
pub(super) fn connect(endpoint: &Endpoint) -> Channel {
    endpoint.connect_with_connector_lazy(tower::service_fn(|uri: http::Uri| async move {
        let host = uri.host().expect("an address has a host").to_owned();
        let port = uri.port_u16().expect("an address has a port");
        turmoil::net::TcpStream::connect((host, port)).await.map(TokioIo::new)
    }))
}

fn clock() -> Time {
    Time(tokio::time::Instant::now().into_std().saturating_duration_since(*BEGINNING))
}

impl World {
    /// Servers of this policy, all in sync, with `alice` who sends all the time.
    pub(super) fn new(seed: u64, policy: &str) -> World {
        let mut world = World::forming(seed, policy);
        world.until("all in sync", |world| world.in_sync(&ALL).is_some());
        world.add_sender("alice");
        world.until("a first message", |world| world.senders[0].acknowledged() > 0);
        world
    }

    /// Servers that begin to find each other.
    pub(super) fn forming(seed: u64, policy: &str) -> World {
        let mut world = World::waiting(seed, policy);
        ALL.iter().for_each(|id| world.begin(*id));
        world
    }

    /// Servers that wait for [`World::begin`].
    pub(super) fn waiting(seed: u64, policy: &str) -> World {
        LazyLock::force(&BEGINNING);
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(3))
            .simulation_duration(Duration::from_secs(600))
            .tcp_capacity(65_536)
            .build();
        let folder = tempfile::tempdir().expect("a folder");
        let mut begins = BTreeMap::new();
        for id in ALL {
            let config = config(folder.path(), policy);
            let begin = CancellationToken::new();
            begins.insert(id, begin.clone());
            sim.host(host(id), move || serve(config.clone(), id, begin.clone()));
        }
        let watcher = Watcher::default();
        sim.client("watcher", watcher.clone().look());
        World { sim, began: Instant::now(), ticks: 0, begins, folder, watcher, senders: Vec::new() }
    }

    /// Starts a server.
    pub(super) fn begin(&mut self, id: u32) {
        self.begins[&id].cancel();
    }

    /// Somebody who sends to themselves all the time.
    pub(super) fn add_sender(&mut self, name: &'static str) {
        let sender = Sender::new(name);
        self.sim.client(name, sender.clone().send_all_the_time());
        self.senders.push(sender);
    }

    /// The sender of this number.
    pub(super) fn sender(&self, number: usize) -> &Sender {
        &self.senders[number]
    }

    /// A program on a host of its own.
    pub(super) fn client(
        &mut self,
        name: &'static str,
        program: impl Future<Output = turmoil::Result> + 'static,
    ) {
        self.sim.client(name, program);
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.sim.elapsed() + time;
        while self.sim.elapsed() < end {
            self.step();
        }
    }

    /// Lets time pass until something is the case.
    pub(super) fn until(&mut self, what: &str, holds: impl Fn(&World) -> bool) {
        let end = self.sim.elapsed() + PATIENCE;
        while !holds(self) {
            if self.sim.elapsed() >= end {
                panic!("not within {PATIENCE:?}: {what}\n{:#?}", self.watcher.seen());
            }
            self.step();
        }
    }

    fn step(&mut self) {
        self.sim.step().expect("no server ends by itself");
        self.ticks += 1;
        let due = self.began + PACE * self.ticks;
        let now = Instant::now();
        if now < due {
            thread::sleep(due - now);
        } else if now - due > LATE {
            // Making up for so much would give the writers no time.
            self.began = now - PACE * self.ticks;
        }
    }

    /// Everything between two hosts waits from now on.
    pub(super) fn hold(&mut self, one: &str, other: &str) {
        self.sim.hold(one.to_owned(), other.to_owned());
    }

    /// What waited goes on.
    pub(super) fn release(&mut self, one: &str, other: &str) {
        self.sim.release(one.to_owned(), other.to_owned());
    }

    /// Nobody among the servers and the senders hears this server, nor is heard by it.
    pub(super) fn isolate(&mut self, id: u32) {
        for other in self.neighbours(id) {
            self.hold(&host(id), &other);
        }
    }

    /// The end of [`World::isolate`].
    pub(super) fn join(&mut self, id: u32) {
        for other in self.neighbours(id) {
            self.release(&host(id), &other);
        }
    }

    fn neighbours(&self, id: u32) -> Vec<String> {
        let servers = ALL.into_iter().filter(|other| *other != id).map(host);
        servers.chain(self.senders.iter().map(|sender| sender.name.to_owned())).collect()
    }

    /// Everything between two hosts takes so long.
    pub(super) fn slow(&mut self, one: &str, other: &str, latency: Duration) {
        self.sim.set_link_latency(one.to_owned(), other.to_owned(), latency);
    }

    /// What the servers said last of themselves.
    pub(super) fn seen(&self) -> BTreeMap<u32, GetStatusResponse> {
        self.watcher.seen()
    }

    /// Who says that it leads, of the greatest epoch.
    pub(super) fn leader(&self) -> Option<u32> {
        let seen = self.seen();
        let leaders = seen.iter().filter(|(_, status)| status.role() == Role::Leader);
        leaders.max_by_key(|(_, status)| epoch(status)).map(|(id, _)| *id)
    }

    /// The leader, if these and no others are in sync with it.
    pub(super) fn in_sync(&self, wanted: &[u32]) -> Option<u32> {
        let leader = self.leader()?;
        let status = self.seen().remove(&leader)?;
        let in_sync = status.servers.iter().filter(|server| server.in_sync);
        let ids: Vec<u32> = in_sync.map(|server| server.server_id.cast_unsigned()).collect();
        (ids == wanted && status.copies.cast_unsigned() as usize == ids.len()).then_some(leader)
    }

    /// Everybody is in sync and the senders have said their last; then every server holds all that was
    /// acknowledged, everything once, and nothing that nobody sent.
    pub(super) fn ends_well(mut self) {
        self.until("all in sync in the end", |world| world.in_sync(&ALL).is_some());
        let before = self.acknowledged();
        self.until("a last message", |world| {
            world
                .senders
                .iter()
                .zip(&before)
                .all(|(sender, before)| sender.acknowledged() > *before)
        });
        self.senders.iter().for_each(Sender::stop);
        self.until("the last answers", |world| world.senders.iter().all(Sender::has_ended));
        self.until("all in sync at last", |world| world.in_sync(&ALL).is_some());
        // The leader may answer before its own commit.
        self.pass(Duration::from_millis(200));
        for id in ALL {
            let stored = stored(&self, id);
            let once: BTreeSet<&String> = stored.iter().collect();
            assert_eq!(once.len(), stored.len(), "server {id} holds something twice");
            for sender in &self.senders {
                sender.compare(id, &stored);
            }
        }
    }

    fn acknowledged(&self) -> Vec<usize> {
        self.senders.iter().map(Sender::acknowledged).collect()
    }
}

fn epoch(status: &GetStatusResponse) -> u64 {
    let number = status.epoch.split('.').next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn config(folder: &std::path::Path, policy: &str) -> Config {
    let secret = folder.join("secret");
    std::fs::write(&secret, "a-secret-of-at-least-16-characters").expect("writable");
    let mut text = format!(
        "cluster: {{ name: test, policy: {policy}, secret_file: \"{}\" }}\n\
         tls: {{ insecure: true }}\n\
         failover: {{ trust_refused: false, boot_timeout_ms: 700, failure_timeout_ms: 700, \
         ack_timeout_ms: 500, election_timeout_ms: 400 }}\n\
         accounts: {{ password_memory_kib: 8, password_iterations: 1 }}\n\
         storage: {{ data_dir: \"{}\", reserve_mib: 1 }}\n\
         servers:\n",
        secret.display(),
        folder.join("data").display(),
    );
    for (id, address) in ALL.iter().zip(addresses()) {
        text.push_str(&format!("  {id}: {{ address: \"{address}\" }}\n"));
    }
    Config::parse(&text, "the test", HashMap::new()).expect("a good configuration")
}

async fn serve(config: Config, id: u32, begin: CancellationToken) -> turmoil::Result {
    begin.cancelled().await;
    let listener = turmoil::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let incoming = connections(listener);
    let dialing = Dialing::Plain(connect);
    let network =
        || Ok(Network { incoming, dialing, clock, port: None, admin: None, metrics: None });
    let stop = CancellationToken::new();
    run_over(config, ServerId(id), Options::default(), network, stop).await?;
    Ok(())
}

/// The connections that a listener accepts.
fn connections(
    listener: turmoil::net::TcpListener,
) -> impl tokio_stream::Stream<Item = io::Result<Accepted>> {
    let (sender, connections) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await.map(|(stream, _)| Accepted(stream));
            if sender.send(accepted).await.is_err() {
                break;
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(connections)
}

/// A connection that somebody made.
struct Accepted(turmoil::net::TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// The bodies of all messages that an idle server holds.
pub(super) fn stored(world: &World, id: u32) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        body: String,
    }
    let data = world.folder.path().join("data").join(format!("server-{id}"));
    let path = data.join(generation(world, id).trim()).join("chat.db");
    let mut database =
        SqliteConnection::establish(path.to_str().expect("printable")).expect("it opens");
    let rows: Vec<Row> = sql_query("SELECT body FROM messages ORDER BY id")
        .load(&mut database)
        .expect("the messages can be read");
    rows.into_iter().map(|row| row.body).collect()
}

/// How often a server changed its database for another.
pub(super) fn generation(world: &World, id: u32) -> String {
    let data = world.folder.path().join("data").join(format!("server-{id}"));
    std::fs::read_to_string(data.join("CURRENT")).expect("the server has data")
}

/// Something that hosts and the script share.
pub(super) type Shared<T> = Arc<Mutex<T>>;
