//! Long answers to other servers, made beside the loop: log entries and snapshots.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    io::AsyncReadExt as _,
    sync::mpsc,
    time::{Duration, timeout},
};

use crate::{
    cluster::{Body, Epoch, Hash, Message, SendLog, ServerId, Updates},
    peers::{Answer, Calls, Heard, Rpc},
    store::{Store, StoreError, verify_snapshot},
    wire::{cluster::Envelope, peer::SnapshotParts},
};

/// One part of a suffix.
const PART_BYTES: usize = 1024 * 1024;
/// One chunk of a snapshot.
const CHUNK_BYTES: usize = 256 * 1024;
/// A receiver that takes no part for so long is gone; it asks again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a long answer ended early. The asker asks again.
#[derive(Debug, thiserror::Error)]
enum TransferError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("reading the snapshot: {0}")]
    File(#[from] std::io::Error),
    #[error("the receiver went away")]
    Gone,
}

/// Reads entries from the store and sends them part by part.
pub(super) async fn send_log(store: Store, calls: Calls, order: SendLog) {
    let to = order.template.to;
    if let Err(error) = try_send_log(&store, &calls, order).await {
        tracing::debug!(%to, %error, "sending log entries ended early");
    }
}

async fn try_send_log(store: &Store, calls: &Calls, order: SendLog) -> Result<(), TransferError> {
    let SendLog { mut template, until, known_committed } = order;
    let rpc = match template.body {
        Body::Fetched(_) => Rpc::Fetch,
        _ => Rpc::Register,
    };
    let answers = calls.sender(template.to, rpc, template.nonce).ok_or(TransferError::Gone)?;
    loop {
        let (Body::Suffix(updates) | Body::Fetched(updates)) = &mut template.body else {
            unreachable!("only entries are sent this way")
        };
        let first = updates.prev_seq + 1;
        let entries = store.read(move |reader| reader.entries(first, until, PART_BYTES)).await?;
        let Some(last) = entries.last().map(|entry| entry.position()) else {
            return send(&answers, Answer::End).await;
        };
        *updates = Updates { entries: Arc::new(entries), known_committed, ..updates.clone() };
        send(&answers, Answer::Message(template.clone())).await?;
        if last.seq >= until {
            return send(&answers, Answer::End).await;
        }
        let (Body::Suffix(updates) | Body::Fetched(updates)) = &mut template.body else {
            unreachable!("only entries are sent this way")
        };
        (updates.prev_seq, updates.prev_hash) = (last.seq, last.hash);
    }
}

/// Who wants a snapshot.
pub(super) struct SnapshotOrder {
    pub(super) to: ServerId,
    pub(super) nonce: u64,
    pub(super) epoch: Epoch,
    pub(super) envelope: Envelope,
}

/// Makes a snapshot and streams it.
pub(super) async fn send_snapshot(store: Store, calls: Calls, order: SnapshotOrder) {
    let to = order.to;
    match try_send_snapshot(&store, &calls, order).await {
        Ok(bytes) => tracing::info!(%to, bytes, "sent a snapshot"),
        Err(error) => tracing::info!(%to, %error, "sending a snapshot ended early"),
    }
}

async fn try_send_snapshot(
    store: &Store,
    calls: &Calls,
    order: SnapshotOrder,
) -> Result<u64, TransferError> {
    let answers = calls.sender(order.to, Rpc::Register, order.nonce).ok_or(TransferError::Gone)?;
    tracing::info!(to = %order.to, "making a snapshot");
    // The file goes when this ends, however it ends.
    let path = store.staging_path(&format!("outgoing-{}-{}", order.to, order.nonce))?;
    let file = tempfile::TempPath::try_from_path(&path)?;
    let position = {
        let (store, path) = (store.clone(), path.clone());
        let making = tokio::task::spawn_blocking(move || store.snapshot_to(&path));
        making.await.map_err(std::io::Error::other)??
    };
    let (size, checksum) = measure(&path).await?;
    let parts = SnapshotParts { envelope: order.envelope };
    send(&answers, Answer::Part(parts.header(order.epoch, position, size, checksum))).await?;
    let mut reading = File::open(&path).await?;
    let mut offset = 0;
    while let Some(data) = next_chunk(&mut reading).await? {
        let length = data.len() as u64;
        send(&answers, Answer::Part(parts.chunk(offset, data))).await?;
        offset += length;
    }
    send(&answers, Answer::End).await?;
    drop(file);
    Ok(size)
}

async fn measure(path: &PathBuf) -> Result<(u64, Hash), TransferError> {
    let mut file = File::open(path).await?;
    let (mut size, mut hasher) = (0, Sha256::new());
    while let Some(data) = next_chunk(&mut file).await? {
        hasher.update(&data);
        size += data.len() as u64;
    }
    Ok((size, Hash(hasher.finalize().into())))
}

async fn next_chunk(file: &mut File) -> Result<Option<Bytes>, TransferError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut filled = 0;
    while filled < CHUNK_BYTES {
        let read = file.read(&mut chunk[filled..]).await?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    chunk.truncate(filled);
    Ok((filled > 0).then(|| chunk.into()))
}

async fn send(answers: &mpsc::Sender<Answer>, answer: Answer) -> Result<(), TransferError> {
    match timeout(PATIENCE, answers.send(answer)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(TransferError::Gone),
    }
}

/// Looks into a received snapshot; a sound one becomes a message for the core.
pub(super) async fn verify(message: Message, file: PathBuf, heard: mpsc::Sender<Heard>) {
    let Body::Snapshot { position, .. } = message.body else {
        unreachable!("only snapshots come with a file")
    };
    let path = file.clone();
    let verifying = tokio::task::spawn_blocking(move || verify_snapshot(&path));
    match verifying.await {
        Ok(Ok(found)) if found == position => {
            let _ = heard.send(Heard::Message(message)).await;
        }
        Ok(Ok(_)) => tracing::warn!("dropped a snapshot that stands elsewhere than it said"),
        Ok(Err(error)) => tracing::warn!(%error, "dropped a damaged snapshot"),
        Err(error) => tracing::warn!(%error, "dropped a snapshot"),
    }
}
