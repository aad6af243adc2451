//! Rooms, inboxes and read markers.

use super::*;

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
