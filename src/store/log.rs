//! The log's rows: reading, appending, trimming. Shared by the writer and the readers.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SqliteConnection, delete, insert_into, replace_into, update,
};

use super::{
    error::StoreError,
    schema::{epochs, log, meta, views},
};
use crate::cluster::{
    Boundary, Entry, Epoch, Hash, LogSummary, Payload, Position, RECENT, Seq, ServerId, View,
};

/// Where the log and the tables stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) lineage: Hash,
    pub(super) digest: Hash,
    /// The oldest entry that is kept.
    pub(super) first: Seq,
    /// The newest entry.
    pub(super) last: Position,
}

/// Reads where the log stands; `None` while it is empty.
pub(super) fn head(connection: &mut SqliteConnection) -> Result<Option<Head>, StoreError> {
    type Row = (Vec<u8>, Vec<u8>, i64, i64, i64, i64, Vec<u8>);
    let row: Option<Row> = meta::table
        .select((
            meta::lineage,
            meta::digest,
            meta::first_seq,
            meta::last_seq,
            meta::last_epoch_number,
            meta::last_epoch_server,
            meta::last_hash,
        ))
        .first(connection)
        .optional()
        .map_err(StoreError::database("read where the log stands"))?;
    let Some((lineage, digest, first, seq, number, server, hash)) = row else { return Ok(None) };
    let seq = seq as Seq;
    let last = Position { epoch: epoch(number, server), seq, hash: to_hash(hash, seq)? };
    Ok(Some(Head {
        lineage: to_hash(lineage, seq)?,
        digest: to_hash(digest, seq)?,
        first: first as Seq,
        last,
    }))
}

/// Writes where the log stands, after entries were appended.
pub(super) fn set_head(connection: &mut SqliteConnection, head: &Head) -> Result<(), StoreError> {
    replace_into(meta::table)
        .values((
            meta::id.eq(1),
            meta::lineage.eq(head.lineage.0.as_slice()),
            meta::digest.eq(head.digest.0.as_slice()),
            meta::first_seq.eq(head.first as i64),
            meta::last_seq.eq(head.last.seq as i64),
            meta::last_epoch_number.eq(head.last.epoch.number as i64),
            meta::last_epoch_server.eq(i64::from(head.last.epoch.server.0)),
            meta::last_hash.eq(head.last.hash.0.as_slice()),
        ))
        .execute(connection)
        .map(drop)
        .map_err(StoreError::database("note where the log stands"))
}

/// Appends one entry; `opens_epoch` when the entry before it was of another.
pub(super) fn append(
    connection: &mut SqliteConnection,
    entry: &Entry,
    opens_epoch: bool,
) -> Result<(), StoreError> {
    let payload = entry.payload.bytes();
    insert_into(log::table)
        .values((
            log::seq.eq(entry.seq as i64),
            log::epoch_number.eq(entry.epoch.number as i64),
            log::epoch_server.eq(i64::from(entry.epoch.server.0)),
            log::kind.eq(i64::from(entry.payload.kind())),
            log::payload.eq(&payload[..]),
            log::hash.eq(entry.hash.0.as_slice()),
        ))
        .execute(connection)
        .map_err(StoreError::database("append to the log"))?;
    if opens_epoch {
        insert_into(epochs::table)
            .values((
                epochs::first_seq.eq(entry.seq as i64),
                epochs::number.eq(entry.epoch.number as i64),
                epochs::server.eq(i64::from(entry.epoch.server.0)),
            ))
            .execute(connection)
            .map_err(StoreError::database("note an epoch"))?;
    }
    if matches!(entry.payload, Payload::View(_)) {
        insert_into(views::table)
            .values((views::seq.eq(entry.seq as i64), views::payload.eq(&payload[..])))
            .execute(connection)
            .map_err(StoreError::database("note a view"))?;
    }
    Ok(())
}

/// Removes entries up to `until`, the newest one excepted; returns the oldest one that is kept.
pub(super) fn trim(
    connection: &mut SqliteConnection,
    head: &Head,
    until: Seq,
) -> Result<Seq, StoreError> {
    let first = (until + 1).min(head.last.seq).max(head.first);
    delete(log::table.filter(log::seq.lt(first as i64)))
        .execute(connection)
        .map_err(StoreError::database("trim the log"))?;
    update(meta::table)
        .set(meta::first_seq.eq(first as i64))
        .execute(connection)
        .map_err(StoreError::database("trim the log"))?;
    Ok(first)
}

