//! Creating accounts.

use diesel::{ExpressionMethods as _, RunQueryDsl as _, insert_into};

use super::{Context, Stop, session};
use crate::{
    chat::{Account, CreateAccount, Outcome, Refusal, Timestamp},
    store::{error::StoreError, rows, schema::accounts},
};

/// The version of an account's first password.
const FIRST_PASSWORD: i64 = 1;

/// Creates an account and logs it in.
pub(super) fn create(context: &mut Context<'_>, create: &CreateAccount) -> Result<Outcome, Stop> {
    let username = create.username.as_str();
    if rows::account_by_username(context.connection, username)?.is_some() {
        return Err(Refusal::NameTaken.into());
    }
    if create.password_hash.is_empty() {
        // The account that the caller was taken to repeat is gone: look again, and hash this time.
        return Err(Refusal::ProofNeeded.into());
    }
    insert_into(accounts::table)
        .values((
            accounts::id.eq(context.position),
            accounts::account_id.eq(create.account.0.as_slice()),
            accounts::username.eq(username),
            accounts::password_hash.eq(create.password_hash.as_str()),
            accounts::password_version.eq(FIRST_PASSWORD),
            accounts::create_time.eq(context.time),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("create an account"))?;
    context.recorder.row(
        "accounts",
        &[
            (&create.account.0).into(),
            username.into(),
            create.password_hash.as_str().into(),
            FIRST_PASSWORD.into(),
            context.time.into(),
        ],
    );
    session::begin(context, context.position, create.session, &create.token, "")?;
    let account = Account {
        id: create.account,
        username: create.username.clone(),
        create_time: Timestamp(context.time),
    };
    Ok(Outcome::AccountCreated { account, session: create.session })
}
