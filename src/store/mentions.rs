//! Whom messages mention, for showing them.

use std::collections::BTreeMap;

use diesel::{
    ExpressionMethods as _, JoinOnDsl as _, QueryDsl as _, RunQueryDsl as _, SelectableHelper as _,
    SqliteConnection,
};

use super::{
    error::StoreError,
    rows::AccountRow,
    schema::{accounts, mentions},
};
use crate::chat::{AccountName, Message, Username};

/// The names that these messages mention; whoever is deleted has none.
pub(super) fn of(
    connection: &mut SqliteConnection,
    messages: &[i64],
) -> Result<BTreeMap<i64, Vec<Username>>, StoreError> {
    let mut names: BTreeMap<i64, Vec<Username>> = BTreeMap::new();
    if messages.is_empty() {
        return Ok(names);
    }
    let found: Vec<(i64, AccountRow)> = mentions::table
        .inner_join(accounts::table.on(accounts::id.eq(mentions::account)))
        .filter(mentions::message.eq_any(messages))
        .order((mentions::message, mentions::account))
        .select((mentions::message, AccountRow::as_select()))
        .load(connection)
        .map_err(StoreError::database("read whom messages mention"))?;
    for (message, account) in found {
        if let AccountName::Named(username) = account.name()? {
            names.entry(message).or_default().push(username);
        }
    }
    Ok(names)
}

/// Writes the names into the shown message with this key. What has no `@` mentions nobody.
pub(super) fn fill(
    connection: &mut SqliteConnection,
    key: i64,
    message: &mut Message,
) -> Result<(), StoreError> {
    if message.body.contains('@') {
        message.mentions = of(connection, &[key])?.remove(&key).unwrap_or_default();
    }
    Ok(())
}
