//! `client backup FILE`.

use std::path::Path;

use super::Report;
use crate::{
    cli::exit::{Exit, Failure},
    client::Admin,
    store::{BackupError, BackupHeader, NewBackup},
    wire::admin::{self as proto, backup_response::Part},
};

/// Writes a backup into a new file.
pub(super) async fn take(admin: &Admin, file: &Path) -> Result<Report, Failure> {
    let mut parts = admin.backup().await?;
    let Some(Part::Header(header)) = parts.next().await? else {
        return Err(Failure::Refused("the server sent no backup; look at its log".into()));
    };
    let header = line(header);
    let mut new = NewBackup::create(file, &header)?;
    while let Some(part) = parts.next().await? {
        let Part::Chunk(bytes) = part else { continue };
        new.write(&bytes)?;
    }
    // Reading all of it back takes its time.
    let finished = tokio::task::spawn_blocking(move || new.finish()).await;
    finished.map_err(|error| Failure::Refused(error.to_string()))??;
    Ok(report(file, &header))
}

fn report(file: &Path, header: &BackupHeader) -> Report {
    let BackupHeader { cluster, server, seq, epoch, bytes, in_sync, time, .. } = header;
    let words = format!(
        "{} holds everything up to entry {seq} of the cluster {cluster}, as server {server} had it \
         ({bytes} bytes); it was read back and is whole",
        file.display()
    );
    let object = serde_json::json!({
        "type": "backed_up",
        "file": file.display().to_string(),
        "cluster": cluster,
        "server_id": server,
        "seq": seq,
        "epoch": epoch,
        "in_sync": in_sync,
        "time": time,
        "bytes": bytes,
    });
    Report { words, objects: vec![object], exit: Exit::Ok }
}

fn line(header: proto::BackupHeader) -> BackupHeader {
    let time = header.time.unwrap_or_default();
    let time = jiff::Timestamp::new(time.seconds, time.nanos).unwrap_or_default();
    BackupHeader {
        format: BackupHeader::format(),
        cluster: header.cluster,
        server: header.server_id,
        seq: header.seq,
        epoch: header.epoch,
        hash: header.hash,
        lineage: header.lineage,
        in_sync: header.in_sync,
        schema: header.schema_version,
        version: header.version,
        time: time.to_string(),
        bytes: header.bytes,
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Failure {
        match error {
            BackupError::Exists(_) | BackupError::OtherCluster { .. } => {
                Failure::Usage(error.to_string())
            }
            error => Failure::Refused(error.to_string()),
        }
    }
}
