//! Many messages over one stream. Each keeps its request id; when a stream breaks, those without an answer
//! go again, over the next server's stream if need be.

use std::sync::{Arc, Mutex};

use tonic::{Code, Response, Status, transport::Channel};

use super::{Client, Error, Refusal, transport::Kind};
use crate::wire::chat::{
    Message, SendMessagesRequest, message_service_client::MessageServiceClient,
    send_messages_response::Result as Sent,
};

/// Messages of one attempt: it may take no longer than a call's.
const CHUNK: usize = 1_000;

/// A message to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// From [`Client::new_request_id`]; kept until there is an answer, also through a restart.
    pub request_id: String,
    /// `@name` or `#name`.
    pub conversation: String,
    /// 1 byte to 16 KiB.
    pub body: String,
    /// The id of the message that it answers, or empty.
    pub reply_to: String,
}

type Answers = Vec<Option<Result<Message, Refusal>>>;

impl Client {
    /// Sends messages in their order, many at a time, and tells what became of each by its place among
    /// them: as it was sent, or why the rules of the chat refuse it (the others go on).
    ///
    /// # Errors
    /// Every [`Error`], of the first message that was not answered; those behind it may have been sent as
    /// well. Calling again with what was not answered, under the same request ids, settles them all.
    pub async fn send_all(
        &self,
        messages: &[Outgoing],
        mut answered: impl FnMut(usize, Result<Message, Refusal>),
    ) -> Result<(), Error> {
        for (chunk, first) in messages.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            let bulk = Arc::new(Bulk {
                messages: chunk.iter().map(request).collect(),
                answers: Mutex::new(vec![None; chunk.len()]),
            });
            let id = chunk.first().map(|message| message.request_id.as_str());
            let called = self.call(Kind::Session, id, (), |channel, request| {
                let bulk = bulk.clone();
                async move { bulk.attempt(channel, request).await }
            });
            let called = called.await;
            let answers = std::mem::take(&mut *bulk.answers.lock().expect("no holder panics"));
            let unanswered = answers.iter().position(Option::is_none);
            for (place, answer) in answers.into_iter().enumerate() {
                if let Some(answer) = answer {
                    answered(first + place, answer);
                }
            }
            called.map_err(|error| about(error, unanswered.map(|place| &chunk[place])))?;
        }
        Ok(())
    }
}

/// One chunk on its way.
struct Bulk {
    messages: Vec<SendMessagesRequest>,
    answers: Mutex<Answers>,
}

impl Bulk {
    /// Sends what has no answer yet, and waits for the answers.
    async fn attempt(
        &self,
        channel: Channel,
        request: tonic::Request<()>,
    ) -> Result<Response<()>, Status> {
        let missing: Vec<usize> = {
            let answers = self.answers.lock().expect("no holder panics");
            (0..answers.len()).filter(|place| answers[*place].is_none()).collect()
        };
        let outgoing: Vec<_> = missing.iter().map(|place| self.messages[*place].clone()).collect();
        let request = request.map(|()| tokio_stream::iter(outgoing));
        let response = MessageServiceClient::new(channel).send_messages(request).await?;
        let (metadata, mut incoming, extensions) = response.into_parts();
        // The answers come in the order of the messages.
        for place in missing {
            let Some(answer) = incoming.message().await? else {
                return Err(Status::unavailable("the stream ended before its last answer"));
            };
            if answer.request_id != self.messages[place].request_id {
                return Err(Status::data_loss("an answer to another message"));
            }
            let result = match answer.result {
                Some(Sent::Message(message)) => Ok(message),
                Some(Sent::Error(error)) => Err(Refusal {
                    code: Code::from_i32(error.code),
                    reason: error.reason,
                    message: error.message,
                    fields: Vec::new(),
                }),
                None => return Err(Status::data_loss("an answer that says nothing")),
            };
            self.answers.lock().expect("no holder panics")[place] = Some(result);
        }
        Ok(Response::from_parts(metadata, (), extensions))
    }
}

fn request(message: &Outgoing) -> SendMessagesRequest {
    let Outgoing { request_id, conversation, body, reply_to } = message.clone();
    SendMessagesRequest { request_id, conversation, body, reply_to }
}

/// The error, of the message that it is about.
fn about(error: Error, message: Option<&Outgoing>) -> Error {
    match (error, message) {
        (Error::OutcomeUnknown { detail, .. }, Some(message)) => {
            Error::OutcomeUnknown { request_id: message.request_id.clone(), detail }
        }
        (error, _) => error,
    }
}
