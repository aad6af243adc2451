//! The rooms and the edits that an entry left its mark on. An entry whose mark a later one replaced says
//! nothing: the later one says it.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SelectableHelper as _,
};

use super::Translator;
use crate::{
    chat::{
        AccountId, Body, MergeStep, MergedEdit, MergedRoom, MessageId, RoomId, Timestamp, Topic,
    },
    store::{
        aliases,
        error::StoreError,
        prepared::number,
        rooms,
        rows::{self, ConversationRow, ROOM},
        schema::{conversations, membership_changes},
    },
};

/// A room's row, and when it was created and closed.
pub(super) type Found = (ConversationRow, i64, Option<i64>);

impl Translator<'_> {
    /// The message if this entry's edit is its newest one.
    pub(super) fn edited(&mut self, id: MessageId) -> Result<Option<MergeStep>, StoreError> {
        let row = aliases::message(&mut self.reader.connection, id)?;
        let position = self.position;
        let row = row.filter(|row| row.edit_position == Some(position) && !row.deleted);
        let Some((row, time)) = row.and_then(|row| row.edit_time.map(|time| (row, time))) else {
            return Ok(None);
        };
        Ok(Some(MergeStep::Edited(MergedEdit {
            message: row.public_id()?,
            body: Body::parse(row.body).map_err(|_| rows::malformed("body"))?,
            time: Timestamp(time),
            common: self.side.common,
        })))
    }

    /// The room that this entry made, changed or closed, or in which somebody came or went.
    pub(super) fn room_here(&mut self) -> Result<Option<MergedRoom>, StoreError> {
        let moved: Vec<(i64, i64, bool)> = membership_changes::table
            .filter(membership_changes::position.eq(self.position))
            .limit(2)
            .select((
                membership_changes::conversation,
                membership_changes::account,
                membership_changes::member,
            ))
            .load(&mut self.reader.connection)
            .map_err(StoreError::database("read who came and went"))?;
        let key = moved.first().map_or(self.position, |(room, ..)| *room);
        let columns =
            (ConversationRow::as_select(), conversations::create_time, conversations::delete_time);
        let connection = &mut self.reader.connection;
        let open = || conversations::table.filter(conversations::kind.eq(number::<ROOM>()));
        let mut found: Option<Found> = open()
            .filter(conversations::id.eq(key))
            .select(columns)
            .first(connection)
            .optional()
            .map_err(StoreError::database("read the room of an entry"))?;
        if found.is_none() {
            found = open()
                .filter(conversations::room_position.eq(self.position))
                .select(columns)
                .first(connection)
                .optional()
                .map_err(StoreError::database("read the room that an entry changed"))?;
        }
        let membership = match moved[..] {
            [(_, account, member)] => Some((self.account_id(account)?, member)),
            _ => None,
        };
        match found {
            Some(found) => self.merged_room(found, membership),
            None => Ok(None),
        }
    }

    /// The owner that the room of this step has by now, if that account was created after the entry: a room
    /// comes with its owner, or it could not be made.
    pub(super) fn later_owner(
        &mut self,
        step: &MergeStep,
    ) -> Result<Option<MergeStep>, StoreError> {
        let MergeStep::Room(room) = step else { return Ok(None) };
        let owner = rows::account_by_id(&mut self.reader.connection, room.owner)?;
        let Some(owner) = owner.filter(|owner| owner.id > self.position) else { return Ok(None) };
        let account = self.account_at(owner.id)?;
        Ok(account.map(|account| MergeStep::Account(Box::new(account))))
    }

    /// `None` for a room of both sides that was closed for its owner's account was deleted: whether anybody is
    /// in it there, the other side knows.
    pub(super) fn merged_room(
        &mut self,
        (row, create_time, delete_time): Found,
        membership: Option<(AccountId, bool)>,
    ) -> Result<Option<MergedRoom>, StoreError> {
        if row.forsaken && row.id <= self.side.common as i64 {
            return Ok(None);
        }
        let owner = row.owner.ok_or_else(|| rows::malformed("room's owner"))?;
        Ok(Some(MergedRoom {
            room: room_id(&row)?,
            name: rooms::room_name(&row)?,
            topic: Topic::parse(row.topic).map_err(|_| rows::malformed("topic"))?,
            private: row.private,
            owner: self.account_id(owner)?,
            create_time: Timestamp(create_time),
            delete_time: delete_time.map(Timestamp),
            changed: row.room_position > self.side.common as i64,
            membership,
            common: self.side.common,
        }))
    }
}

pub(super) fn room_id(row: &ConversationRow) -> Result<RoomId, StoreError> {
    let id = row.room_id.as_deref().and_then(RoomId::from_slice);
    id.ok_or_else(|| rows::malformed("room id"))
}
