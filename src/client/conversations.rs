//! The calls about conversations: rooms, their members, and what is read.

use super::{Client, Error, calls::unary, transport::Kind};
use crate::wire::chat::{
    AddMemberRequest, Conversation, CreateRoomRequest, DeleteRoomRequest, JoinRoomRequest,
    LeaveRoomRequest, ListConversationsRequest, ListConversationsResponse, ListMembersRequest,
    ListMembersResponse, ListRoomsRequest, ListRoomsResponse, MarkReadRequest, RemoveMemberRequest,
    TransferRoomRequest, UpdateRoomRequest, conversation_service_client::ConversationServiceClient,
};

impl Client {
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

    /// Creates a room that the user owns.
    ///
    /// # Errors
    /// Every [`Error`]; refused with `NAME_TAKEN` if the name is in use.
    pub async fn create_room(
        &self,
        room: &str,
        topic: &str,
        private: bool,
    ) -> Result<Conversation, Error> {
        let id = Client::new_request_id();
        let body = CreateRoomRequest {
            request_id: id.clone(),
            room: bare(room),
            topic: topic.into(),
            private,
        };
        let id = Some(id.as_str());
        let answer = unary!(self, ConversationServiceClient.create_room, Kind::Session, id, body)?;
        Ok(answer.conversation.unwrap_or_default())
    }

    /// Enters a public room.
    ///
    /// # Errors
    /// Every [`Error`]; refused with `NO_SUCH_ROOM` if it is private or there is none.
    pub async fn join_room(&self, room: &str) -> Result<Conversation, Error> {
        let id = Client::new_request_id();
        let body = JoinRoomRequest { request_id: id.clone(), room: bare(room) };
        let id = Some(id.as_str());
        let answer = unary!(self, ConversationServiceClient.join_room, Kind::Session, id, body)?;
        Ok(answer.conversation.unwrap_or_default())
    }

    /// Changes a room's topic, or whether it is by invitation only; what is `None` stays.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn update_room(
        &self,
        room: &str,
        topic: Option<&str>,
        private: Option<bool>,
    ) -> Result<Conversation, Error> {
        let id = Client::new_request_id();
        let body = UpdateRoomRequest {
            request_id: id.clone(),
            room: bare(room),
            topic: topic.map(Into::into),
            private,
        };
        let id = Some(id.as_str());
        let answer = unary!(self, ConversationServiceClient.update_room, Kind::Session, id, body)?;
        Ok(answer.conversation.unwrap_or_default())
    }

    /// Leaves a room; its owner hands it on first.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn leave_room(&self, room: &str) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = LeaveRoomRequest { request_id: id.clone(), room: bare(room) };
        let id = Some(id.as_str());
        unary!(self, ConversationServiceClient.leave_room, Kind::Session, id, body)?;
        Ok(())
    }

    /// Adds an account to a room.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn add_member(&self, room: &str, username: &str) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = AddMemberRequest {
            request_id: id.clone(),
            room: bare(room),
            username: username.into(),
        };
        let id = Some(id.as_str());
        unary!(self, ConversationServiceClient.add_member, Kind::Session, id, body)?;
        Ok(())
    }

    /// Removes an account from a room.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn remove_member(&self, room: &str, username: &str) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = RemoveMemberRequest {
            request_id: id.clone(),
            room: bare(room),
            username: username.into(),
        };
        let id = Some(id.as_str());
        unary!(self, ConversationServiceClient.remove_member, Kind::Session, id, body)?;
        Ok(())
    }

    /// Hands a room on to another member.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn transfer_room(&self, room: &str, username: &str) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = TransferRoomRequest {
            request_id: id.clone(),
            room: bare(room),
            username: username.into(),
        };
        let id = Some(id.as_str());
        unary!(self, ConversationServiceClient.transfer_room, Kind::Session, id, body)?;
        Ok(())
    }

    /// Closes a room for everybody.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn delete_room(&self, room: &str) -> Result<(), Error> {
        let id = Client::new_request_id();
        let body = DeleteRoomRequest { request_id: id.clone(), room: bare(room) };
        let id = Some(id.as_str());
        unary!(self, ConversationServiceClient.delete_room, Kind::Session, id, body)?;
        Ok(())
    }

    /// A page of a room's members; an empty token asks for the first page.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn list_members(
        &self,
        room: &str,
        page_token: &str,
    ) -> Result<ListMembersResponse, Error> {
        let body =
            ListMembersRequest { room: bare(room), page_size: 200, page_token: page_token.into() };
        unary!(self, ConversationServiceClient.list_members, Kind::Session, None, body)
    }

    /// A page of the public rooms and the user's own whose name matches a glob; an empty token asks for
    /// the first page.
    ///
    /// # Errors
    /// Every [`Error`] but the unknown outcome.
    pub async fn list_rooms(
        &self,
        pattern: &str,
        page_token: &str,
    ) -> Result<ListRoomsResponse, Error> {
        let body = ListRoomsRequest {
            pattern: bare(pattern),
            page_size: 200,
            page_token: page_token.into(),
        };
        unary!(self, ConversationServiceClient.list_rooms, Kind::Session, None, body)
    }
}

/// A room's name without its `#`, which every call takes.
fn bare(room: &str) -> String {
    room.strip_prefix('#').unwrap_or(room).into()
}
