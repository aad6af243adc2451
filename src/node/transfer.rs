//! Long answers to other servers, made beside the loop: log entries and snapshots.

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempPath;
use tokio::{
    fs::File,
    io::AsyncReadExt as _,
    sync::{Semaphore, mpsc},
    time::{Duration, Instant, timeout},
};

use super::points;
use crate::{
    cluster::{Body, Epoch, Message, SendLog, ServerId, Updates},
    failpoint::{self, Point},
    peers::{Answer, Calls, Copies, Heard, Rpc},
    store::{Made, Store, StoreError, verify_snapshot},
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
pub(super) enum TransferError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("reading the snapshot: {0}")]
    File(#[from] std::io::Error),
    #[error("the receiver went away")]
    Gone,
}

/// Reads entries from the store and sends them part by part.
pub(super) async fn send_log(store: Store, calls: Calls, order: SendLog) {
    let SendLog { template, .. } = &order;
    let rpc = match template.body {
        Body::Fetched(_) => Rpc::Fetch,
        _ => Rpc::Register,
    };
    let to = template.to;
    let Some(answers) = calls.sender(to, rpc, template.nonce) else { return };
    if let Err(error) = try_send_log(&store, &answers, order).await {
        tracing::debug!(%to, %error, "sending log entries ended early");
    }
    // Also after an error: the asker shall not wait for what does not come.
    let _ = send(&answers, Answer::End).await;
}

async fn try_send_log(
    store: &Store,
    answers: &mpsc::Sender<Answer>,
    order: SendLog,
) -> Result<(), TransferError> {
    let SendLog { mut template, until, known_committed } = order;
    loop {
        let (Body::Suffix(updates) | Body::Fetched(updates)) = &mut template.body else {
            unreachable!("only entries are sent this way")
        };
        let first = updates.prev_seq + 1;
        let entries = store.read(move |reader| reader.entries(first, until, PART_BYTES)).await?;
        let Some(last) = entries.last().map(|entry| entry.position()) else { return Ok(()) };
        *updates = Updates { entries: Arc::new(entries), known_committed, ..updates.clone() };
        let [before, sent] = points::of(&template.body);
        failpoint::reach(before);
        send(answers, Answer::Message(template.clone())).await?;
        failpoint::reach(sent);
        if last.seq >= until {
            return Ok(());
        }
        let (Body::Suffix(updates) | Body::Fetched(updates)) = &mut template.body else {
            unreachable!("only entries are sent this way")
        };
        (updates.prev_seq, updates.prev_hash) = (last.seq, last.hash);
    }
}

/// Who wants a snapshot, and where it is told how far it is.
pub(super) struct SnapshotOrder {
    pub(super) to: ServerId,
    pub(super) nonce: u64,
    pub(super) epoch: Epoch,
    pub(super) envelope: Envelope,
    pub(super) copies: Copies,
    /// Free disk space that must be left, in bytes.
    pub(super) reserve: u64,
}

/// Makes a snapshot under this name and streams it. `making` lets one be made at a time.
pub(super) async fn send_snapshot(
    store: Store,
    calls: Calls,
    order: SnapshotOrder,
    name: String,
    making: Arc<Semaphore>,
) {
    let to = order.to;
    let Ok(turn) = making.acquire().await else { return };
    // Whoever went away while it waited has asked again since.
    let Some(answers) = calls.sender(to, Rpc::Register, order.nonce) else { return };
    let sent = async {
        failpoint::reach(Point::SnapshotBefore);
        let snapshot = Outgoing::make(&store, &name, order.reserve).await?;
        failpoint::reach(Point::SnapshotMade);
        drop(turn);
        snapshot.stream(&answers, order).await
    };
    match sent.await {
        Ok(bytes) => tracing::info!(%to, bytes, "sent a snapshot"),
        Err(error) => tracing::warn!(%to, %error, "sending a snapshot ended early"),
    }
    // Also after an error: the asker shall not wait for what does not come.
    let _ = send(&answers, Answer::End).await;
}

/// A snapshot that was made; its file goes with it.
struct Outgoing {
    file: TempPath,
    made: Made,
}

