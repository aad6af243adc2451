//! A user at a device: one account, one session, and a connection to every server.
//!
//! Written against the contract alone, and not with the library's `client` room, so that what it finds
//! is said by somebody who does not share that room's mistakes.

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use chinwag::wire::chat::{
    CreateAccountRequest, Event, ListConversationsRequest, ListMessagesRequest, LoginRequest,
    MarkReadRequest, Message, SendMessageRequest, SubscribeRequest,
    list_messages_request::Position,
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Status, Streaming};

use super::{
    cluster::Cluster,
    door::{Door, is_unknown_outcome},
    request_id,
};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// A server that does not answer for so long is asked no more.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Everything must have its definite answer within this.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Where faults go on for long, nobody may answer for longer.
const PATIENCE: Duration = Duration::from_secs(300);

/// See the file's header.
pub(crate) struct User {
    /// The account's name.
    pub(crate) name: String,
    /// The session's token.
    pub(crate) token: String,
    doors: Vec<Door>,
    at: AtomicUsize,
    patience: Duration,
}

impl User {
    /// Creates an account; its first session is this one.
    pub(crate) async fn create(cluster: &Cluster, name: &str) -> User {
        let mut user = User::nobody(cluster);
        let request = CreateAccountRequest {
            request_id: request_id(),
            username: name.into(),
            password: PASSWORD.into(),
        };
        let answer = user.call(|door| {
            let request = request.clone();
            async move { door.accounts().create_account(request).await }
        });
        let answer = answer.await.expect("the name is free");
        user.become_holder(name, &answer.into_inner().session_token);
        user
    }

    /// Begins another session of an account.
    pub(crate) async fn log_in(cluster: &Cluster, name: &str) -> User {
        let mut user = User::nobody(cluster);
        let request = LoginRequest {
            request_id: request_id(),
            username: name.into(),
            password: PASSWORD.into(),
            device_name: "test".into(),
        };
        let answer = user.call(|door| {
            let request = request.clone();
            async move { door.sessions().login(request).await }
        });
        let answer = answer.await.expect("the account exists");
        user.become_holder(name, &answer.into_inner().session_token);
        user
    }

    /// Somebody without a session.
    pub(crate) fn nobody(cluster: &Cluster) -> User {
        let doors = cluster.doors();
        User {
            name: String::new(),
            token: String::new(),
            doors,
            at: AtomicUsize::new(0),
            patience: GIVE_UP,
        }
    }

    /// Goes on as the holder of this token.
    pub(crate) fn become_holder(&mut self, name: &str, token: &str) {
        self.name = name.into();
        self.token = token.into();
        self.doors = self.doors.iter().map(|door| door.with(token)).collect();
    }

    /// Waits longer for its answers from now on.
    pub(crate) fn patient(self) -> User {
        User { patience: PATIENCE, ..self }
    }

    /// Calls this server only from now on.
    pub(crate) fn only(self, id: u32) -> User {
        let door = self.doors[usize::try_from(id).expect("small") - 1].clone();
        User { doors: vec![door], at: AtomicUsize::new(0), ..self }
    }

    /// The door of the server that answered last.
    pub(crate) fn door(&self) -> Door {
        self.doors[self.at.load(Ordering::Relaxed)].clone()
    }

