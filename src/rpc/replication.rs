//! What servers say to each other: decode, hand to the node, encode what it answers.
//!
//! A caller proves membership before anything it says is looked at (see `members`), and names the cluster
//! and two configured ids. Whoever does not is a stranger and changes nothing.

use std::{pin::Pin, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    errors,
    members::{self, Members, Proven},
};
use crate::{
    cluster::{Message, ServerId},
    node::NodeHandle,
    peers::{Answer, Heard, Rpc, Waiting},
    telemetry::trace::TraceId,
    wire::{
        cluster::{self as proto, replication_service_server::ReplicationService},
        peer::{self, Question},
        update,
    },
};

/// Answers waiting for a slow stream.
const ANSWERS: usize = 8;
/// How long a short question waits for the core.
const SHORT: Duration = Duration::from_secs(6);
/// How long a transfer may take to begin; making a snapshot of a large database takes the longest.
const LONG: Duration = Duration::from_secs(3_600);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service.
#[derive(Clone)]
pub(super) struct Replication {
    pub(super) node: NodeHandle,
    pub(super) members: Members,
    pub(super) stop: CancellationToken,
}

impl Replication {
    /// Looks at who speaks to whom in which cluster, and parses the rest.
    fn admit(
        &self,
        proven: Proven,
        envelope: Option<&proto::Envelope>,
        question: impl FnOnce() -> Question,
    ) -> Result<Message, Status> {
        self.members.admit_as(proven, envelope)?;
        question().parse().map_err(errors::malformed)
    }

    /// Hands a question to the core and returns where its answers will come.
    async fn ask(&self, message: Message, rpc: Rpc) -> (Waiting, mpsc::Receiver<Answer>) {
        let (sender, answers) = mpsc::channel(ANSWERS);
        let waiting = self.node.calls().wait(message.from, rpc, message.nonce, sender);
        self.node.hear(Heard::Message(message)).await;
        (waiting, answers)
    }

    async fn ask_once<T>(
        &self,
        message: Message,
        rpc: Rpc,
        encode: fn(&Message, &str) -> Option<T>,
    ) -> Result<Response<T>, Status> {
        let (_waiting, mut answers) = self.ask(message, rpc).await;
        // Once the node has ended, nobody answers; the asking server must not be kept waiting.
        let answer = timeout(SHORT, self.stop.run_until_cancelled(answers.recv()));
        match answer.await {
            Ok(Some(Some(Answer::Message(answer)))) => {
                let answer =
                    encode(&answer, self.members.cluster()).ok_or_else(errors::unanswered)?;
                Ok(Response::new(answer))
            }
            _ => Err(errors::unanswered()),
        }
    }
}

#[tonic::async_trait]
impl ReplicationService for Replication {
    type RegisterFollowerStream = Answers<proto::RegisterFollowerResponse>;
    type AcceptUpdatesStream = Answers<proto::AcceptUpdatesResponse>;
    type FetchLogStream = Answers<proto::FetchLogResponse>;

    async fn heartbeat(
        &self,
        request: Request<proto::HeartbeatRequest>,
    ) -> Result<Response<proto::HeartbeatResponse>, Status> {
        let (proven, request) = members::proven(request);
        let envelope = request.envelope.clone();
        let message = self.admit(proven, envelope.as_ref(), || Question::Heartbeat(request))?;
        self.ask_once(message, Rpc::Heartbeat, peer::heartbeat_response).await
    }

    async fn prepare(
        &self,
        request: Request<proto::PrepareRequest>,
    ) -> Result<Response<proto::PrepareResponse>, Status> {
        let (proven, request) = members::proven(request);
        let envelope = request.envelope.clone();
        let message = self.admit(proven, envelope.as_ref(), || Question::Prepare(request))?;
        self.ask_once(message, Rpc::Prepare, peer::prepare_response).await
    }

    async fn evict(
        &self,
        request: Request<proto::EvictRequest>,
    ) -> Result<Response<proto::EvictResponse>, Status> {
        let (proven, request) = members::proven(request);
        let envelope = request.envelope.clone();
        let message = self.admit(proven, envelope.as_ref(), || Question::Evict(request))?;
        self.ask_once(message, Rpc::Evict, peer::evict_response).await
    }

    async fn resign(
        &self,
        request: Request<proto::ResignRequest>,
    ) -> Result<Response<proto::ResignResponse>, Status> {
        let (proven, request) = members::proven(request);
        let envelope = request.envelope.clone();
        let message = self.admit(proven, envelope.as_ref(), || Question::Resign(request))?;
        self.node.hear(Heard::Message(message)).await;
        Ok(Response::new(proto::ResignResponse { envelope: None }))
    }

    async fn register_follower(
        &self,
        request: Request<proto::RegisterFollowerRequest>,
    ) -> Result<Response<Self::RegisterFollowerStream>, Status> {
        let (proven, request) = members::proven(request);
        let envelope = request.envelope.clone();
        let message = self.admit(proven, envelope.as_ref(), || Question::Register(request))?;
        let asked = self.ask(message, Rpc::Register).await;
        let cluster = self.members.cluster().to_owned();
        let encode = move |answer| match answer {
            Answer::Message(message) => peer::register_response(&message, &cluster),
            Answer::Part(part) => Some(part),
            Answer::End => None,
        };
        Ok(Response::new(long_answer(asked, encode, says_all, self.stop.clone())))
    }

