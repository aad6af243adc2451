//! The local store: what this server promised and how often it lived. Never part of a snapshot, never
//! sent as it is, and kept across `--reset`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use diesel::{
    Connection as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _,
    RunQueryDsl as _, SqliteConnection, connection::SimpleConnection as _, delete, insert_into,
    replace_into, table,
};

use super::{
    connection::{check_file, establish, number},
    error::StoreError,
    folder::{Folder, sync},
    log,
};
use crate::{
    cluster::{Epoch, Hash, LocalState, PeerMemory, ServerId},
    failpoint::{self, Point},
};

/// The version of this little schema.
const VERSION: i64 = 1;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA busy_timeout = 5000;
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS state (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        uuid BLOB NOT NULL,
        starts INTEGER NOT NULL,
        promised_number INTEGER NOT NULL,
        promised_server INTEGER NOT NULL,
        promised_to BLOB NOT NULL,
        belonged BLOB,
        has_generation INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS peers (
        server INTEGER NOT NULL PRIMARY KEY,
        uuid BLOB NOT NULL,
        starts INTEGER NOT NULL,
        durable INTEGER NOT NULL
    ) STRICT;
    PRAGMA user_version = 1;
    COMMIT;
    PRAGMA wal_checkpoint(TRUNCATE);
";

table! {
    state (id) {
        id -> BigInt,
        uuid -> Binary,
        starts -> BigInt,
        promised_number -> BigInt,
        promised_server -> BigInt,
        promised_to -> Binary,
        belonged -> Nullable<Binary>,
        has_generation -> Bool,
    }
}

table! {
    peers (server) {
        server -> BigInt,
        uuid -> Binary,
        starts -> BigInt,
        durable -> BigInt,
    }
}

type StateRow = (Vec<u8>, i64, i64, i64, Vec<u8>, Option<Vec<u8>>, bool);

/// The open local store.
pub(super) struct LocalStore {
    connection: SqliteConnection,
    path: PathBuf,
    state: LocalState,
    has_generation: bool,
}

impl LocalStore {
    /// Opens it, or makes it with this uuid.
    pub(super) fn open_or_make(path: &Path, fresh_uuid: [u8; 16]) -> Result<Self, StoreError> {
        let fresh = !path.exists();
        if !fresh {
            check_file(path)?;
        }
        let mut connection = establish(path)?;
        let damaged = |error| StoreError::damaged(path, error);
        let version =
            number(&mut connection, "SELECT user_version AS value FROM pragma_user_version")
                .map_err(damaged)?;
        if version > VERSION {
            let found = format!("version {version} of the local store");
            return Err(StoreError::NewerVersion { path: path.into(), found });
        }
        connection.batch_execute(SCHEMA).map_err(damaged)?;
        if fresh && let Some(folder) = path.parent() {
            sync(folder)?;
        }
        let found = read(&mut connection, path)?;
        let (state, has_generation) = found.unwrap_or_else(|| (blank(fresh_uuid), false));
        Ok(LocalStore { connection, path: path.into(), state, has_generation })
    }

    /// What it holds.
    pub(super) fn state(&self) -> &LocalState {
        &self.state
    }

    /// Whether the folder ever had a generation in use.
    pub(super) fn has_generation(&self) -> bool {
        self.has_generation
    }

    /// Counts a start; durable when it returns.
    pub(super) fn begin_life(&mut self, lineage: Option<Hash>) -> Result<(), StoreError> {
        let mut state = self.state.clone();
        state.starts += 1;
        state.belonged = state.belonged.or(lineage);
        self.has_generation = true;
        self.persist(&state)
    }

    /// Gives the folder a new identity and forgets that it had a database.
    pub(super) fn reset(
        &mut self,
        uuid: [u8; 16],
        lineage: Option<Hash>,
    ) -> Result<(), StoreError> {
        let mut state = self.state.clone();
        state.uuid = uuid;
        state.belonged = state.belonged.or(lineage);
        self.has_generation = false;
        self.persist(&state)
    }

    /// Writes all of it; durable when it returns.
    ///
    /// # Panics
    /// When the promised epoch or the count of starts would fall.
    pub(super) fn persist(&mut self, new: &LocalState) -> Result<(), StoreError> {
        assert!(new.promised >= self.state.promised, "a promise is never taken back");
        assert!(new.starts >= self.state.starts, "a start is never uncounted");
        failpoint::reach(Point::PersistBefore);
        let has_generation = self.has_generation;
        let (old, path) = (&self.state, &self.path);
        self.connection
            .transaction(|connection| write(connection, old, new, has_generation))
            .map_err(|error: diesel::result::Error| StoreError::Database {
                doing: "write the local store",
                reason: format!("{error} ({})", path.display()),
            })?;
        self.state = new.clone();
        failpoint::reach(Point::PersistAfter);
        Ok(())
    }
}

/// The lineage of the log in use, if it can be read: a reset works on damaged folders too.
pub(super) fn lineage_in(folder: &Folder) -> Result<Option<Hash>, StoreError> {
    let Ok(Some(generation)) = folder.current() else { return Ok(None) };
    let path = folder.database(generation);
    let Ok(mut connection) = super::connection::open_unchecked(&path) else { return Ok(None) };
    Ok(log::summary(&mut connection).ok().flatten().map(|summary| summary.lineage))
}

fn blank(uuid: [u8; 16]) -> LocalState {
    LocalState {
        uuid,
        starts: 0,
        promised: Epoch::ZERO,
        promised_to: BTreeSet::new(),
        belonged: None,
        peers: BTreeMap::new(),
    }
}

fn write(
    connection: &mut SqliteConnection,
    old: &LocalState,
    new: &LocalState,
    has_generation: bool,
) -> Result<(), diesel::result::Error> {
    let promised_to: Vec<u8> = new.promised_to.iter().flat_map(|id| id.0.to_be_bytes()).collect();
    replace_into(state::table)
        .values((
            state::id.eq(1),
            state::uuid.eq(new.uuid.as_slice()),
            state::starts.eq(new.starts as i64),
            state::promised_number.eq(new.promised.number as i64),
            state::promised_server.eq(i64::from(new.promised.server.0)),
            state::promised_to.eq(promised_to),
            state::belonged.eq(new.belonged.as_ref().map(|hash| hash.0.as_slice())),
            state::has_generation.eq(has_generation),
        ))
        .execute(connection)?;
    if old.peers == new.peers {
        return Ok(());
    }
    delete(peers::table).execute(connection)?;
    for (server, memory) in &new.peers {
        insert_into(peers::table)
            .values((
                peers::server.eq(i64::from(server.0)),
                peers::uuid.eq(memory.uuid.as_slice()),
                peers::starts.eq(memory.starts as i64),
                peers::durable.eq(memory.durable as i64),
            ))
            .execute(connection)?;
    }
    Ok(())
}

fn read(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<Option<(LocalState, bool)>, StoreError> {
    let row: Option<StateRow> = state::table
        .select((
            state::uuid,
            state::starts,
            state::promised_number,
            state::promised_server,
            state::promised_to,
            state::belonged,
            state::has_generation,
        ))
        .first(connection)
        .optional()
        .map_err(|error| StoreError::damaged(path, error))?;
    let Some((uuid, starts, number, server, promised_to, belonged, has_generation)) = row else {
        return Ok(None);
    };
    let short = || StoreError::damaged(path, "a stored id or hash has a wrong length");
    let belonged = match belonged {
        Some(bytes) => Some(Hash(bytes.try_into().map_err(|_| short())?)),
        None => None,
    };
    let state = LocalState {
        uuid: uuid.try_into().map_err(|_| short())?,
        starts: starts as u64,
        promised: Epoch { number: number as u64, server: ServerId(server as u32) },
        promised_to: promised_to
            .chunks(4)
            .map(|id| id.try_into().map(|id| ServerId(u32::from_be_bytes(id))))
            .collect::<Result<_, _>>()
            .map_err(|_| short())?,
        belonged,
        peers: read_peers(connection, path)?,
    };
    Ok(Some((state, has_generation)))
}

fn read_peers(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<BTreeMap<ServerId, PeerMemory>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, i64, i64)> =
        peers::table.load(connection).map_err(|error| StoreError::damaged(path, error))?;
    rows.into_iter()
        .map(|(server, uuid, starts, durable)| {
            let uuid = uuid
                .try_into()
                .map_err(|_| StoreError::damaged(path, "a stored uuid has a wrong length"))?;
            let memory = PeerMemory { uuid, starts: starts as u64, durable: durable as u64 };
            Ok((ServerId(server as u32), memory))
        })
        .collect()
}