impl Outgoing {
    async fn make(store: &Store, name: &str, reserve: u64) -> Result<Outgoing, TransferError> {
        let began = Instant::now();
        let (file, made) = make_file(store, name, reserve).await?;
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!(name, bytes = made.size, seconds, "made a snapshot");
        Ok(Outgoing { file, made })
    }

    async fn stream(
        &self,
        answers: &mpsc::Sender<Answer>,
        order: SnapshotOrder,
    ) -> Result<u64, TransferError> {
        let Made { position, size, checksum } = self.made;
        let mut copy = order.copies.begin(order.to, size);
        let parts = SnapshotParts { envelope: order.envelope };
        let header = parts.header(order.epoch, position, size, checksum);
        send(answers, Answer::Part(header)).await?;
        let mut reading = File::open(&self.file).await?;
        let mut offset = 0;
        while let Some(data) = next_chunk(&mut reading).await? {
            let length = data.len() as u64;
            failpoint::reach(Point::ChunkBefore);
            send(answers, Answer::Part(parts.chunk(offset, data))).await?;
            failpoint::reach(Point::ChunkSent);
            offset += length;
            copy.reached(offset);
        }
        Ok(size)
    }
}

/// Makes a snapshot under this name, unless less than the reserve would be left of the disk.
pub(super) async fn make_file(
    store: &Store,
    name: &str,
    reserve: u64,
) -> Result<(TempPath, Made), TransferError> {
    tracing::info!(name, "making a snapshot");
    let path = store.staging_path(name)?;
    let file = TempPath::try_from_path(&path)?;
    let store = store.clone();
    // The file stays with the work, which goes on when nobody waits for it any more.
    let making = tokio::task::spawn_blocking(move || {
        store.room_for_a_snapshot(reserve)?;
        let made = store.snapshot_to(&path)?;
        Ok::<_, StoreError>((file, made))
    });
    Ok(making.await.map_err(std::io::Error::other)??)
}

pub(super) async fn next_chunk(file: &mut File) -> Result<Option<Bytes>, TransferError> {
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

/// Looks into a received snapshot; a sound one goes to the loop, any other file is removed.
pub(super) async fn verify(message: Message, file: TempPath, heard: mpsc::Sender<Heard>) {
    let Body::Snapshot { position, .. } = message.body else {
        unreachable!("only snapshots come with a file")
    };
    let verifying = tokio::task::spawn_blocking(move || (verify_snapshot(&file), file));
    match verifying.await {
        Ok((Ok(found), file)) if found == position => {
            failpoint::reach(Point::SnapshotVerified);
            let _ = heard.send(Heard::SoundSnapshot { message, file }).await;
        }
        Ok((Ok(_), _)) => tracing::warn!("dropped a snapshot that stands elsewhere than it said"),
        Ok((Err(error), _)) => tracing::warn!(%error, "dropped a damaged snapshot"),
        Err(error) => tracing::warn!(%error, "dropped a snapshot"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OpenOptions;

    #[tokio::test]
    async fn whoever_asked_for_a_snapshot_that_cannot_be_made_is_not_kept_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let opened = Store::open(OpenOptions::new(folder.path(), [1; 16])).expect("opened");
        let (calls, to) = (Calls::default(), ServerId(2));
        let (sender, mut answers) = mpsc::channel(4);
        let _waiting = calls.wait(to, Rpc::Register, 5, sender);
        let envelope = Envelope::default();
        let (copies, reserve) = (Copies::default(), 0);
        let order = SnapshotOrder { to, nonce: 5, epoch: Epoch::ZERO, envelope, copies, reserve };
        let making = Arc::new(Semaphore::new(1));
        // An empty log has no place that a snapshot could stand at.
        send_snapshot(opened.store.clone(), calls, order, "outgoing".into(), making.clone()).await;
        assert_eq!(answers.try_recv(), Ok(Answer::End));
        assert_eq!(making.available_permits(), 1, "the next one can be made");
        let left = opened.store.staging_path("outgoing").expect("a path");
        assert!(!left.exists(), "nothing is left of it");
    }
}
