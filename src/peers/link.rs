//! The link to one other server: two connections, one for signs of life, one for the bulk.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{Heard, Merger, SECRET_KEY, Settings, transfer};
use crate::{
    cluster::{Epoch, Incarnation, Message, Seq, ServerId},
    telemetry::trace::TraceId,
    tls::{self, Dialing, Distrust},
    wire::{
        Malformed,
        cluster::{
            self as proto, AcceptUpdatesRequest, AcceptUpdatesResponse,
            operation_service_client::OperationServiceClient,
            replication_service_client::ReplicationServiceClient,
        },
        peer::{self, Question},
    },
};

/// Short calls under way to one server; more are dropped, for they only pile up behind a frozen peer.
const SHORT_CALLS: usize = 32;
/// Batches queued for one server; the leader has one in flight and sends again what gets lost.
const BATCHES: usize = 8;
/// How often an operator is told the same about one server.
const COMPLAIN_AGAIN: Duration = Duration::from_secs(60);

pub(super) type Client = ReplicationServiceClient<Channel>;

pub(super) struct Link {
    caller: Arc<Caller>,
    batches: mpsc::Sender<AcceptUpdatesRequest>,
    short: Arc<Semaphore>,
    register: Option<Transfer>,
    fetch: Option<Transfer>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The long answer that is under way.
struct Transfer {
    occasion: Occasion,
    task: AbortHandle,
}

/// Who asks whom, in which lives and after which promise. What answers another occasion would find no
/// belief any more.
type Occasion = (Incarnation, Option<Incarnation>, Epoch);

/// What every task of a link shares.
pub(super) struct Caller {
    pub(super) peer: ServerId,
    pub(super) settings: Settings,
    pub(super) heard: mpsc::Sender<Heard>,
    control: Client,
    pub(super) bulk: Client,
    pub(super) operations: OperationServiceClient<Channel>,
    secret: Option<MetadataValue<Ascii>>,
    address: String,
    complaint: Mutex<Complaint>,
}

/// What an operator was told last, and when: the links try again all the time.
type Complaint = Option<(String, Instant)>;

impl Link {
    pub(super) fn start(
        peer: ServerId,
        address: &str,
        settings: &Settings,
        heard: &mpsc::Sender<Heard>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Link {
        let bulk = channel(peer, address, &settings.dialing);
        let caller = Arc::new(Caller {
            peer,
            settings: settings.clone(),
            heard: heard.clone(),
            control: Client::new(channel(peer, address, &settings.dialing)),
            operations: OperationServiceClient::new(bulk.clone()),
            bulk: Client::new(bulk),
            complaint: Mutex::default(),
            address: address.into(),
            secret: settings.secret.parse().ok().filter(|_| !settings.secret.is_empty()),
        });
        let (batches, queue) = mpsc::channel(BATCHES);
        let updates = caller.clone().push_updates(queue);
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(updates).await });
        Link {
            caller,
            batches,
            short: Arc::new(Semaphore::new(SHORT_CALLS)),
            register: None,
            fetch: None,
            tasks: tasks.clone(),
            stop: stop.clone(),
        }
    }

    pub(super) fn merger(&self) -> Merger {
        Merger::new(self.caller.clone())
    }

    pub(super) fn caller(&self) -> Arc<Caller> {
        self.caller.clone()
    }

    pub(super) fn send(&mut self, message: Message, traces: Vec<(Seq, TraceId)>) {
        let occasion = (message.incarnation, message.receiver, message.promised);
        let Some(question) = Question::of(&message, &self.caller.settings.cluster) else {
            tracing::warn!(to = %message.to, "an answer was to be sent as a question");
            return;
        };
        match question {
            Question::Accept(mut request) => {
                let trace = |(seq, id): (Seq, TraceId)| proto::Trace {
                    seq,
                    trace_id: Bytes::copy_from_slice(&id.bytes()),
                };
                request.traces = traces.into_iter().map(trace).collect();
                let _ = self.batches.try_send(request);
            }
            Question::Register(request) if !asks_again(self.register.as_ref(), occasion) => {
                let caller = self.caller.clone();
                let call = async move { transfer::register(&caller, request).await };
                let task = self.spawn(call);
                replace(&mut self.register, Transfer { occasion, task });
            }
            Question::Fetch(request) if !asks_again(self.fetch.as_ref(), occasion) => {
                let caller = self.caller.clone();
                let call = async move { transfer::fetch(&caller, request).await };
                let task = self.spawn(call);
                replace(&mut self.fetch, Transfer { occasion, task });
            }
            Question::Register(_) | Question::Fetch(_) => {}
            short => {
                let Ok(permit) = self.short.clone().try_acquire_owned() else { return };
                let caller = self.caller.clone();
                self.spawn(async move {
                    let called = caller.short_call(short).await;
                    drop(permit);
                    called
                });
            }
        }
    }

