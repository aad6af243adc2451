//! The database: everything that outlives the process, and the only room that knows SQL.
//!
//! **It promises**
//! - What a [`Completion`] or a returned `Ok` calls committed or persisted is on the disk.
//! - Applying the same entries makes the same rows, outcomes and digest on every server, however the
//!   entries are cut into batches: apply draws nothing, and reads no clock.
//! - An update is carried out once: a repeat finds the stored outcome, on any server, after any restart.
//! - A refusal changes nothing. Only an error that is no outcome stops the [`Writer`], loudly.
//! - Readers see what is committed and nothing else, one consistent snapshot a call.
//! - A damaged, truncated or missing file is an error, never an empty database. A backup that is not whole
//!   is refused before anything is touched; a restored database is known to be an old one.
//!
//! **It may not** decide what is committed (the protocol does), verify passwords, or let a Diesel type
//! out. Integer keys stay inside: they are the log positions that created the rows, so they are equal
//! on every server, but whoever is outside names things by 128-bit ids and names.
//!
//! On disk a data folder holds `LOCK`, `local.db` (what this server promised; never part of a snapshot),
//! `CURRENT` (the name of the generation in use), one generation folder with `chat.db`, `staged/` for
//! snapshots under way, `search.db` (derived; may be deleted), and what was set aside: `reset-<n>` and
//! `diverged-<n>`. (`admin.sock` is the running server's.)

mod aliases;
mod apply;
mod backup;
mod check;
mod compare;
mod connection;
mod digest;
mod error;
mod folder;
mod handle;
pub mod inspect;
mod local;
mod log;
mod mentions;
pub mod message_ids;
mod outcomes;
mod pool;
mod prepared;
mod query;
mod removed;
mod restore;
mod rooms;
mod rows;
mod schema;
mod search;
mod snapshot;
#[cfg(test)]
mod tests;
mod thread;
mod writer;

pub use backup::{Backup, BackupError, BackupHeader, NewBackup};
pub use compare::{AwaitedMark, PageRows, RowDigest, TablePage, TableView};
pub use connection::SCHEMA_VERSION;
pub use error::StoreError;
pub use folder::{DiskUse, DivergedFile, reset};
pub use handle::{OpenOptions, Opened, Store};
pub use pool::Reader;
pub use query::{
    Answer, Around, Credentials, KnownSession, Merges, MessagePage, Page, Replay, Resume,
    SearchPage,
};
pub use restore::{Restore, Restored};
pub use search::{Indexer, SnippetPart};
pub use snapshot::{Facts, Made, facts as snapshot_facts, verify_snapshot};
pub use thread::{Completion, WriterCommand, WriterHandle};
pub use writer::{Applied, Writer};
