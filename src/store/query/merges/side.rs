//! Which side of a partition this server was on.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SqliteConnection,
};

use crate::{
    chat::{LostEpoch, MessageId, SeenEpoch},
    cluster::Seq,
    store::{
        error::StoreError,
        schema::{divergence, epochs, message_aliases},
    },
};

/// What this side alone has.
pub(super) struct Side {
    /// The last entry that both sides have.
    pub(super) common: Seq,
    /// The epochs that wrote entries after it.
    pub(super) own: Vec<LostEpoch>,
    /// The last entry of each of them.
    ends: Vec<u64>,
    /// The epochs of histories that this one took over after it.
    taken_over: Vec<LostEpoch>,
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
        let own: Vec<(i64, i64, i64)> = epochs::table
            .filter(epochs::first_seq.ge(begun.unwrap_or(0)))
            .order(epochs::first_seq)
            .select((epochs::number, epochs::server, epochs::first_seq))
            .load(connection)
            .map_err(StoreError::database("read the epochs after the divergence"))?;
        let taken_over: Vec<(i64, i64)> = divergence::table
            .filter(divergence::position.gt(after))
            .select((divergence::epoch_number, divergence::epoch_server))
            .load(connection)
            .map_err(StoreError::database("read earlier divergences"))?;
        let next = own.iter().skip(1).map(|(_, _, first)| *first as u64 - 1);
        Ok(Side {
            common,
            ends: next.chain([u64::MAX]).collect(),
            own: own.iter().map(|(number, server, _)| lost((*number, *server))).collect(),
            taken_over: taken_over.into_iter().map(lost).collect(),
        })
    }

    /// How much of the lost epochs this side had when it wrote the entry at `position`. Those that came
    /// by a merge came in their order, so the last message tells.
    pub(super) fn seen(
        &self,
        connection: &mut SqliteConnection,
        position: i64,
    ) -> Result<Vec<SeenEpoch>, StoreError> {
        let own = self.own.iter().zip(&self.ends);
        let mut seen: Vec<SeenEpoch> = own
            .map(|(epoch, end)| SeenEpoch { epoch: *epoch, until: (*end).min(position as u64) })
            .collect();
        for epoch in &self.taken_over {
            let id = |seq| MessageId::natural(epoch.number, epoch.server, seq).0.to_vec();
            let last: Option<Vec<u8>> = message_aliases::table
                .filter(message_aliases::message_id.between(id(0), id(u64::MAX)))
                .filter(message_aliases::message.lt(position))
                .order(message_aliases::message_id.desc())
                .select(message_aliases::message_id)
                .first(connection)
                .optional()
                .map_err(StoreError::database("find the last message of a lost epoch"))?;
            let last = last.and_then(|id| MessageId::from_slice(&id));
            seen.extend(last.map(|id| SeenEpoch { epoch: *epoch, until: id.log_seq() }));
        }
        Ok(seen)
    }
}

fn lost((number, server): (i64, i64)) -> LostEpoch {
    LostEpoch { number: number as u64, server: server as u32 }
}
