//! Whether a database is sound: every page, every row, and that the indexes say what the tables say.

use std::{
    num::NonZero,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

use diesel::{
    QueryResult, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _, sql_query, sql_types::Text,
};

use super::{connection::open_unchecked, error::StoreError};

/// Each entry of an index is looked up, in no order: the more pages are at hand, the faster. So many KiB in all.
const AT_HAND: usize = 32 * 1024;
/// So many threads look at a file.
const THREADS: usize = 2;

/// What can be looked at by itself.
enum Part {
    /// All there is.
    Whole,
    /// Every page and every row, and that each page is used once; not what the indexes say.
    Pages,
    /// One table, and what its indexes say.
    Table(String),
}

/// Checks a database by a connection that is open.
pub(super) fn check_whole(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), StoreError> {
    keep_at_hand(connection, AT_HAND)?;
    Part::Whole.check(connection, path)
}

/// Checks a file that nobody writes. [`Part::Pages`] and all tables come to the same as [`Part::Whole`], with more
/// work and in less time.
pub(super) fn check_file(path: &Path) -> Result<(), StoreError> {
    let mut connection = open_unchecked(path)?;
    if thread::available_parallelism().map_or(1, NonZero::get) < THREADS {
        return check_whole(&mut connection, path);
    }
    let parts = Mutex::new(parts(&mut connection, path)?.into_iter());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let look = || {
        let mut connection = open_unchecked(path)?;
        keep_at_hand(&mut connection, AT_HAND / THREADS)?;
        while let Some(part) = next() {
            part.check(&mut connection, path)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let lookers = [(); THREADS].map(|()| scope.spawn(look));
        let looked = lookers.map(|looker| looker.join().expect("a check returns what it finds"));
        looked.into_iter().collect()
    })
}

/// All parts, those first that take the longest.
fn parts(connection: &mut SqliteConnection, path: &Path) -> Result<Vec<Part>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let tables: Vec<Row> = sql_query(
        "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name <> 'messages', name",
    )
    .load(connection)
    .map_err(|error| StoreError::damaged(path, error))?;
    let mut parts: Vec<Part> = tables.into_iter().map(|table| Part::Table(table.name)).collect();
    parts.insert(parts.len().min(1), Part::Pages);
    Ok(parts)
}

impl Part {
    fn check(&self, connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            finding: String,
        }
        let findings: QueryResult<Vec<Row>> = match self {
            Part::Whole => {
                sql_query("SELECT integrity_check AS finding FROM pragma_integrity_check")
                    .load(connection)
            }
            Part::Pages => {
                sql_query("SELECT quick_check AS finding FROM pragma_quick_check").load(connection)
            }
            Part::Table(name) => {
                sql_query("SELECT integrity_check AS finding FROM pragma_integrity_check(?)")
                    .bind::<Text, _>(name)
                    .load(connection)
            }
        };
        match findings.map_err(|error| StoreError::damaged(path, error))?.first() {
            Some(row) if row.finding == "ok" => Ok(()),
            Some(row) => Err(StoreError::damaged(path, &row.finding)),
            None => Err(StoreError::damaged(path, "its check says nothing")),
        }
    }
}

fn keep_at_hand(connection: &mut SqliteConnection, kib: usize) -> Result<(), StoreError> {
    connection
        .batch_execute(&format!("PRAGMA cache_size = -{kib}"))
        .map_err(StoreError::database("set how much to keep at hand"))
}
