//! Queries: what a [`super::Reader`] answers, one file a concern. Costs follow what is returned, never
//! the length of a history.

mod accounts;
mod conversations;
mod history;
mod merges;
mod messages;
mod page;
mod replay;
mod rooms;
mod search;
mod sessions;

pub use accounts::Credentials;
pub use history::Resume;
pub use merges::Merges;
pub use messages::{Around, MessagePage};
pub use page::Page;
pub use replay::Replay;
pub use search::SearchPage;
pub use sessions::KnownSession;

pub(super) use conversations::view as conversation_view;

use super::{error::StoreError, log, pool::Reader};
use crate::{
    chat::Refusal,
    cluster::{Entry, Position, Seq},
};

/// What a query answers that may refuse.
pub type Answer<T> = Result<T, Refusal>;

impl Reader {
    /// The newest committed entry; `None` while the log is empty.
    pub fn last_position(&mut self) -> Result<Option<Position>, StoreError> {
        Ok(log::head(&mut self.connection)?.map(|head| head.last))
    }

    /// The entries from `from` to `until`, as many as fit `max_bytes`, one at least if there is one.
    pub fn entries(
        &mut self,
        from: Seq,
        until: Seq,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        log::entries(&mut self.connection, from, until, max_bytes)
    }
}
