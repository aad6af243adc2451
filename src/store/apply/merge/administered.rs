//! What operators of the other side did to accounts.

use super::super::{Context, Stop, administer, session};
use crate::{chat::AccountId, store::rows};

/// Takes over how often an account was disabled or enabled: of two sides, the one that changed it more often
/// says what it is. So it is the same in every order; an operator who wants it otherwise has the last word.
pub(super) fn disabled(
    context: &mut Context<'_>,
    account: AccountId,
    changes: i64,
) -> Result<(), Stop> {
    match rows::account_by_id(context.connection, account)? {
        Some(account) if !account.deleted && account.disabled_changes < changes => {
            administer::write_changes(context, &account, changes)
        }
        _ => Ok(()),
    }
}

/// Sessions that began up to this log position were there when all were ended.
pub(super) fn sessions_ended(
    context: &mut Context<'_>,
    account: AccountId,
    known: u64,
) -> Result<(), Stop> {
    match rows::account_by_id(context.connection, account)? {
        Some(account) => session::end_all(context, &account, |session| session.id <= known as i64),
        None => Ok(()),
    }
}
