//! What an operator does to an account, whoever its owner is. Done twice, it is done once.

use diesel::{ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, update};

use super::{Context, Stop, password, session};
use crate::{
    chat::{AccountId, Outcome, Refusal},
    store::{
        error::StoreError,
        rows::{self, AccountRow},
        schema::accounts,
    },
};

/// Gives the account another password; whoever was logged in is not any more.
pub(super) fn reset_password(
    context: &mut Context<'_>,
    account: AccountId,
    password_hash: &str,
) -> Result<Outcome, Stop> {
    let account = living(context, account)?;
    let new = AccountRow {
        password_hash: password_hash.to_owned(),
        password_version: account.password_version + 1,
        password_position: context.position,
        ..account.clone()
    };
    password::write(context, &new)?;
    session::end_all(context, &account, |_| true)?;
    Ok(Outcome::Administered)
}

/// Lets nobody log in to the account, or lets its user in again.
pub(super) fn set_disabled(
    context: &mut Context<'_>,
    account: AccountId,
    disabled: bool,
) -> Result<Outcome, Stop> {
    let account = living(context, account)?;
    if account.is_disabled() != disabled {
        write_changes(context, &account, account.disabled_changes + 1)?;
    }
    Ok(Outcome::Administered)
}

/// Ends all sessions of the account.
pub(super) fn end_sessions(context: &mut Context<'_>, account: AccountId) -> Result<Outcome, Stop> {
    let account = living(context, account)?;
    session::end_all(context, &account, |_| true)?;
    Ok(Outcome::Administered)
}

/// Writes how often the account was disabled or enabled; a disabled one has no live session.
pub(super) fn write_changes(
    context: &mut Context<'_>,
    account: &AccountRow,
    changes: i64,
) -> Result<(), Stop> {
    update(accounts::table.find(account.id))
        .set(accounts::disabled_changes.eq(changes))
        .execute(context.connection)
        .map_err(StoreError::database("disable or enable an account"))?;
    context.record("accounts", &[account.account_id.as_slice().into(), changes.into()]);
    let account = AccountRow { disabled_changes: changes, ..account.clone() };
    if account.is_disabled() {
        session::end_all(context, &account, |_| true)?;
    }
    Ok(())
}

fn living(context: &mut Context<'_>, account: AccountId) -> Result<AccountRow, Stop> {
    let account = rows::account_by_id(context.connection, account)?;
    Ok(account.filter(|account| !account.deleted).ok_or(Refusal::NoSuchAccount)?)
}
