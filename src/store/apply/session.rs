//! Sessions: who acts, and how sessions begin and end.

use std::sync::Arc;

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SelectableHelper as _, delete, insert_into, insert_or_ignore_into, update,
};

use super::{Context, Stop, requests};
use crate::{
    chat::{
        Account, ChangeKind, Command, Login, Outcome, Proof, Refusal, SessionId, TokenHash, Update,
    },
    store::{
        error::StoreError,
        rows::{self, AccountRow, SessionRow},
        schema::{ended_tokens, session_tokens, sessions},
    },
};

/// Who acts.
pub(super) struct Actor {
    pub(super) account: AccountRow,
    pub(super) session: SessionRow,
}

/// Who acts, by the update's session. One that has ended is good for a repeat of the call that ended it,
/// and nothing else.
pub(super) fn actor(context: &mut Context<'_>, update: &Update) -> Result<Arc<Actor>, Stop> {
    let id = update.session.ok_or(Refusal::NoSession)?;
    let actor = context.memory.people.actor(context.connection, id)?.ok_or(Refusal::NoSession)?;
    let ended = actor.session.end_time.is_some() || !actor.account.lets_in();
    if ended && !(ends_itself(update) && requests::is_known(context, update, &actor.account)?) {
        return Err(Refusal::NoSession.into());
    }
    Ok(actor)
}

/// Whether the call ends the session that makes it.
fn ends_itself(update: &Update) -> bool {
    match update.command {
        Command::Logout | Command::DeleteAccount(_) => true,
        Command::EndSession(session) => Some(session) == update.session,
        _ => false,
    }
}

/// Begins a session for a proved password that is still the current one.
pub(super) fn login(context: &mut Context<'_>, login: &Login) -> Result<Outcome, Stop> {
    let account = rows::account_by_id(context.connection, login.proof.account)?
        .filter(|account| proves(&login.proof, account))
        .ok_or(Refusal::BadCredentials)?;
    if account.is_disabled() {
        return Err(Refusal::AccountDisabled.into());
    }
    begin(context, account.id, login.session, &login.token, login.device_name.as_str())?;
    Ok(Outcome::LoggedIn { account: account.view()?, session: login.session })
}

/// Ends the acting session.
pub(super) fn logout(context: &mut Context<'_>, actor: &Actor) -> Result<Outcome, Stop> {
    end(context, &actor.account, &actor.session)?;
    Ok(Outcome::LoggedOut)
}

/// Ends one of the account's sessions; one that has ended stays so.
pub(super) fn end_one(
    context: &mut Context<'_>,
    actor: &Actor,
    id: SessionId,
) -> Result<Outcome, Stop> {
    let session = rows::session_by_id(context.connection, id)?
        .filter(|session| session.account == actor.account.id)
        .ok_or(Refusal::NoSuchSession)?;
    if session.end_time.is_none() {
        end(context, &actor.account, &session)?;
    }
    Ok(Outcome::SessionEnded)
}

/// Ends those of the account's live sessions that are chosen.
pub(super) fn end_all(
    context: &mut Context<'_>,
    account: &AccountRow,
    chosen: impl Fn(&SessionRow) -> bool,
) -> Result<(), Stop> {
    let live: Vec<SessionRow> = sessions::table
        .filter(sessions::account.eq(account.id))
        .filter(sessions::end_time.is_null())
        .order(sessions::id)
        .select(SessionRow::as_select())
        .load(context.connection)
        .map_err(StoreError::database("read an account's sessions"))?;
    for session in live.iter().filter(|session| chosen(session)) {
        end(context, account, session)?;
    }
    Ok(())
}

/// Ends a live session. Its token stays known, so that the call can be repeated.
pub(super) fn end(
    context: &mut Context<'_>,
    account: &AccountRow,
    session: &SessionRow,
) -> Result<(), Stop> {
    update(sessions::table.find(session.id))
        .set(sessions::end_time.eq(context.time))
        .execute(context.connection)
        .map_err(StoreError::database("end a session"))?;
    let end_time = context.time;
    context.record("sessions", &[session.session_id.as_slice().into(), end_time.into()]);
    let kind = ChangeKind::SessionChanged { session: session.public_id()?, ended: true };
    context.tell(vec![account.public_id()?], kind);
    Ok(())
}

