//! The replay of what changed for a viewer since a place in the log.
//!
//! Within a conversation `seq` and log position rise together, so the index of messages by seq is
//! searched by halves for the first message after the place; old messages that changed stand in
//! `changes`, comings and goings in `membership_changes`, read markers in `members`. What happened in a
//! room before the viewer came is not told; whoever left is told that, and nothing else. A replay costs a look at each conversation of the viewer
//! and what it returns, never the length of a history.

use std::collections::BTreeMap;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, OptionalExtension as _,
    QueryDsl as _, RunQueryDsl as _, SelectableHelper as _, SqliteConnection,
};

use super::messages::show;
use crate::{
    chat::{AccountId, ConversationName, Happening, Message},
    store::{
        error::StoreError,
        pool::Reader,
        rooms,
        rows::{self, AccountRow, ConversationRow, MemberRow, MessageRow},
        schema::{changes, conversations, members, membership_changes, messages},
    },
};

/// Keeps a part of a replay small in memory.
const MAX_BYTES: usize = 900 * 1024;

/// A part of a replay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// In the order of the log positions that they carry.
    pub happenings: Vec<(u64, Happening)>,
    /// Everything up to this log position is told; the next part begins after it.
    pub told_until: u64,
}

/// What is to be told at a log position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Created { conversation: i64, message: i64 },
    Changed { conversation: i64, message: i64 },
    Read { conversation: i64 },
    Room { conversation: i64 },
    Membership { conversation: i64, account: i64, member: bool },
}

impl Reader {
    /// What changed for the viewer after one log position and up to another, in the order of the log:
    /// about `limit` happenings (those of one position are never torn apart). It is complete when
    /// `told_until` is `until`. Everything is told as it is now, so a message that came and changed since
    /// is told twice.
    ///
    /// # Panics
    /// When `limit` is 0: no part would ever be told.
    pub fn replay(
        &mut self,
        viewer: AccountId,
        after: u64,
        until: u64,
        limit: usize,
    ) -> Result<Replay, StoreError> {
        assert!(limit > 0, "a part of a replay has something in it");
        let connection = &mut self.connection;
        let done = Replay { happenings: Vec::new(), told_until: until };
        let Some(viewer) = rows::account_by_id(connection, viewer)? else { return Ok(done) };
        let mut items =
            Items { after: after as i64, until: until as i64, limit, found: Vec::new() };
        items.collect_departures(connection, viewer.id)?;
        for (member, conversation) in touched(connection, viewer.id, items.after)? {
            items.collect(connection, &member, &conversation)?;
        }
        let (items, told_until) = items.first_part();
        let mut teller = Teller { connection, viewer: &viewer, names: BTreeMap::new(), bytes: 0 };
        let mut replay = Replay { happenings: Vec::new(), told_until };
        for (position, item) in items {
            let last = replay.happenings.last().map(|(last, _)| *last);
            if teller.bytes > MAX_BYTES && last.is_some_and(|last| last < position as u64) {
                replay.told_until = position as u64 - 1;
                break;
            }
            replay.happenings.push((position as u64, teller.tell(item)?));
        }
        Ok(replay)
    }
}

/// The viewer's conversations in which something happened after this position.
fn touched(
    connection: &mut SqliteConnection,
    viewer: i64,
    after: i64,
) -> Result<Vec<(MemberRow, ConversationRow)>, StoreError> {
    members::table
        .inner_join(conversations::table.on(conversations::id.eq(members::conversation)))
        .filter(members::account.eq(viewer))
        .filter(conversations::last_position.gt(after).or(members::read_position.gt(after)))
        .select((MemberRow::as_select(), ConversationRow::as_select()))
        .load(connection)
        .map_err(StoreError::database("find the conversations to replay"))
}

struct Items {
    after: i64,
    until: i64,
    limit: usize,
    found: Vec<(i64, Item)>,
}

