//! The fake's services: as little of each as the client's tests need.

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
impl MessageService for Node {
    type SendMessagesStream = BoxStream<SendMessagesResponse>;

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Answer<SendMessageResponse> {
        let body = request.get_ref().clone();
        self.answer("SendMessage", &body.request_id, |world| {
            let caller = world.caller(&request)?;
            let user = body.conversation.strip_prefix('@');
            let room = body.conversation.strip_prefix('#');
            let known = user.is_some_and(|name| world.passwords.contains_key(name))
                || room.is_some_and(|name| world.rooms.contains_key(name));
            if !known {
                return Err(refusal(Code::NotFound, "NO_SUCH_ACCOUNT", "there is no such account"));
            }
            if let Some(message) = world.outcomes.get(&body.request_id) {
                return Ok(SendMessageResponse { message: Some(message.clone()) });
            }
            let message = world.say(&caller, &body.conversation, &body.body);
            world.outcomes.insert(body.request_id.clone(), message.clone());
            Ok(SendMessageResponse { message: Some(message) })
        })
        .await
    }

    async fn send_messages(
        &self,
        _: Request<Streaming<SendMessagesRequest>>,
    ) -> Answer<Self::SendMessagesStream> {
        later()
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Answer<ListMessagesResponse> {
        self.answer("ListMessages", "", |world| {
            world.caller(&request)?;
            let body = request.get_ref();
            let of_it = world.messages.iter().filter(|m| m.conversation == body.conversation);
            let mut messages: Vec<Message> = of_it.cloned().collect();
            if let Some(list_messages_request::Position::AfterSeq(seq)) = body.position {
                // Two a page, so that paging shows.
                messages.retain(|message| message.seq > seq);
                let has_more = messages.len() > 2;
                messages.truncate(2);
                return Ok(ListMessagesResponse { messages, has_more });
            }
            let skip = messages.len().saturating_sub(body.page_size.max(1) as usize);
            Ok(ListMessagesResponse { messages: messages[skip..].to_vec(), has_more: skip > 0 })
        })
        .await
    }

    async fn edit_message(
        &self,
        request: Request<EditMessageRequest>,
    ) -> Answer<EditMessageResponse> {
        let body = request.get_ref().clone();
        self.answer("EditMessage", &body.request_id, |world| {
            let caller = world.caller(&request)?;
            let mut messages = world.messages.iter_mut();
            let Some(message) = messages.find(|m| m.message_id == body.message_id) else {
                return Err(refusal(Code::NotFound, "NO_SUCH_MESSAGE", "there is no such message"));
            };
            if message.sender != caller {
                let words = "only its author may edit a message";
                return Err(refusal(Code::PermissionDenied, "NOT_ALLOWED", words));
            }
            message.body = body.body.clone();
            message.edit_time = message.create_time;
            Ok(EditMessageResponse { message: Some(message.clone()) })
        })
        .await
    }

    async fn delete_messages(
        &self,
        request: Request<DeleteMessagesRequest>,
    ) -> Answer<DeleteMessagesResponse> {
        let body = request.get_ref().clone();
        self.answer("DeleteMessages", &body.request_id, |world| {
            world.caller(&request)?;
            let known = |id: &String| world.messages.iter().any(|m| m.message_id == *id);
            if !body.message_ids.iter().all(known) {
                return Err(refusal(Code::NotFound, "NO_SUCH_MESSAGE", "there is no such message"));
            }
            world.messages.retain(|m| !body.message_ids.contains(&m.message_id));
            Ok(DeleteMessagesResponse {})
        })
        .await
    }

    async fn acknowledge_messages(
        &self,
        request: Request<AcknowledgeMessagesRequest>,
    ) -> Answer<AcknowledgeMessagesResponse> {
        let body = request.get_ref().clone();
        self.answer("AcknowledgeMessages", &body.request_id, |world| {
            world.caller(&request)?;
            world.acknowledged.extend(body.message_ids);
            Ok(AcknowledgeMessagesResponse {})
        })
        .await
    }

    async fn search_messages(
        &self,
        request: Request<SearchMessagesRequest>,
    ) -> Answer<SearchMessagesResponse> {
        self.answer("SearchMessages", "", |world| {
            world.caller(&request)?;
            let body = request.get_ref();
            let fits = |message: &&Message| {
                message.body.contains(&body.query)
                    && (body.conversation.is_empty() || message.conversation == body.conversation)
            };
            let messages: Vec<Message> = world.messages.iter().filter(fits).cloned().collect();
            let snippets = messages.iter().map(|m| snippet(&m.body, &body.query)).collect();
            Ok(SearchMessagesResponse { messages, next_page_token: String::new(), snippets })
        })
        .await
    }
}

#[async_trait]
impl ConversationService for Node {
    async fn create_room(&self, request: Request<CreateRoomRequest>) -> Answer<CreateRoomResponse> {
        let body = request.get_ref().clone();
        self.answer("CreateRoom", &body.request_id, |world| {
            let members = vec![world.caller(&request)?];
            let room = Room { topic: body.topic, private: body.private, members };
            world.rooms.insert(body.room.clone(), room);
            Ok(CreateRoomResponse { conversation: Some(world.room(&body.room)?) })
        })
        .await
    }
    async fn join_room(&self, request: Request<JoinRoomRequest>) -> Answer<JoinRoomResponse> {
        let body = request.get_ref().clone();
        self.answer("JoinRoom", &body.request_id, |world| {
            let caller = world.caller(&request)?;
            let conversation = world.room(&body.room)?;
            world.rooms.entry(body.room).or_default().members.push(caller);
            Ok(JoinRoomResponse { conversation: Some(conversation) })
        })
        .await
    }
    async fn leave_room(&self, request: Request<LeaveRoomRequest>) -> Answer<LeaveRoomResponse> {
        let body = request.get_ref().clone();
        self.answer("LeaveRoom", &body.request_id, |world| {
            let caller = world.caller(&request)?;
            world.room(&body.room)?;
            world.rooms.entry(body.room).or_default().members.retain(|name| *name != caller);
            Ok(LeaveRoomResponse {})
        })
        .await
    }
    async fn add_member(&self, request: Request<AddMemberRequest>) -> Answer<AddMemberResponse> {
        let body = request.get_ref().clone();
        self.answer("AddMember", &body.request_id, |world| {
            world.room(&body.room)?;
            world.rooms.entry(body.room).or_default().members.push(body.username);
            Ok(AddMemberResponse {})
        })
        .await
    }
    async fn remove_member(
        &self,
        request: Request<RemoveMemberRequest>,
    ) -> Answer<RemoveMemberResponse> {
        let body = request.get_ref().clone();
        self.answer("RemoveMember", &body.request_id, |world| {
            world.room(&body.room)?;
            let members = &mut world.rooms.entry(body.room).or_default().members;
            members.retain(|name| *name != body.username);
            Ok(RemoveMemberResponse {})
        })
        .await
    }
    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Answer<ListMembersResponse> {
        self.answer("ListMembers", "", |world| {
            let body = request.get_ref();
            world.room(&body.room)?;
            let mut names = world.rooms[&body.room].members.clone();
            names.sort();
            // One a page, so that paging shows.
            let at: usize = body.page_token.parse().unwrap_or(0);
            let member = Member { username: names[at].clone(), ..Member::default() };
            let more = at + 1 < names.len();
            let next_page_token = if more { (at + 1).to_string() } else { String::new() };
            Ok(ListMembersResponse { members: vec![member], next_page_token })
        })
        .await
    }
    async fn update_room(&self, request: Request<UpdateRoomRequest>) -> Answer<UpdateRoomResponse> {
        let body = request.get_ref().clone();
        self.answer("UpdateRoom", &body.request_id, |world| {
            world.room(&body.room)?;
            let room = world.rooms.entry(body.room.clone()).or_default();
            room.topic = body.topic.unwrap_or_default();
            Ok(UpdateRoomResponse { conversation: Some(world.room(&body.room)?) })
        })
        .await
    }
    async fn transfer_room(
        &self,
        request: Request<TransferRoomRequest>,
    ) -> Answer<TransferRoomResponse> {
        let body = request.get_ref().clone();
        self.answer("TransferRoom", &body.request_id, |world| {
            world.room(&body.room)?;
            world.rooms.entry(body.room).or_default().members.insert(0, body.username);
            Ok(TransferRoomResponse {})
        })
        .await
    }
    async fn delete_room(&self, request: Request<DeleteRoomRequest>) -> Answer<DeleteRoomResponse> {
        let body = request.get_ref().clone();
        self.answer("DeleteRoom", &body.request_id, |world| {
            world.room(&body.room)?;
            world.rooms.remove(&body.room);
            Ok(DeleteRoomResponse {})
        })
        .await
    }
    async fn list_rooms(&self, request: Request<ListRoomsRequest>) -> Answer<ListRoomsResponse> {
        self.answer("ListRooms", "", |world| {
            world.caller(&request)?;
            let rooms: Result<_, _> = world.rooms.keys().map(|name| world.room(name)).collect();
            Ok(ListRoomsResponse { conversations: rooms?, next_page_token: String::new() })
        })
        .await
    }

