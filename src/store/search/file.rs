//! The index's file: its tables, how it is opened, made and thrown away, and what is asked of it.

use std::{fs, io, path::Path};

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryableByName,
    RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _,
    delete, insert_into, replace_into,
    result::Error,
    sql_query,
    sql_types::{BigInt, Text},
    table,
};

use super::ranking::{CLOSE, Marked, OPEN, markable};
use crate::store::{
    connection::{establish, number},
    error::StoreError,
};

/// Another way to cut or fold words is another format: the index is built anew.
const FORMAT: i64 = 1;

/// For every connection. A crash may cost the newest transactions, which are made again, and nothing else.
const COMMON: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA mmap_size = 0;
    PRAGMA cache_size = -8192;
    PRAGMA temp_store = MEMORY;
    PRAGMA synchronous = NORMAL;
";

/// The words stand in the index and nowhere else (`content=''`). Case and accents are folded.
const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA secure_delete = ON;
    PRAGMA journal_size_limit = 16777216;
    BEGIN IMMEDIATE;
    CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
        text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2');
    CREATE TABLE IF NOT EXISTS progress (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        format INTEGER NOT NULL,
        position INTEGER NOT NULL,
        head_seq INTEGER NOT NULL,
        head_hash BLOB NOT NULL,
        loose INTEGER NOT NULL
    ) STRICT;
    COMMIT;
";

/// Where the candidates of one search are matched once more: in memory, and empty in between.
const PAGE: &str = "
    CREATE VIRTUAL TABLE temp.page USING fts5(text, tokenize='unicode61 remove_diacritics 2');
";

table! {
    words (rowid) {
        rowid -> BigInt,
        text -> Text,
    }
}

table! {
    page (rowid) {
        rowid -> BigInt,
        text -> Text,
    }
}

table! {
    progress (id) {
        id -> BigInt,
        format -> BigInt,
        position -> BigInt,
        head_seq -> BigInt,
        head_hash -> Binary,
        loose -> BigInt,
    }
}

/// How far the index is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Extent {
    /// It holds everything up to this place of the log.
    pub(super) position: i64,
    /// The end of the log that it was read from, which may be further.
    pub(super) head_seq: i64,
    pub(super) head_hash: Vec<u8>,
    /// So many rows came or went since its parts were merged.
    pub(super) loose: i64,
}

/// The index as its one writer has it.
pub(super) struct IndexFile {
    connection: SqliteConnection,
    pub(super) extent: Extent,
}

impl IndexFile {
    /// Opens what stands there, if it is an index of this format.
    pub(super) fn open(path: &Path) -> Result<IndexFile, StoreError> {
        let mut connection = establish(path)?;
        connection.batch_execute(COMMON)?;
        connection.batch_execute(TABLES)?;
        let row: Option<(i64, i64, i64, Vec<u8>, i64)> = progress::table
            .select((
                progress::format,
                progress::position,
                progress::head_seq,
                progress::head_hash,
                progress::loose,
            ))
            .first(&mut connection)
            .optional()?;
        let extent = match row {
            None => Extent::default(),
            Some((FORMAT, position, head_seq, head_hash, loose)) => {
                Extent { position, head_seq, head_hash, loose }
            }
            Some(_) => return Err(StoreError::damaged(path, "it is of another format")),
        };
        Ok(IndexFile { connection, extent })
    }

    /// Takes the messages out that are in it, puts these texts in, and notes the extent, all at once.
    pub(super) fn write(
        &mut self,
        known: &[i64],
        texts: &[(i64, String)],
        extent: Extent,
    ) -> Result<(), StoreError> {
        self.connection.batch_execute("BEGIN IMMEDIATE")?;
        let written = self.write_all(known, texts, &extent);
        let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.connection.batch_execute(end)?;
        written?;
        self.extent = extent;
        Ok(())
    }

