//! Long answers: missing entries and snapshots.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::{fs::File, io::AsyncWriteExt as _, time::timeout};

use super::{
    Heard,
    link::{CallError, Caller},
};
use crate::{
    cluster::{Body, Hash, Message},
    wire::{
        cluster::{FetchLogRequest, RegisterFollowerRequest},
        peer::{self, RegisterPart},
    },
};

/// The leader makes a snapshot before it sends the first part.
const FIRST_PART: Duration = Duration::from_secs(120);
/// Between two parts.
const NEXT_PART: Duration = Duration::from_secs(15);

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
            RegisterPart::Header { complete, size, checksum } => {
                snapshot = Some(Incoming::create(caller, complete, size, checksum).await?);
            }
            RegisterPart::Chunk { offset, data } => {
                let incoming = snapshot.as_mut().ok_or(CallError::Damaged("a chunk came first"))?;
                incoming.write(offset, data).await?;
            }
        }
    }
    match snapshot {
        Some(incoming) => incoming.finish(caller).await,
        None => Ok(()),
    }
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
    let durable = timeout(NEXT_PART, log_end.wait_for(|durable| *durable >= end)).await;
    durable.map(drop).map_err(|_| CallError::Late)
}

/// A snapshot that is being received.
struct Incoming {
    complete: Message,
    path: PathBuf,
    file: File,
    size: u64,
    written: u64,
    checksum: Hash,
    hasher: Sha256,
}

impl Incoming {
    async fn create(
        caller: &Caller,
        complete: Message,
        size: u64,
        checksum: Hash,
    ) -> Result<Incoming, CallError> {
        tracing::info!(from = %caller.peer, bytes = size, "receiving a snapshot");
        tokio::fs::create_dir_all(&caller.settings.staging).await?;
        let path = caller.settings.staging.join(format!("snapshot-{}", complete.nonce));
        let file = File::create(&path).await?;
        Ok(Incoming { complete, path, file, size, written: 0, checksum, hasher: Sha256::new() })
    }

    async fn write(&mut self, offset: u64, data: Bytes) -> Result<(), CallError> {
        if offset != self.written || self.written + data.len() as u64 > self.size {
            return Err(CallError::Damaged("a chunk is out of place"));
        }
        self.hasher.update(&data);
        self.file.write_all(&data).await?;
        self.written += data.len() as u64;
        Ok(())
    }

    async fn finish(mut self, caller: &Caller) -> Result<(), CallError> {
        if self.written != self.size {
            return Err(CallError::Damaged("it ended early"));
        }
        if self.hasher.finalize().as_slice() != self.checksum.0 {
            return Err(CallError::Damaged("its checksum is wrong"));
        }
        self.file.flush().await?;
        self.file.sync_all().await?;
        let heard = Heard::Snapshot { message: self.complete, file: self.path };
        let _ = caller.heard.send(heard).await;
        Ok(())
    }
}