    async fn fetch_log(
        &self,
        request: Request<proto::FetchLogRequest>,
    ) -> Result<Response<Self::FetchLogStream>, Status> {
        let (proven, request) = members::proven(request);
        let envelope = request.envelope.clone();
        let message = self.admit(proven, envelope.as_ref(), || Question::Fetch(request))?;
        let asked = self.ask(message, Rpc::Fetch).await;
        let cluster = self.members.cluster().to_owned();
        let encode = move |answer| match answer {
            Answer::Message(message) => peer::fetch_response(&message, &cluster),
            Answer::Part(_) | Answer::End => None,
        };
        Ok(Response::new(long_answer(asked, encode, |_| false, self.stop.clone())))
    }

    async fn reconcile(
        &self,
        request: Request<proto::ReconcileRequest>,
    ) -> Result<Response<proto::ReconcileResponse>, Status> {
        let (proven, request) = members::proven(request);
        self.members.admit_as(proven, request.envelope.as_ref())?;
        let epoch = peer::epoch_of(request.epoch).map_err(errors::malformed)?;
        let updates = request.updates;
        if !updates.iter().all(|bytes| update::is_merge(bytes)) {
            return Err(errors::malformed("only what can be merged may be brought"));
        }
        let standing = self.node.standing();
        if !standing.serving || standing.epoch != epoch {
            return Err(errors::leads_another_epoch());
        }
        let merging = self.stop.run_until_cancelled(self.node.execute_all(updates));
        match merging.await {
            Some(Ok(())) => Ok(Response::new(proto::ReconcileResponse {})),
            _ => Err(errors::unanswered()),
        }
    }

    async fn accept_updates(
        &self,
        request: Request<Streaming<proto::AcceptUpdatesRequest>>,
    ) -> Result<Response<Self::AcceptUpdatesStream>, Status> {
        let (sender, answers) = mpsc::channel(ANSWERS);
        let (proven, batches) = members::proven(request);
        let inbound = InboundUpdates { service: self.clone(), proven, answers: sender };
        let stop = self.stop.clone();
        // Owned by the connection: it ends with the leader's side of the stream, or with the server.
        tokio::spawn(async move {
            stop.run_until_cancelled(inbound.run(batches)).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

/// A leader's stream of batches.
struct InboundUpdates {
    service: Replication,
    proven: Proven,
    answers: mpsc::Sender<Result<proto::AcceptUpdatesResponse, Status>>,
}

impl InboundUpdates {
    async fn run(self, mut batches: Streaming<proto::AcceptUpdatesRequest>) {
        let (sender, mut waiting_answers) = mpsc::channel(ANSWERS);
        let mut leader: Option<(ServerId, Waiting)> = None;
        loop {
            tokio::select! {
                biased;
                Some(answer) = waiting_answers.recv() => {
                    let Answer::Message(message) = answer else { continue };
                    let Some(answer) = peer::accept_response(&message, self.service.members.cluster()) else { continue };
                    if self.answers.send(Ok(answer)).await.is_err() { break; }
                }
                batch = batches.next() => {
                    let Some(Ok(mut batch)) = batch else { break };
                    let traces = std::mem::take(&mut batch.traces);
                    let envelope = batch.envelope.clone();
                    let admitted =
                        self.service.admit(self.proven, envelope.as_ref(), || Question::Accept(batch));
                    let message = match admitted {
                        Ok(message) => message,
                        Err(status) => {
                            let _ = self.answers.send(Err(status)).await;
                            break;
                        }
                    };
                    tell_traces(message.from, &traces);
                    let known = leader.as_ref().is_some_and(|(known, _)| *known == message.from);
                    if !known {
                        let calls = self.service.node.calls();
                        let waiting = calls.wait(message.from, Rpc::Accept, 0, sender.clone());
                        leader = Some((message.from, waiting));
                    }
                    self.service.node.hear(Heard::Message(message)).await;
                }
            }
        }
        if let Some((leader, _)) = leader {
            self.service.node.hear(Heard::StreamEnded(leader)).await;
        }
    }
}

/// Says for which calls entries came, a line each.
fn tell_traces(leader: ServerId, traces: &[proto::Trace]) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for proto::Trace { seq, trace_id } in traces {
        if let Some(trace) = TraceId::of_bytes(trace_id) {
            tracing::debug!(%trace, seq, %leader, "an entry came from the leader");
        }
    }
}

/// Whether this part is all there is to say; what streams ends with [`Answer::End`].
fn says_all(part: &proto::RegisterFollowerResponse) -> bool {
    use proto::register_follower_response::Part;
    !matches!(part.part, Some(Part::Snapshot(_) | Part::Chunk(_) | Part::Updates(_)))
}

/// Streams answers until the last one, or until nothing comes for too long.
fn long_answer<T: Send + 'static>(
    (waiting, mut answers): (Waiting, mpsc::Receiver<Answer>),
    encode: impl Fn(Answer) -> Option<T> + Send + Sync + 'static,
    is_last: fn(&T) -> bool,
    stop: CancellationToken,
) -> Answers<T> {
    let (sender, parts) = mpsc::channel(ANSWERS);
    tokio::spawn(async move {
        let streaming = async {
            while let Ok(Some(answer)) = timeout(LONG, answers.recv()).await {
                let Some(part) = encode(answer) else { break };
                let last = is_last(&part);
                if sender.send(Ok(part)).await.is_err() || last {
                    break;
                }
            }
        };
        stop.run_until_cancelled(streaming).await;
        drop(waiting);
    });
    Box::pin(ReceiverStream::new(parts))
}