    fn write_all(
        &mut self,
        known: &[i64],
        texts: &[(i64, String)],
        extent: &Extent,
    ) -> Result<(), Error> {
        let connection = &mut self.connection;
        for message in known {
            delete(words::table.find(message)).execute(connection)?;
        }
        for (message, text) in texts {
            insert_into(words::table)
                .values((words::rowid.eq(message), words::text.eq(text)))
                .execute(connection)?;
        }
        replace_into(progress::table)
            .values((
                progress::id.eq(1),
                progress::format.eq(FORMAT),
                progress::position.eq(extent.position),
                progress::head_seq.eq(extent.head_seq),
                progress::head_hash.eq(&extent.head_hash),
                progress::loose.eq(extent.loose),
            ))
            .execute(connection)?;
        Ok(())
    }

    /// Merges some of the index's parts, at first all of them into a common order; says whether there is
    /// more to do.
    pub(super) fn merge(&mut self, first: bool, pages: i64) -> Result<bool, StoreError> {
        let total = "SELECT total_changes() AS value";
        let before = number(&mut self.connection, total)?;
        sql_query("INSERT INTO words (words, rank) VALUES ('merge', ?)")
            .bind::<BigInt, _>(if first { -pages } else { pages })
            .execute(&mut self.connection)?;
        Ok(number(&mut self.connection, total)? - before >= 2)
    }
}

/// Removes an index, whatever is left of it.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove the search index")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether an error says that the file is not what it should be. Any other one may pass: a full disk, say.
pub(super) fn is_damage(error: &StoreError) -> bool {
    const SIGNS: [&str; 6] =
        ["malformed", "corrupt", "not a database", "no such", "constructor failed", "deserializ"];
    let words = error.to_string();
    matches!(error, StoreError::Damaged { .. }) || SIGNS.iter().any(|sign| words.contains(sign))
}

/// A connection that searches.
pub(in crate::store) struct Searcher {
    connection: SqliteConnection,
}

#[derive(QueryableByName)]
struct Hit {
    #[diesel(sql_type = BigInt)]
    message: i64,
}

#[derive(QueryableByName)]
struct Match {
    #[diesel(sql_type = BigInt)]
    message: i64,
    #[diesel(sql_type = Text)]
    marked: String,
}

impl Searcher {
    pub(super) fn open(path: &Path) -> Result<Searcher, StoreError> {
        let mut connection = establish(path)?;
        connection.batch_execute(COMMON)?;
        connection.batch_execute(PAGE)?;
        Ok(Searcher { connection })
    }

    /// The newest messages that this expression finds from one key to another, both included.
    pub(in crate::store) fn hits(
        &mut self,
        expression: &str,
        (first, last): (i64, i64),
        limit: i64,
    ) -> Result<Vec<i64>, Error> {
        let found: Vec<Hit> = sql_query(
            "SELECT rowid AS message FROM words WHERE words MATCH ? AND rowid >= ? AND rowid <= ?
             ORDER BY rowid DESC LIMIT ?",
        )
        .bind::<Text, _>(expression)
        .bind::<BigInt, _>(first)
        .bind::<BigInt, _>(last)
        .bind::<BigInt, _>(limit)
        .load(&mut self.connection)?;
        Ok(found.into_iter().map(|hit| hit.message).collect())
    }

    /// Those of these bodies that the expression finds, with their matches.
    pub(in crate::store) fn matches<'a>(
        &mut self,
        expression: &str,
        bodies: impl Iterator<Item = (i64, &'a str)>,
    ) -> Result<Vec<(i64, Marked)>, Error> {
        let connection = &mut self.connection;
        connection.batch_execute("BEGIN")?;
        for (message, body) in bodies {
            insert_into(page::table)
                .values((page::rowid.eq(message), page::text.eq(markable(body))))
                .execute(connection)?;
        }
        let found: Vec<Match> = sql_query(format!(
            "SELECT rowid AS message, highlight(page, 0, char({}), char({})) AS marked
             FROM page WHERE page MATCH ?",
            u32::from(OPEN),
            u32::from(CLOSE)
        ))
        .bind::<Text, _>(expression)
        .load(connection)?;
        connection.batch_execute("ROLLBACK")?;
        Ok(found.iter().map(|found| (found.message, Marked::read(&found.marked))).collect())
    }
}
