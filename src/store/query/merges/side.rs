//! Which side of a partition this server was on.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SqliteConnection,
};

use crate::{
    chat::LostEpoch,
    cluster::Seq,
    store::{
        error::StoreError,
        schema::{divergence, epochs},
    },
};

/// What this side alone has.
pub(super) struct Side {
    /// The last entry that both sides have.
    pub(super) common: Seq,
    /// The epochs that wrote entries after it.
    pub(super) own: Vec<LostEpoch>,
    /// These, and those of the histories that this one took over after it.
    pub(super) all: Vec<LostEpoch>,
}

impl Side {
    pub(super) fn read(connection: &mut SqliteConnection, common: Seq) -> Result<Side, StoreError> {
        let after = common as i64;
        let begun: Option<i64> = epochs::table
            .filter(epochs::first_seq.le(after + 1))
            .order(epochs::first_seq.desc())
            .select(epochs::first_seq)
            .first(connection)
            .optional()
            .map_err(StoreError::database("find the epoch of the divergence"))?;
        let own: Vec<(i64, i64)> = epochs::table
            .filter(epochs::first_seq.ge(begun.unwrap_or(0)))
            .order(epochs::first_seq)
            .select((epochs::number, epochs::server))
            .load(connection)
            .map_err(StoreError::database("read the epochs after the divergence"))?;
        let taken_over: Vec<(i64, i64)> = divergence::table
            .filter(divergence::position.gt(after))
            .select((divergence::epoch_number, divergence::epoch_server))
            .load(connection)
            .map_err(StoreError::database("read earlier divergences"))?;
        let own: Vec<LostEpoch> = own.into_iter().map(lost).collect();
        let all = own.iter().copied().chain(taken_over.into_iter().map(lost)).collect();
        Ok(Side { common, own, all })
    }
}

fn lost((number, server): (i64, i64)) -> LostEpoch {
    LostEpoch { number: number as u64, server: server as u32 }
}
