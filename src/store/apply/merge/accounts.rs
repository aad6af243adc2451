//! Accounts and sessions of the other side.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _, insert_into,
    insert_or_ignore_into, update,
};

use super::{
    super::{Context, Stop, departure, session},
    outcomes,
};
use crate::{
    chat::{
        AccountId, Call, ChangeKind, MergedAccount, MergedRequest, MergedSession, TokenHash,
        Username,
    },
    store::{
        error::StoreError,
        rows::{self, AccountRow, SessionRow},
        schema::{account_aliases, accounts, aliases, ended_tokens, session_tokens, sessions},
    },
    wire::log::stored_outcome::Kind,
};

/// Takes over an account with its first session.
pub(super) fn merge(
    context: &mut Context<'_>,
    merged: &MergedAccount,
    request: Option<&MergedRequest>,
) -> Result<(), Stop> {
    let known = rows::account_by_id(context.connection, merged.account)?;
    let key = match (known, twin(context, request)?) {
        (Some(known), _) => known.id,
        (None, Some(twin)) => {
            name_twin(context, merged.account, twin.id)?;
            twin.id
        }
        (None, None) => insert(context, merged)?,
    };
    for old_name in &merged.old_names {
        remember_name(context, old_name, key)?;
    }
    match &merged.session {
        Some(session) => merge_session(context, session),
        None => Ok(()),
    }
}

/// An account that the other side deleted is deleted.
pub(super) fn delete(context: &mut Context<'_>, account: AccountId) -> Result<(), Stop> {
    match rows::account_by_id(context.connection, account)? {
        Some(account) if !account.deleted => departure::depart(context, &account),
        _ => Ok(()),
    }
}

/// The account that a repeat of the same call has made here.
fn twin(
    context: &mut Context<'_>,
    request: Option<&MergedRequest>,
) -> Result<Option<AccountRow>, Stop> {
    let Some(request) = request.filter(|request| request.call == Call::CreateAccount) else {
        return Ok(None);
    };
    let Some(Kind::Session(session)) = outcomes::known(context, request)? else { return Ok(None) };
    let account: Option<i64> = sessions::table
        .find(session)
        .select(sessions::account)
        .first(context.connection)
        .optional()
        .map_err(StoreError::database("read the session of an earlier call"))?;
    account.map(|account| Ok(rows::account_by_key(context.connection, account)?)).transpose()
}

