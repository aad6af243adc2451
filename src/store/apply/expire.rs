//! Removing what is older than its time to live: outcomes, sessions that ended when those were kept, and the
//! bodies of deleted messages and of messages in closed rooms; and ending sessions that nobody uses. A bounded part each time, so that no entry of
//! the log holds the writer up.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SelectableHelper as _, delete, dsl::sql, sql_types::Bool, update,
};

use super::{Context, Stop, session};
use crate::{
    chat::{Expire, Outcome},
    store::{
        error::StoreError,
        rows::{self, SessionRow},
        schema::{
            conversations, deleted_messages, ended_tokens, messages, requests, session_tokens,
            sessions,
        },
    },
};

/// How many rows of a table one command removes at most.
const AT_ONCE: i64 = 4_000;

/// Removes old outcomes and the bodies of messages that were deleted long ago.
pub(super) fn expire(context: &mut Context<'_>, expire: &Expire) -> Result<Outcome, Stop> {
    let outcomes = forget_outcomes(context, expire.requests_before.0)?;
    let sessions = forget_sessions(context, expire.requests_before.0)?;
    let idle = end_idle(context, expire.idle_before.0)?;
    let bodies = purge_bodies(context, expire.deleted_before.0)?;
    let rooms_left = purge_room(context, expire.deleted_before.0)?;
    let full = [outcomes, sessions, idle, bodies].contains(&AT_ONCE);
    Ok(Outcome::Expired { more: full || rooms_left })
}

/// Goes by log position, the oldest first, and stops at the first that is young enough.
fn forget_outcomes(context: &mut Context<'_>, before: i64) -> Result<i64, Stop> {
    let oldest: Vec<(i64, i64)> = requests::table
        .order(requests::position)
        .limit(AT_ONCE)
        .select((requests::position, requests::time))
        .load(context.connection)
        .map_err(StoreError::database("find old outcomes"))?;
    let old: Vec<i64> = oldest
        .iter()
        .take_while(|(_, time)| *time < before)
        .map(|(position, _)| *position)
        .collect();
    let Some(last) = old.last() else { return Ok(0) };
    delete(requests::table.filter(requests::position.le(last)))
        .execute(context.connection)
        .map_err(StoreError::database("remove old outcomes"))?;
    for position in &old {
        context.record("requests", &[(*position).into()]);
    }
    Ok(old.len() as i64)
}

/// An ended session is kept as long as the call that ended it can be repeated.
fn forget_sessions(context: &mut Context<'_>, before: i64) -> Result<i64, Stop> {
    let old: Vec<i64> = sessions::table
        .filter(sql::<Bool>("end_time IS NOT NULL"))
        .filter(sessions::end_time.lt(before))
        .order((sessions::end_time, sessions::id))
        .limit(AT_ONCE)
        .select(sessions::id)
        .load(context.connection)
        .map_err(StoreError::database("find sessions that ended long ago"))?;
    for session in &old {
        delete(session_tokens::table.filter(session_tokens::session.eq(session)))
            .execute(context.connection)
            .map_err(StoreError::database("remove an ended session's tokens"))?;
        delete(ended_tokens::table.filter(ended_tokens::session.eq(session)))
            .execute(context.connection)
            .map_err(StoreError::database("remove an ended session's ended tokens"))?;
        delete(sessions::table.find(session))
            .execute(context.connection)
            .map_err(StoreError::database("remove an ended session"))?;
        context.record("sessions", &[(*session).into()]);
    }
    Ok(old.len() as i64)
}

/// Ends the sessions that nobody used for long, as a log-out would.
fn end_idle(context: &mut Context<'_>, before: i64) -> Result<i64, Stop> {
    let idle: Vec<SessionRow> = sessions::table
        .filter(sql::<Bool>("end_time IS NULL"))
        .filter(sessions::last_used.lt(before))
        .order((sessions::last_used, sessions::id))
        .limit(AT_ONCE)
        .select(SessionRow::as_select())
        .load(context.connection)
        .map_err(StoreError::database("find sessions that nobody uses"))?;
    for idle in &idle {
        let account = rows::account_by_key(context.connection, idle.account)?;
        session::end(context, &account, idle)?;
    }
    Ok(idle.len() as i64)
}

fn purge_bodies(context: &mut Context<'_>, before: i64) -> Result<i64, Stop> {
    let old: Vec<i64> = deleted_messages::table
        .filter(deleted_messages::body.is_not_null())
        .filter(deleted_messages::delete_time.lt(before))
        .order((deleted_messages::delete_time, deleted_messages::message))
        .limit(AT_ONCE)
        .select(deleted_messages::message)
        .load(context.connection)
        .map_err(StoreError::database("find old deleted messages"))?;
    for message in &old {
        update(deleted_messages::table.find(message))
            .set(deleted_messages::body.eq(None::<String>))
            .execute(context.connection)
            .map_err(StoreError::database("purge a deleted message"))?;
        context.record("deleted_messages", &[(*message).into()]);
    }
    Ok(old.len() as i64)
}

/// Takes the bodies of the next messages of the conversation that was closed first; says whether others wait.
fn purge_room(context: &mut Context<'_>, before: i64) -> Result<bool, Stop> {
    let closed: Option<(i64, i64, i64)> = conversations::table
        .filter(sql::<Bool>("deleted = 1 AND purged_seq < last_seq"))
        .filter(conversations::delete_time.lt(before))
        .order((conversations::delete_time, conversations::id))
        .select((conversations::id, conversations::purged_seq, conversations::last_seq))
        .first(context.connection)
        .optional()
        .map_err(StoreError::database("find a closed room"))?;
    let Some((room, purged_seq, last_seq)) = closed else { return Ok(false) };
    let until = last_seq.min(purged_seq + AT_ONCE);
    purge_messages(context, room, purged_seq, until)?;
    Ok(true)
}

/// Takes the bodies of a conversation's messages after one seq and up to another.
pub(super) fn purge_messages(
    context: &mut Context<'_>,
    conversation: i64,
    after: i64,
    until: i64,
) -> Result<(), Stop> {
    blank_messages(context, conversation, after, until)?;
    update(conversations::table.find(conversation))
        .set(conversations::purged_seq.eq(until))
        .execute(context.connection)
        .map_err(StoreError::database("note what of a conversation is purged"))?;
    context.record("conversations", &[conversation.into(), until.into()]);
    Ok(())
}

/// Messages after one seq and up to another have no body any more.
pub(super) fn blank_messages(
    context: &mut Context<'_>,
    conversation: i64,
    after: i64,
    until: i64,
) -> Result<(), Stop> {
    let next = messages::table
        .filter(messages::conversation.eq(conversation))
        .filter(messages::seq.gt(after))
        .filter(messages::seq.le(until));
    update(next)
        .set((messages::body.eq(""), messages::deleted.eq(true)))
        .execute(context.connection)
        .map_err(StoreError::database("purge messages"))?;
    context.record("messages", &[conversation.into(), after.into(), until.into()]);
    Ok(())
}
