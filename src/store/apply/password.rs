//! Changing passwords.
//!
//! Whoever knows the old password only is out: all other sessions end, and a proof of the old password that
//! is still on its way proves nothing.

use diesel::{ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, update};

use super::{
    Context, Stop,
    session::{self, Actor},
};
use crate::{
    chat::{ChangePassword, Outcome, Refusal},
    store::{error::StoreError, rows::AccountRow, schema::accounts},
};

/// Changes the password of a caller who proved the old one.
pub(super) fn change(
    context: &mut Context<'_>,
    actor: &Actor,
    wanted: &ChangePassword,
) -> Result<Outcome, Stop> {
    let account = &actor.account;
    if !wanted.proof.is_some_and(|proof| session::proves(&proof, account)) {
        return Err(Refusal::BadCredentials.into());
    }
    let new = AccountRow {
        password_hash: wanted.password_hash.clone(),
        password_version: account.password_version + 1,
        password_position: context.position,
        ..account.clone()
    };
    write(context, &new)?;
    session::end_all(context, account, |session| session.id != actor.session.id)?;
    Ok(Outcome::PasswordChanged)
}

/// Writes the account's password.
pub(super) fn write(context: &mut Context<'_>, account: &AccountRow) -> Result<(), Stop> {
    update(accounts::table.find(account.id))
        .set((
            accounts::password_hash.eq(account.password_hash.as_str()),
            accounts::password_version.eq(account.password_version),
            accounts::password_position.eq(account.password_position),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("change a password"))?;
    context.record(
        "accounts",
        &[
            account.account_id.as_slice().into(),
            account.password_hash.as_str().into(),
            account.password_version.into(),
            account.password_position.into(),
        ],
    );
    Ok(())
}