    fn spawn(
        &self,
        call: impl Future<Output = Result<(), CallError>> + Send + 'static,
    ) -> AbortHandle {
        let (caller, stop) = (self.caller.clone(), self.stop.clone());
        let noted = async move {
            if let Err(error) = call.await {
                caller.note(&error).await;
            }
        };
        let task = self.tasks.spawn(async move { stop.run_until_cancelled(noted).await });
        task.abort_handle()
    }
}

/// A repeated question does not interrupt what is under way, such as a large snapshot; one on another
/// occasion does.
fn asks_again(running: Option<&Transfer>, occasion: Occasion) -> bool {
    running.is_some_and(|running| running.occasion == occasion && !running.task.is_finished())
}

fn replace(running: &mut Option<Transfer>, next: Transfer) {
    if let Some(old) = running.replace(next) {
        old.task.abort();
    }
}

/// Why a call to another server ended.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{}: {}", .0.code(), .0.message())]
    Status(#[from] Status),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("it did not answer in time")]
    Late,
    #[error("writing the snapshot: {0}")]
    File(#[from] std::io::Error),
    #[error("the snapshot is damaged: {0}")]
    Damaged(&'static str),
    #[error("there is no room for a snapshot of {0} bytes; make some on the data folder's disk")]
    NoRoom(u64),
}

impl Caller {
    pub(super) fn request<T>(&self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        if let Some(secret) = &self.secret {
            request.metadata_mut().insert(SECRET_KEY, secret.clone());
        }
        request
    }

    /// The core's inbox is full only when the server is overwhelmed; then waiting is right.
    pub(super) async fn hear(&self, message: Message) {
        let _ = self.heard.send(Heard::Message(message)).await;
    }

    async fn short_call(&self, question: Question) -> Result<(), CallError> {
        let mut client = self.control.clone();
        let call = async {
            let message = match question {
                Question::Heartbeat(request) => {
                    let response = client.heartbeat(self.request(request)).await?;
                    Some(peer::message_of_heartbeat(response.into_inner())?)
                }
                Question::Prepare(request) => {
                    let response = client.prepare(self.request(request)).await?;
                    Some(peer::message_of_prepare(response.into_inner())?)
                }
                Question::Evict(request) => {
                    let response = client.evict(self.request(request)).await?;
                    Some(peer::message_of_evict(response.into_inner())?)
                }
                Question::Resign(request) => {
                    client.resign(self.request(request)).await?;
                    None
                }
                Question::Accept(_) | Question::Register(_) | Question::Fetch(_) => None,
            };
            Ok::<_, CallError>(message)
        };
        let answered = timeout(self.settings.call_timeout, call).await;
        if let Some(message) = answered.map_err(|_| CallError::Late)?? {
            self.hear(message).await;
        }
        Ok(())
    }

    /// The stream of updates: opened by the first batch, again after each end.
    async fn push_updates(self: Arc<Self>, mut queue: mpsc::Receiver<AcceptUpdatesRequest>) {
        while let Some(first) = queue.recv().await {
            if let Err(error) = self.update_stream(first, &mut queue).await {
                self.note(&error).await;
            }
        }
    }

    async fn update_stream(
        &self,
        first: AcceptUpdatesRequest,
        queue: &mut mpsc::Receiver<AcceptUpdatesRequest>,
    ) -> Result<(), CallError> {
        let (outgoing, requests) = mpsc::channel(BATCHES);
        let _ = outgoing.try_send(first);
        let mut client = self.bulk.clone();
        let opening = client.accept_updates(self.request(ReceiverStream::new(requests)));
        let opened = timeout(self.settings.call_timeout, opening).await;
        let mut answers: Streaming<AcceptUpdatesResponse> =
            opened.map_err(|_| CallError::Late)??.into_inner();
        loop {
            tokio::select! {
                biased;
                answer = answers.message() => match answer? {
                    Some(answer) => self.hear(peer::message_of_accept(answer)?).await,
                    None => return Err(Status::unavailable("the stream of updates ended").into()),
                },
                batch = queue.recv() => match batch {
                    // A peer that does not read loses the batch; the leader sends it again.
                    Some(batch) => { let _ = outgoing.try_send(batch); }
                    None => return Ok(()),
                },
            }
        }
    }

    /// Tells the core about broken connections, an operator about what does not heal by itself, and nobody
    /// about the rest.
    async fn note(&self, error: &CallError) {
        tracing::debug!(peer = %self.peer, %error, "a call to another server ended");
        let CallError::Status(status) = error else { return };
        if let Some(problem) = self.mistrust(status) {
            self.complain(problem);
        }
        if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) {
            let _ = self.heard.send(Heard::StreamEnded(self.peer)).await;
        }
    }

    /// Why one of the two does not believe the other, if that is what ended the call.
    fn mistrust(&self, status: &Status) -> Option<String> {
        if status.code() == Code::Unauthenticated {
            let words = status.message();
            return Some(format!("the server at {} refuses this one: {words}", self.address));
        }
        if tls::wants_tls(status) {
            let words = "takes encrypted connections only, and this one has no certificate";
            return Some(format!("the server at {} {words}", self.address));
        }
        Distrust::find(status, &self.address).map(|distrust| distrust.to_string())
    }

    fn complain(&self, problem: String) {
        let mut told = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let known = told.as_ref().is_some_and(|(before, at)| {
            *before == problem && now.duration_since(*at) < COMPLAIN_AGAIN
        });
        if !known {
            tracing::warn!(peer = %self.peer, "servers do not believe each other: {problem}");
            *told = Some((problem, now));
        }
    }
}

fn channel(peer: ServerId, address: &str, dialing: &Dialing) -> Channel {
    // A handshake of TLS is two more round trips, and work for both sides.
    let connect = Duration::from_millis(if dialing.is_encrypted() { 1_000 } else { 500 });
    let endpoint = dialing
        .endpoint(address)
        .expect("addresses are checked with the configuration")
        .connect_timeout(connect)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_timeout(Duration::from_secs(2))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(4 * 1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024);
    dialing.connect(&endpoint, Some(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_repeated_waits_for_the_running_answer_and_one_of_another_life_does_not() {
        let life = |bumps| Incarnation { starts: 1, bumps, random: 7 };
        let occasion = (life(0), Some(life(0)), Epoch::ZERO);
        let running = tokio::spawn(std::future::pending::<()>());
        let running = Transfer { occasion, task: running.abort_handle() };
        assert!(asks_again(Some(&running), occasion));
        assert!(!asks_again(Some(&running), (life(1), Some(life(0)), Epoch::ZERO)));
        assert!(!asks_again(Some(&running), (life(0), Some(life(1)), Epoch::ZERO)));
        let later = Epoch { number: 2, server: ServerId(1) };
        assert!(!asks_again(Some(&running), (life(0), Some(life(0)), later)));
        assert!(!asks_again(None, occasion));
    }

    #[tokio::test]
    async fn the_next_transfer_ends_the_one_before() {
        let occasion = (Incarnation { starts: 1, bumps: 0, random: 7 }, None, Epoch::ZERO);
        let old = tokio::spawn(std::future::pending::<()>());
        let new = tokio::spawn(std::future::pending::<()>());
        let mut running = Some(Transfer { occasion, task: old.abort_handle() });
        replace(&mut running, Transfer { occasion, task: new.abort_handle() });
        assert!(old.await.expect_err("aborted").is_cancelled());
        assert!(!new.is_finished());
    }
}
