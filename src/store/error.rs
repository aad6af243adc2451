//! What can go wrong with files and the database. No refusal is among them.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::cluster::Seq;

/// Trouble with the data folder. Each says what to do next.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has the folder.
    #[error("the data folder {0} is in use by another process; stop it, or use another data_dir")]
    InUse(PathBuf),
    /// The database was written by a newer program.
    #[error("{path} was written by a newer version ({found} is unknown here); run that version")]
    NewerVersion {
        /// The database.
        path: PathBuf,
        /// The first migration that this program does not know.
        found: String,
    },
    /// A file is not what it should be.
    #[error(
        "{path} is damaged: {reason}; restore the folder, or start with --reset to copy from the others"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In words.
        reason: String,
    },
    /// A file is gone that the rest of the folder needs.
    #[error(
        "{path} is missing though this folder held data; restore it, or start with --reset to copy from the others"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused something.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why not.
        source: io::Error,
    },
    /// A copy of the database would take what the server needs itself.
    #[error(
        "a copy of the database takes up to {needed} bytes, {free} are free on its disk and {reserve} must stay \
         so; make room there"
    )]
    NoRoom {
        /// What the copy takes at most.
        needed: u64,
        /// What is free.
        free: u64,
        /// What must stay free.
        reserve: u64,
    },
    /// SQLite refused something.
    #[error("cannot {doing}: {reason}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// SQLite's words.
        reason: String,
    },
    /// An entry does not continue the log, or cannot be applied as an outcome.
    #[error("log entry {seq} {reason}; this server must not go on with it")]
    BadEntry {
        /// Its place.
        seq: Seq,
        /// In words.
        reason: String,
    },
}

impl StoreError {
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> StoreError {
        let doing = doing.into();
        move |source| StoreError::Io { doing, source }
    }

    pub(super) fn database(
        doing: &'static str,
    ) -> impl FnOnce(diesel::result::Error) -> StoreError {
        move |error| StoreError::Database { doing, reason: error.to_string() }
    }

    pub(super) fn damaged(path: impl Into<PathBuf>, reason: impl ToString) -> StoreError {
        StoreError::Damaged { path: path.into(), reason: reason.to_string() }
    }
}

/// For `?` in the middle of a query, where the call says what was tried.
impl From<diesel::result::Error> for StoreError {
    fn from(error: diesel::result::Error) -> StoreError {
        StoreError::Database { doing: "use the database", reason: error.to_string() }
    }
}
