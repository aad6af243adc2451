//! What a room's row says of it, for showing.

use diesel::SqliteConnection;

use super::{
    error::StoreError,
    rows::{self, ConversationRow},
};
use crate::chat::{RoomName, RoomState};

pub(super) fn room_name(room: &ConversationRow) -> Result<RoomName, StoreError> {
    let name = room.name.as_deref().and_then(|name| RoomName::parse(name).ok());
    name.ok_or_else(|| rows::malformed("room name"))
}

/// The room as its members are told of it.
pub(super) fn room_state(
    connection: &mut SqliteConnection,
    room: &ConversationRow,
) -> Result<RoomState, StoreError> {
    let owner = match room.owner {
        Some(owner) => Some(rows::account_by_key(connection, owner)?.name()?),
        None => None,
    };
    let (topic, private) = (room.topic.clone(), room.private);
    Ok(RoomState { room: room_name(room)?, topic, private, owner })
}
