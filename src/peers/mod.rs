//! Links to the other servers: the protocol's messages over gRPC.
//!
//! **Promises.** [`Peers::send`] never waits: a message that finds a full queue, a broken connection or a
//! frozen peer is lost, and the protocol sends again what it still needs. Heartbeats and view changes
//! travel on a connection of their own, so that a megabyte of updates never delays a sign of life. The
//! end of a connection is reported, and means nothing by itself: the core asks for a probe.
//!
//! **May not** decide anything, read the clock for more than a deadline, or touch the store: snapshots
//! land in a staging folder, with their checksum verified, and the room above looks inside.
//!
//! **Why this way.** The core speaks in one-way messages, which makes it easy to simulate; gRPC speaks in
//! calls. [`Calls`] ties the two together on the answering side, the links on the asking side. What an operator
//! wants of another server is no matter of the protocol: [`Errands`] are plain calls over the same connections.

mod calls;
mod copies;
mod errands;
mod link;
mod merger;
mod transfer;

pub use calls::{Answer, Calls, Rpc, Waiting};
pub use copies::{Copies, Copy, Progress};
pub use errands::{Errand, Errands};
pub use merger::{Merger, NotMerged};

use std::{collections::BTreeMap, convert::Infallible, path::PathBuf, time::Duration};

use tempfile::TempPath;
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cluster::{Message, Seq, ServerId, Time},
    telemetry::trace::TraceId,
    tls::Dialing,
};
use link::Link;

/// The metadata key that carries the cluster's secret.
pub const SECRET_KEY: &str = "chinwag-cluster-secret";

/// What the links need to know.
#[derive(Clone)]
pub struct Settings {
    /// This server.
    pub me: ServerId,
    /// The cluster's name, sent in every envelope.
    pub cluster: String,
    /// What proves membership; empty when the cluster has none.
    pub secret: String,
    /// The other servers, as `host:port`.
    pub addresses: BTreeMap<ServerId, String>,
    /// How long a short call may take.
    pub call_timeout: Duration,
    /// Where incoming snapshots are written.
    pub staging: PathBuf,
    /// Where it is told how far they are.
    pub copies: Copies,
    /// The end of the own log as it becomes durable: paces the reading of missing entries.
    pub log_end: watch::Receiver<Seq>,
    /// How connections are made.
    pub dialing: Dialing,
}

/// What the links hear.
#[derive(Debug)]
pub enum Heard {
    /// A message for the core.
    Message(Message),
    /// A snapshot arrived whole; nobody has looked inside yet.
    Snapshot {
        /// What to tell the core.
        message: Message,
        /// The file in the staging folder; removed when this is dropped.
        file: TempPath,
        /// Dropped when somebody has: until then the call that brought it goes on, and no other is made.
        looked_into: oneshot::Sender<Infallible>,
    },
    /// A snapshot that arrived was looked into, and may be installed.
    SoundSnapshot {
        /// What to tell the core.
        message: Message,
        /// The file in the staging folder; removed when this is dropped.
        file: TempPath,
    },
    /// What the own history held alone was brought to another server, or not.
    Reconciled {
        /// What the core calls it.
        op: u64,
        /// Whether all of it is committed there.
        done: bool,
    },
    /// A connection with this server ended or could not be made.
    StreamEnded(ServerId),
    /// The answer to [`Peers::probe`].
    Probed {
        /// Who was probed.
        peer: ServerId,
        /// What the core calls it.
        begun: Time,
        /// Whether both connects were refused.
        refused: bool,
    },
}

/// The links to all other servers. Dropping it does not end its tasks: [`Peers::close`] does.
pub struct Peers {
    me: ServerId,
    links: BTreeMap<ServerId, Link>,
    addresses: BTreeMap<ServerId, String>,
    heard: mpsc::Sender<Heard>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Peers {
    /// Makes the links; nothing connects before the first message.
    pub fn start(settings: Settings, heard: mpsc::Sender<Heard>) -> Peers {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let links = settings
            .addresses
            .iter()
            .map(|(id, address)| {
                let link = Link::start(*id, address, &settings, &heard, &tasks, &stop);
                (*id, link)
            })
            .collect();
        Peers { me: settings.me, links, addresses: settings.addresses, heard, tasks, stop }
    }

    /// Sends a question; it may get lost. Answers go by [`Calls::answer`]. `traces` are those of the calls
    /// for which entries in it were made.
    pub fn send(&mut self, message: Message, traces: Vec<(Seq, TraceId)>) {
        match self.links.get_mut(&message.to) {
            Some(link) => link.send(message, traces),
            None => tracing::warn!(to = %message.to, "dropped a message to an unknown server"),
        }
    }

    /// Brings updates to that server for merging; `None` for an unknown one.
    pub fn merger(&self, to: ServerId) -> Option<Merger> {
        self.links.get(&to).map(Link::merger)
    }

    /// The way to the other servers beside the protocol.
    pub fn errands(&self) -> Errands {
        let callers = self.links.iter().map(|(id, link)| (*id, link.caller()));
        Errands::new(self.me, callers.collect())
    }

    /// Connects twice, 5 ms apart, and reports whether both connects were refused.
    pub fn probe(&self, peer: ServerId, begun: Time) {
        let Some(address) = self.addresses.get(&peer).cloned() else { return };
        let (heard, stop) = (self.heard.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let probing = async {
                let refused = refuses(&address).await && {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    refuses(&address).await
                };
                // A full inbox loses the result; the core probes again.
                let _ = heard.try_send(Heard::Probed { peer, begun, refused });
            };
            stop.run_until_cancelled(probing).await;
        });
    }

    /// Ends all tasks.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Whether a connect is refused by the host itself; anything slower than 200 ms says nothing.
async fn refuses(address: &str) -> bool {
    match timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_closed_port_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        assert!(!refuses(&address).await, "an accepting port does not refuse");
        drop(listener);
        assert!(refuses(&address).await, "a closed port refuses");
    }
}
