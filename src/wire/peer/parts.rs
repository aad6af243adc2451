//! The small types that messages between servers are made of.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    cluster::{
        Body, Boundary, Entry, Epoch, Hash, Incarnation, KnownCommitted, Message, Mode, Payload,
        PeerMemory, Position, Rejection, Report, Seq, ServerId, Updates, View,
    },
    wire::{Malformed, cluster as proto},
};

pub(super) type Parsed<T> = Result<T, Malformed>;

/// The 32 bytes of a hash.
pub fn hash_bytes(hash: Hash) -> Bytes {
    Bytes::copy_from_slice(&hash.0)
}

/// A hash from exactly 32 bytes.
pub fn parse_hash(bytes: &[u8]) -> Parsed<Hash> {
    bytes.try_into().map(Hash).map_err(|_| Malformed("a hash has 32 bytes"))
}

/// The wire form of an epoch.
pub fn epoch_to(epoch: Epoch) -> proto::Epoch {
    proto::Epoch { number: epoch.number, server: epoch.server.0 }
}

/// Nobody has counted so far, and from here nobody counts over the edge.
const GREATEST_EPOCH: u64 = 1 << 62;

/// Reads an epoch that must be there.
pub fn epoch_of(epoch: Option<proto::Epoch>) -> Result<Epoch, Malformed> {
    let epoch = epoch.ok_or(Malformed("an epoch is missing"))?;
    if epoch.number > GREATEST_EPOCH {
        return Err(Malformed("an epoch is too great"));
    }
    Ok(Epoch { number: epoch.number, server: ServerId(epoch.server) })
}

pub(super) fn incarnation_to(incarnation: &Incarnation) -> proto::Incarnation {
    let Incarnation { starts, bumps, random } = *incarnation;
    proto::Incarnation { starts, bumps, random }
}

pub(super) fn incarnation_of(incarnation: proto::Incarnation) -> Incarnation {
    let proto::Incarnation { starts, bumps, random } = incarnation;
    Incarnation { starts, bumps, random }
}

pub(super) fn tables_to((seq, digest): (Seq, Hash)) -> proto::Tables {
    proto::Tables { seq, digest: hash_bytes(digest) }
}

pub(super) fn tables_of(tables: proto::Tables) -> Parsed<(Seq, Hash)> {
    Ok((tables.seq, parse_hash(&tables.digest)?))
}

/// The protobuf form of a position.
pub fn position_to(position: Position) -> proto::Position {
    proto::Position {
        epoch: Some(epoch_to(position.epoch)),
        seq: position.seq,
        hash: hash_bytes(position.hash),
    }
}

/// A position from its protobuf form.
pub fn position_of(position: proto::Position) -> Parsed<Position> {
    Ok(Position {
        epoch: epoch_of(position.epoch)?,
        seq: position.seq,
        hash: parse_hash(&position.hash)?,
    })
}

pub(super) fn view_to(view: &View) -> proto::View {
    proto::View { members: view.members.iter().map(|id| id.0).collect(), forced: view.forced }
}

pub(super) fn view_of(view: proto::View) -> Parsed<View> {
    if view.members.is_empty() {
        return Err(Malformed("a view has at least one member"));
    }
    Ok(View { members: servers_of(view.members), forced: view.forced })
}

pub(super) fn servers_of(ids: Vec<u32>) -> BTreeSet<ServerId> {
    ids.into_iter().map(ServerId).collect()
}

pub(super) fn placed_view_of(view: Option<proto::View>, seq: Seq) -> Parsed<Option<(Seq, View)>> {
    view.map(|view| Ok((seq, view_of(view)?))).transpose()
}

pub(super) fn committed_to(known: KnownCommitted) -> proto::KnownCommitted {
    proto::KnownCommitted {
        epoch: Some(epoch_to(known.epoch)),
        seq: known.seq,
        hash: hash_bytes(known.hash),
    }
}