fn name_twin(context: &mut Context<'_>, lost: AccountId, key: i64) -> Result<(), Stop> {
    insert_into(account_aliases::table)
        .values((
            account_aliases::account_id.eq(lost.0.as_slice()),
            account_aliases::account.eq(key),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("note an account's lost id"))?;
    context.record("account_aliases", &[(&lost.0).into(), key.into()]);
    Ok(())
}

/// Creates the account under its name, or under a marked one if that is another account's.
fn insert(context: &mut Context<'_>, merged: &MergedAccount) -> Result<i64, Stop> {
    let holder = match merged.deleted {
        true => None,
        false => rows::account_by_username(context.connection, merged.username.as_str())?,
    };
    let username = match holder {
        Some(_) => free_name(context, merged)?,
        None => merged.username.clone(),
    };
    insert_into(accounts::table)
        .values((
            accounts::id.eq(context.position),
            accounts::account_id.eq(merged.account.0.as_slice()),
            accounts::username.eq(username.as_str()),
            accounts::password_hash.eq(merged.password_hash.as_str()),
            accounts::password_version.eq(merged.password_version),
            accounts::create_time.eq(merged.create_time.0),
            accounts::deleted.eq(merged.deleted),
            accounts::disabled_changes.eq(merged.disabled_changes),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("take over an account"))?;
    context.recorder.row(
        "accounts",
        &[
            (&merged.account.0).into(),
            username.as_str().into(),
            merged.password_hash.as_str().into(),
            merged.password_version.into(),
            merged.create_time.0.into(),
            merged.deleted.into(),
            merged.disabled_changes.into(),
        ],
    );
    if let Some(holder) = holder {
        remember_name(context, &merged.username, context.position)?;
        let told = vec![holder.public_id()?, merged.account];
        context.tell(told, ChangeKind::AccountChanged { username, deleted: false });
    }
    Ok(context.position)
}

fn free_name(context: &mut Context<'_>, merged: &MergedAccount) -> Result<Username, Stop> {
    let mut attempt = 0;
    loop {
        let marked = merged.username.marked(merged.account, attempt);
        if rows::account_by_username(context.connection, marked.as_str())?.is_none() {
            return Ok(marked);
        }
        attempt += 1;
    }
}

/// The account can be logged in under this name as well.
fn remember_name(context: &mut Context<'_>, name: &Username, account: i64) -> Result<(), Stop> {
    let new = insert_or_ignore_into(aliases::table)
        .values((aliases::old_name.eq(name.as_str()), aliases::account.eq(account)))
        .execute(context.connection)
        .map_err(StoreError::database("remember an old name"))?;
    if new > 0 {
        context.record("aliases", &[name.as_str().into(), account.into()]);
    }
    Ok(())
}

/// Takes over a session. One that ended on either side has ended, and so has a token; one that was
/// renewed on both is proved by a token of each. One that this side removed ended here long ago.
pub(super) fn merge_session(context: &mut Context<'_>, merged: &MergedSession) -> Result<(), Stop> {
    let Some(account) = rows::account_by_id(context.connection, merged.account)? else {
        return Ok(());
    };
    let key = match rows::session_by_id(context.connection, merged.session)? {
        Some(known) => {
            refresh(context, &account, &known, merged)?;
            known.id
        }
        None if merged.began_before => return Ok(()),
        None => insert_session(context, &account, merged)?,
    };
    let mut ended = false;
    for token in &merged.ended_tokens {
        if !is_ended(context, token)? {
            session::end_token(context, key, &token.0)?;
            ended = true;
        }
    }
    for token in &merged.tokens {
        merge_token(context, key, token)?;
    }
    if ended {
        let kind = ChangeKind::SessionChanged { session: merged.session, ended: false };
        context.tell(vec![account.public_id()?], kind);
    }
    Ok(())
}

fn is_ended(context: &mut Context<'_>, token: &TokenHash) -> Result<bool, Stop> {
    let found: Option<i64> = ended_tokens::table
        .find(token.0.as_slice())
        .select(ended_tokens::session)
        .first(context.connection)
        .optional()
        .map_err(StoreError::database("look for an ended token"))?;
    Ok(found.is_some())
}

fn refresh(
    context: &mut Context<'_>,
    account: &AccountRow,
    known: &SessionRow,
    merged: &MergedSession,
) -> Result<(), Stop> {
    let last_used = known.last_used.max(merged.last_used.0);
    let end_time = known.end_time.or(merged.end_time.map(|time| time.0));
    if (last_used, end_time) == (known.last_used, known.end_time) {
        return Ok(());
    }
    update(sessions::table.find(known.id))
        .set((sessions::last_used.eq(last_used), sessions::end_time.eq(end_time)))
        .execute(context.connection)
        .map_err(StoreError::database("merge a session"))?;
    let id = merged.session;
    context.record("sessions", &[(&id.0).into(), last_used.into(), end_time.into()]);
    if end_time != known.end_time {
        let kind = ChangeKind::SessionChanged { session: id, ended: true };
        context.tell(vec![account.public_id()?], kind);
    }
    Ok(())
}

fn insert_session(
    context: &mut Context<'_>,
    account: &AccountRow,
    merged: &MergedSession,
) -> Result<i64, Stop> {
    // It was proved by a password that counts no more.
    let outdated = !account.lets_in() || account.password_position > merged.common as i64;
    let end_time = merged.end_time.map(|time| time.0).or(outdated.then_some(context.time));
    let row = SessionRow {
        id: context.position,
        session_id: merged.session.0.to_vec(),
        account: account.id,
        device_name: merged.device_name.as_str().into(),
        create_time: merged.create_time.0,
        last_used: merged.last_used.0,
        end_time,
    };
    insert_into(sessions::table)
        .values(&row)
        .execute(context.connection)
        .map_err(StoreError::database("take over a session"))?;
    context.record(
        "sessions",
        &[
            (&merged.session.0).into(),
            account.id.into(),
            row.device_name.as_str().into(),
            row.create_time.into(),
            row.last_used.into(),
            end_time.into(),
        ],
    );
    Ok(row.id)
}

fn merge_token(context: &mut Context<'_>, session: i64, token: &TokenHash) -> Result<(), Stop> {
    let known: Option<i64> = session_tokens::table
        .find(token.0.as_slice())
        .select(session_tokens::session)
        .first(context.connection)
        .optional()
        .map_err(StoreError::database("look for a token"))?;
    if known.is_some() || is_ended(context, token)? {
        return Ok(());
    }
    session::insert_token(context, session, token)
}
