//! Rows, and how they are found. Shared by applying and by queries.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    ExpressionMethods as _, Insertable, OptionalExtension as _, QueryDsl as _, Queryable,
    RunQueryDsl as _, Selectable, SelectableHelper as _, SqliteConnection, sqlite::Sqlite,
};

use super::{
    aliases,
    error::StoreError,
    message_ids,
    prepared::{no, number},
    rooms,
    schema::{accounts, conversations, members, messages, sessions},
};
use crate::chat::{
    Account, AccountId, AccountName, ConversationName, Message, MessageId, Place, Refusal,
    RoomName, SessionId, Timestamp, Username,
};

/// `conversations.kind` of a direct conversation …
pub(super) const DIRECT: i64 = 1;
/// … and of a room.
pub(super) const ROOM: i64 = 2;

#[derive(Queryable, Selectable, Clone)]
#[diesel(table_name = accounts, check_for_backend(Sqlite))]
pub(super) struct AccountRow {
    pub(super) id: i64,
    pub(super) account_id: Vec<u8>,
    pub(super) username: String,
    pub(super) password_hash: String,
    pub(super) password_version: i64,
    pub(super) create_time: i64,
    pub(super) deleted: bool,
    pub(super) password_position: i64,
    pub(super) disabled_changes: i64,
}

#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = sessions, check_for_backend(Sqlite))]
pub(super) struct SessionRow {
    pub(super) id: i64,
    pub(super) session_id: Vec<u8>,
    pub(super) account: i64,
    pub(super) device_name: String,
    pub(super) create_time: i64,
    pub(super) last_used: i64,
    pub(super) end_time: Option<i64>,
}

#[derive(Queryable, Selectable, Clone)]
#[diesel(table_name = conversations, check_for_backend(Sqlite))]
pub(super) struct ConversationRow {
    pub(super) id: i64,
    pub(super) kind: i64,
    pub(super) low_account: Option<i64>,
    pub(super) high_account: Option<i64>,
    pub(super) name: Option<String>,
    pub(super) topic: String,
    pub(super) private: bool,
    pub(super) owner: Option<i64>,
    pub(super) deleted: bool,
    pub(super) last_seq: i64,
    pub(super) last_position: i64,
    pub(super) room_id: Option<Vec<u8>>,
    pub(super) open_seq: i64,
    pub(super) room_position: i64,
    pub(super) forsaken: bool,
}

#[derive(Queryable, Selectable, Clone)]
#[diesel(table_name = members, check_for_backend(Sqlite))]
pub(super) struct MemberRow {
    pub(super) account: i64,
    pub(super) joined_seq: i64,
    pub(super) read_seq: i64,
    pub(super) read_position: i64,
    pub(super) own_after: i64,
    pub(super) gone_after: i64,
    pub(super) mentions_after: i64,
    pub(super) join_position: i64,
}

#[derive(Queryable, Selectable, Clone)]
#[diesel(table_name = messages, check_for_backend(Sqlite))]
pub(super) struct MessageRow {
    pub(super) id: i64,
    /// As it is stored; [`MessageRow::public_id`] reads it.
    pub(super) message_id: Vec<u8>,
    pub(super) conversation: i64,
    pub(super) seq: i64,
    pub(super) sender: i64,
    pub(super) body: String,
    pub(super) reply_to: Option<Vec<u8>>,
    pub(super) create_time: i64,
    pub(super) edit_time: Option<i64>,
    pub(super) received_time: Option<i64>,
    pub(super) deleted: bool,
    pub(super) change_position: Option<i64>,
    pub(super) edit_position: Option<i64>,
}

impl AccountRow {
    /// Whether its user may be there.
    pub(super) fn lets_in(&self) -> bool {
        !self.deleted && !self.is_disabled()
    }

    /// Whether nobody may log in to it.
    pub(super) fn is_disabled(&self) -> bool {
        self.disabled_changes % 2 == 1
    }

    pub(super) fn public_id(&self) -> Result<AccountId, StoreError> {
        AccountId::from_slice(&self.account_id).ok_or_else(|| malformed("account id"))
    }

    pub(super) fn name(&self) -> Result<AccountName, StoreError> {
        if self.deleted {
            return Ok(AccountName::Deleted(self.public_id()?));
        }
        self.username().map(AccountName::Named)
    }

