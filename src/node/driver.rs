//! The thin shell around the desk: the only loop, the only clock.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tempfile::TempPath;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    backup::Backups,
    desk::{Action, Desk, Executed, Input, Refused},
    disk,
    handle::{NodeHandle, Request, Standing},
    hub::Hub,
    parts::Parts,
    sessions::Sessions,
    transfer,
};
use crate::{
    cluster::{Event, ReadId, Seq, Time, WaiterId},
    metrics::Metrics,
    peers::{self, Calls, Copies, Heard, Peers},
    store::{Completion, Store, WriterHandle},
    telemetry::trace::TraceId,
};

/// Requests taken from the inbox at once: what came together travels together.
const DRAIN: usize = 1_024;
/// Requests waiting in the inbox; more wait at their callers.
const INBOX: usize = 4_096;
/// Messages of other servers waiting in the inbox; more wait in their connections.
const HEARD: usize = 256;
/// Received snapshots that the core may yet want: the one it is about to install, and the newest.
const STAGED: usize = 2;
/// How long what runs beside the loop may take to end.
const LAST_TASKS: Duration = Duration::from_millis(300);
/// How long the database may take to close; a disk that hangs must not keep the process.
const LAST_CHECKPOINT: Duration = Duration::from_millis(1_500);

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
    let force_lead = parts.force_lead;
    let (stop, stopped) = oneshot::channel();
    let (handle, driver, first, inputs) = assemble(parts, stopped);
    let task = tokio::spawn(driver.run(first, force_lead, inputs));
    Running { handle, stop, task }
}

pub(super) fn assemble(
    parts: Parts,
    stopped: oneshot::Receiver<()>,
) -> (NodeHandle, Driver, Vec<Action>, Inputs) {
    let (requests, inbox) = mpsc::channel(INBOX);
    let (heard, hearing) = mpsc::channel(HEARD);
    let durable = parts.boot.log.as_ref().map_or(0, |log| log.last.seq);
    let (log_end, log_end_watch) = watch::channel(durable);
    let copies = Copies::default();
    let links = peers::Settings {
        me: parts.settings.id,
        cluster: parts.links.cluster.clone(),
        secret: parts.links.secret,
        addresses: parts.links.addresses,
        call_timeout: parts.links.call_timeout,
        staging: parts.links.staging,
        copies: copies.clone(),
        log_end: log_end_watch.clone(),
        dialing: parts.links.dialing,
    };
    let (desk, first) =
        Desk::new(parts.settings, parts.boot, parts.queued_updates, (parts.clock)());
    let (standing, standing_watch) = watch::channel(Standing::of(&desk));
    let hub = Hub::new(parts.subscriber_buffer);
    let (calls, sessions) = (Calls::default(), Sessions::default());
    let peers = Peers::start(links, heard.clone());
    let making = Arc::new(Semaphore::new(1));
    let handle = NodeHandle {
        requests,
        heard: heard.clone(),
        standing: standing_watch,
        hub: hub.clone(),
        calls: calls.clone(),
        copies: copies.clone(),
        sessions: sessions.clone(),
        store: parts.store.clone(),
        errands: peers.errands(),
        backups: Backups::new(parts.store.clone(), making.clone()),
        durable: log_end_watch,
        metrics: parts.metrics.clone(),
    };
    let driver = Driver {
        desk,
        store: parts.store,
        writer: parts.writer,
        peers,
        cluster: parts.links.cluster,
        heard,
        calls,
        copies,
        hub,
        sessions,
        standing,
        log_end,
        clock: parts.clock,
        metrics: parts.metrics,
        waiters: HashMap::new(),
        reads: BTreeMap::new(),
        staged: BTreeMap::new(),
        storing: BTreeMap::new(),
        making,
        next_id: 0,
        persisting: None,
        disk_reserve: parts.disk_reserve,
        tasks: TaskTracker::new(),
        ending: CancellationToken::new(),
        exit: None,
    };
    let (disk_told, disk_low) = watch::channel(false);
    driver.spawn(disk::watch(driver.store.clone(), parts.disk_reserve, disk_told));
    let inputs = Inputs { inbox, hearing, completions: parts.completions, disk_low, stopped };
    (handle, driver, first, inputs)
}

pub(super) struct Inputs {
    inbox: mpsc::Receiver<Request>,
    hearing: mpsc::Receiver<Heard>,
    completions: mpsc::Receiver<Completion>,
    disk_low: watch::Receiver<bool>,
    stopped: oneshot::Receiver<()>,
}

/// Somebody who waits for an answer.
pub(super) struct Waiting<T> {
    pub(super) reply: oneshot::Sender<Result<T, Refused>>,
    /// Since when.
    pub(super) since: Instant,
    /// The trace of the call for whose sake.
    pub(super) trace: Option<TraceId>,
}

