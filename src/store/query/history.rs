//! The shape of the history: which epoch wrote what, and what of other histories was merged into it.

use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _};

use crate::{
    cluster::{Epoch, Seq, ServerId},
    store::{
        error::StoreError,
        log,
        pool::Reader,
        schema::{divergence, epochs},
    },
};

/// From where a subscriber that was told everything up to a place is told the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resume {
    /// From there: this history has the place.
    There,
    /// From this earlier place: the other one is of a history that was merged into this one, and what
    /// it had after this place stands elsewhere by now.
    Merged(Epoch, Seq),
    /// This history knows nothing of the place.
    Unknown,
}

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

    /// What the entry of this epoch at this place means here.
    pub fn resume(&mut self, epoch: Epoch, seq: Seq) -> Result<Resume, StoreError> {
        if self.epoch_at(seq)? == Some(epoch) {
            return Ok(Resume::There);
        }
        let common: Option<i64> = divergence::table
            .find((epoch.number as i64, i64::from(epoch.server.0)))
            .select(divergence::common_seq)
            .first(&mut self.connection)
            .optional()
            .map_err(StoreError::database("look for a divergence"))?;
        let Some(common) = common else { return Ok(Resume::Unknown) };
        let from = seq.min(common as Seq);
        Ok(self.epoch_at(from)?.map_or(Resume::Unknown, |epoch| Resume::Merged(epoch, from)))
    }
}
