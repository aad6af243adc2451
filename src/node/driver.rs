//! The thin shell around the desk: the only loop, the only clock.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::task::TaskTracker;

use super::{
    desk::{Action, Desk, Executed, Input, Refused},
    handle::{NodeHandle, Standing},
    hub::Hub,
    sessions::Sessions,
    transfer,
};
use crate::{
    cluster::{
        Body, Boot, Effect, Event, LocalState, Message, ReadId, Seq, Settings, Status, Time,
        WaiterId,
    },
    peers::{self, Calls, Heard, Peers},
    store::{Completion, Store, WriterCommand, WriterHandle},
};

/// Requests taken from the inbox at once: what came together travels together.
const DRAIN: usize = 1_024;
/// Requests waiting in the inbox; more wait at their callers.
const INBOX: usize = 4_096;
/// Messages of other servers waiting in the inbox; more wait in their connections.
const HEARD: usize = 256;
/// How often the free disk space is looked at.
const DISK_CHECK: Duration = Duration::from_secs(1);

/// What rooms above ask of the loop.
pub(super) enum Request {
    Execute { payload: Bytes, reply: oneshot::Sender<Result<Executed, Refused>> },
    Read { reply: oneshot::Sender<Result<(), Refused>> },
    Status { reply: oneshot::Sender<Status> },
}

/// What a node is made of.
pub struct Parts {
    /// What the core is told.
    pub settings: Settings,
    /// What was found at the start.
    pub boot: Boot,
    /// The opened store.
    pub store: Store,
    /// Its writer.
    pub writer: WriterHandle,
    /// What the writer has finished.
    pub completions: mpsc::Receiver<Completion>,
    /// How to reach the other servers. `log_end` is set by [`start`].
    pub links: LinkSettings,
    /// Free disk space below which writes are refused, in bytes.
    pub disk_reserve: u64,
    /// Updates that may wait for the batch before theirs.
    pub queued_updates: usize,
    /// Changes waiting for one subscriber.
    pub subscriber_buffer: usize,
    /// Whether an operator confirmed that this server shall lead with what it has.
    pub force_lead: bool,
}

/// [`peers::Settings`] without what the node itself knows.
pub struct LinkSettings {
    /// The cluster's name.
    pub cluster: String,
    /// What proves membership; empty when the cluster has none.
    pub secret: String,
    /// The other servers, as `host:port`.
    pub addresses: BTreeMap<crate::cluster::ServerId, String>,
    /// How long a short call may take.
    pub call_timeout: Duration,
    /// Where incoming snapshots are written.
    pub staging: PathBuf,
}

/// A node at work.
pub struct Running {
    /// The door.
    pub handle: NodeHandle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Option<String>>,
}

impl Running {
    /// Waits until the node ends by itself. Returns why, if it failed.
    pub async fn ended(&mut self) -> Option<String> {
        (&mut self.task).await.unwrap_or_else(|error| Some(format!("the node broke: {error}")))
    }

    /// Hands over the lead, closes the database and ends. Returns why, if it failed.
    pub async fn stop(self) -> Option<String> {
        let _ = self.stop.send(());
        self.task.await.unwrap_or_else(|error| Some(format!("the node broke: {error}")))
    }
}

