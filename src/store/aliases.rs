//! Ids that name a row which is not theirs by nature. Only merges write them: a message that moved to
//! another place of the log; a message, an account or a room that both sides of a partition made of one
//! call.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SelectableHelper as _, SqliteConnection,
};

use super::{
    error::StoreError,
    rows::{AccountRow, ConversationRow, MessageRow},
    schema::{
        account_aliases, accounts, aliases as name_aliases, conversations, message_aliases,
        messages, room_aliases,
    },
};
use crate::chat::{AccountId, MessageId, RoomId, Username};

/// The message with this id, wherever it stands by now. What stands at the natural place of a message
/// that moved is another one, so the ids are compared.
pub(super) fn message(
    connection: &mut SqliteConnection,
    id: MessageId,
) -> Result<Option<MessageRow>, StoreError> {
    let natural = by_key(connection, id.log_seq() as i64)?;
    if let Some(row) = natural
        && row.public_id()? == id
    {
        return Ok(Some(row));
    }
    let moved: Option<i64> = message_aliases::table
        .find(id.0.as_slice())
        .select(message_aliases::message)
        .first(connection)
        .optional()
        .map_err(StoreError::database("find a message that moved"))?;
    moved.map_or(Ok(None), |key| by_key(connection, key))
}

/// The ids under which merges made this message known.
pub(super) fn of_message(
    connection: &mut SqliteConnection,
    message: i64,
) -> Result<Vec<MessageId>, StoreError> {
    let ids: Vec<Vec<u8>> = message_aliases::table
        .filter(message_aliases::message.eq(message))
        .select(message_aliases::message_id)
        .load(connection)
        .map_err(StoreError::database("read a message's other ids"))?;
    Ok(ids.iter().filter_map(|id| MessageId::from_slice(id)).collect())
}

/// The account whose creation was repeated on both sides, by its lost id.
pub(super) fn account(
    connection: &mut SqliteConnection,
    id: AccountId,
) -> Result<Option<AccountRow>, StoreError> {
    let key: Option<i64> = account_aliases::table
        .find(id.0.as_slice())
        .select(account_aliases::account)
        .first(connection)
        .optional()
        .map_err(StoreError::database("find an account by its lost id"))?;
    let Some(key) = key else { return Ok(None) };
    accounts::table
        .find(key)
        .select(AccountRow::as_select())
        .first(connection)
        .optional()
        .map_err(StoreError::database("read an account by its lost id"))
}

/// The accounts that had this name before a merge gave it to another one.
pub(super) fn former(
    connection: &mut SqliteConnection,
    name: &Username,
) -> Result<Vec<i64>, StoreError> {
    name_aliases::table
        .filter(name_aliases::old_name.eq(name.as_str()))
        .select(name_aliases::account)
        .load(connection)
        .map_err(StoreError::database("find who had a name"))
}

/// The room with this id, a closed one included.
pub(super) fn room(
    connection: &mut SqliteConnection,
    id: RoomId,
) -> Result<Option<ConversationRow>, StoreError> {
    let other: Option<i64> = room_aliases::table
        .find(id.0.as_slice())
        .select(room_aliases::conversation)
        .first(connection)
        .optional()
        .map_err(StoreError::database("find a room by its lost id"))?;
    let rooms = conversations::table.select(ConversationRow::as_select());
    match other {
        Some(key) => rooms.find(key).first(connection),
        None => rooms.filter(conversations::room_id.eq(id.0.as_slice())).first(connection),
    }
    .optional()
    .map_err(StoreError::database("find a room by its id"))
}

fn by_key(connection: &mut SqliteConnection, key: i64) -> Result<Option<MessageRow>, StoreError> {
    messages::table
        .find(key)
        .select(MessageRow::as_select())
        .first(connection)
        .optional()
        .map_err(StoreError::database("find a message"))
}
