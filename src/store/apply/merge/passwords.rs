//! Passwords of the other side.
//!
//! `password_position` counts this side's own changes only, so what was taken over never outranks what comes
//! after it. The other side tells its password as it is by now, with each change that it made or took over. Of
//! two that this side only takes over the greater version counts (and of equal ones the greater hash, so that
//! it is the same in every order).

use super::super::{Context, Stop, password, session};
use crate::{
    chat::MergedPassword,
    store::rows::{self, AccountRow},
};

/// Takes over a password, unless this side has changed it since. Either way the sessions end that its change
/// has ended; and with a password that is new here all others that were proved by the one before.
pub(super) fn merge(context: &mut Context<'_>, merged: &MergedPassword) -> Result<(), Stop> {
    let account = rows::account_by_id(context.connection, merged.account)?;
    let Some(account) = account.filter(|account| !account.deleted) else { return Ok(()) };
    let own = account.password_position > merged.common as i64;
    let here = (account.password_version, &account.password_hash);
    let is_new = !own && (merged.password_version, &merged.password_hash) > here;
    if is_new {
        let new = AccountRow {
            password_hash: merged.password_hash.clone(),
            password_version: merged.password_version,
            ..account.clone()
        };
        password::write(context, &new)?;
    }
    session::end_all(context, &account, |session| {
        let spared = merged.spared.is_some_and(|spared| session.session_id == spared.0);
        !spared && (is_new || session.id <= merged.known as i64)
    })
}
