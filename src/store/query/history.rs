//! The shape of the history: which epoch wrote what.

use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _};

use crate::{
    cluster::{Epoch, Seq, ServerId},
    store::{error::StoreError, log, pool::Reader, schema::epochs},
};

impl Reader {
    /// The epoch that wrote the entry at this place; `None` where there is none, trimmed entries aside.
    pub fn epoch_at(&mut self, seq: Seq) -> Result<Option<Epoch>, StoreError> {
        let end = log::head(&mut self.connection)?.map_or(0, |head| head.last.seq);
        if seq == 0 || seq > end {
            return Ok(None);
        }
        let epoch: Option<(i64, i64)> = epochs::table
            .filter(epochs::first_seq.le(seq as i64))
            .order(epochs::first_seq.desc())
            .select((epochs::number, epochs::server))
            .first(&mut self.connection)
            .optional()
            .map_err(StoreError::database("find the epoch of an entry"))?;
        Ok(epoch.map(|(number, server)| Epoch {
            number: number as u64,
            server: ServerId(server as u32),
        }))
    }
}