impl Items {
    fn collect(
        &mut self,
        connection: &mut SqliteConnection,
        member: &MemberRow,
        conversation: &ConversationRow,
    ) -> Result<(), StoreError> {
        let key = conversation.id;
        // The coming itself is told, what was before it is not.
        let after = self.after.max(member.join_position);
        if conversation.room_position > after && conversation.room_position <= self.until {
            self.found.push((conversation.room_position, Item::Room { conversation: key }));
        }
        if member.join_position <= self.until {
            let since = self.after.max(member.join_position - 1);
            self.collect_memberships(connection, key, since)?;
        }
        if member.read_position > self.after && member.read_position <= self.until {
            self.found.push((member.read_position, Item::Read { conversation: key }));
        }
        // One more than fits tells where the part must end.
        let limit = self.limit as i64 + 1;
        let first = first_seq_after(connection, conversation, after)?;
        let created: Vec<i64> = messages::table
            .filter(messages::conversation.eq(key))
            .filter(messages::seq.ge(first.max(member.joined_seq + 1)))
            .order(messages::seq)
            .limit(limit)
            .select(messages::id)
            .load(connection)
            .map_err(StoreError::database("find new messages"))?;
        let until = self.until;
        self.found.extend(
            created
                .into_iter()
                .filter(|id| *id <= until)
                .map(|message| (message, Item::Created { conversation: key, message })),
        );
        let changed: Vec<(i64, i64)> = changes::table
            .inner_join(messages::table.on(messages::id.eq(changes::message)))
            .filter(changes::conversation.eq(key))
            .filter(messages::seq.gt(member.joined_seq))
            .filter(changes::position.gt(after))
            .filter(changes::position.le(self.until))
            .filter(changes::viewer.is_null().or(changes::viewer.eq(member.account)))
            .order((changes::position, changes::message))
            .limit(limit.max(CHANGES_AT_ONCE))
            .select((changes::position, changes::message))
            .load(connection)
            .map_err(StoreError::database("find changed messages"))?;
        self.found.extend(
            changed.into_iter().map(|(position, message)| {
                (position, Item::Changed { conversation: key, message })
            }),
        );
        Ok(())
    }

    /// Who came and went after this position.
    fn collect_memberships(
        &mut self,
        connection: &mut SqliteConnection,
        conversation: i64,
        after: i64,
    ) -> Result<(), StoreError> {
        let found: Vec<(i64, i64, bool)> = membership_changes::table
            .filter(membership_changes::conversation.eq(conversation))
            .filter(membership_changes::position.gt(after))
            .filter(membership_changes::position.le(self.until))
            .order(membership_changes::position)
            .limit(self.limit as i64 + 1)
            .select((
                membership_changes::position,
                membership_changes::account,
                membership_changes::member,
            ))
            .load(connection)
            .map_err(StoreError::database("find who came and went"))?;
        self.found.extend(found.into_iter().map(|(position, account, member)| {
            (position, Item::Membership { conversation, account, member })
        }));
        Ok(())
    }

    /// The rooms in which the viewer is no more.
    fn collect_departures(
        &mut self,
        connection: &mut SqliteConnection,
        viewer: i64,
    ) -> Result<(), StoreError> {
        let found: Vec<(i64, i64)> = membership_changes::table
            .filter(membership_changes::account.eq(viewer))
            .filter(membership_changes::member.eq(false))
            .filter(membership_changes::position.gt(self.after))
            .filter(membership_changes::position.le(self.until))
            .select((membership_changes::position, membership_changes::conversation))
            .load(connection)
            .map_err(StoreError::database("find the rooms that a viewer left"))?;
        self.found.extend(found.into_iter().map(|(position, conversation)| {
            (position, Item::Membership { conversation, account: viewer, member: false })
        }));
        Ok(())
    }