/// Notes that a session is in use.
pub(super) fn touch(context: &mut Context<'_>, id: SessionId) -> Result<Outcome, Stop> {
    let session = rows::session_by_id(context.connection, id)?
        .filter(|session| session.end_time.is_none())
        .ok_or(Refusal::NoSession)?;
    // Another leader's clock may be behind; the time of use only ever rises.
    let last_used = context.time.max(session.last_used);
    update(sessions::table.find(session.id))
        .set(sessions::last_used.eq(last_used))
        .execute(context.connection)
        .map_err(StoreError::database("note the use of a session"))?;
    context.record("sessions", &[(&id.0).into(), last_used.into()]);
    Ok(Outcome::SessionTouched)
}

/// Makes the session and its token.
pub(super) fn begin(
    context: &mut Context<'_>,
    account: i64,
    id: SessionId,
    token: &TokenHash,
    device_name: &str,
) -> Result<(), Stop> {
    insert_into(sessions::table)
        .values((
            sessions::id.eq(context.position),
            sessions::session_id.eq(id.0.as_slice()),
            sessions::account.eq(account),
            sessions::device_name.eq(device_name),
            sessions::create_time.eq(context.time),
            sessions::last_used.eq(context.time),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("begin a session"))?;
    let time = context.time;
    context.record("sessions", &[(&id.0).into(), account.into(), device_name.into(), time.into()]);
    insert_token(context, context.position, token)
}

/// Answers a repeat: the same session, which from now on is proved by this token alone.
pub(super) fn renew(
    context: &mut Context<'_>,
    session: i64,
    proof: &Proof,
    token: &TokenHash,
) -> Result<(Account, SessionId), Stop> {
    let session = live(context, session)?;
    let account = rows::account_by_key(context.connection, session.account)?;
    if !proves(proof, &account) {
        return Err(Refusal::BadCredentials.into());
    }
    let mut earlier: Vec<Vec<u8>> = session_tokens::table
        .filter(session_tokens::session.eq(session.id))
        .select(session_tokens::token_hash)
        .load(context.connection)
        .map_err(StoreError::database("read the earlier tokens"))?;
    earlier.sort_unstable();
    for earlier in earlier.iter().filter(|earlier| earlier.as_slice() != token.0) {
        end_token(context, session.id, earlier)?;
    }
    if !earlier.iter().any(|earlier| earlier.as_slice() == token.0) {
        revive_token(context, token)?;
        insert_token(context, session.id, token)?;
    }
    let id = session.public_id()?;
    let kind = ChangeKind::SessionChanged { session: id, ended: false };
    context.tell(vec![account.public_id()?], kind);
    Ok((account.view()?, id))
}

/// The session that an earlier call began, unless it has ended.
pub(super) fn live(context: &mut Context<'_>, session: i64) -> Result<SessionRow, Stop> {
    let session: Option<SessionRow> = sessions::table
        .find(session)
        .select(SessionRow::as_select())
        .first(context.connection)
        .optional()
        .map_err(StoreError::database("read the session of an earlier call"))?;
    let live = session.filter(|session| session.end_time.is_none());
    Ok(live.ok_or(Refusal::BadCredentials)?)
}

/// The token proves nothing any more, and no merge brings it back.
pub(super) fn end_token(context: &mut Context<'_>, session: i64, token: &[u8]) -> Result<(), Stop> {
    delete(session_tokens::table.find(token))
        .execute(context.connection)
        .map_err(StoreError::database("end a token"))?;
    insert_or_ignore_into(ended_tokens::table)
        .values((ended_tokens::token_hash.eq(token), ended_tokens::session.eq(session)))
        .execute(context.connection)
        .map_err(StoreError::database("note an ended token"))?;
    context.record("ended_tokens", &[token.into(), session.into()]);
    Ok(())
}

/// A repeat that was long under way may bring a token that a later one has ended: it counts again.
fn revive_token(context: &mut Context<'_>, token: &TokenHash) -> Result<(), Stop> {
    let revived = delete(ended_tokens::table.find(token.0.as_slice()))
        .execute(context.connection)
        .map_err(StoreError::database("revive a token"))?;
    if revived > 0 {
        context.record("ended_tokens", &[(&token.0).into()]);
    }
    Ok(())
}

pub(super) fn insert_token(
    context: &mut Context<'_>,
    session: i64,
    token: &TokenHash,
) -> Result<(), Stop> {
    insert_into(session_tokens::table)
        .values((
            session_tokens::token_hash.eq(token.0.as_slice()),
            session_tokens::session.eq(session),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("store a token's hash"))?;
    context.record("session_tokens", &[(&token.0).into(), session.into()]);
    Ok(())
}

/// Whether the proof is for this account, which lives, and for its current password.
pub(super) fn proves(proof: &Proof, account: &AccountRow) -> bool {
    account.account_id == proof.account.0
        && account.password_version == proof.password_version
        && !account.deleted
}
