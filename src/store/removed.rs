//! What viewers removed from their own view.

use std::collections::BTreeSet;

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SqliteConnection,
};

use super::{error::StoreError, schema::hidden};

/// Whether the viewer removed this message from the own view.
pub(super) fn contains(
    connection: &mut SqliteConnection,
    viewer: i64,
    message: i64,
) -> Result<bool, StoreError> {
    let found: Option<i64> = hidden::table
        .find((viewer, message))
        .select(hidden::message)
        .first(connection)
        .optional()
        .map_err(StoreError::database("read whether a viewer removed a message"))?;
    Ok(found.is_some())
}

/// Which of these messages the viewer removed from the own view.
pub(super) fn among(
    connection: &mut SqliteConnection,
    viewer: i64,
    messages: &[i64],
) -> Result<BTreeSet<i64>, StoreError> {
    let found: Vec<i64> = hidden::table
        .filter(hidden::account.eq(viewer))
        .filter(hidden::message.eq_any(messages))
        .select(hidden::message)
        .load(connection)
        .map_err(StoreError::database("read what a viewer removed"))?;
    Ok(found.into_iter().collect())
}
