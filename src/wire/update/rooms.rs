//! The logged form of the commands about rooms and of edits, and of a room that is merged.

use super::{UnreadableUpdate, id, unreadable, wire};
use crate::chat::{
    AccountId, Body, Command, CreateRoom, MergedRoom, MessageId, RoomId, RoomName, Timestamp,
    Topic, UpdateRoom, Username,
};
use wire::update::Command as Wire;

pub(super) fn encode(command: &Command) -> Wire {
    match command {
        Command::EditMessage { message, body } => Wire::EditMessage(wire::EditMessage {
            message_id: message.0.to_vec(),
            body: body.as_str().into(),
        }),
        Command::CreateRoom(create) => Wire::CreateRoom(wire::CreateRoom {
            room: create.room.to_string(),
            topic: create.topic.as_str().into(),
            private: create.private,
            room_id: create.id.0.to_vec(),
        }),
        Command::JoinRoom(room) => Wire::JoinRoom(wire::JoinRoom { room: room.to_string() }),
        Command::LeaveRoom(room) => Wire::LeaveRoom(wire::LeaveRoom { room: room.to_string() }),
        Command::AddMember { room, username } => Wire::AddMember(wire::AddMember {
            room: room.to_string(),
            username: username.to_string(),
        }),
        Command::RemoveMember { room, username } => Wire::RemoveMember(wire::RemoveMember {
            room: room.to_string(),
            username: username.to_string(),
        }),
        Command::UpdateRoom(update) => Wire::UpdateRoom(wire::UpdateRoom {
            room: update.room.to_string(),
            topic: update.topic.as_ref().map(|topic| topic.as_str().into()),
            private: update.private,
        }),
        Command::TransferRoom { room, username } => Wire::TransferRoom(wire::TransferRoom {
            room: room.to_string(),
            username: username.to_string(),
        }),
        Command::DeleteRoom(room) => Wire::DeleteRoom(wire::DeleteRoom { room: room.to_string() }),
        other => unreachable!("{other:?} is encoded elsewhere"),
    }
}

pub(super) fn decode(command: Wire) -> Result<Command, UnreadableUpdate> {
    Ok(match command {
        Wire::EditMessage(edit) => Command::EditMessage {
            message: id(&edit.message_id, MessageId::from_slice, "message id")?,
            body: Body::parse(edit.body).map_err(|_| unreadable("body"))?,
        },
        Wire::CreateRoom(create) => Command::CreateRoom(CreateRoom {
            room: room(&create.room)?,
            topic: topic(create.topic)?,
            private: create.private,
            id: id(&create.room_id, RoomId::from_slice, "room id")?,
        }),
        Wire::JoinRoom(join) => Command::JoinRoom(room(&join.room)?),
        Wire::LeaveRoom(leave) => Command::LeaveRoom(room(&leave.room)?),
        Wire::AddMember(add) => {
            Command::AddMember { room: room(&add.room)?, username: username(&add.username)? }
        }
        Wire::RemoveMember(remove) => Command::RemoveMember {
            room: room(&remove.room)?,
            username: username(&remove.username)?,
        },
        Wire::UpdateRoom(update) => Command::UpdateRoom(UpdateRoom {
            room: room(&update.room)?,
            topic: update.topic.map(topic).transpose()?,
            private: update.private,
        }),
        Wire::TransferRoom(transfer) => Command::TransferRoom {
            room: room(&transfer.room)?,
            username: username(&transfer.username)?,
        },
        Wire::DeleteRoom(delete) => Command::DeleteRoom(room(&delete.room)?),
        _ => return Err(unreadable("command")),
    })
}

fn room(text: &str) -> Result<RoomName, UnreadableUpdate> {
    RoomName::parse(text).map_err(|_| unreadable("room"))
}

fn username(text: &str) -> Result<Username, UnreadableUpdate> {
    Username::parse(text).map_err(|_| unreadable("username"))
}

fn topic(text: String) -> Result<Topic, UnreadableUpdate> {
    Topic::parse(text).map_err(|_| unreadable("topic"))
}

pub(super) fn encode_merged(merged: &MergedRoom) -> wire::MergedRoom {
    let (account_id, member) = match merged.membership {
        Some((account, member)) => (account.0.to_vec(), member),
        None => (Vec::new(), false),
    };
    wire::MergedRoom {
        room_id: merged.room.0.to_vec(),
        room: merged.name.to_string(),
        topic: merged.topic.as_str().into(),
        private: merged.private,
        owner_id: merged.owner.0.to_vec(),
        create_time_micros: merged.create_time.0,
        delete_time_micros: merged.delete_time.map(|time| time.0),
        changed: merged.changed,
        account_id,
        member,
        common_seq: merged.common,
    }
}

pub(super) fn decode_merged(merged: wire::MergedRoom) -> Result<MergedRoom, UnreadableUpdate> {
    let account = |bytes: &[u8]| id(bytes, AccountId::from_slice, "account id");
    Ok(MergedRoom {
        room: id(&merged.room_id, RoomId::from_slice, "room id")?,
        name: room(&merged.room)?,
        topic: topic(merged.topic)?,
        private: merged.private,
        owner: account(&merged.owner_id)?,
        create_time: Timestamp(merged.create_time_micros),
        delete_time: merged.delete_time_micros.map(Timestamp),
        changed: merged.changed,
        membership: match merged.account_id.is_empty() {
            true => None,
            false => Some((account(&merged.account_id)?, merged.member)),
        },
        common: merged.common_seq,
    })
}