pub(super) struct Driver {
    pub(super) desk: Desk,
    pub(super) store: Store,
    pub(super) writer: WriterHandle,
    pub(super) peers: Peers,
    pub(super) cluster: String,
    pub(super) heard: mpsc::Sender<Heard>,
    pub(super) calls: Calls,
    pub(super) copies: Copies,
    pub(super) hub: Hub,
    pub(super) sessions: Sessions,
    standing: watch::Sender<Standing>,
    /// The end of the log as the links may know it: durable entries only.
    log_end: watch::Sender<Seq>,
    clock: fn() -> Time,
    pub(super) metrics: Arc<Metrics>,
    pub(super) waiters: HashMap<WaiterId, Waiting<Executed>>,
    pub(super) reads: BTreeMap<ReadId, Waiting<()>>,
    /// Sound snapshots that are not installed yet, by the nonce that brought them; dropping one removes
    /// its file.
    pub(super) staged: BTreeMap<u64, TempPath>,
    /// Where the log ends once a store operation is done.
    pub(super) storing: BTreeMap<u64, Seq>,
    /// One snapshot is made at a time.
    pub(super) making: Arc<Semaphore>,
    pub(super) next_id: u64,
    /// The newest write to the local store, which waits for all before it.
    pub(super) persisting: Option<JoinHandle<Result<(), String>>>,
    /// With less free disk than this only promises are written.
    pub(super) disk_reserve: u64,
    tasks: TaskTracker,
    ending: CancellationToken,
    /// Set once the loop must end; why, if it failed.
    pub(super) exit: Option<Option<String>>,
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
        let mut stopping = false;
        while self.exit.is_none() {
            let deadline = self.deadline();
            // What came in goes before any timer, so that a server that was asleep hears the others first;
            // clients come last, for there may always be one more.
            tokio::select! {
                biased;
                _ = &mut inputs.stopped, if !stopping => {
                    stopping = true;
                    self.input(Input::Event(Event::Shutdown)).await;
                }
                Some(completion) = inputs.completions.recv() => self.completed(completion).await,
                Some(heard) = inputs.hearing.recv() => self.hear(heard).await,
                Ok(()) = inputs.disk_low.changed() => {
                    let low = *inputs.disk_low.borrow_and_update();
                    self.input(Input::Event(Event::DiskLow(low))).await;
                }
                count = inputs.inbox.recv_many(&mut requests, DRAIN), if self.desk.has_room() => {
                    // All handles are gone only when the server is being dropped.
                    if count == 0 { break; }
                    for request in requests.drain(..) {
                        self.request(request).await;
                    }
                }
                _ = sleep_until(deadline) => self.input(Input::Event(Event::Tick)).await,
            }
            let actions = self.desk.batch((self.clock)());
            self.carry_out(actions).await;
            self.metrics.node.underway.set(self.waiters.len());
        }
        // Nobody may wait any longer for a loop that reads no more.
        drop(inputs);
        self.close().await
    }

    fn deadline(&self) -> Instant {
        let wait = match self.desk.next_deadline() {
            Some(deadline) => deadline.0.saturating_sub((self.clock)().0),
            None => Duration::from_secs(1),
        };
        Instant::now() + wait
    }

    async fn input(&mut self, input: Input) {
        let actions = self.desk.handle(input, (self.clock)());
        // Before the answers, for they say with how many copies and in which epoch.
        self.tell_standing();
        self.carry_out(actions).await;
    }

    async fn request(&mut self, request: Request) {
        self.next_id += 1;
        match request {
            Request::Execute { payload, waiting } => {
                self.waiters.insert(self.next_id, waiting);
                self.input(Input::Execute { waiter: self.next_id, payload }).await;
            }
            Request::Read { waiting } => {
                self.reads.insert(self.next_id, waiting);
                self.input(Input::Read(self.next_id)).await;
            }
            Request::Status { reply } => {
                let _ = reply.send(self.desk.status((self.clock)()));
            }
            Request::HandOver { to } => self.input(Input::Event(Event::HandOver { to })).await,
        }
    }

    async fn hear(&mut self, heard: Heard) {
        let event = match heard {
            Heard::Message(message) => Event::Message(message),
            Heard::StreamEnded(peer) => Event::StreamEnded { peer },
            Heard::Probed { peer, begun, refused } => Event::Probed { peer, begun, refused },
            Heard::Reconciled { op, done } => Event::Reconciled { op, done },
            Heard::Snapshot { message, file, looked_into } => {
                let heard = self.heard.clone();
                self.spawn(async move {
                    transfer::verify(message, file, heard).await;
                    drop(looked_into);
                });
                return;
            }
            Heard::SoundSnapshot { message, file } => {
                self.staged.insert(message.nonce, file);
                if self.staged.len() > STAGED {
                    self.staged.pop_first();
                }
                Event::Message(message)
            }
        };
        self.input(Input::Event(event)).await;
    }

    /// Beside the loop, until it ends.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let ending = self.ending.clone();
        self.tasks.spawn(async move { ending.run_until_cancelled(task).await });
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

    fn tell_standing(&mut self) {
        let standing = Standing::of(&self.desk);
        let known = *self.standing.borrow();
        if standing == known {
            return;
        }
        if standing.serving && !known.serving {
            // What was remembered before may have ended while another server led.
            self.sessions.clear();
            self.hub.open(standing.epoch);
        }
        if standing.role != known.role {
            self.metrics.node.roles[standing.role as usize].count();
        }
        self.standing.send_replace(standing);
    }

    async fn close(mut self) -> Option<String> {
        // What was never taken was refused when the lead ended; nobody knows about the rest.
        for (_, waiting) in self.waiters.drain() {
            let _ = waiting.reply.send(Err(Refused::OutcomeUnknown));
        }
        self.hub.close();
        self.standing.send_modify(|standing| {
            standing.serving = false;
            standing.stopping = true;
        });
        // A resignation on its way still gets a moment.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.peers.close().await;
        self.ending.cancel();
        self.tasks.close();
        let _ = timeout(LAST_TASKS, self.tasks.wait()).await;
        let writer = self.writer;
        let closing = tokio::task::spawn_blocking(move || writer.close());
        if !matches!(timeout(LAST_CHECKPOINT, closing).await, Ok(Ok(()))) {
            tracing::warn!("the database was not closed cleanly; nothing committed is lost");
        }
        self.exit.flatten()
    }
}
