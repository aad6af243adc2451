//! The network between the servers, which can be cut: a front for each server, through which the others
//! reach it.
//!
//! Every server has one address, and the servers' configurations must be alike; so all callers of a server
//! come to the same front, which looks whose process it is. Clients call the servers' own
//! ports and pass no front.
//!
//! A direction that is held carries nothing, neither bytes nor an end, and loses nothing: what was on its
//! way arrives when it flows again, late. A front is closed while its server is not there, so that a
//! connect is refused as it would be without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{caller, harness::Cluster};

/// A direction: from whom, to whom.
pub(crate) type Way = (u32, u32);

/// See the file's header.
pub(crate) struct Net {
    shared: Arc<Shared>,
    fronts: BTreeMap<u32, JoinHandle<()>>,
}

struct Shared {
    /// By server: its own port, and that of its front.
    ports: BTreeMap<u32, (u16, u16)>,
    held: watch::Sender<BTreeSet<Way>>,
    /// The process of each server.
    processes: Mutex<BTreeMap<u32, u32>>,
    /// Counts how often the connections of a server were broken.
    broken: watch::Sender<BTreeMap<u32, u64>>,
}

impl Net {
    /// A network without any front open.
    pub(crate) fn new(cluster: &Cluster) -> Net {
        let port = |id: u32| {
            let address = cluster.address(id);
            address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("host:port")
        };
        let shared = Shared {
            ports: cluster.ids().map(|id| (id, (port(id), cluster.front(id)))).collect(),
            held: watch::Sender::default(),
            processes: Mutex::default(),
            broken: watch::Sender::default(),
        };
        Net { shared: Arc::new(shared), fronts: BTreeMap::new() }
    }

    /// Opens the front of a server whose own port is open.
    pub(crate) async fn open(&mut self, id: u32, process: u32) {
        self.shared.processes.lock().expect("no holder panics").insert(id, process);
        if self.fronts.contains_key(&id) {
            return;
        }
        let (_, front) = self.shared.ports[&id];
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", front)).await {
                Ok(listener) => break listener,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("no front: {error}"),
            }
        };
        self.fronts.insert(id, tokio::spawn(serve(self.shared.clone(), id, listener)));
    }

    /// Closes the front of a server that dies: connects are refused from now on.
    pub(crate) async fn close(&mut self, id: u32) {
        if let Some(front) = self.fronts.remove(&id) {
            front.abort();
            let _ = front.await;
        }
    }

    /// Holds these directions, too.
    pub(crate) fn hold(&self, ways: impl IntoIterator<Item = Way>) {
        self.shared.held.send_modify(|held| held.extend(ways));
    }

    /// Lets everything flow again.
    pub(crate) fn heal(&self) {
        self.shared.held.send_modify(BTreeSet::clear);
    }

    /// Breaks every connection from or to a server; what was held is lost.
    pub(crate) fn break_off(&self, id: u32) {
        self.shared.broken.send_modify(|broken| *broken.entry(id).or_default() += 1);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for front in self.fronts.values() {
            front.abort();
        }
    }
}

/// Both directions between a server and each of these.
pub(crate) fn both_ways(id: u32, others: impl IntoIterator<Item = u32>) -> Vec<Way> {
    others.into_iter().flat_map(|other| [(id, other), (other, id)]).collect()
}

async fn serve(shared: Arc<Shared>, id: u32, listener: TcpListener) {
    // They end with the front, and their connections with them, as a dead server's do.
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((caller, _)) => {
                    calls.spawn(carry(shared.clone(), id, caller));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            },
            Some(_) = calls.join_next() => {}
        }
    }
}

async fn carry(shared: Arc<Shared>, id: u32, caller: TcpStream) {
    // A probe says nothing.
    let mut first = [0; 1];
    if !caller.peek(&mut first).await.is_ok_and(|read| read > 0) {
        return;
    }
    let ends = (caller.peer_addr(), caller.local_addr());
    let (Ok(from), Ok(to)) = ends else { return };
    let processes = shared.processes.lock().expect("no holder panics").clone();
    let Some(name) = caller::of(from.port(), to.port(), &processes) else { return };
    let mut broken = shared.broken.subscribe();
    let before = broken.borrow().clone();
    let is_broken = |now: &BTreeMap<u32, u64>| {
        [name, id].iter().any(|one| now.get(one).copied() != before.get(one).copied())
    };
    tokio::select! {
        () = connect(&shared, (name, id), caller) => {}
        _ = broken.wait_for(is_broken) => {}
    }
}

async fn connect(shared: &Shared, (name, id): Way, caller: TcpStream) {
    let mut held = shared.held.subscribe();
    // What opens a connection goes both ways.
    let flows = held.wait_for(|held| !held.contains(&(name, id)) && !held.contains(&(id, name)));
    let _ = flows.await.is_ok();
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.ports[&id].0)).await else {
        return;
    };
    let _ = (caller.set_nodelay(true), server.set_nodelay(true));
    let (from_caller, to_caller) = caller.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(shared, (name, id), from_caller, to_server) => {}
        () = pump(shared, (id, name), from_server, to_caller) => {}
    }
}

/// Carries bytes one way until their end, which breaks the connection: that is all that HTTP/2 needs.
async fn pump(shared: &Shared, way: Way, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut held = shared.held.subscribe();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        let _ = held.wait_for(|held| !held.contains(&way)).await;
        if read == 0 || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
