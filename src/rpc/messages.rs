//! `MessageService`.

use std::pin::Pin;

use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{
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
}

#[tonic::async_trait]
impl MessageService for Messages {
    type SendMessagesStream =
        Pin<Box<dyn Stream<Item = Result<proto::SendMessagesResponse, Status>> + Send>>;

    async fn send_message(
        &self,
        request: Request<proto::SendMessageRequest>,
    ) -> Result<Response<proto::SendMessageResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let reply_to = match request.reply_to.as_str() {
            "" => None,
            id => Some(parse("reply_to", MessageId::parse(id))?),
        };
        let command = Command::SendMessage(SendMessage {
            conversation: parse("conversation", ConversationName::parse(&request.conversation))?,
            body: parse("body", Body::parse(request.body))?,
            reply_to,
        });
        match self.context.execute(&request.request_id, Some(caller.session), command).await? {
            Outcome::MessageSent(message) => {
                let message = Some((*message).into());
                Ok(Response::new(proto::SendMessageResponse { message }))
            }
            _ => Err(errors::internal("another call's outcome")),
        }
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

    async fn send_messages(
        &self,
        _: Request<Streaming<proto::SendMessagesRequest>>,
    ) -> Result<Response<Self::SendMessagesStream>, Status> {
        Err(errors::not_yet("SendMessages"))
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

fn snippet(parts: Vec<SnippetPart>) -> proto::Snippet {
    let part = |part: SnippetPart| proto::SnippetPart { text: part.text, found: part.found };
    proto::Snippet { parts: parts.into_iter().map(part).collect() }
}
