//! `SendMessages`: many messages over one stream, each answered under its request id, in their order.
//!
//! A message goes on its way as soon as it is read, and the next is read while it is committed; so many are
//! in flight at most, then the caller's connection is the queue. What the chat refuses is answered like
//! what it takes, and the stream goes on. Where the server cannot take a message now, or may have taken it
//! and cannot say so, the stream ends with what a single call would have ended with: whatever was not
//! answered is repeated with the same request ids, perhaps on another server.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::{
    context::{Caller, Context},
    errors,
    messages::{send_command, sent},
};
use crate::{
    node::{Refused, Underway},
    telemetry::trace,
    wire::chat::{
        self as proto, CallError, SendMessagesRequest, SendMessagesResponse,
        send_messages_response::Result as Sent,
    },
};

/// Messages of one stream that are read and not answered.
const WINDOW: usize = 256;
/// Answers on their way to the caller.
const OUTGOING: usize = 32;

/// A caller that does not take the reason for the end in this time is left without it.
const LAST_WORDS: Duration = Duration::from_secs(1);

type Answer = Result<SendMessagesResponse, Status>;

/// Serves a stream until the caller has no more messages, or the server stops or cannot take one any more.
pub(super) fn serve(
    context: Context,
    caller: Caller,
    incoming: Streaming<SendMessagesRequest>,
    stop: CancellationToken,
) -> ReceiverStream<Answer> {
    let (outgoing, answers) = mpsc::channel(OUTGOING);
    let sender =
        Sender { context, caller, outgoing, in_flight: VecDeque::new(), rests_until: None };
    // Ends with the caller's connection, with the server, or with the first message after the lead.
    tokio::spawn(trace::within(trace::current(), sender.run(incoming, stop)));
    ReceiverStream::new(answers)
}

/// One caller's stream.
struct Sender {
    context: Context,
    caller: Caller,
    outgoing: mpsc::Sender<Answer>,
    /// In the order in which they were read.
    in_flight: VecDeque<Flight>,
    /// Nothing is read before this; so the caller is slowed down, and not refused.
    rests_until: Option<Instant>,
}

/// A message that was read.
struct Flight {
    request_id: String,
    state: State,
}

enum State {
    Underway(Underway),
    /// It never came so far.
    Refused(Status),
}

impl Sender {
    async fn run(mut self, incoming: Streaming<SendMessagesRequest>, stop: CancellationToken) {
        let outgoing = self.outgoing.clone();
        let ended = tokio::select! {
            ended = self.serve(incoming) => ended,
            () = outgoing.closed() => return,
            () = stop.cancelled() => Err(errors::refused(Refused::ShuttingDown, &self.context)),
        };
        if let Err(status) = ended {
            let _ = timeout(LAST_WORDS, outgoing.send(Err(status))).await;
        }
    }

    async fn serve(&mut self, mut incoming: Streaming<SendMessagesRequest>) -> Result<(), Status> {
        let mut more = true;
        while more || !self.in_flight.is_empty() {
            tokio::select! {
                biased;
                result = oldest(&self.context, &mut self.in_flight), if !self.in_flight.is_empty() => {
                    self.answer(result).await?;
                }
                () = rest(self.rests_until), if self.rests_until.is_some() => self.rests_until = None,
                request = incoming.message(),
                    if more && self.rests_until.is_none() && self.in_flight.len() < WINDOW => {
                    match request? {
                        Some(request) => self.begin(request).await,
                        None => more = false,
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends a message on its way.
    async fn begin(&mut self, request: SendMessagesRequest) {
        let bytes = request.body.len();
        self.rests_until = self.context.allowances.after_message(self.caller.account, bytes);
        let SendMessagesRequest { request_id, conversation, body, reply_to } = request;
        let begun = match send_command(&conversation, body, &reply_to) {
            _ if request_id.is_empty() => {
                Err(errors::field_violation("request_id", "a UUID, by which the answer is known"))
            }
            Ok(command) => {
                self.context.begin(&request_id, Some(self.caller.session), command).await
            }
            Err(status) => Err(status),
        };
        let state = begun.map_or_else(State::Refused, State::Underway);
        self.in_flight.push_back(Flight { request_id, state });
    }

    /// Answers the oldest message in flight.
    async fn answer(&mut self, result: Result<proto::Message, Status>) -> Result<(), Status> {
        let Some(Flight { request_id, .. }) = self.in_flight.pop_front() else { return Ok(()) };
        let result = match result {
            Ok(message) => Sent::Message(message),
            Err(status) if ends_the_stream(&status) => return Err(status),
            Err(status) => {
                let error = error(&status);
                self.context.node.metrics().calls.refused(&error.reason);
                Sent::Error(error)
            }
        };
        let answer = SendMessagesResponse { request_id, result: Some(result) };
        // A caller that went away ends the stream elsewhere.
        let _ = self.outgoing.send(Ok(answer)).await;
        Ok(())
    }
}

/// What became of the oldest message. Asked again if it was interrupted, so it takes nothing away.
async fn oldest(
    context: &Context,
    in_flight: &mut VecDeque<Flight>,
) -> Result<proto::Message, Status> {
    match in_flight.front_mut().map(|flight| &mut flight.state) {
        Some(State::Underway(underway)) => sent(context.outcome(underway).await?),
        Some(State::Refused(status)) => Err(status.clone()),
        None => std::future::pending().await,
    }
}

async fn rest(until: Option<Instant>) {
    if let Some(until) = until {
        sleep_until(until).await;
    }
}

fn ends_the_stream(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Internal)
}

fn error(status: &Status) -> CallError {
    let message = status.message().to_owned();
    CallError { code: status.code() as i32, message, reason: errors::reason(status) }
}
