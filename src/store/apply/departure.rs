//! Deleting accounts.
//!
//! What an account said stands in the others' histories, under its deleted name. A room that it owns goes to
//! the member who has been in it longest, and is closed when there is none. Its inbox goes at once: its
//! sides of direct conversations, marks and mentions, the bodies that it had deleted, and those of direct
//! conversations that nobody is left to read. (Of these a bounded part goes here, so that no entry of the log
//! holds the writer up; nobody reaches the rest, which the next expiry takes.)
//!
//! The account's row stays, without its password, for others refer to it; its name is free. Its sessions end
//! and stay known like all ended ones, so that the call can be repeated.

use std::collections::BTreeSet;

use diesel::{
    ExpressionMethods as _, JoinOnDsl as _, OptionalExtension as _, QueryDsl as _,
    RunQueryDsl as _, SelectableHelper as _, delete as delete_from, dsl::sql, sql_types::Bool,
    update,
};

use super::{Context, Stop, expire, membership, room, session};
use crate::{
    chat::{AccountId, AccountName, ChangeKind, Outcome, Proof, Refusal},
    store::{
        error::StoreError,
        rows::{AccountRow, ConversationRow, DIRECT},
        schema::{accounts, conversations, deleted_messages, hidden, members, mentions},
    },
};

/// So many bodies go with the account at most; fewer in tests, which have to write them.
pub(in crate::store) const BODIES_AT_ONCE: i64 = if cfg!(test) { 50 } else { 20_000 };

/// Deletes the account of a caller who proved its password.
pub(super) fn delete(
    context: &mut Context<'_>,
    actor: &AccountRow,
    proof: Option<&Proof>,
) -> Result<Outcome, Stop> {
    if !proof.is_some_and(|proof| session::proves(proof, actor)) {
        return Err(Refusal::BadCredentials.into());
    }
    depart(context, actor)?;
    Ok(Outcome::AccountDeleted)
}

/// Ends an account that lives.
pub(super) fn depart(context: &mut Context<'_>, account: &AccountRow) -> Result<(), Stop> {
    let own = conversations_of(context, account)?;
    let told = acquaintances(context, account, &own)?;
    let mut bodies_left = BODIES_AT_ONCE;
    for conversation in own {
        match conversation.kind {
            DIRECT => leave_direct(context, account, &conversation, &mut bodies_left)?,
            _ => leave_room(context, account, conversation)?,
        }
    }
    forget_marks(context, account)?;
    session::end_all(context, account, |_| true)?;
    update(accounts::table.find(account.id))
        .set((accounts::deleted.eq(true), accounts::password_hash.eq("")))
        .execute(context.connection)
        .map_err(StoreError::database("delete an account"))?;
    context.record("accounts", &[account.account_id.as_slice().into(), true.into()]);
    if let AccountName::Named(username) = account.name()? {
        context.tell(told, ChangeKind::AccountChanged { username, deleted: true });
    }
    Ok(())
}

fn conversations_of(
    context: &mut Context<'_>,
    account: &AccountRow,
) -> Result<Vec<ConversationRow>, Stop> {
    Ok(members::table
        .inner_join(conversations::table.on(conversations::id.eq(members::conversation)))
        .filter(members::account.eq(account.id))
        .order(members::conversation)
        .select(ConversationRow::as_select())
        .load(context.connection)
        .map_err(StoreError::database("read an account's conversations"))?)
}

/// Everybody who shares a conversation with the account.
fn acquaintances(
    context: &mut Context<'_>,
    account: &AccountRow,
    own: &[ConversationRow],
) -> Result<Vec<AccountId>, Stop> {
    let mut found = BTreeSet::new();
    for conversation in own {
        let audience = context.memory.audiences.of(context.connection, conversation)?;
        found.extend(audience.accounts().iter().copied());
    }
    found.remove(&account.public_id()?);
    Ok(found.into_iter().collect())
}

