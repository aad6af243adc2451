//! Rooms of the other side, and edits.
//!
//! A room is the same one on both sides if its id is; of two that have one name, the other side's is
//! renamed. Closing and removing win; topic, privacy and owner are this side's if they changed here after
//! the divergence. An account that was deleted here comes into no room and owns none.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _, insert_into,
};

use super::{
    super::{
        Context, Stop, edit,
        membership::{come, go},
        room::{self, NewRoom},
    },
    outcomes,
};
use crate::{
    chat::{AccountId, MergedEdit, MergedRequest, MergedRoom, RoomName},
    store::{
        aliases,
        error::StoreError,
        rows::{self, ConversationRow},
        schema::{membership_changes, room_aliases},
    },
    wire::log::stored_outcome::Kind,
};

/// Takes over a room as it is by now, and who came or went.
pub(super) fn merge(
    context: &mut Context<'_>,
    merged: &MergedRoom,
    request: Option<&MergedRequest>,
) -> Result<(), Stop> {
    // A call that was carried out here, or taken over before, has had its say.
    let known = match request {
        Some(request) => outcomes::known(context, request)?,
        None => None,
    };
    let said = known.as_ref().is_some_and(|kind| !matches!(kind, Kind::Refusal(_)));
    let Some(room) = find(context, merged, known)? else { return Ok(()) };
    if room.deleted {
        return Ok(());
    }
    if let Some(time) = merged.delete_time {
        return room::close(context, &room, time.0);
    }
    let room = change(context, room, merged)?;
    match merged.membership {
        Some((account, member)) if !said => {
            merge_membership(context, &room, account, member, merged.common as i64)
        }
        _ => Ok(()),
    }
}

/// Takes over an edit, unless this side has edited the message since, or deleted it.
pub(super) fn merge_edit(context: &mut Context<'_>, merged: &MergedEdit) -> Result<(), Stop> {
    let Some(message) = aliases::message(context.connection, merged.message)? else {
        return Ok(());
    };
    let own = message.edit_position.is_some_and(|position| position > merged.common as i64);
    let same = message.edit_time == Some(merged.time.0) && message.body == merged.body.as_str();
    if message.deleted || own || same {
        return Ok(());
    }
    edit::write(context, message, &merged.body, merged.time.0).map(drop)
}

/// The room here: by its id, as the twin that a repeat of its call made here, or a new one.
fn find(
    context: &mut Context<'_>,
    merged: &MergedRoom,
    known: Option<Kind>,
) -> Result<Option<ConversationRow>, Stop> {
    if let Some(room) = aliases::room(context.connection, merged.room)? {
        return Ok(Some(room));
    }
    if let Some(Kind::Room(twin)) = known {
        insert_into(room_aliases::table)
            .values((
                room_aliases::room_id.eq(merged.room.0.as_slice()),
                room_aliases::conversation.eq(twin),
            ))
            .execute(context.connection)
            .map_err(StoreError::database("note a room's lost id"))?;
        context.record("room_aliases", &[(&merged.room.0).into(), twin.into()]);
        return Ok(Some(rows::conversation_by_key(context.connection, twin)?));
    }
    let Some(owner) = rows::account_by_id(context.connection, merged.owner)? else {
        return Ok(None);
    };
    let name = free_name(context, merged)?;
    let new = NewRoom {
        id: merged.room,
        name: &name,
        topic: &merged.topic,
        private: merged.private,
        time: merged.create_time.0,
    };
    room::insert(context, &new, &owner).map(Some)
}

fn free_name(context: &mut Context<'_>, merged: &MergedRoom) -> Result<RoomName, Stop> {
    let (mut name, mut attempt) = (merged.name.clone(), 0);
    while rows::room(context.connection, &name)?.is_some() {
        name = merged.name.marked(merged.room, attempt);
        attempt += 1;
    }
    Ok(name)
}

fn change(
    context: &mut Context<'_>,
    room: ConversationRow,
    merged: &MergedRoom,
) -> Result<ConversationRow, Stop> {
    if !merged.changed || room.room_position > merged.common as i64 {
        return Ok(room);
    }
    let Some(owner) = rows::account_by_id(context.connection, merged.owner)? else {
        return Ok(room);
    };
    if !owner.deleted && rows::member(context.connection, owner.id, room.id)?.is_none() {
        come(context, &room, &owner)?;
    }
    let owner = if owner.deleted { room.owner } else { Some(owner.id) };
    // What was said in private stays with those who were there.
    let opens = room.private && !merged.private;
    let changed = ConversationRow {
        topic: merged.topic.as_str().into(),
        private: merged.private,
        owner,
        open_seq: if opens { room.last_seq } else { room.open_seq },
        ..room
    };
    room::write(context, &changed)?;
    Ok(changed)
}

fn merge_membership(
    context: &mut Context<'_>,
    room: &ConversationRow,
    account: AccountId,
    member: bool,
    common: i64,
) -> Result<(), Stop> {
    let Some(account) = rows::account_by_id(context.connection, account)? else { return Ok(()) };
    let here = rows::member(context.connection, account.id, room.id)?.is_some();
    match (member, here) {
        (true, false) if !account.deleted && !was_removed(context, room, account.id, common)? => {
            come(context, room, &account)
        }
        (false, true) if room.owner != Some(account.id) => go(context, room, &account),
        _ => Ok(()),
    }
}

/// Whether this side let the account go after the divergence.
fn was_removed(
    context: &mut Context<'_>,
    room: &ConversationRow,
    account: i64,
    common: i64,
) -> Result<bool, Stop> {
    let newest: Option<(i64, bool)> = membership_changes::table
        .find((account, room.id))
        .select((membership_changes::position, membership_changes::member))
        .first(context.connection)
        .optional()
        .map_err(StoreError::database("look for a membership's change"))?;
    Ok(newest.is_some_and(|(position, member)| position > common && !member))
}
