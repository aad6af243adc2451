//! `MessageService`.

use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    bulk,
    context::{Context, message_ids, parse},
    errors,
};
use crate::{
    chat::{Body, Command, ConversationName, MessageId, Outcome, SearchQuery, SendMessage},
    store::{Around, SnippetPart},
    wire::chat::{
        self as proto, list_messages_request::Position, message_service_server::MessageService,
    },
};

pub(super) struct Messages {
    pub(super) context: Context,
    /// Ends every stream.
    pub(super) stop: CancellationToken,
}

#[tonic::async_trait]
impl MessageService for Messages {
    type SendMessagesStream = ReceiverStream<Result<proto::SendMessagesResponse, Status>>;

    async fn send_message(
        &self,
        request: Request<proto::SendMessageRequest>,
    ) -> Result<Response<proto::SendMessageResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = send_command(&request.conversation, request.body, &request.reply_to)?;
        let outcome = self.context.execute(&request.request_id, Some(caller.session), command);
        let message = Some(sent(outcome.await?)?);
        Ok(Response::new(proto::SendMessageResponse { message }))
    }

    async fn send_messages(
        &self,
        request: Request<Streaming<proto::SendMessagesRequest>>,
    ) -> Result<Response<Self::SendMessagesStream>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let (context, stop) = (self.context.clone(), self.stop.clone());
        let answers = bulk::serve(context, caller, request.into_inner(), stop);
        Ok(Response::new(answers))
    }

    async fn list_messages(
        &self,
        request: Request<proto::ListMessagesRequest>,
    ) -> Result<Response<proto::ListMessagesResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let conversation = parse("conversation", ConversationName::parse(&request.conversation))?;
        let around = match request.position {
            None => Around::Latest,
            Some(Position::BeforeSeq(seq)) => Around::Before(seq),
            Some(Position::AfterSeq(seq)) => Around::After(seq),
            Some(Position::AroundSeq(seq)) => Around::Seq(seq),
        };
        let read = self.context.read_as(caller, move |reader| {
            reader.messages(caller.account, &conversation, around, request.page_size)
        });
        let page = read.await?;
        Ok(Response::new(proto::ListMessagesResponse {
            messages: page.messages.into_iter().map(Into::into).collect(),
            has_more: page.has_more,
        }))
    }

    async fn delete_messages(
        &self,
        request: Request<proto::DeleteMessagesRequest>,
    ) -> Result<Response<proto::DeleteMessagesResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = Command::DeleteMessages(message_ids(&request.message_ids)?);
        self.context.execute(&request.request_id, Some(caller.session), command).await?;
        Ok(Response::new(proto::DeleteMessagesResponse {}))
    }

    async fn acknowledge_messages(
        &self,
        request: Request<proto::AcknowledgeMessagesRequest>,
    ) -> Result<Response<proto::AcknowledgeMessagesResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = Command::AcknowledgeMessages(message_ids(&request.message_ids)?);
        self.context.execute(&request.request_id, Some(caller.session), command).await?;
        Ok(Response::new(proto::AcknowledgeMessagesResponse {}))
    }

    async fn edit_message(
        &self,
        request: Request<proto::EditMessageRequest>,
    ) -> Result<Response<proto::EditMessageResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = Command::EditMessage {
            message: parse("message_id", MessageId::parse(&request.message_id))?,
            body: parse("body", Body::parse(request.body))?,
        };
        match self.context.execute(&request.request_id, Some(caller.session), command).await? {
            Outcome::MessageEdited(message) => {
                let message = Some((*message).into());
                Ok(Response::new(proto::EditMessageResponse { message }))
            }
            _ => Err(errors::internal("another call's outcome")),
        }
    }

    async fn search_messages(
        &self,
        request: Request<proto::SearchMessagesRequest>,
    ) -> Result<Response<proto::SearchMessagesResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let query = parse("query", SearchQuery::parse(&request.query))?;
        let conversation = match request.conversation.as_str() {
            "" => None,
            name => Some(parse("conversation", ConversationName::parse(name))?),
        };
        let read = self.context.read_as(caller, move |reader| {
            let (size, token) = (request.page_size, &request.page_token);
            reader.search(caller.account, &query, conversation.as_ref(), size, token)
        });
        let page = read.await?.ok_or_else(errors::search_not_ready)?;
        let (messages, snippets): (Vec<_>, Vec<_>) = page.found.into_iter().unzip();
        Ok(Response::new(proto::SearchMessagesResponse {
            messages: messages.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token,
            snippets: snippets.into_iter().map(snippet).collect(),
        }))
    }
}

/// The command of a message to send.
pub(super) fn send_command(
    conversation: &str,
    body: String,
    reply_to: &str,
) -> Result<Command, Status> {
    let reply_to = match reply_to {
        "" => None,
        id => Some(parse("reply_to", MessageId::parse(id))?),
    };
    let conversation = parse("conversation", ConversationName::parse(conversation))?;
    let body = parse("body", Body::parse(body))?;
    Ok(Command::SendMessage(SendMessage { conversation, body, reply_to }))
}

/// The message that was sent.
pub(super) fn sent(outcome: Outcome) -> Result<proto::Message, Status> {
    match outcome {
        Outcome::MessageSent(message) => Ok((*message).into()),
        _ => Err(errors::internal("another call's outcome")),
    }
}

fn snippet(parts: Vec<SnippetPart>) -> proto::Snippet {
    let part = |part: SnippetPart| proto::SnippetPart { text: part.text, found: part.found };
    proto::Snippet { parts: parts.into_iter().map(part).collect() }
}