/// Starts the node's loop.
pub fn start(parts: Parts) -> Running {
    let (requests, inbox) = mpsc::channel(INBOX);
    let (heard, hearing) = mpsc::channel(HEARD);
    let (stop, stopped) = oneshot::channel();
    let durable = parts.boot.log.as_ref().map_or(0, |log| log.last.seq);
    let (log_end, log_end_watch) = watch::channel(durable);
    let links = peers::Settings {
        cluster: parts.links.cluster.clone(),
        secret: parts.links.secret,
        addresses: parts.links.addresses,
        call_timeout: parts.links.call_timeout,
        staging: parts.links.staging,
        log_end: log_end_watch,
    };
    let (desk, first) = Desk::new(parts.settings, parts.boot, parts.queued_updates, now());
    let (standing, standing_watch) = watch::channel(standing_of(&desk));
    let hub = Hub::new(parts.subscriber_buffer);
    let (calls, sessions) = (Calls::default(), Sessions::default());
    let handle = NodeHandle {
        requests,
        heard: heard.clone(),
        standing: standing_watch,
        hub: hub.clone(),
        calls: calls.clone(),
        sessions: sessions.clone(),
        store: parts.store.clone(),
    };
    let driver = Driver {
        desk,
        store: parts.store,
        writer: parts.writer,
        peers: Peers::start(links, heard.clone()),
        cluster: parts.links.cluster,
        heard,
        calls,
        hub,
        sessions,
        standing,
        log_end,
        waiters: HashMap::new(),
        reads: BTreeMap::new(),
        staged: HashMap::new(),
        storing: BTreeMap::new(),
        next_id: 0,
        tasks: TaskTracker::new(),
        disk_reserve: parts.disk_reserve,
        disk_low: false,
        exit: None,
    };
    let inputs = Inputs { inbox, hearing, completions: parts.completions, stopped };
    let task = tokio::spawn(driver.run(first, parts.force_lead, inputs));
    Running { handle, stop, task }
}

struct Inputs {
    inbox: mpsc::Receiver<Request>,
    hearing: mpsc::Receiver<Heard>,
    completions: mpsc::Receiver<Completion>,
    stopped: oneshot::Receiver<()>,
}

struct Driver {
    desk: Desk,
    store: Store,
    writer: WriterHandle,
    peers: Peers,
    cluster: String,
    heard: mpsc::Sender<Heard>,
    calls: Calls,
    hub: Hub,
    sessions: Sessions,
    standing: watch::Sender<Standing>,
    /// The end of the log as the links may know it: durable entries only.
    log_end: watch::Sender<Seq>,
    waiters: HashMap<WaiterId, oneshot::Sender<Result<Executed, Refused>>>,
    reads: BTreeMap<ReadId, oneshot::Sender<Result<(), Refused>>>,
    /// Snapshots that arrived and are not installed yet, by the nonce that brought them.
    staged: HashMap<u64, PathBuf>,
    /// Where the log ends once a store operation is done.
    storing: BTreeMap<u64, Seq>,
    next_id: u64,
    tasks: TaskTracker,
    disk_reserve: u64,
    disk_low: bool,
    exit: Option<Option<String>>,
}

impl Driver {
    async fn run(
        mut self,
        first: Vec<Action>,
        force_lead: bool,
        mut inputs: Inputs,
    ) -> Option<String> {
        self.carry_out(first).await;
        if force_lead {
            self.input(Input::Event(Event::ForceLead)).await;
        }
        let mut requests = Vec::with_capacity(DRAIN);
        let mut disk_check = tokio::time::interval(DISK_CHECK);
        let mut stopping = false;
        while self.exit.is_none() {
            let deadline = self.deadline();
            // What came in goes before any timer, so that a server that was asleep hears the others first.
            tokio::select! {
                biased;
                Some(completion) = inputs.completions.recv() => self.completed(completion).await,
                Some(heard) = inputs.hearing.recv() => self.hear(heard).await,
                _ = &mut inputs.stopped, if !stopping => {
                    stopping = true;
                    self.input(Input::Event(Event::Shutdown)).await;
                }
                count = inputs.inbox.recv_many(&mut requests, DRAIN), if self.desk.has_room() => {
                    // All handles are gone only when the server is being dropped.
                    if count == 0 { break; }
                    for request in requests.drain(..) {
                        self.request(request).await;
                    }
                }
                _ = sleep_until(deadline) => self.input(Input::Event(Event::Tick)).await,
                _ = disk_check.tick() => self.check_disk().await,
            }
            let actions = self.desk.batch(now());
            self.carry_out(actions).await;
            self.tell_standing();
        }
        self.close(stopping).await
    }

