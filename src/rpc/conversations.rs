//! `ConversationService`.

use tonic::{Request, Response, Status};

use super::{
    context::{Context, parse},
    errors,
};
use crate::{
    chat::{Command, ConversationName, Outcome},
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
        _: Request<proto::CreateRoomRequest>,
    ) -> Result<Response<proto::CreateRoomResponse>, Status> {
        Err(errors::not_yet("CreateRoom"))
    }

    async fn join_room(
        &self,
        _: Request<proto::JoinRoomRequest>,
    ) -> Result<Response<proto::JoinRoomResponse>, Status> {
        Err(errors::not_yet("JoinRoom"))
    }

    async fn leave_room(
        &self,
        _: Request<proto::LeaveRoomRequest>,
    ) -> Result<Response<proto::LeaveRoomResponse>, Status> {
        Err(errors::not_yet("LeaveRoom"))
    }

    async fn add_member(
        &self,
        _: Request<proto::AddMemberRequest>,
    ) -> Result<Response<proto::AddMemberResponse>, Status> {
        Err(errors::not_yet("AddMember"))
    }

    async fn remove_member(
        &self,
        _: Request<proto::RemoveMemberRequest>,
    ) -> Result<Response<proto::RemoveMemberResponse>, Status> {
        Err(errors::not_yet("RemoveMember"))
    }

    async fn list_members(
        &self,
        _: Request<proto::ListMembersRequest>,
    ) -> Result<Response<proto::ListMembersResponse>, Status> {
        Err(errors::not_yet("ListMembers"))
    }

    async fn update_room(
        &self,
        _: Request<proto::UpdateRoomRequest>,
    ) -> Result<Response<proto::UpdateRoomResponse>, Status> {
        Err(errors::not_yet("UpdateRoom"))
    }

    async fn transfer_room(
        &self,
        _: Request<proto::TransferRoomRequest>,
    ) -> Result<Response<proto::TransferRoomResponse>, Status> {
        Err(errors::not_yet("TransferRoom"))
    }

    async fn delete_room(
        &self,
        _: Request<proto::DeleteRoomRequest>,
    ) -> Result<Response<proto::DeleteRoomResponse>, Status> {
        Err(errors::not_yet("DeleteRoom"))
    }

    async fn list_rooms(
        &self,
        _: Request<proto::ListRoomsRequest>,
    ) -> Result<Response<proto::ListRoomsResponse>, Status> {
        Err(errors::not_yet("ListRooms"))
    }
}
