//! Stored outcomes: how a call's first outcome is kept and found. Shared by applying and by queries.
//!
//! They stand in the order of the log, so that a new one is written at the end of the table, and removing the
//! oldest removes a run. The index of request ids is not unique: the same id may stand there for two accounts,
//! or for two calls.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, Queryable, RunQueryDsl as _,
    Selectable, SelectableHelper as _, SqliteConnection, sqlite::Sqlite,
};
use prost::Message as _;

use super::{error::StoreError, rows, schema::requests};
use crate::{
    chat::{Call, Fingerprint, RequestId},
    wire::log::{StoredOutcome, stored_outcome::Kind},
};

/// One outcome.
#[derive(Queryable, Selectable)]
#[diesel(table_name = requests, check_for_backend(Sqlite))]
pub(super) struct OutcomeRow {
    pub(super) position: i64,
    pub(super) request_id: Vec<u8>,
    pub(super) scope: Vec<u8>,
    pub(super) call: i64,
    fingerprint: Vec<u8>,
    outcome: Option<Vec<u8>>,
}

impl OutcomeRow {
    /// What it says; absent is the message that the entry created.
    pub(super) fn kind(&self) -> Result<Kind, StoreError> {
        let Some(outcome) = &self.outcome else { return Ok(Kind::Message(self.position)) };
        let outcome = StoredOutcome::decode(outcome.as_slice()).ok();
        outcome.and_then(|outcome| outcome.kind).ok_or_else(|| rows::malformed("outcome"))
    }

    /// Of the call that it is the outcome of.
    pub(super) fn fingerprint(&self) -> Result<Fingerprint, StoreError> {
        Fingerprint::of_kept(&self.fingerprint).ok_or_else(|| rows::malformed("fingerprint"))
    }
}

/// The outcome of this call.
pub(super) fn find(
    connection: &mut SqliteConnection,
    id: RequestId,
    scope: &[u8],
    call: Call,
) -> Result<Option<OutcomeRow>, StoreError> {
    let rows: Vec<OutcomeRow> = requests::table
        .filter(requests::request_id.eq(id.0.as_slice()))
        .select(OutcomeRow::as_select())
        .load(connection)
        .map_err(StoreError::database("look for an earlier outcome"))?;
    Ok(rows.into_iter().find(|row| row.scope == scope && row.call == call as i64))
}

/// The outcome that the entry at this position left.
pub(super) fn at(
    connection: &mut SqliteConnection,
    position: i64,
) -> Result<Option<OutcomeRow>, StoreError> {
    requests::table
        .find(position)
        .select(OutcomeRow::as_select())
        .first(connection)
        .optional()
        .map_err(StoreError::database("read the outcome of an entry"))
}