    fn deadline(&self) -> Instant {
        let wait = match self.desk.next_deadline() {
            Some(deadline) => deadline.0.saturating_sub(now().0),
            None => Duration::from_secs(1),
        };
        Instant::now() + wait
    }

    async fn input(&mut self, input: Input) {
        let actions = self.desk.handle(input, now());
        self.carry_out(actions).await;
    }

    async fn request(&mut self, request: Request) {
        self.next_id += 1;
        match request {
            Request::Execute { payload, reply } => {
                self.waiters.insert(self.next_id, reply);
                self.input(Input::Execute { waiter: self.next_id, payload }).await;
            }
            Request::Read { reply } => {
                self.reads.insert(self.next_id, reply);
                self.input(Input::Read(self.next_id)).await;
            }
            Request::Status { reply } => {
                let _ = reply.send(self.desk.status(now()));
            }
        }
    }

    async fn hear(&mut self, heard: Heard) {
        let event = match heard {
            Heard::Message(message) => Event::Message(message),
            Heard::StreamEnded(peer) => Event::StreamEnded { peer },
            Heard::Probed { peer, refused } => Event::Probed { peer, refused },
            Heard::Snapshot { message, file } => {
                self.verify(message, file);
                return;
            }
        };
        self.input(Input::Event(event)).await;
    }

    /// Looks into a snapshot away from the loop; it comes back as a message when it is sound.
    fn verify(&mut self, message: Message, file: PathBuf) {
        if self.staged.get(&message.nonce).is_some_and(|known| *known == file) {
            return;
        }
        self.staged.insert(message.nonce, file.clone());
        self.tasks.spawn(transfer::verify(message, file, self.heard.clone()));
    }

    async fn completed(&mut self, completion: Completion) {
        let durable = match &completion {
            Completion::Stored { op, .. } | Completion::Committed { op } => self.storing.remove(op),
            Completion::Installed { log, .. } => Some(log.last.seq),
            Completion::Applied { .. } | Completion::Failed { .. } => None,
        };
        if let Some(seq) = durable {
            self.storing.retain(|_, end| *end > seq);
            self.log_end.send_replace(seq);
        }
        self.input(Input::Completed(completion)).await;
    }

    async fn check_disk(&mut self) {
        let store = self.store.clone();
        let Ok(Ok(free)) = tokio::task::spawn_blocking(move || store.free_space()).await else {
            return;
        };
        let low = free < self.disk_reserve;
        if low != self.disk_low {
            self.disk_low = low;
            if low {
                tracing::warn!(
                    free_bytes = free,
                    reserve_bytes = self.disk_reserve,
                    "the disk is nearly full"
                );
            }
            self.input(Input::Event(Event::DiskLow(low))).await;
        }
    }

