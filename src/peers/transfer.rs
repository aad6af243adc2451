//! Long answers: missing entries and snapshots.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

use super::{
    Copy, Heard, Settings,
    link::{CallError, Caller},
};
use crate::{
    cluster::{Body, Hash, Message},
    failpoint::{self, Point},
    wire::{
        cluster::{FetchLogRequest, RegisterFollowerRequest},
        peer::{self, RegisterPart},
    },
};

/// The leader makes a snapshot before it sends the first part: it writes a whole database. That it is still there
/// is shown by the connection itself, which is given up when a ping stays unanswered.
const FIRST_PART: Duration = Duration::from_secs(3_600);
/// Between two parts.
const NEXT_PART: Duration = Duration::from_secs(15);
/// A part that is not durable after this was not taken: the core asks again from where the log ends.
const TAKEN: Duration = Duration::from_secs(3);

/// Asks for what this server lacks, and hands it over part by part, each when the one before is durable.
pub(super) async fn register(
    caller: &Caller,
    request: RegisterFollowerRequest,
) -> Result<(), CallError> {
    let mut client = caller.bulk.clone();
    let response = client.register_follower(caller.request(request)).await?;
    let mut parts = response.into_inner();
    let (mut patience, mut snapshot) = (FIRST_PART, None);
    while let Some(part) =
        timeout(patience, parts.message()).await.map_err(|_| CallError::Late)??
    {
        patience = NEXT_PART;
        match peer::message_of_register(part)? {
            RegisterPart::Message(message) => hand_over(caller, message).await?,
            RegisterPart::Header { .. } if snapshot.is_some() => {
                return Err(CallError::Damaged("it begins twice"));
            }
            RegisterPart::Header { complete, size, checksum } => {
                tracing::info!(from = %caller.peer, bytes = size, "receiving a snapshot");
                snapshot =
                    Some(Incoming::create(&caller.settings, complete, size, checksum).await?);
            }
            RegisterPart::Chunk { offset, data } => {
                let incoming = snapshot.as_mut().ok_or(CallError::Damaged("a chunk came first"))?;
                incoming.write(offset, data).await?;
            }
        }
    }
    if let Some(incoming) = snapshot {
        let (message, file) = incoming.finish().await?;
        hand_in(&caller.heard, message, file).await;
    }
    Ok(())
}

/// Waits until the snapshot was looked into, which takes as long as to receive it. Were the call over before, the
/// core's next question would have the leader make another one meanwhile.
async fn hand_in(heard: &mpsc::Sender<Heard>, message: Message, file: TempPath) {
    let (looked_into, result) = oneshot::channel();
    let _ = heard.send(Heard::Snapshot { message, file, looked_into }).await;
    let _ = result.await;
}

/// Asks for the entries that a candidate lacks.
pub(super) async fn fetch(caller: &Caller, request: FetchLogRequest) -> Result<(), CallError> {
    let mut client = caller.bulk.clone();
    let mut parts = client.fetch_log(caller.request(request)).await?.into_inner();
    while let Some(part) =
        timeout(NEXT_PART, parts.message()).await.map_err(|_| CallError::Late)??
    {
        hand_over(caller, peer::message_of_fetch(part)?).await?;
    }
    Ok(())
}

/// Waits until the entries are durable, so that a long suffix never piles up in memory.
async fn hand_over(caller: &Caller, message: Message) -> Result<(), CallError> {
    let end = match &message.body {
        Body::Suffix(updates) | Body::Fetched(updates) => {
            updates.prev_seq + updates.entries.len() as u64
        }
        _ => 0,
    };
    caller.hear(message).await;
    let mut log_end = caller.settings.log_end.clone();
    let durable = timeout(TAKEN, log_end.wait_for(|durable| *durable >= end)).await;
    durable.map(drop).map_err(|_| CallError::Late)
}

/// A snapshot that is being received; what does not become whole is removed.
struct Incoming {
    complete: Message,
    path: TempPath,
    size: u64,
    came: u64,
    checksum: Hash,
    writing: Writing,
    copy: Copy,
}

/// A chunk is hashed and written by a thread while the next one is on its way.
type Writing = JoinHandle<io::Result<Sink>>;

struct Sink {
    file: File,
    hasher: Sha256,
}

impl Sink {
    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.hasher.update(chunk);
        self.file.write_all(chunk)?;
        failpoint::reach(Point::ChunkTaken);
        Ok(())
    }

    /// The checksum, once all of it is on the disk.
    fn finish(self) -> io::Result<Hash> {
        self.file.sync_all()?;
        Ok(Hash(self.hasher.finalize().into()))
    }
}

impl Incoming {
    async fn create(
        settings: &Settings,
        complete: Message,
        size: u64,
        checksum: Hash,
    ) -> Result<Incoming, CallError> {
        let Settings { staging, copies, me, .. } = settings;
        tokio::fs::create_dir_all(staging).await?;
        if free_space(staging)? < size {
            return Err(CallError::NoRoom(size));
        }
        let path = staging.join(format!("snapshot-{}", complete.nonce));
        let sink = Sink { file: File::create(&path)?, hasher: Sha256::new() };
        let path = TempPath::try_from_path(path)?;
        let writing = spawn_blocking(|| Ok(sink));
        let copy = copies.begin(*me, size);
        Ok(Incoming { complete, path, size, came: 0, checksum, writing, copy })
    }

