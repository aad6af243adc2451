//! Connections: how a database is opened, made, checked and brought up to date.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _, sql_query, sql_types::BigInt,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use super::error::StoreError;

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The version of the replicated database's schema: the number of its migrations. Servers tell it to
/// each other.
pub const SCHEMA_VERSION: u32 = 8;

const APPLICATION_ID: i64 = 1_667_788_407;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// For every connection. `mmap` is off, for a mapped database makes a killed process slow to die. There are
/// several readers, and each keeps the 8 MiB of pages that it once used: the system's own cache holds the rest.
const COMMON: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA foreign_keys = ON;
    PRAGMA mmap_size = 0;
    PRAGMA cache_size = -8192;
    PRAGMA temp_store = MEMORY;
";

/// The checkpoint is what the slowest calls wait for: a larger log makes it rarer, and its size is
/// taken back afterwards. `secure_delete` overwrites what is deleted.
const WRITER: &str = "
    PRAGMA cache_size = -32768;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA secure_delete = ON;
    PRAGMA wal_autocheckpoint = 8000;
    PRAGMA journal_size_limit = 67108864;
";

/// Makes a new, empty replicated database.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let mut connection = establish(path)?;
    setup(&mut connection, path, &[COMMON, WRITER])?;
    migrate(&mut connection, path)?;
    checkpoint(&mut connection)
}

/// Opens the one connection that writes; checks the file and brings its schema up to date.
pub(super) fn open_writer(path: &Path) -> Result<SqliteConnection, StoreError> {
    check_file(path)?;
    let mut connection = establish(path)?;
    setup(&mut connection, path, &[COMMON, WRITER])?;
    check_content(&mut connection, path)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens a connection that only reads. The writer has checked the file.
pub(super) fn open_reader(path: &Path) -> Result<SqliteConnection, StoreError> {
    check_is_there(path)?;
    let mut connection = establish(path)?;
    setup(&mut connection, path, &[COMMON, "PRAGMA query_only = ON;"])?;
    Ok(connection)
}

/// Opens a connection for maintenance beside the writer, who has checked the file.
pub(super) fn open_beside(path: &Path) -> Result<SqliteConnection, StoreError> {
    check_is_there(path)?;
    let mut connection = establish(path)?;
    setup(&mut connection, path, &[COMMON])?;
    Ok(connection)
}

/// Opens a connection for maintenance on a file that may be anything, and that nobody has open here.
pub(super) fn open_unchecked(path: &Path) -> Result<SqliteConnection, StoreError> {
    check_file(path)?;
    let mut connection = establish(path)?;
    setup(&mut connection, path, &[COMMON])?;
    Ok(connection)
}

/// Refuses what is no database of ours, or of a newer program.
pub(super) fn check_content(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), StoreError> {
    let found = number(connection, "SELECT application_id AS value FROM pragma_application_id")
        .map_err(|error| StoreError::damaged(path, error))?;
    if found != APPLICATION_ID {
        return Err(StoreError::damaged(path, "it is no chat database"));
    }
    let unknown = unknown_migration(connection).map_err(|e| StoreError::damaged(path, e))?;
    match unknown {
        Some(found) => Err(StoreError::NewerVersion { path: path.into(), found }),
        None => Ok(()),
    }
}

/// Moves everything from the write-ahead log into the database and empties the log.
pub(super) fn checkpoint(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    connection
        .batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
        .map_err(StoreError::database("checkpoint the database"))
}

/// The only number that a query answers.
pub(super) fn number(
    connection: &mut SqliteConnection,
    query: &str,
) -> Result<i64, diesel::result::Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        value: i64,
    }
    sql_query(query).get_result::<Row>(connection).map(|row| row.value)
}

pub(super) fn establish(path: &Path) -> Result<SqliteConnection, StoreError> {
    let text = path.to_str().ok_or_else(|| {
        StoreError::damaged(path, "its path is not UTF-8, which the database needs")
    })?;
    // An absolute path is never taken for a URI or for a database in memory.
    let absolute = std::path::absolute(text).map_err(StoreError::io("find the data folder"))?;
    SqliteConnection::establish(&absolute.to_string_lossy())
        .map_err(|error| StoreError::damaged(path, error))
}

fn setup(
    connection: &mut SqliteConnection,
    path: &Path,
    pragmas: &[&str],
) -> Result<(), StoreError> {
    for batch in pragmas {
        connection.batch_execute(batch).map_err(|error| StoreError::damaged(path, error))?;
    }
    Ok(())
}

fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    connection
        .run_pending_migrations(MIGRATIONS)
        .map(drop)
        .map_err(|error| StoreError::damaged(path, error))
}

fn unknown_migration(
    connection: &mut SqliteConnection,
) -> diesel::migration::Result<Option<String>> {
    use diesel::{migration::MigrationSource, sqlite::Sqlite};
    let known: Vec<String> = MigrationSource::<Sqlite>::migrations(&MIGRATIONS)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = connection.applied_migrations()?;
    Ok(applied.iter().map(ToString::to_string).find(|version| !known.contains(version)))
}

/// SQLite would make a file that is missing. More is not asked of a file that is open here: see [`check_file`].
fn check_is_there(path: &Path) -> Result<(), StoreError> {
    match path.metadata() {
        Ok(_) => Ok(()),
        Err(error) => Err(cannot_open(path, error)),
    }
}

/// SQLite takes an empty file for an empty database; we do not.
///
/// Not for a file that this process has open as a database. By the rules of POSIX, to close a file takes away all
/// locks that the process has on it, SQLite's too; and without them the next program that looks into the
/// database takes itself for the last one, and removes the write-ahead log that this one goes on writing to.
pub(super) fn check_file(path: &Path) -> Result<(), StoreError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Err(cannot_open(path, error)),
    };
    let mut magic = [0; MAGIC.len()];
    match file.read_exact(&mut magic) {
        Ok(()) if &magic == MAGIC => Ok(()),
        Ok(()) => Err(StoreError::damaged(path, "it is no database")),
        Err(_) => Err(StoreError::damaged(path, "it is cut short")),
    }
}

fn cannot_open(path: &Path, error: io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::NotFound {
        return StoreError::Missing { path: path.into() };
    }
    StoreError::io(format!("open {}", path.display()))(error)
}