    async fn list_conversations(
        &self,
        request: Request<ListConversationsRequest>,
    ) -> Answer<ListConversationsResponse> {
        self.answer("ListConversations", "", |world| {
            world.caller(&request)?;
            let mut conversations: Vec<Conversation> = Vec::new();
            for message in &world.messages {
                conversations.retain(|c| c.conversation != message.conversation);
                let read_seq = world.read.get(&message.conversation).copied().unwrap_or(0);
                conversations.insert(
                    0,
                    Conversation {
                        conversation: message.conversation.clone(),
                        last_seq: message.seq,
                        read_seq,
                        unread_count: message.seq - read_seq,
                        last_message: Some(message.clone()),
                        ..Conversation::default()
                    },
                );
            }
            Ok(ListConversationsResponse { conversations, next_page_token: String::new() })
        })
        .await
    }

    async fn mark_read(&self, request: Request<MarkReadRequest>) -> Answer<MarkReadResponse> {
        let body = request.get_ref().clone();
        self.answer("MarkRead", &body.request_id, |world| {
            world.caller(&request)?;
            let read = world.read.entry(body.conversation.clone()).or_default();
            *read = (*read).max(body.seq);
            Ok(MarkReadResponse { read_seq: *read })
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
            last_contact: 0,
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

fn snippet(body: &str, found: &str) -> Snippet {
    let (before, after) = body.split_once(found).unwrap_or((body, ""));
    let parts = [(before, false), (found, true), (after, false)];
    let part = |(text, found): (&str, bool)| SnippetPart { text: text.into(), found };
    Snippet { parts: parts.map(part).into() }
}