/// Leaves a room. Whoever owns it hands it on, or closes it.
fn leave_room(
    context: &mut Context<'_>,
    account: &AccountRow,
    room: ConversationRow,
) -> Result<(), Stop> {
    if room.owner != Some(account.id) {
        return membership::go(context, &room, account);
    }
    let Some(heir) = heir(context, &room, account)? else {
        let time = context.time;
        room::close(context, &room, time)?;
        return forsake(context, &room);
    };
    let room = ConversationRow { owner: Some(heir), ..room };
    room::write(context, &room)?;
    membership::go(context, &room, account)
}

/// Who has been in the room longest beside its owner.
fn heir(
    context: &mut Context<'_>,
    room: &ConversationRow,
    owner: &AccountRow,
) -> Result<Option<i64>, Stop> {
    Ok(members::table
        .filter(members::conversation.eq(room.id))
        .filter(members::account.ne(owner.id))
        .order((members::join_position, members::join_time, members::account))
        .select(members::account)
        .first(context.connection)
        .optional()
        .map_err(StoreError::database("find a room's next owner"))?)
}

/// Notes that nobody wanted the room closed: on the other side of a partition it may have members, who stay.
fn forsake(context: &mut Context<'_>, room: &ConversationRow) -> Result<(), Stop> {
    update(conversations::table.find(room.id))
        .set(conversations::forsaken.eq(true))
        .execute(context.connection)
        .map_err(StoreError::database("note why a room was closed"))?;
    context.record("conversations", &[room.id.into(), true.into()]);
    Ok(())
}

/// Forgets the account's side of a direct conversation, and the whole of it if there was no other.
fn leave_direct(
    context: &mut Context<'_>,
    account: &AccountRow,
    conversation: &ConversationRow,
    bodies_left: &mut i64,
) -> Result<(), Stop> {
    delete_from(members::table.find((account.id, conversation.id)))
        .execute(context.connection)
        .map_err(StoreError::database("forget a side of a conversation"))?;
    context.record("members", &[account.id.into(), conversation.id.into()]);
    if is_read_by_somebody(context, conversation.id)? {
        return Ok(());
    }
    // Older than everything that expires.
    update(conversations::table.find(conversation.id))
        .set((conversations::deleted.eq(true), conversations::delete_time.eq(i64::MIN)))
        .execute(context.connection)
        .map_err(StoreError::database("end a conversation"))?;
    context.record("conversations", &[conversation.id.into(), i64::MIN.into()]);
    let until = conversation.last_seq.min(*bodies_left);
    *bodies_left -= until;
    expire::purge_messages(context, conversation.id, 0, until)
}

/// Whether anybody is in the conversation.
pub(super) fn is_read_by_somebody(
    context: &mut Context<'_>,
    conversation: i64,
) -> Result<bool, Stop> {
    let somebody: Option<i64> = members::table
        .filter(members::conversation.eq(conversation))
        .select(members::account)
        .first(context.connection)
        .optional()
        .map_err(StoreError::database("look for the other side of a conversation"))?;
    Ok(somebody.is_some())
}

/// Forgets what the account removed from its view, where it was mentioned, and the bodies of what it deleted.
fn forget_marks(context: &mut Context<'_>, account: &AccountRow) -> Result<(), Stop> {
    let key = account.id;
    let removed = delete_from(hidden::table.filter(hidden::account.eq(key)))
        .execute(context.connection)
        .map_err(StoreError::database("forget what an account removed"))?;
    context.record("hidden", &[key.into(), (removed as i64).into()]);
    let mentioned = delete_from(mentions::table.filter(mentions::account.eq(key)))
        .execute(context.connection)
        .map_err(StoreError::database("forget where an account is mentioned"))?;
    context.record("mentions", &[key.into(), (mentioned as i64).into()]);
    let archived = deleted_messages::table
        .filter(deleted_messages::deleted_by.eq(key))
        .filter(sql::<Bool>("body IS NOT NULL"));
    let purged = update(archived)
        .set(deleted_messages::body.eq(None::<String>))
        .execute(context.connection)
        .map_err(StoreError::database("purge what an account deleted"))?;
    context.record("deleted_messages", &[key.into(), (purged as i64).into()]);
    Ok(())
}