    pub(super) fn side(&self) -> Result<(AccountId, AccountName), StoreError> {
        Ok((self.public_id()?, self.name()?))
    }

    pub(super) fn view(&self) -> Result<Account, StoreError> {
        Ok(Account {
            id: self.public_id()?,
            username: self.username()?,
            create_time: Timestamp(self.create_time),
        })
    }

    fn username(&self) -> Result<Username, StoreError> {
        Username::parse(&self.username).map_err(|_| malformed("username"))
    }
}

impl SessionRow {
    pub(super) fn public_id(&self) -> Result<SessionId, StoreError> {
        SessionId::from_slice(&self.session_id).ok_or_else(|| malformed("session id"))
    }
}

impl MemberRow {
    /// Others' undeleted messages after the read marker.
    pub(super) fn unread(&self, conversation: &ConversationRow) -> i64 {
        conversation.last_seq - self.read_seq - self.own_after - self.gone_after
    }
}

impl MessageRow {
    pub(super) fn public_id(&self) -> Result<MessageId, StoreError> {
        message_ids::read(&self.message_id, self.id).ok_or_else(|| malformed("message id"))
    }

    /// The message as seen by somebody who calls its conversation and its author so.
    pub(super) fn view(
        self,
        conversation: ConversationName,
        sender: AccountName,
        is_hidden: bool,
    ) -> Result<Message, StoreError> {
        let reply_to = match &self.reply_to {
            Some(id) => Some(MessageId::from_slice(id).ok_or_else(|| malformed("message id"))?),
            None => None,
        };
        let message = Message {
            id: self.public_id()?,
            conversation,
            seq: self.seq,
            sender,
            body: self.body,
            reply_to,
            create_time: Timestamp(self.create_time),
            edit_time: self.edit_time.map(Timestamp),
            received_time: self.received_time.map(Timestamp),
            deleted: self.deleted,
            mentions: Vec::new(),
        };
        Ok(if is_hidden || message.deleted { message.without_content() } else { message })
    }
}

pub(super) fn account_by_key(
    connection: &mut SqliteConnection,
    key: i64,
) -> Result<AccountRow, StoreError> {
    accounts::table
        .find(key)
        .select(AccountRow::as_select())
        .first(connection)
        .map_err(StoreError::database("read an account that others refer to"))
}

pub(super) fn account_by_id(
    connection: &mut SqliteConnection,
    id: AccountId,
) -> Result<Option<AccountRow>, StoreError> {
    let found = accounts::table
        .filter(accounts::account_id.eq(id.0.as_slice()))
        .select(AccountRow::as_select())
        .first(connection)
        .optional()
        .map_err(StoreError::database("find an account by its id"))?;
    found.map_or_else(|| aliases::account(connection, id), |found| Ok(Some(found)))
}

/// The living account of this name.
pub(super) fn account_by_username(
    connection: &mut SqliteConnection,
    username: &str,
) -> Result<Option<AccountRow>, StoreError> {
    accounts::table
        .filter(accounts::username.eq(username))
        .filter(accounts::deleted.eq(no()))
        .select(AccountRow::as_select())
        .first(connection)
        .optional()
        .map_err(StoreError::database("find an account by its name"))
}

pub(super) fn account_by_name(
    connection: &mut SqliteConnection,
    name: &AccountName,
) -> Result<Option<AccountRow>, StoreError> {
    match name {
        AccountName::Named(username) => account_by_username(connection, username.as_str()),
        AccountName::Deleted(id) => {
            Ok(account_by_id(connection, *id)?.filter(|account| account.deleted))
        }
    }
}

pub(super) fn session_by_id(
    connection: &mut SqliteConnection,
    id: SessionId,
) -> Result<Option<SessionRow>, StoreError> {
    sessions::table
        .filter(sessions::session_id.eq(id.0.as_slice()))
        .select(SessionRow::as_select())
        .first(connection)
        .optional()
        .map_err(StoreError::database("find a session"))
}

pub(super) fn direct_conversation(
    connection: &mut SqliteConnection,
    one: i64,
    other: i64,
) -> Result<Option<ConversationRow>, StoreError> {
    conversations::table
        .filter(conversations::kind.eq(number::<DIRECT>()))
        .filter(conversations::low_account.eq(one.min(other)))
        .filter(conversations::high_account.eq(one.max(other)))
        .select(ConversationRow::as_select())
        .first(connection)
        .optional()
        .map_err(StoreError::database("find a direct conversation"))
}

