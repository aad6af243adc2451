//! The fake's services: as little of each as the client's tests need.

mod conversations;
mod messages;

use std::pin::Pin;

use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status, Streaming, async_trait};

use super::fake::{Act, Node, Room, not_leader, refusal};
use crate::wire::chat::{
    account_service_server::AccountService, cluster_service_server::ClusterService,
    conversation_service_server::ConversationService, event_service_server::EventService,
    message_service_server::MessageService, session_service_server::SessionService, *,
};

type Answer<Body> = Result<Response<Body>, Status>;
type BoxStream<Item> = Pin<Box<dyn Stream<Item = Result<Item, Status>> + Send>>;

fn later<Body>() -> Answer<Body> {
    Err(Status::unimplemented("this server does not have it yet"))
}

#[async_trait]
impl AccountService for Node {
    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Answer<CreateAccountResponse> {
        let body = request.into_inner();
        self.answer("CreateAccount", &body.request_id, |world| {
            if body.username.len() > 32 {
                return Err(Status::invalid_argument("username: at most 32 bytes"));
            }
            if world.passwords.contains_key(&body.username) {
                let words = "the name is taken; choose another one";
                return Err(refusal(Code::AlreadyExists, "NAME_TAKEN", words));
            }
            world.passwords.insert(body.username.clone(), body.password.clone());
            let session_token = format!("token-{}", body.username);
            world.tokens.insert(session_token.clone(), body.username.clone());
            let account = Some(Account { username: body.username.clone(), create_time: None });
            Ok(CreateAccountResponse { account, session_token })
        })
        .await
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Answer<ChangePasswordResponse> {
        let body = request.get_ref().clone();
        self.answer("ChangePassword", &body.request_id, |world| {
            let caller = world.caller(&request)?;
            let password = world.passwords.get_mut(&caller).expect("callers have one");
            if *password != body.old_password {
                let words = "the old password is wrong";
                return Err(refusal(Code::Unauthenticated, "BAD_CREDENTIALS", words));
            }
            *password = body.new_password;
            Ok(ChangePasswordResponse {})
        })
        .await
    }

    async fn delete_account(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Answer<DeleteAccountResponse> {
        let body = request.get_ref().clone();
        self.answer("DeleteAccount", &body.request_id, |world| {
            let caller = world.caller(&request)?;
            if world.passwords.get(&caller) != Some(&body.password) {
                let words = "the password is wrong";
                return Err(refusal(Code::Unauthenticated, "BAD_CREDENTIALS", words));
            }
            world.passwords.remove(&caller);
            world.tokens.retain(|_, name| *name != caller);
            Ok(DeleteAccountResponse {})
        })
        .await
    }

    async fn get_account(&self, request: Request<GetAccountRequest>) -> Answer<GetAccountResponse> {
        self.answer("GetAccount", "", |world| {
            let username = world.caller(&request)?;
            Ok(GetAccountResponse { account: Some(Account { username, create_time: None }) })
        })
        .await
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Answer<ListAccountsResponse> {
        self.answer("ListAccounts", "", |world| {
            world.caller(&request)?;
            // One a page, so that paging shows.
            let after = &request.get_ref().page_token;
            let mut rest = world.passwords.keys().filter(|name| *name > after);
            let username = rest.next().cloned().unwrap_or_default();
            let next_page_token = rest.next().map_or_else(String::new, |_| username.clone());
            let accounts = vec![Account { username, create_time: None }];
            Ok(ListAccountsResponse { accounts, next_page_token })
        })
        .await
    }
}

#[async_trait]
impl SessionService for Node {
    async fn login(&self, request: Request<LoginRequest>) -> Answer<LoginResponse> {
        let body = request.into_inner();
        self.answer("Login", &body.request_id, |world| {
            if world.passwords.get(&body.username) != Some(&body.password) {
                let words = "wrong username or password";
                return Err(refusal(Code::Unauthenticated, "BAD_CREDENTIALS", words));
            }
            let session_token = format!("token-{}", body.username);
            world.tokens.insert(session_token.clone(), body.username.clone());
            let account = Some(Account { username: body.username.clone(), create_time: None });
            Ok(LoginResponse { account, session_token })
        })
        .await
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Answer<LogoutResponse> {
        let id = request.get_ref().request_id.clone();
        self.answer("Logout", &id, |world| {
            let caller = world.caller(&request)?;
            world.tokens.retain(|_, name| *name != caller);
            Ok(LogoutResponse {})
        })
        .await
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Answer<ListSessionsResponse> {
        self.answer("ListSessions", "", |world| {
            let caller = world.caller(&request)?;
            let session = |token: &String| Session {
                session_id: token.clone(),
                device_name: "a \u{1b}[2J device".into(),
                current: true,
                ..Session::default()
            };
            let own = world.tokens.iter().filter(|(_, name)| **name == caller);
            let sessions = own.map(|(token, _)| session(token)).collect();
            Ok(ListSessionsResponse { sessions, next_page_token: String::new() })
        })
        .await
    }

    async fn end_session(&self, request: Request<EndSessionRequest>) -> Answer<EndSessionResponse> {
        let body = request.get_ref().clone();
        self.answer("EndSession", &body.request_id, |world| {
            world.caller(&request)?;
            world.tokens.remove(&body.session_id);
            Ok(EndSessionResponse {})
        })
        .await
    }
}

#[async_trait]
impl EventService for Node {
    type SubscribeStream = BoxStream<Event>;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        let start = self
            .answer("Subscribe", "", |world| {
                world.caller(&request)?;
                let cursor = request.get_ref().cursor.clone();
                world.cursors.push(cursor.clone());
                // A cursor from before is replayed with the event just before it: at least once.
                Ok(cursor.parse::<usize>().map_or(world.events.len(), |c| c.saturating_sub(1)))
            })
            .await?
            .into_inner();
        let node = self.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(16);
        tokio::spawn(async move {
            let mut changes = node.changes.subscribe();
            let breaks = changes.borrow_and_update().1;
            let mut sent = start;
            let mut caught_up = false;
            loop {
                let (mut next, now) = {
                    let world = node.world.lock().unwrap();
                    (world.events[sent..].to_vec(), world.caught_up())
                };
                sent += next.len();
                if !caught_up {
                    caught_up = true;
                    next.push(now);
                }
                for event in next {
                    if sender.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
                if changes.changed().await.is_err() {
                    return;
                }
                if changes.borrow_and_update().1 != breaks {
                    let _ = sender.send(Err(not_leader(None))).await;
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver))))
    }

    async fn set_typing(&self, _: Request<SetTypingRequest>) -> Answer<SetTypingResponse> {
        later()
    }

    async fn set_presence(&self, _: Request<SetPresenceRequest>) -> Answer<SetPresenceResponse> {
        later()
    }
}

#[async_trait]
impl ClusterService for Node {
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Answer<GetStatusResponse> {
        let leads = matches!(self.usual(), Act::Serve);
        let server_id = self.place as i32 + 1;
        let role = if leads { Role::Leader } else { Role::Follower } as i32;
        let server = ServerStatus {
            server_id,
            address: "127.0.0.1:1".into(),
            role,
            in_sync: true,
            applied_index: 7,
            ..ServerStatus::default()
        };
        Ok(Response::new(GetStatusResponse {
            server_id,
            role,
            leader_id: 1,
            epoch: "1.1".into(),
            policy: "available".into(),
            servers: vec![server],
            copies: 3,
            version: "0".into(),
            ..GetStatusResponse::default()
        }))
    }
}
