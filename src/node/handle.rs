//! What the rooms above ask of the node.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout},
};

use super::{
    backup::{Backups, SoundSnapshot},
    desk::{Desk, Executed, Refused},
    driver::Waiting,
    hub::{Hub, Subscription},
    role::Role,
    sessions::{Moment, Sessions, TokenOwner},
};
use crate::{
    chat::{AccountId, Signal, Timestamp, TokenHash},
    cluster::{Epoch, Seq, ServerId, Status},
    metrics::Metrics,
    peers::{Calls, Copies, Errands, Heard, Progress},
    store::{Reader, Store, StoreError},
    telemetry::trace,
};

/// A fail-over takes less; a call that finds no leader for longer is told so.
const ELECTION: Duration = Duration::from_millis(400);

/// What rooms above ask of the loop.
pub(super) enum Request {
    Execute { payload: Bytes, waiting: Waiting<Executed> },
    Read { waiting: Waiting<()> },
    Status { reply: oneshot::Sender<Status> },
    HandOver { to: ServerId },
}

/// How this server stands; follows the core step by step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What it does, in a word.
    pub role: Role,
    /// Whether it serves clients.
    pub serving: bool,
    /// Who leads, as far as it knows.
    pub leader: Option<ServerId>,
    /// The greatest epoch that it knows of.
    pub epoch: Epoch,
    /// How many servers hold every acknowledged update.
    pub copies: usize,
    /// Whether the process is ending.
    pub stopping: bool,
}

impl Standing {
    /// How the server of this desk stands.
    pub fn of(desk: &Desk) -> Standing {
        let core = desk.core();
        let (serving, leader) = (core.serving(), core.leader());
        Standing {
            role: Role::of(core.mode(), serving, leader.is_some()),
            serving,
            leader,
            epoch: core.epoch(),
            copies: core.copies(),
            stopping: false,
        }
    }

    /// Whether it is in sync in a cluster that is led: it leads, or holds what the leader has acknowledged.
    pub fn is_ready(&self) -> bool {
        let follows = self.role == Role::Follower && self.leader.is_some();
        !self.stopping && (self.role == Role::Leader || follows)
    }
}

/// The door to the node; cheap to clone.
#[derive(Clone)]
pub struct NodeHandle {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) heard: mpsc::Sender<Heard>,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) hub: Hub,
    pub(super) calls: Calls,
    pub(super) copies: Copies,
    pub(super) sessions: Sessions,
    pub(super) store: Store,
    pub(super) errands: Errands,
    pub(super) backups: Backups,
    /// The end of the log as a follower stores it.
    pub(super) durable: watch::Receiver<Seq>,
    pub(super) metrics: Arc<Metrics>,
}

/// An update on its way.
#[derive(Debug)]
pub struct Underway(oneshot::Receiver<Result<Executed, Refused>>);

impl Underway {
    /// What became of it; given once. Who stops waiting may wait again.
    ///
    /// # Errors
    /// As of [`NodeHandle::execute`].
    pub async fn outcome(&mut self) -> Result<Executed, Refused> {
        (&mut self.0).await.map_err(|_| Refused::OutcomeUnknown)?
    }
}

impl NodeHandle {
    /// Brings an update into the log and waits for its outcome.
    ///
    /// # Errors
    /// [`Refused::OutcomeUnknown`] if it may or may not take effect; the others mean that it never does.
    pub async fn execute(&self, payload: Bytes) -> Result<Executed, Refused> {
        self.begin(payload).await?.outcome().await
    }

    /// Sends an update on its way; those of one caller come into the log in the order of these calls.
    /// Waits while too many are on theirs.
    ///
    /// # Errors
    /// It never takes effect.
    pub async fn begin(&self, payload: Bytes) -> Result<Underway, Refused> {
        self.election_over().await;
        self.enqueue(payload).await
    }

    /// Brings updates into the log in this order, and waits until all are committed.
    ///
    /// # Errors
    /// When one of them was not taken, or its outcome is unknown: any of them may take effect.
    pub async fn execute_all(&self, payloads: Vec<Bytes>) -> Result<(), Refused> {
        let mut begun = Vec::with_capacity(payloads.len());
        for payload in payloads {
            begun.push(self.enqueue(payload).await?);
        }
        for mut one in begun {
            one.outcome().await?;
        }
        Ok(())
    }

    async fn enqueue(&self, payload: Bytes) -> Result<Underway, Refused> {
        let (waiting, answer) = waiting();
        let request = Request::Execute { payload, waiting };
        self.requests.send(request).await.map_err(|_| Refused::ShuttingDown)?;
        Ok(Underway(answer))
    }

    /// Waits until everything that was acknowledged before this call can be read here, and it is sure
    /// that no other server has acknowledged more (P15).
    ///
    /// # Errors
    /// When this server does not lead.
    pub async fn barrier(&self) -> Result<(), Refused> {
        self.election_over().await;
        let (waiting, answer) = waiting();
        self.requests.send(Request::Read { waiting }).await.map_err(|_| Refused::ShuttingDown)?;
        answer.await.map_err(|_| Refused::NotLeader(self.standing().leader))?
    }