pub(super) fn committed_of(known: proto::KnownCommitted) -> Parsed<KnownCommitted> {
    Ok(KnownCommitted {
        epoch: epoch_of(known.epoch)?,
        seq: known.seq,
        hash: parse_hash(&known.hash)?,
    })
}

pub(super) fn boundaries_to(boundaries: &[Boundary]) -> Vec<proto::Boundary> {
    let boundary =
        |b: &Boundary| proto::Boundary { epoch: Some(epoch_to(b.epoch)), first: b.first };
    boundaries.iter().map(boundary).collect()
}

pub(super) fn boundaries_of(boundaries: Vec<proto::Boundary>) -> Parsed<Vec<Boundary>> {
    let boundary = |b: proto::Boundary| Ok(Boundary { epoch: epoch_of(b.epoch)?, first: b.first });
    boundaries.into_iter().map(boundary).collect()
}

fn entry_to(entry: &Entry) -> proto::Entry {
    proto::Entry {
        seq: entry.seq,
        epoch: Some(epoch_to(entry.epoch)),
        kind: entry.payload.kind().into(),
        payload: entry.payload.bytes(),
        hash: hash_bytes(entry.hash),
    }
}

fn entry_of(entry: proto::Entry) -> Parsed<Entry> {
    let kind = u8::try_from(entry.kind).map_err(|_| Malformed("no such kind of entry"))?;
    Ok(Entry {
        seq: entry.seq,
        epoch: epoch_of(entry.epoch)?,
        payload: Payload::parse(kind, entry.payload).ok_or(Malformed("an entry's payload"))?,
        hash: parse_hash(&entry.hash)?,
    })
}

pub(super) fn updates_to(updates: &Updates) -> proto::Updates {
    proto::Updates {
        epoch: Some(epoch_to(updates.epoch)),
        prev_seq: updates.prev_seq,
        prev_hash: hash_bytes(updates.prev_hash),
        entries: updates.entries.iter().map(entry_to).collect(),
        known_committed: updates.known_committed.map(committed_to),
    }
}

/// Entries must be consecutive after `prev_seq` and chained by their hashes.
pub(super) fn updates_of(updates: Option<proto::Updates>) -> Parsed<Updates> {
    let updates = updates.ok_or(Malformed("updates are missing"))?;
    let prev_hash = parse_hash(&updates.prev_hash)?;
    let mut entries = Vec::with_capacity(updates.entries.len());
    let (mut seq, mut hash) = (updates.prev_seq, prev_hash);
    for entry in updates.entries {
        let entry = entry_of(entry)?;
        if Some(entry.seq) != seq.checked_add(1) || !entry.follows(hash) {
            return Err(Malformed("entries are not a chain"));
        }
        (seq, hash) = (entry.seq, entry.hash);
        entries.push(entry);
    }
    Ok(Updates {
        epoch: epoch_of(updates.epoch)?,
        prev_seq: updates.prev_seq,
        prev_hash,
        entries: Arc::new(entries),
        known_committed: updates.known_committed.map(committed_of).transpose()?,
    })
}

pub(super) fn rejection_to(rejection: Rejection) -> u32 {
    match rejection {
        Rejection::WrongIncarnation => 1,
        Rejection::LowerEpoch => 2,
        Rejection::Gap => 3,
        Rejection::Diverged => 4,
        Rejection::NoDisk => 5,
    }
}

pub(super) fn rejection_of(number: u32) -> Parsed<Rejection> {
    match number {
        1 => Ok(Rejection::WrongIncarnation),
        2 => Ok(Rejection::LowerEpoch),
        3 => Ok(Rejection::Gap),
        4 => Ok(Rejection::Diverged),
        5 => Ok(Rejection::NoDisk),
        _ => Err(Malformed("no such rejection")),
    }
}

fn mode_to(mode: Mode) -> (u32, Option<proto::Epoch>) {
    match mode {
        Mode::Blank => (1, None),
        Mode::Recovering => (2, None),
        Mode::Follower(epoch) => (3, Some(epoch_to(epoch))),
        Mode::Candidate(epoch) => (4, Some(epoch_to(epoch))),
        Mode::Leader(epoch) => (5, Some(epoch_to(epoch))),
        Mode::Reconciling => (6, None),
    }
}

