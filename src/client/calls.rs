//! The calls by name. Each fills in its request id, which stays the same through every attempt.

use tokio::{task::JoinSet, time};
use tonic::Request;
use uuid::Uuid;

use super::{Client, Error, transport::Kind};
use crate::wire::chat::{
    Account, AcknowledgeMessagesRequest, Conversation, CreateAccountRequest, DeleteMessagesRequest,
    GetAccountRequest, GetStatusRequest, GetStatusResponse, ListAccountsRequest,
    ListAccountsResponse, ListConversationsRequest, ListConversationsResponse, ListMessagesRequest,
    ListMessagesResponse, LoginRequest, LogoutRequest, MarkReadRequest, Message,
    SendMessageRequest, account_service_client::AccountServiceClient,
    cluster_service_client::ClusterServiceClient,
    conversation_service_client::ConversationServiceClient, list_messages_request::Position,
    message_service_client::MessageServiceClient, session_service_client::SessionServiceClient,
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

impl Client {
    /// A fresh, time-ordered request id.
    pub fn new_request_id() -> String {
        Uuid::now_v7().to_string()
    }

    /// Creates an account and goes on as its user.
    ///
    /// # Errors
    /// Every [`Error`]; refused with `NAME_TAKEN` if the name is in use.
    pub async fn create_account(&self, username: &str, password: &str) -> Result<Account, Error> {
        let id = Client::new_request_id();
        let body = CreateAccountRequest {
            request_id: id.clone(),
            username: username.into(),
            password: password.into(),
        };
        let answer =
            unary!(self, AccountServiceClient.create_account, Kind::Password, Some(&id), body)?;
        self.set_session_token(Some(answer.session_token));
        Ok(answer.account.unwrap_or_default())
    }

    /// Proves a password and goes on as its user.
    ///
    /// # Errors
    /// Every [`Error`]; refused with `BAD_CREDENTIALS` if name or password is wrong.
    pub async fn login(
        &self,
        username: &str,
        password: &str,
        device_name: &str,
    ) -> Result<Account, Error> {
        let id = Client::new_request_id();
        let body = LoginRequest {
            request_id: id.clone(),
            username: username.into(),
            password: password.into(),
            device_name: device_name.into(),
        };
        let answer = unary!(self, SessionServiceClient.login, Kind::Password, Some(&id), body)?;
        self.set_session_token(Some(answer.session_token));
        Ok(answer.account.unwrap_or_default())
    }

    /// Ends the session and forgets it.
    ///
    /// # Errors
    /// Every [`Error`]; the session is kept if the outcome is unknown.
    pub async fn logout(&self) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = LogoutRequest { request_id: id.clone() };
        unary!(self, SessionServiceClient.logout, Kind::Session, Some(&id), body)?;
        self.set_session_token(None);
        Ok(())
    }

    /// The account of the session.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn get_account(&self) -> Result<Account, Error> {
        let body = GetAccountRequest {};
        let answer = unary!(self, AccountServiceClient.get_account, Kind::Session, None, body)?;
        Ok(answer.account.unwrap_or_default())
    }

    /// A page of the accounts whose name matches a glob; an empty token asks for the first page.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn list_accounts(
        &self,
        pattern: &str,
        page_token: &str,
    ) -> Result<ListAccountsResponse, Error> {
        let body = ListAccountsRequest {
            pattern: pattern.into(),
            page_size: 200,
            page_token: page_token.into(),
        };
        unary!(self, AccountServiceClient.list_accounts, Kind::Session, None, body)
    }

    /// A page of the user's conversations; an empty token asks for the first page.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn list_conversations(
        &self,
        page_token: &str,
    ) -> Result<ListConversationsResponse, Error> {
        let body = ListConversationsRequest { page_size: 200, page_token: page_token.into() };
        unary!(self, ConversationServiceClient.list_conversations, Kind::Session, None, body)
    }

    /// All of the user's conversations.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn all_conversations(&self) -> Result<Vec<Conversation>, Error> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let page = self.list_conversations(&token).await?;
            all.extend(page.conversations);
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(all);
            }
        }
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

    /// Moves the read marker up to `seq`; returns where it is.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn mark_read(&self, conversation: &str, seq: i64) -> Result<i64, Error> {
        let id = Client::new_request_id();
        let body =
            MarkReadRequest { request_id: id.clone(), conversation: conversation.into(), seq };
        let id = Some(id.as_str());
        let answer = unary!(self, ConversationServiceClient.mark_read, Kind::Session, id, body)?;
        Ok(answer.read_seq)
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
        answers.into_iter().map(|(_, answer)| answer).collect()
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
