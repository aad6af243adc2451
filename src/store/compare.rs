//! A look at all tables at one place in the log, so that servers can be compared row by row.
//!
//! The running digest shows that servers *wrote* the same; only reading shows that their disks still *hold* it.
//! To read at the same place everywhere, a mark goes through the log: whoever waits for it gets a view of
//! the tables, taken by the writer right after the commit that holds it, and reads it for as long as it takes
//! while others write.
//!
//! What is read is everything in its own tables, whatever they are by now: every column of every row, in
//! the order of the key, in pages of so many rows that a difference is found by two short answers. The log
//! itself is left out (each server keeps another part of it), and so is what only serves the search index.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use diesel::{
    QueryableByName, RunQueryDsl as _, SqliteConnection, connection::SimpleConnection as _,
    sql_query, sql_types::Text,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::{check, connection, error::StoreError, handle::Store, log};
use crate::{chat::MarkId, cluster::Position};

/// Rows of a page.
const PAGE: usize = 1_024;
/// So many comparisons may wait for their marks.
const WAITING: usize = 4;
/// What is not the same on every server, or not the chat's.
const LEFT_OUT: &str = "name NOT IN ('log', 'meta', 'body_changes')
    AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_\\_diesel%' ESCAPE '\\'";

type Waiter = oneshot::Sender<Result<TableView, StoreError>>;

/// Who waits for which mark.
#[derive(Default)]
pub(super) struct Marks(Mutex<HashMap<MarkId, Waiter>>);

impl Marks {
    /// Gives whoever waits for this mark a view of the tables as they are. Called by the writer, between two
    /// transactions.
    pub(super) fn reached(&self, mark: MarkId, database: &Path) {
        if let Some(waiter) = self.lock().remove(&mark) {
            // Whoever went away gets nothing.
            let _ = waiter.send(TableView::take(database));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MarkId, Waiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// From now on the commit of this mark gives a view of the tables; `None` while too many wait already.
    pub fn await_mark(&self, mark: MarkId) -> Option<AwaitedMark> {
        let (waiter, view) = oneshot::channel();
        let mut marks = self.marks().lock();
        if marks.len() >= WAITING {
            return None;
        }
        marks.insert(mark, waiter);
        Some(AwaitedMark { store: self.clone(), mark, view })
    }
}

/// A mark that is waited for; dropping it ends the wait.
pub struct AwaitedMark {
    store: Store,
    mark: MarkId,
    view: oneshot::Receiver<Result<TableView, StoreError>>,
}

impl AwaitedMark {
    /// The view that its commit gave.
    ///
    /// # Errors
    /// It could not be taken, or the writer has ended.
    pub async fn reached(&mut self) -> Result<TableView, StoreError> {
        let ended = |_| StoreError::Database {
            doing: "wait for a mark",
            reason: "the server is shutting down".into(),
        };
        (&mut self.view).await.map_err(ended)?
    }
}

impl Drop for AwaitedMark {
    fn drop(&mut self) {
        self.store.marks().lock().remove(&self.mark);
    }
}

/// All tables as they were at one place in the log. While it lives the write-ahead log grows.
pub struct TableView {
    connection: SqliteConnection,
    /// The place.
    pub position: Position,
    tables: Vec<Table>,
    /// The last key of each page that was read.
    ends: BTreeMap<String, Vec<String>>,
}

impl std::fmt::Debug for TableView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableView").field("position", &self.position).finish_non_exhaustive()
    }
}

struct Table {
    name: String,
    columns: Vec<String>,
    /// SQL that makes one text of a key, which can stand in SQL again.
    key: String,
    /// The key's columns, as SQL lists them.
    key_columns: String,
    /// SQL that makes one text of a row.
    row: String,
}

/// Some rows of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TablePage {
    /// The table.
    pub table: String,
    /// How many.
    pub rows: u32,
    /// A SHA-256 of their keys and of all that stands in them.
    pub digest: [u8; 32],
}

/// A row, without what stands in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowDigest {
    /// Its key, as SQL writes it.
    pub key: String,
    /// Eight bytes of a hash for each column.
    pub columns: Vec<[u8; 8]>,
}

/// The rows of a page.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PageRows {
    /// The names of the table's columns.
    pub columns: Vec<String>,
    /// In the order of their keys.
    pub rows: Vec<RowDigest>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    line: String,
}

impl TableView {
    fn take(database: &Path) -> Result<TableView, StoreError> {
        let mut connection = connection::open_reader(database)?;
        let doing = "look at the tables";
        connection.batch_execute("BEGIN").map_err(StoreError::database(doing))?;
        // The first read is what the transaction sees from then on.
        let head = log::head(&mut connection)?;
        let head = head.ok_or_else(|| StoreError::damaged(database, "it holds no log"))?;
        let tables = tables(&mut connection).map_err(StoreError::database(doing))?;
        Ok(TableView { connection, position: head.last, tables, ends: BTreeMap::new() })
    }

