//! The calls about messages and the cluster, and what all calls by name have in common: each fills in its
//! request id, which stays the same through every attempt.

use tokio::{task::JoinSet, time};
use tonic::Request;
use uuid::Uuid;

use super::{Client, Error, transport::Kind};
use crate::wire::chat::{
    AcknowledgeMessagesRequest, DeleteMessagesRequest, EditMessageRequest, GetStatusRequest,
    GetStatusResponse, ListMessagesRequest, ListMessagesResponse, Message, SearchMessagesRequest,
    SearchMessagesResponse, SendMessageRequest, cluster_service_client::ClusterServiceClient,
    list_messages_request::Position, message_service_client::MessageServiceClient,
};

/// What one server said of the cluster.
#[derive(Clone, Debug)]
pub struct ServerAnswer {
    /// The asked address.
    pub address: String,
    /// Its answer, or why there is none.
    pub status: Result<GetStatusResponse, String>,
}

/// Which messages of a conversation are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// The newest.
    Latest,
    /// The newest before this seq.
    Before(i64),
    /// The oldest after this seq.
    After(i64),
    /// Those around this seq.
    Around(i64),
}

impl Page {
    fn position(self) -> Option<Position> {
        match self {
            Page::Latest => None,
            Page::Before(seq) => Some(Position::BeforeSeq(seq)),
            Page::After(seq) => Some(Position::AfterSeq(seq)),
            Page::Around(seq) => Some(Position::AroundSeq(seq)),
        }
    }
}

/// One unary call: the service, its method, who may call, and the request id of what changes something.
macro_rules! unary {
    ($client:expr, $service:ident.$method:ident, $kind:expr, $id:expr, $body:expr) => {
        $client
            .call($kind, $id, $body, |channel, request| async move {
                $service::new(channel).$method(request).await
            })
            .await
    };
}
pub(super) use unary;

impl Client {
    /// A fresh, time-ordered request id.
    pub fn new_request_id() -> String {
        Uuid::now_v7().to_string()
    }

    /// Sends a message under a fresh request id.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn send(&self, conversation: &str, body: &str) -> Result<Message, Error> {
        self.send_as(&Client::new_request_id(), conversation, body).await
    }

    /// Sends a message under a request id of one's own: the way to settle an unknown outcome.
    ///
    /// # Errors
    /// Every [`Error`]; refused with `REQUEST_ID_REUSED` if the id was used for something else.
    pub async fn send_as(
        &self,
        request_id: &str,
        conversation: &str,
        body: &str,
    ) -> Result<Message, Error> {
        let body = SendMessageRequest {
            request_id: request_id.into(),
            conversation: conversation.into(),
            body: body.into(),
            reply_to: String::new(),
        };
        let id = Some(request_id);
        let answer = unary!(self, MessageServiceClient.send_message, Kind::Session, id, body)?;
        Ok(answer.message.unwrap_or_default())
    }

    /// A page of a conversation, at most 200 messages; 0 asks for the server's usual number.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn list_messages(
        &self,
        conversation: &str,
        page: Page,
        page_size: i32,
    ) -> Result<ListMessagesResponse, Error> {
        let body = ListMessagesRequest {
            conversation: conversation.into(),
            page_size,
            position: page.position(),
        };
        unary!(self, MessageServiceClient.list_messages, Kind::Session, None, body)
    }

    /// Changes the body of an own message.
    ///
    /// # Errors
    /// Every [`Error`]; refused with `NOT_ALLOWED` if somebody else wrote it.
    pub async fn edit(&self, message_id: &str, body: &str) -> Result<Message, Error> {
        let id = Client::new_request_id();
        let body = EditMessageRequest {
            request_id: id.clone(),
            message_id: message_id.into(),
            body: body.into(),
        };
        let id = Some(id.as_str());
        let answer = unary!(self, MessageServiceClient.edit_message, Kind::Session, id, body)?;
        Ok(answer.message.unwrap_or_default())
    }

    /// A page of the messages that hold these words, the best first; an empty token asks for the first
    /// page, an empty conversation for all of the user's.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn search(
        &self,
        query: &str,
        conversation: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<SearchMessagesResponse, Error> {
        let body = SearchMessagesRequest {
            query: query.into(),
            conversation: conversation.into(),
            page_size,
            page_token: page_token.into(),
        };
        unary!(self, MessageServiceClient.search_messages, Kind::Session, None, body)
    }

    /// Deletes messages, all or nothing; at most 500.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn delete(&self, message_ids: Vec<String>) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = DeleteMessagesRequest { request_id: id.clone(), message_ids };
        let id = Some(id.as_str());
        unary!(self, MessageServiceClient.delete_messages, Kind::Session, id, body)?;
        Ok(())
    }

    /// Says that direct messages reached this device, all or nothing; at most 500.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn acknowledge(&self, message_ids: Vec<String>) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = AcknowledgeMessagesRequest { request_id: id.clone(), message_ids };
        let id = Some(id.as_str());
        unary!(self, MessageServiceClient.acknowledge_messages, Kind::Session, id, body)?;
        Ok(())
    }

    /// Asks every known server how the cluster is; each answers for itself, leading or not. In the
    /// order in which the servers were given. Takes no longer than one attempt.
    pub async fn status(&self) -> Vec<ServerAnswer> {
        let mut asked = JoinSet::new();
        for (place, address) in self.with_route(|route| route.addresses()).into_iter().enumerate() {
            let client = self.clone();
            asked.spawn(async move {
                let status = client.status_of(&address).await;
                (place, ServerAnswer { address, status })
            });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(place, _)| *place);
        let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
        self.learn_ids(&answers);
        answers
    }

    /// Notices speak of servers by their IDs where these are known.
    fn learn_ids(&self, answers: &[ServerAnswer]) {
        self.with_route(|route| {
            for answer in answers {
                if let Ok(status) = &answer.status {
                    route.learn_id(&answer.address, status.server_id);
                }
            }
        });
    }

    async fn status_of(&self, address: &str) -> Result<GetStatusResponse, String> {
        let patience = self.shared.patience.attempt;
        let channel = self.shared.channels.get(address).map_err(|failure| failure.detail())?;
        let mut service = ClusterServiceClient::new(channel);
        match time::timeout(patience, service.get_status(Request::new(GetStatusRequest {}))).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(super::failure::Failure::read(&status).detail()),
            Err(_) => Err("no answer in time".into()),
        }
    }
}