fn mode_of(mode: u32, epoch: Option<proto::Epoch>) -> Parsed<Mode> {
    match mode {
        1 => Ok(Mode::Blank),
        2 => Ok(Mode::Recovering),
        3 => Ok(Mode::Follower(epoch_of(epoch)?)),
        4 => Ok(Mode::Candidate(epoch_of(epoch)?)),
        5 => Ok(Mode::Leader(epoch_of(epoch)?)),
        6 => Ok(Mode::Reconciling),
        _ => Err(Malformed("no such mode")),
    }
}

fn uuid_of(bytes: &[u8]) -> Parsed<[u8; 16]> {
    bytes.try_into().map_err(|_| Malformed("a uuid has 16 bytes"))
}

fn memory_to(memory: &PeerMemory) -> proto::Memory {
    proto::Memory {
        uuid: Bytes::copy_from_slice(&memory.uuid),
        starts: memory.starts,
        durable: memory.durable,
    }
}

fn memory_of(memory: proto::Memory) -> Parsed<PeerMemory> {
    Ok(PeerMemory { uuid: uuid_of(&memory.uuid)?, starts: memory.starts, durable: memory.durable })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn report_to(report: &Report) -> proto::Report {
    let (mode, epoch) = mode_to(report.mode);
    proto::Report {
        uuid: Bytes::copy_from_slice(&report.uuid),
        mode,
        epoch,
        last: report.last.map(position_to),
        view: report.view.as_ref().map(|(_, view)| view_to(view)),
        view_seq: report.view.as_ref().map_or(0, |(seq, _)| *seq),
        known_committed: report.known_committed.map(committed_to),
        leader_contact_ms: report.leader_contact.map(millis),
        oldest_work_ms: millis(report.oldest_work),
        config_hash: report.config_hash,
        schema_version: report.schema_version,
        lineage: report.lineage.map(hash_bytes).unwrap_or_default(),
        remembered: report.remembered.as_ref().map(memory_to),
        serving: report.serving,
        log_format: report.log_format,
        belonged: report.belonged,
    }
}

pub(super) fn report_of(report: Option<proto::Report>) -> Parsed<Box<Report>> {
    let report = report.ok_or(Malformed("a report is missing"))?;
    Ok(Box::new(Report {
        uuid: uuid_of(&report.uuid)?,
        mode: mode_of(report.mode, report.epoch)?,
        serving: report.serving,
        last: report.last.map(position_of).transpose()?,
        view: placed_view_of(report.view, report.view_seq)?,
        known_committed: report.known_committed.map(committed_of).transpose()?,
        leader_contact: report.leader_contact_ms.map(Duration::from_millis),
        oldest_work: Duration::from_millis(report.oldest_work_ms),
        config_hash: report.config_hash,
        schema_version: report.schema_version,
        log_format: report.log_format,
        lineage: lineage_of(&report.lineage)?,
        belonged: report.belonged,
        remembered: report.remembered.map(memory_of).transpose()?,
    }))
}

/// Empty bytes mean that there is none.
pub(super) fn lineage_of(bytes: &[u8]) -> Parsed<Option<Hash>> {
    if bytes.is_empty() { Ok(None) } else { parse_hash(bytes).map(Some) }
}

/// A message from its envelope and what it says.
pub(super) fn message(envelope: Option<proto::Envelope>, body: Body) -> Parsed<Message> {
    let envelope = envelope.ok_or(Malformed("the envelope is missing"))?;
    let incarnation = envelope.incarnation.ok_or(Malformed("the incarnation is missing"))?;
    Ok(Message {
        from: ServerId(envelope.from),
        to: ServerId(envelope.to),
        incarnation: incarnation_of(incarnation),
        receiver: envelope.receiver.map(incarnation_of),
        nonce: envelope.nonce,
        promised: epoch_of(envelope.promised)?,
        body,
    })
}