    /// The oldest ones, `limit` of them and what shares a position with the last; and up to where
    /// everything is told with them.
    fn first_part(mut self) -> (Vec<(i64, Item)>, u64) {
        self.found.sort_unstable();
        let Some((cut, _)) = self.found.get(self.limit).copied() else {
            return (self.found, self.until as u64);
        };
        let starts_there = self.found.first().is_some_and(|(position, _)| *position == cut);
        let told_until = if starts_there { cut } else { cut - 1 };
        self.found.retain(|(position, _)| *position <= told_until);
        (self.found, told_until as u64)
    }
}

/// One update changes at most so many messages (and one more tells that there are others).
const CHANGES_AT_ONCE: i64 = crate::chat::MAX_IDS as i64 + 1;

/// The seq of the first message of the conversation that was created after this position.
fn first_seq_after(
    connection: &mut SqliteConnection,
    conversation: &ConversationRow,
    after: i64,
) -> Result<i64, StoreError> {
    let (mut low, mut high) = (1, conversation.last_seq + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let id: Option<i64> = messages::table
            .filter(messages::conversation.eq(conversation.id))
            .filter(messages::seq.eq(middle))
            .select(messages::id)
            .first(connection)
            .optional()
            .map_err(StoreError::database("search for new messages"))?;
        match id {
            Some(id) if id <= after => low = middle + 1,
            Some(_) => high = middle,
            None => return Err(rows::malformed("conversation, whose seqs have a gap,")),
        }
    }
    Ok(low)
}

/// Makes happenings of items, and remembers names on the way.
struct Teller<'a> {
    connection: &'a mut SqliteConnection,
    viewer: &'a AccountRow,
    names: BTreeMap<i64, (ConversationName, ConversationRow)>,
    bytes: usize,
}

impl Teller<'_> {
    fn tell(&mut self, item: Item) -> Result<Happening, StoreError> {
        match item {
            Item::Created { conversation, message } => {
                Ok(Happening::MessageCreated(self.message(conversation, message)?))
            }
            Item::Changed { conversation, message } => {
                let message = self.message(conversation, message)?;
                Ok(match message.deleted {
                    true => Happening::MessageDeleted(message),
                    false => Happening::MessageChanged(message),
                })
            }
            Item::Room { conversation } => {
                let (_, row) = self.conversation(conversation)?;
                Ok(Happening::RoomChanged(Box::new(rooms::room_state(self.connection, &row)?)))
            }
            Item::Membership { conversation, account, member } => {
                let (_, row) = self.conversation(conversation)?;
                Ok(Happening::MembershipChanged {
                    room: rooms::room_name(&row)?,
                    account: rows::account_by_key(self.connection, account)?.name()?,
                    member,
                })
            }
            Item::Read { conversation } => {
                let (name, row) = self.conversation(conversation)?;
                let member = rows::member(self.connection, self.viewer.id, conversation)?
                    .ok_or_else(|| rows::malformed("membership"))?;
                let unread_count = member.unread(&row);
                Ok(Happening::ReadMoved {
                    conversation: name,
                    read_seq: member.read_seq,
                    unread_count,
                })
            }
        }
    }

    fn message(&mut self, conversation: i64, message: i64) -> Result<Box<Message>, StoreError> {
        let (name, _) = self.conversation(conversation)?;
        let row: MessageRow = messages::table
            .find(message)
            .select(MessageRow::as_select())
            .first(self.connection)
            .map_err(StoreError::database("read a message to replay"))?;
        let shown = show(self.connection, self.viewer.id, &name, vec![row])?.pop();
        let message = shown.ok_or_else(|| rows::malformed("message"))?;
        self.bytes += message.body.len() + 256;
        Ok(Box::new(message))
    }

    fn conversation(
        &mut self,
        key: i64,
    ) -> Result<(ConversationName, ConversationRow), StoreError> {
        if let Some(known) = self.names.get(&key) {
            return Ok(known.clone());
        }
        let row = rows::conversation_by_key(self.connection, key)?;
        let viewer = self.viewer.public_id()?;
        let name = rows::place(self.connection, &row)?.seen_by(viewer);
        self.names.insert(key, (name.clone(), row.clone()));
        Ok((name, row))
    }
}