/// The entries from `from` to `until`, as many as fit `max_bytes` of payload, one at least.
pub(super) fn entries(
    connection: &mut SqliteConnection,
    from: Seq,
    until: Seq,
    max_bytes: usize,
) -> Result<Vec<Entry>, StoreError> {
    type Row = (i64, i64, i64, i64, Vec<u8>, Vec<u8>);
    const ENTRY_OVERHEAD: usize = 64;
    let mut entries = Vec::new();
    let mut bytes = 0;
    let rows = log::table
        .filter(log::seq.between(from as i64, until as i64))
        .order(log::seq)
        .load_iter::<Row, diesel::connection::DefaultLoadingMode>(connection)
        .map_err(StoreError::database("read the log"))?;
    for row in rows {
        let (seq, number, server, kind, payload, hash) =
            row.map_err(StoreError::database("read the log"))?;
        bytes += payload.len() + ENTRY_OVERHEAD;
        if bytes > max_bytes && !entries.is_empty() {
            break;
        }
        let seq = seq as Seq;
        let payload = Payload::parse(kind as u8, payload.into())
            .ok_or_else(|| bad(seq, "has a malformed payload"))?;
        entries.push(Entry {
            seq,
            epoch: epoch(number, server),
            payload,
            hash: to_hash(hash, seq)?,
        });
    }
    Ok(entries)
}

/// What the protocol keeps of the log in memory; `None` while it is empty.
pub(super) fn summary(connection: &mut SqliteConnection) -> Result<Option<LogSummary>, StoreError> {
    let Some(head) = head(connection)? else { return Ok(None) };
    Ok(Some(LogSummary {
        lineage: head.lineage,
        first: head.first,
        last: head.last,
        boundaries: boundaries(connection)?,
        views: read_views(connection)?,
        recent: recent(connection)?,
    }))
}

fn boundaries(connection: &mut SqliteConnection) -> Result<Vec<Boundary>, StoreError> {
    let rows: Vec<(i64, i64, i64)> = epochs::table
        .order(epochs::first_seq)
        .load(connection)
        .map_err(StoreError::database("read the epochs"))?;
    Ok(rows
        .into_iter()
        .map(|(first, number, server)| Boundary {
            epoch: epoch(number, server),
            first: first as Seq,
        })
        .collect())
}

fn read_views(connection: &mut SqliteConnection) -> Result<Vec<(Seq, View)>, StoreError> {
    const VIEW: u8 = 2;
    let rows: Vec<(i64, Vec<u8>)> = views::table
        .order(views::seq)
        .load(connection)
        .map_err(StoreError::database("read the views"))?;
    rows.into_iter()
        .map(|(seq, payload)| match Payload::parse(VIEW, payload.into()) {
            Some(Payload::View(view)) => Ok((seq as Seq, view)),
            _ => Err(bad(seq as Seq, "holds a malformed view")),
        })
        .collect()
}

fn recent(connection: &mut SqliteConnection) -> Result<Vec<(Seq, Hash)>, StoreError> {
    let mut rows: Vec<(i64, Vec<u8>)> = log::table
        .select((log::seq, log::hash))
        .order(log::seq.desc())
        .limit(RECENT as i64)
        .load(connection)
        .map_err(StoreError::database("read the newest hashes"))?;
    rows.reverse();
    rows.into_iter().map(|(seq, hash)| Ok((seq as Seq, to_hash(hash, seq as Seq)?))).collect()
}

fn epoch(number: i64, server: i64) -> Epoch {
    Epoch { number: number as u64, server: ServerId(server as u32) }
}

fn to_hash(bytes: Vec<u8>, seq: Seq) -> Result<Hash, StoreError> {
    bytes.try_into().map(Hash).map_err(|_| bad(seq, "has a hash of a wrong length"))
}

fn bad(seq: Seq, reason: &str) -> StoreError {
    StoreError::BadEntry { seq, reason: reason.into() }
}