    /// Waits, not for long, while nobody leads: whoever calls in the middle of a fail-over is served or
    /// sent to the new leader the moment there is one, instead of asking again and again.
    async fn election_over(&self) {
        let mut standing = self.standing.clone();
        let over = standing.wait_for(|now| now.serving || now.leader.is_some() || now.stopping);
        let _ = timeout(ELECTION, over).await;
    }

    /// A linearizable read: [`NodeHandle::barrier`], then the query on one snapshot.
    ///
    /// # Errors
    /// When this server does not lead or the store cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refused> {
        self.barrier().await?;
        self.peek(query).await
    }

    /// Reads whatever this server has committed, without a barrier: for hints that are checked again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn peek<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refused> {
        self.store.read(query).await.map_err(|error| Refused::Store(error.to_string()))
    }

    /// Begins to collect what concerns an account.
    ///
    /// # Errors
    /// When this server does not lead.
    pub fn subscribe(&self, account: AccountId) -> Result<Subscription, Refused> {
        self.hub.subscribe(account).ok_or(Refused::NotLeader(self.standing().leader))
    }

    /// Tells those who are there; nobody, while this server does not lead.
    pub fn signal(&self, signal: Signal) {
        self.hub.signal(signal);
    }

    /// Whose token this is, as far as memory goes; otherwise since when to look it up.
    ///
    /// # Errors
    /// Memory does not know it.
    pub fn token_owner(&self, token: &TokenHash) -> Result<TokenOwner, Moment> {
        self.sessions.owner(token)
    }

    /// Remembers a live session's token that was looked up since then.
    pub fn remember_token(&self, since: Moment, token: TokenHash, owner: TokenOwner) {
        self.sessions.remember(since, token, owner);
    }

    /// The use of this token's session is being noted.
    pub fn note_use(&self, token: &TokenHash, at: Timestamp) {
        self.sessions.note_use(token, at);
    }

    /// How this server stands now.
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Follows how this server stands.
    pub fn watch(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Everything that the status shows of the protocol.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn status(&self) -> Result<Status, Refused> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Status { reply }).await.map_err(|_| Refused::ShuttingDown)?;
        answer.await.map_err(|_| Refused::ShuttingDown)
    }

    /// Asks this server to let another one lead, and waits until it leads no more; does nothing if it does
    /// not lead.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn hand_over(&self, to: ServerId) -> Result<(), Refused> {
        let ended = |_| Refused::ShuttingDown;
        self.requests.send(Request::HandOver { to }).await.map_err(ended)?;
        let _ = self.standing.clone().wait_for(|now| !now.serving).await;
        Ok(())
    }

    /// Hands in what another server said; waits while the inbox is full.
    pub async fn hear(&self, heard: Heard) {
        let _ = self.heard.send(heard).await;
    }

    /// The calls of other servers that wait for an answer.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The way to the other servers beside the protocol.
    pub fn errands(&self) -> &Errands {
        &self.errands
    }

    /// Waits until this server has committed everything up to here.
    pub async fn reached(&self, seq: Seq) {
        // What this server commits as the leader is not told there.
        if self.store.committed() >= seq {
            return;
        }
        // An error means that the node has ended; whatever comes next says so.
        let _ = self.durable.clone().wait_for(|durable| *durable >= seq).await;
    }

    /// A copy of everything that is committed here, checked page by page.
    ///
    /// # Errors
    /// [`Refused::StorageFull`] if the disk has no room for it beside this reserve, in bytes;
    /// [`Refused::Store`] if the database is damaged.
    pub async fn snapshot(&self, reserve: u64) -> Result<SoundSnapshot, Refused> {
        self.backups.make(reserve).await
    }

    /// How far the copy of the database is that this server gets, or that it sends to another.
    pub fn copy_of(&self, server: ServerId) -> Option<Progress> {
        self.copies.of(server)
    }

    /// All copies of the database on their way, by who gets them.
    pub fn copies(&self) -> BTreeMap<ServerId, Progress> {
        self.copies.all()
    }

    /// How many live subscriptions there are.
    pub fn subscribers(&self) -> usize {
        self.hub.count()
    }

    /// How many requests wait for the loop to take them.
    pub fn queued(&self) -> usize {
        self.requests.max_capacity() - self.requests.capacity()
    }

    /// Where it is counted what happens here.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The store, for what is not replicated.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

/// Somebody who waits from now on, and what for.
fn waiting<T>() -> (Waiting<T>, oneshot::Receiver<Result<T, Refused>>) {
    let (reply, answer) = oneshot::channel();
    (Waiting { reply, since: Instant::now(), trace: trace::current() }, answer)
}