    /// Checks the whole file, and reads all tables in the order of their names, page by page; stops when
    /// `tell` wants no more. Blocks for as long as that takes.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn read(&mut self, mut tell: impl FnMut(TablePage) -> bool) -> Result<(), StoreError> {
        self.check()?;
        for table in &self.tables {
            let mut ends: Vec<String> = Vec::new();
            loop {
                let rows = page(&mut self.connection, table, ends.last(), PAGE)?;
                let Some(last) = rows.last() else { break };
                ends.push(last.key.clone());
                let (count, digest) = (rows.len() as u32, digest(&rows));
                if !tell(TablePage { table: table.name.clone(), rows: count, digest }) {
                    return Ok(());
                }
            }
            self.ends.insert(table.name.clone(), ends);
        }
        Ok(())
    }

    /// The rows of a page that was read, and of the one after it, for what another server has here may
    /// stand there. `None` for a table that is not there.
    pub fn rows(
        &mut self,
        table: &str,
        page_number: usize,
    ) -> Result<Option<PageRows>, StoreError> {
        let Some(table) = self.tables.iter().find(|known| known.name == table) else {
            return Ok(None);
        };
        let ends = self.ends.get(&table.name).map(Vec::as_slice).unwrap_or_default();
        let after = match page_number.checked_sub(1) {
            None => None,
            Some(before) => match ends.get(before) {
                Some(end) => Some(end),
                // The table ends before this page.
                None => {
                    return Ok(Some(PageRows { columns: table.columns.clone(), rows: Vec::new() }));
                }
            },
        };
        let rows = page(&mut self.connection, table, after, PAGE * 2)?;
        let rows = rows.into_iter().map(|row| RowDigest {
            columns: row.line.split(',').map(short_digest).collect(),
            key: row.key,
        });
        Ok(Some(PageRows { columns: table.columns.clone(), rows: rows.collect() }))
    }

    /// Every page of the file, and that the indexes say what the tables say.
    fn check(&mut self) -> Result<(), StoreError> {
        check::check_whole(&mut self.connection, Path::new("the database"))
    }
}

fn page(
    connection: &mut SqliteConnection,
    table: &Table,
    after: Option<&String>,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let Table { name, key, key_columns, row, .. } = table;
    // A key that this very database wrote as a literal.
    let after = after.map_or(String::new(), |after| format!("WHERE ({key_columns}) > ({after})"));
    sql_query(format!(
        "SELECT {key} AS key, {row} AS line FROM \"{name}\" {after} ORDER BY {key_columns} LIMIT {limit}"
    ))
    .load(connection)
    .map_err(StoreError::database("read a table"))
}

fn digest(rows: &[Row]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for text in rows.iter().flat_map(|row| [&row.key, &row.line]) {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    }
    hasher.finalize().into()
}

fn short_digest(text: &str) -> [u8; 8] {
    let digest = Sha256::digest(text);
    digest[..8].try_into().expect("a hash has more than 8 bytes")
}

/// Which tables are read.
#[cfg(test)]
pub(super) fn table_names(database: &Path) -> Result<Vec<String>, StoreError> {
    let view = TableView::take(database)?;
    Ok(view.tables.into_iter().map(|table| table.name).collect())
}

fn tables(connection: &mut SqliteConnection) -> Result<Vec<Table>, diesel::result::Error> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    #[derive(QueryableByName)]
    struct Column {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        kind: String,
    }
    let names: Vec<Name> = sql_query(format!(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND {LEFT_OUT} ORDER BY name"
    ))
    .load(connection)?;
    let mut tables = Vec::new();
    for Name { name } in names {
        let columns: Vec<Column> = sql_query(format!(
            "SELECT name, type AS kind FROM pragma_table_info('{name}') ORDER BY cid"
        ))
        .load(connection)?;
        let key: Vec<Name> = sql_query(format!(
            "SELECT name FROM pragma_table_info('{name}') WHERE pk > 0 ORDER BY pk"
        ))
        .load(connection)?;
        assert!(!key.is_empty(), "{name} has a key");
        let quoted = |name: &str| format!("\"{name}\"");
        let listed = |parts: Vec<String>, between: &str| parts.join(between);
        let literal = |key: &Name| format!("quote({})", quoted(&key.name));
        // Numbers as they are; anything else in hex, for a text may hold everything. Commas stand in none.
        let value = |column: &Column| match column.kind.as_str() {
            "INTEGER" => format!("ifnull('I' || {}, 'N')", quoted(&column.name)),
            kind => format!("ifnull('{}' || hex({}), 'N')", &kind[..1], quoted(&column.name)),
        };
        tables.push(Table {
            key: listed(key.iter().map(literal).collect(), " || ', ' || "),
            key_columns: listed(key.iter().map(|key| quoted(&key.name)).collect(), ", "),
            row: listed(columns.iter().map(value).collect(), " || ',' || "),
            columns: columns.into_iter().map(|column| column.name).collect(),
            name,
        });
    }
    Ok(tables)
}