    async fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Effect(effect) => self.effect(effect).await,
                Action::Answer(waiter, executed) => self.reply(waiter, Ok(executed)),
                Action::Refuse(waiter, refused) => self.reply(waiter, Err(refused)),
                Action::Serve(until) => {
                    let later = self.reads.split_off(&(until + 1));
                    for reply in std::mem::replace(&mut self.reads, later).into_values() {
                        let _ = reply.send(Ok(()));
                    }
                }
                Action::RefuseReads(refused) => {
                    for reply in std::mem::take(&mut self.reads).into_values() {
                        let _ = reply.send(Err(refused.clone()));
                    }
                }
                Action::Publish(changes) => {
                    self.sessions.learn(&changes);
                    self.hub.publish(changes);
                }
                Action::EndSubscriptions => {
                    self.hub.close();
                    self.sessions.clear();
                }
            }
        }
    }

    /// A caller that went away is no error.
    fn reply(&mut self, waiter: WaiterId, result: Result<Executed, Refused>) {
        if let Some(reply) = self.waiters.remove(&waiter) {
            let _ = reply.send(result);
        }
    }

    async fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(state) => self.persist(state).await,
            Effect::Send(message) => {
                if let Some(question) = self.calls.answer(message) {
                    self.peers.send(question);
                }
            }
            Effect::Probe(peer) => self.peers.probe(peer),
            Effect::Apply { op, entries } => {
                self.writer.send(WriterCommand::Apply { op, entries });
            }
            Effect::Commit { op } => self.writer.send(WriterCommand::Commit { op }),
            Effect::Rollback => self.writer.send(WriterCommand::Rollback),
            Effect::Store { op, entries, lineage } => {
                if let Some(last) = entries.last() {
                    self.storing.insert(op, last.seq);
                }
                self.writer.send(WriterCommand::Store { op, entries, lineage });
            }
            Effect::Install { op, nonce, aside } => match self.staged.remove(&nonce) {
                Some(staged) => self.writer.send(WriterCommand::Install { op, staged, aside }),
                None => self.fail("a snapshot to be installed is not there".into()),
            },
            Effect::Trim { until } => self.writer.send(WriterCommand::Trim { until }),
            Effect::SendLog(order) => {
                let task = transfer::send_log(self.store.clone(), self.calls.clone(), order);
                self.tasks.spawn(task);
            }
            Effect::SendSnapshot { to, nonce, epoch } => {
                // Only the addresses count: the snapshot's own message is made at the other end.
                let answer = self.desk.core().message(to, nonce, Body::Welcome { epoch });
                let envelope = crate::wire::peer::envelope(&answer, &self.cluster);
                let order = transfer::SnapshotOrder { to, nonce, epoch, envelope };
                let task = transfer::send_snapshot(self.store.clone(), self.calls.clone(), order);
                self.tasks.spawn(task);
            }
            Effect::Tell(sentence) => tracing::info!("{sentence}"),
            Effect::Exit { failure } => self.exit = Some(failure),
            Effect::Taken(_)
            | Effect::Answer { .. }
            | Effect::ServeReads { .. }
            | Effect::Abandon => {
                unreachable!("the desk keeps the clients' effects to itself")
            }
        }
    }

    /// Nothing that follows a promise may overtake it, so the loop waits.
    async fn persist(&mut self, state: LocalState) {
        let store = self.store.clone();
        let persisted = tokio::task::spawn_blocking(move || store.persist_local(&state)).await;
        match persisted {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fail(format!("the local store could not be written: {error}")),
            Err(error) => self.fail(format!("the local store broke: {error}")),
        }
    }

    /// What is not durable must not be followed by anything that rests on it: end here.
    fn fail(&mut self, reason: String) {
        self.exit.get_or_insert(Some(reason));
    }

    fn tell_standing(&mut self) {
        let standing = standing_of(&self.desk);
        let changed = self.standing.send_if_modified(|known| {
            let changed = *known != standing;
            *known = standing;
            changed
        });
        if changed && standing.serving {
            self.hub.open();
        }
    }

    async fn close(mut self, stopping: bool) -> Option<String> {
        let refused = if stopping { Refused::ShuttingDown } else { Refused::OutcomeUnknown };
        for (_, reply) in self.waiters.drain() {
            let _ = reply.send(Err(refused.clone()));
        }
        self.hub.close();
        self.standing.send_modify(|standing| {
            standing.serving = false;
            standing.stopping = true;
        });
        // A resignation on its way still gets a moment.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.peers.close().await;
        self.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        let writer = self.writer;
        let closed = tokio::task::spawn_blocking(move || writer.close()).await;
        if closed.is_err() {
            tracing::warn!("the database was not closed cleanly; nothing committed is lost");
        }
        self.exit.flatten()
    }
}

fn standing_of(desk: &Desk) -> Standing {
    let core = desk.core();
    let serving = core.serving();
    let leader = core.leader();
    Standing { serving, leader, epoch: core.epoch(), copies: core.copies(), stopping: false }
}

/// The boot-time clock, which goes on while the machine sleeps.
fn now() -> Time {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Time(Duration::new(seconds, nanoseconds))
}