pub(super) fn room(
    connection: &mut SqliteConnection,
    name: &RoomName,
) -> Result<Option<ConversationRow>, StoreError> {
    conversations::table
        .filter(conversations::kind.eq(number::<ROOM>()))
        .filter(conversations::deleted.eq(no()))
        .filter(conversations::name.eq(name.as_str()))
        .select(ConversationRow::as_select())
        .first(connection)
        .optional()
        .map_err(StoreError::database("find a room"))
}

pub(super) fn conversation_by_key(
    connection: &mut SqliteConnection,
    key: i64,
) -> Result<ConversationRow, StoreError> {
    conversations::table
        .find(key)
        .select(ConversationRow::as_select())
        .first(connection)
        .map_err(StoreError::database("read a conversation that others refer to"))
}

pub(super) fn member(
    connection: &mut SqliteConnection,
    account: i64,
    conversation: i64,
) -> Result<Option<MemberRow>, StoreError> {
    members::table
        .find((account, conversation))
        .select(MemberRow::as_select())
        .first(connection)
        .optional()
        .map_err(StoreError::database("find a member"))
}

/// A conversation as its member finds it by its address; `Ok(None)` for a direct one that nobody has
/// begun. Refused when the other account or the room is unknown, or the viewer is no member.
pub(super) fn conversation_of_member(
    connection: &mut SqliteConnection,
    viewer: i64,
    name: &ConversationName,
) -> Result<Result<Option<(ConversationRow, MemberRow)>, Refusal>, StoreError> {
    let found = match name {
        ConversationName::Direct(other) => {
            let Some(other) = account_by_name(connection, other)? else {
                return Ok(Err(Refusal::NoSuchAccount));
            };
            match direct_conversation(connection, viewer, other.id)? {
                Some(conversation) => conversation,
                None => return Ok(Ok(None)),
            }
        }
        ConversationName::Room(name) => match room(connection, name)? {
            Some(room) => room,
            None => return Ok(Err(Refusal::NoSuchRoom)),
        },
    };
    match member(connection, viewer, found.id)? {
        Some(member) => Ok(Ok(Some((found, member)))),
        None if found.private => Ok(Err(Refusal::NoSuchRoom)),
        None => Ok(Err(Refusal::NotAllowed)),
    }
}

pub(super) fn message_by_key(
    connection: &mut SqliteConnection,
    key: i64,
) -> Result<MessageRow, StoreError> {
    messages::table
        .find(key)
        .select(MessageRow::as_select())
        .first(connection)
        .map_err(StoreError::database("read a message that others refer to"))
}

/// The message with this id if this account may see it, with its conversation and membership.
pub(super) fn visible_message(
    connection: &mut SqliteConnection,
    viewer: i64,
    id: MessageId,
) -> Result<Option<(MessageRow, MemberRow)>, StoreError> {
    let Some(row) = aliases::message(connection, id)? else { return Ok(None) };
    let member = member(connection, viewer, row.conversation)?;
    Ok(member.filter(|member| member.joined_seq < row.seq).map(|member| (row, member)))
}

/// What is the conversation called, from nobody's side?
pub(super) fn place(
    connection: &mut SqliteConnection,
    conversation: &ConversationRow,
) -> Result<Place, StoreError> {
    match (conversation.low_account, conversation.high_account, &conversation.name) {
        (Some(low), Some(high), _) => {
            let low = account_by_key(connection, low)?.side()?;
            let high = account_by_key(connection, high)?.side()?;
            Ok(Place::Direct([low, high]))
        }
        (_, _, Some(_)) => Ok(Place::Room(rooms::room_name(conversation)?)),
        _ => Err(malformed("conversation")),
    }
}

/// The names of these accounts.
pub(super) fn names(
    connection: &mut SqliteConnection,
    keys: &BTreeSet<i64>,
) -> Result<BTreeMap<i64, AccountName>, StoreError> {
    let rows: Vec<AccountRow> = accounts::table
        .filter(accounts::id.eq_any(keys.iter().copied()))
        .select(AccountRow::as_select())
        .load(connection)
        .map_err(StoreError::database("read names"))?;
    rows.iter().map(|row| Ok((row.id, row.name()?))).collect()
}

pub(super) fn malformed(what: &str) -> StoreError {
    StoreError::Database { doing: "read a row", reason: format!("its {what} is malformed") }
}
