//! `server restore FILE`.

use super::{Report, server::Restore};
use crate::{
    cli::exit::{Exit, Failure},
    cluster::ServerId,
    config::Config,
    store::{self, BackupHeader, Restored},
};

/// Makes the server's data folder of the backup.
pub(super) fn run(config: &Config, id: ServerId, asked: &Restore) -> Result<Report, Failure> {
    let restore = store::Restore {
        backup: asked.file.clone(),
        data_dir: config.server_dir(id),
        id,
        cluster: config.cluster.name.clone(),
        fresh_uuid: *uuid::Uuid::new_v4().as_bytes(),
        replace: asked.replace,
    };
    let restored = restore.run()?;
    Ok(report(&restored, id))
}

fn report(restored: &Restored, id: ServerId) -> Report {
    let BackupHeader { seq, time, .. } = &restored.header;
    let mut words = format!(
        "server {id} holds everything up to entry {seq}, as it was at {time}. Start it first; then the \
         others, with empty folders: it leads when all of them are there. If some of them are gone for \
         good, start it with --force-lead"
    );
    if let Some(aside) = &restored.aside {
        words = format!("{words}. What was there before is in {}", aside.display());
    }
    let object = serde_json::json!({
        "type": "restored",
        "server_id": id.0,
        "seq": seq,
        "time": time,
        "aside": restored.aside.as_ref().map(|path| path.display().to_string()),
    });
    Report { words, objects: vec![object], exit: Exit::Ok }
}
