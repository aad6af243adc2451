//! `ConversationService`.

use tonic::{Request, Response, Status};

use super::{
    context::{Caller, Context, draw_id, parse},
    errors,
};
use crate::{
    chat::{
        Command, ConversationName, CreateRoom, Glob, Outcome, RoomId, RoomName, Topic, UpdateRoom,
        Username,
    },
    wire::chat::{self as proto, conversation_service_server::ConversationService},
};

pub(super) struct Conversations {
    pub(super) context: Context,
}

#[tonic::async_trait]
impl ConversationService for Conversations {
    async fn list_conversations(
        &self,
        request: Request<proto::ListConversationsRequest>,
    ) -> Result<Response<proto::ListConversationsResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let read = self.context.read_as(caller, move |reader| {
            reader.conversations(caller.account, request.page_size, &request.page_token)
        });
        let page = read.await?;
        Ok(Response::new(proto::ListConversationsResponse {
            conversations: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn mark_read(
        &self,
        request: Request<proto::MarkReadRequest>,
    ) -> Result<Response<proto::MarkReadResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        if request.seq < 0 {
            return Err(errors::field_violation("seq", "0 or more"));
        }
        let conversation = parse("conversation", ConversationName::parse(&request.conversation))?;
        let command = Command::MarkRead { conversation, seq: request.seq };
        match self.context.execute(&request.request_id, Some(caller.session), command).await? {
            Outcome::ReadMoved { read_seq } => {
                Ok(Response::new(proto::MarkReadResponse { read_seq }))
            }
            _ => Err(errors::internal("another call's outcome")),
        }
    }

    async fn create_room(
        &self,
        request: Request<proto::CreateRoomRequest>,
    ) -> Result<Response<proto::CreateRoomResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = Command::CreateRoom(CreateRoom {
            room: parse("room", RoomName::parse_new(bare(&request.room)))?,
            topic: parse("topic", Topic::parse(request.topic))?,
            private: request.private,
            id: RoomId(draw_id()),
        });
        let conversation = Some(self.stands(&request.request_id, caller, command).await?);
        Ok(Response::new(proto::CreateRoomResponse { conversation }))
    }

    async fn join_room(
        &self,
        request: Request<proto::JoinRoomRequest>,
    ) -> Result<Response<proto::JoinRoomResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = Command::JoinRoom(room(&request.room)?);
        let conversation = Some(self.stands(&request.request_id, caller, command).await?);
        Ok(Response::new(proto::JoinRoomResponse { conversation }))
    }

    async fn leave_room(
        &self,
        request: Request<proto::LeaveRoomRequest>,
    ) -> Result<Response<proto::LeaveRoomResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = Command::LeaveRoom(room(&request.room)?);
        self.change(&request.request_id, caller, command).await?;
        Ok(Response::new(proto::LeaveRoomResponse {}))
    }

    async fn add_member(
        &self,
        request: Request<proto::AddMemberRequest>,
    ) -> Result<Response<proto::AddMemberResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = Command::AddMember {
            room: room(&request.room)?,
            username: username(&request.username)?,
        };
        self.change(&request.request_id, caller, command).await?;
        Ok(Response::new(proto::AddMemberResponse {}))
    }

    async fn remove_member(
        &self,
        request: Request<proto::RemoveMemberRequest>,
    ) -> Result<Response<proto::RemoveMemberResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = Command::RemoveMember {
            room: room(&request.room)?,
            username: username(&request.username)?,
        };
        self.change(&request.request_id, caller, command).await?;
        Ok(Response::new(proto::RemoveMemberResponse {}))
    }

    async fn list_members(
        &self,
        request: Request<proto::ListMembersRequest>,
    ) -> Result<Response<proto::ListMembersResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let room = room(&request.room)?;
        let read = self.context.read_as(caller, move |reader| {
            reader.members(caller.account, &room, request.page_size, &request.page_token)
        });
        let page = read.await?;
        Ok(Response::new(proto::ListMembersResponse {
            members: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn update_room(
        &self,
        request: Request<proto::UpdateRoomRequest>,
    ) -> Result<Response<proto::UpdateRoomResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let topic = request.topic.map(|topic| parse("topic", Topic::parse(topic))).transpose()?;
        let (room, private) = (room(&request.room)?, request.private);
        let command = Command::UpdateRoom(UpdateRoom { room, topic, private });
        let conversation = Some(self.stands(&request.request_id, caller, command).await?);
        Ok(Response::new(proto::UpdateRoomResponse { conversation }))
    }

    async fn transfer_room(
        &self,
        request: Request<proto::TransferRoomRequest>,
    ) -> Result<Response<proto::TransferRoomResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = Command::TransferRoom {
            room: room(&request.room)?,
            username: username(&request.username)?,
        };
        self.change(&request.request_id, caller, command).await?;
        Ok(Response::new(proto::TransferRoomResponse {}))
    }

    async fn delete_room(
        &self,
        request: Request<proto::DeleteRoomRequest>,
    ) -> Result<Response<proto::DeleteRoomResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let command = Command::DeleteRoom(room(&request.room)?);
        self.change(&request.request_id, caller, command).await?;
        Ok(Response::new(proto::DeleteRoomResponse {}))
    }

    async fn list_rooms(
        &self,
        request: Request<proto::ListRoomsRequest>,
    ) -> Result<Response<proto::ListRoomsResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let request = request.into_inner();
        let pattern = parse("pattern", Glob::parse(bare(&request.pattern)))?;
        let read = self.context.read_as(caller, move |reader| {
            reader.rooms(caller.account, &pattern, request.page_size, &request.page_token)
        });
        let page = read.await?;
        Ok(Response::new(proto::ListRoomsResponse {
            conversations: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token,
        }))
    }
}

impl Conversations {
    /// Carries out a command that is answered with the room.
    async fn stands(
        &self,
        request_id: &str,
        caller: Caller,
        command: Command,
    ) -> Result<proto::Conversation, Status> {
        match self.context.execute(request_id, Some(caller.session), command).await? {
            Outcome::RoomStands(conversation) => Ok((*conversation).into()),
            _ => Err(errors::internal("another call's outcome")),
        }
    }

    /// Carries out a command that is answered with nothing.
    async fn change(
        &self,
        request_id: &str,
        caller: Caller,
        command: Command,
    ) -> Result<(), Status> {
        match self.context.execute(request_id, Some(caller.session), command).await? {
            Outcome::RoomChanged => Ok(()),
            _ => Err(errors::internal("another call's outcome")),
        }
    }
}

/// A room that may exist, named with or without its sign.
fn room(text: &str) -> Result<RoomName, Status> {
    parse("room", RoomName::parse(bare(text)))
}

fn username(text: &str) -> Result<Username, Status> {
    parse("username", Username::parse(text))
}

fn bare(room: &str) -> &str {
    room.strip_prefix('#').unwrap_or(room)
}