    async fn write(&mut self, offset: u64, data: Bytes) -> Result<(), CallError> {
        let length = data.len() as u64;
        if offset != self.came || self.came + length > self.size {
            return Err(CallError::Damaged("a chunk is out of place"));
        }
        let mut sink = (&mut self.writing).await.map_err(io::Error::other)??;
        self.writing = spawn_blocking(move || sink.write(&data).map(|()| sink));
        self.came += length;
        self.copy.reached(self.came);
        Ok(())
    }

    /// The message for the core, and the file: whole and durable.
    async fn finish(self) -> Result<(Message, TempPath), CallError> {
        if self.came != self.size {
            return Err(CallError::Damaged("it ended early"));
        }
        let sink = self.writing.await.map_err(io::Error::other)??;
        let checksum = spawn_blocking(|| sink.finish()).await.map_err(io::Error::other)??;
        if checksum != self.checksum {
            return Err(CallError::Damaged("its checksum is wrong"));
        }
        failpoint::reach(Point::SnapshotTaken);
        let (bytes, seconds) = (self.size, self.copy.elapsed().as_secs_f64());
        tracing::info!(bytes, seconds, "received a snapshot; it is checked before it is used");
        Ok((self.complete, self.path))
    }
}

/// Bytes that this user can still write to the folder's disk.
fn free_space(folder: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::sync::watch;
    use tonic::transport::Endpoint;

    use super::*;
    use crate::{
        cluster::{Epoch, Incarnation, Position, ServerId},
        peers::Copies,
        tls::Dialing,
    };

    const CONTENT: &[u8] = b"all that was said";

    fn settings(staging: &Path) -> Settings {
        Settings {
            me: ServerId(2),
            cluster: "demo".into(),
            secret: String::new(),
            addresses: BTreeMap::new(),
            call_timeout: Duration::from_secs(1),
            staging: staging.into(),
            copies: Copies::default(),
            log_end: watch::channel(0).1,
            dialing: Dialing::Plain(Endpoint::connect_lazy),
        }
    }

    async fn incoming(staging: &Path) -> Incoming {
        let size = CONTENT.len() as u64;
        expecting(&settings(staging), size).await.expect("a file")
    }

    async fn expecting(settings: &Settings, size: u64) -> Result<Incoming, CallError> {
        let position = Position { epoch: Epoch::ZERO, seq: 9, hash: Hash([1; 32]) };
        let complete = Message {
            from: ServerId(1),
            to: ServerId(2),
            incarnation: Incarnation { starts: 1, bumps: 0, random: 7 },
            receiver: None,
            nonce: 5,
            promised: Epoch::ZERO,
            body: Body::Snapshot { epoch: Epoch::ZERO, position },
        };
        let checksum = Hash(Sha256::digest(CONTENT).into());
        Incoming::create(settings, complete, size, checksum).await
    }

    #[tokio::test]
    async fn what_finds_no_room_is_not_begun() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let refused = expecting(&settings, u64::MAX).await;
        assert!(matches!(refused, Err(CallError::NoRoom(u64::MAX))));
        assert_eq!((files(folder.path()), settings.copies.of(settings.me)), (0, None));
    }

    fn files(staging: &Path) -> usize {
        std::fs::read_dir(staging).expect("a folder").count()
    }

    #[tokio::test]
    async fn a_whole_snapshot_is_a_file_for_as_long_as_somebody_holds_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut incoming = incoming(folder.path()).await;
        incoming.write(0, Bytes::from_static(&CONTENT[..4])).await.expect("in place");
        incoming.write(4, Bytes::from_static(&CONTENT[4..])).await.expect("in place");
        let (_, file) = incoming.finish().await.expect("whole");
        assert_eq!(std::fs::read(&file).expect("readable"), CONTENT);
        drop(file);
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn the_call_goes_on_until_the_snapshot_was_looked_into() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut incoming = incoming(folder.path()).await;
        incoming.write(0, Bytes::from_static(CONTENT)).await.expect("in place");
        let (message, file) = incoming.finish().await.expect("whole");
        let (heard, mut hears) = mpsc::channel(1);
        let call = tokio::spawn(async move { hand_in(&heard, message, file).await });
        let Some(Heard::Snapshot { looked_into, .. }) = hears.recv().await else {
            panic!("the snapshot is handed in");
        };
        tokio::task::yield_now().await;
        assert!(!call.is_finished());
        drop(looked_into);
        call.await.expect("it ends");
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_damaged_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut early = incoming(folder.path()).await;
        early.write(0, Bytes::from_static(&CONTENT[..4])).await.expect("in place");
        assert!(early.finish().await.is_err());
        let mut damaged = incoming(folder.path()).await;
        damaged.write(0, Bytes::from_static(b"ALL that was said")).await.expect("in place");
        assert!(damaged.finish().await.is_err());
        let mut misplaced = incoming(folder.path()).await;
        assert!(misplaced.write(1, Bytes::from_static(CONTENT)).await.is_err());
        drop(misplaced);
        assert_eq!(files(folder.path()), 0);
    }
}