    /// Calls until there is a definite answer, on one server after the other.
    pub(crate) async fn call<T, F>(&self, attempt: impl Fn(Door) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let end = Instant::now() + self.patience;
        loop {
            let answer = timeout(ATTEMPT, attempt(self.door())).await;
            match answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer"))) {
                Err(status) if is_unknown_outcome(&status) => {
                    let patience = self.patience;
                    assert!(Instant::now() < end, "not within {patience:?}: {status:?}");
                    let next = (self.at.load(Ordering::Relaxed) + 1) % self.doors.len();
                    self.at.store(next, Ordering::Relaxed);
                    sleep(Duration::from_millis(2)).await;
                }
                definite => return definite,
            }
        }
    }

    /// Sends a message under a new request id.
    pub(crate) async fn send(&self, to: &str, body: &str) -> Message {
        let sent = self.try_send(&request_id(), to, body).await;
        sent.unwrap_or_else(|status| panic!("{} to {to}: {status:?}", self.name))
    }

    /// Asks the server at hand, once, to send a message; `None` if that did not tell the outcome.
    pub(crate) async fn send_once(
        &self,
        request_id: &str,
        to: &str,
        body: &str,
    ) -> Option<Result<Message, Status>> {
        let mut door = self.door().messages();
        let sent = door.send_message(send_request(request_id, to, body));
        match timeout(ATTEMPT, sent).await.ok()? {
            Ok(answer) => Some(Ok(answer.into_inner().message.expect("OK carries the message"))),
            Err(status) if is_unknown_outcome(&status) => None,
            Err(status) => Some(Err(status)),
        }
    }

    /// Sends a message under this request id.
    pub(crate) async fn try_send(
        &self,
        request_id: &str,
        to: &str,
        body: &str,
    ) -> Result<Message, Status> {
        let request = send_request(request_id, to, body);
        let answer = self.call(|door| {
            let request = request.clone();
            async move { door.messages().send_message(request).await }
        });
        Ok(answer.await?.into_inner().message.expect("OK carries the message"))
    }

    /// All messages of a conversation, page after page; asserts that no seq is missing.
    pub(crate) async fn history(&self, conversation: &str) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        loop {
            let after = messages.last().map_or(0, |message| message.seq);
            let request = ListMessagesRequest {
                conversation: conversation.into(),
                page_size: 200,
                position: Some(Position::AfterSeq(after)),
            };
            let page = self.call(|door| {
                let request = request.clone();
                async move { door.messages().list_messages(request).await }
            });
            let page = page.await.expect("the own conversation can be read").into_inner();
            assert!(!page.messages.is_empty() || !page.has_more, "an empty page ends the list");
            messages.extend(page.messages);
            if !page.has_more {
                break;
            }
        }
        for (expected, message) in (1..).zip(&messages) {
            assert_eq!(message.seq, expected, "seq is dense from 1 in {conversation}");
        }
        messages
    }

    /// All messages of all conversations, as one reads them again after a reset.
    pub(crate) async fn everything(&self) -> Vec<Message> {
        let answer = self.call(|door| async move {
            let request = ListConversationsRequest { page_size: 200, page_token: String::new() };
            door.conversations().list_conversations(request).await
        });
        let all = answer.await.expect("the own inbox can be read").into_inner().conversations;
        let mut messages = Vec::new();
        for one in all {
            messages.extend(self.history(&one.conversation).await);
        }
        messages
    }

    /// The seq of the newest message of a conversation; 0 while there is none.
    pub(crate) async fn newest(&self, conversation: &str) -> i64 {
        let request =
            ListMessagesRequest { conversation: conversation.into(), page_size: 1, position: None };
        let page = self.call(|door| {
            let request = request.clone();
            async move { door.messages().list_messages(request).await }
        });
        let page = page.await.expect("the own conversation can be read").into_inner();
        page.messages.last().map_or(0, |message| message.seq)
    }

    /// How many messages of others are unread in a conversation.
    pub(crate) async fn unread(&self, conversation: &str) -> i64 {
        let answer = self.call(|door| async move {
            let request = ListConversationsRequest { page_size: 200, page_token: String::new() };
            door.conversations().list_conversations(request).await
        });
        let all = answer.await.expect("the own inbox can be read").into_inner().conversations;
        let found = all.iter().find(|found| found.conversation == conversation);
        found.map_or(0, |found| found.unread_count)
    }

    /// Moves the read marker.
    pub(crate) async fn mark_read(&self, conversation: &str, seq: i64) -> Result<i64, Status> {
        let request =
            MarkReadRequest { request_id: request_id(), conversation: conversation.into(), seq };
        let answer = self.call(|door| {
            let request = request.clone();
            async move { door.conversations().mark_read(request).await }
        });
        Ok(answer.await?.into_inner().read_seq)
    }

    /// Subscribes from a cursor on; an empty one means from now.
    pub(crate) async fn subscribe(&self, cursor: &str) -> Streaming<Event> {
        let answer = self.call(|door| async move {
            door.events().subscribe(SubscribeRequest { cursor: cursor.into() }).await
        });
        answer.await.expect("the own events can be followed").into_inner()
    }
}

fn send_request(request_id: &str, to: &str, body: &str) -> SendMessageRequest {
    SendMessageRequest {
        request_id: request_id.into(),
        conversation: to.into(),
        body: body.into(),
        reply_to: String::new(),
    }
}
