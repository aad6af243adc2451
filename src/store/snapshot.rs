//! Snapshots: a copy of everything that is committed, in one file that knows where in the log it stands.

use std::path::Path;

use diesel::{
    QueryableByName, RunQueryDsl as _, SqliteConnection, connection::SimpleConnection as _,
    sql_query, sql_types::Text,
};

use super::{
    connection::{check_content, number, open_beside, open_unchecked},
    error::StoreError,
    log,
};
use crate::cluster::{Hash, Position, ServerId};

/// What a snapshot says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Its place in the log.
    pub position: Position,
    /// The hash before the first entry.
    pub lineage: Hash,
    /// The in-sync servers there.
    pub members: Vec<ServerId>,
}

/// Copies the database into a new file and returns the copy's place in the log.
pub(super) fn take(database: &Path, path: &Path) -> Result<Position, StoreError> {
    let text = path.to_str().ok_or_else(|| StoreError::damaged(path, "its path is not UTF-8"))?;
    let mut connection = open_beside(database)?;
    sql_query("VACUUM INTO ?")
        .bind::<Text, _>(text)
        .execute(&mut connection)
        .map_err(StoreError::database("write a snapshot"))?;
    position(path)
}

/// What a copy takes at most: the pages in use, and those that are free by now.
pub(super) fn most_bytes(database: &Path) -> Result<u64, StoreError> {
    let mut connection = open_beside(database)?;
    let bytes = "SELECT page_count * page_size AS value FROM pragma_page_count, pragma_page_size";
    let bytes = number(&mut connection, bytes)
        .map_err(StoreError::database("ask for the database's size"))?;
    Ok(bytes.unsigned_abs())
}

/// Checks every page of a received snapshot, and returns its place in the log. Blocks for as long as
/// reading the whole file takes.
pub fn verify_snapshot(path: &Path) -> Result<Position, StoreError> {
    let mut connection = open_unchecked(path)?;
    check_content(&mut connection, path)?;
    check_pages(&mut connection, path)?;
    position(path)
}

/// Whether every page is sound, and the indexes say what the tables say.
pub(super) fn check_pages(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Finding {
        #[diesel(sql_type = Text)]
        integrity_check: String,
    }
    // Each entry of an index is looked up, in no order: the more pages are at hand, the faster.
    connection
        .batch_execute("PRAGMA cache_size = -32768")
        .map_err(StoreError::database("set how much to keep at hand"))?;
    let findings: Vec<Finding> = sql_query("PRAGMA integrity_check(1)")
        .load(connection)
        .map_err(|error| StoreError::damaged(path, error))?;
    match findings.first() {
        Some(finding) if finding.integrity_check == "ok" => Ok(()),
        Some(finding) => Err(StoreError::damaged(path, &finding.integrity_check)),
        None => Err(StoreError::damaged(path, "its check says nothing")),
    }
}

/// Reads what a snapshot says of itself.
pub fn facts(path: &Path) -> Result<Facts, StoreError> {
    let mut connection = open_unchecked(path)?;
    let summary = log::summary(&mut connection)?;
    let summary = summary.ok_or_else(|| StoreError::damaged(path, "it holds no log"))?;
    let members = summary.views.last().map(|(_, view)| view.members.iter().copied().collect());
    let members = members.ok_or_else(|| StoreError::damaged(path, "its log holds no view"))?;
    Ok(Facts { position: summary.last, lineage: summary.lineage, members })
}

fn position(path: &Path) -> Result<Position, StoreError> {
    let mut connection = open_unchecked(path)?;
    let head = log::head(&mut connection)?;
    head.map(|head| head.last).ok_or_else(|| StoreError::damaged(path, "it holds no log"))
}
