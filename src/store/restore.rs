//! Putting a backup in a server's place.
//!
//! A restored database is an old one: what it acknowledged after the backup may be known to others. So the folder
//! gets a new identity, and its local store says that its log may not be trusted (see
//! [`LocalState::with_an_old_log`]). Beside servers that live, it copies what it lacks; with nobody who has
//! data left, it leads once all configured servers are there, or an operator forces it to.

use std::path::PathBuf;

use tempfile::TempPath;

use super::{
    backup::{Backup, BackupError, BackupHeader},
    error::StoreError,
    folder::{self, Folder},
    local::LocalStore,
    snapshot::{self, Facts},
};
use crate::cluster::{LocalState, ServerId};

/// Which backup becomes whose data.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The backup.
    pub backup: PathBuf,
    /// The server's data folder.
    pub data_dir: PathBuf,
    /// The server.
    pub id: ServerId,
    /// The name of its cluster.
    pub cluster: String,
    /// The new identity of the folder; drawn by the caller.
    pub fresh_uuid: [u8; 16],
    /// Whether data in the folder is set aside, as [`super::reset`] does it; otherwise it is a reason to refuse.
    pub replace: bool,
}

/// A restored data folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// What the backup said of itself.
    pub header: BackupHeader,
    /// Where older data was moved to.
    pub aside: Option<PathBuf>,
}

impl Restore {
    /// Makes the data folder of the backup. Looks at all of it first: until then nothing is touched.
    ///
    /// # Errors
    /// The backup is damaged, or not for this server; or the folder holds data, or is in use.
    pub fn run(&self) -> Result<Restored, BackupError> {
        let backup = Backup::open(&self.backup)?;
        self.check_fits(&backup)?;
        backup.check()?;
        let folder = Folder::hold(&self.data_dir)?;
        if folder.holds_data()? && !self.replace {
            return Err(BackupError::HoldsData(self.data_dir.clone()));
        }
        let staged = folder.staging_path("restored")?;
        // It goes with every failure.
        let staged = TempPath::try_from_path(staged).map_err(StoreError::io("stage a backup"))?;
        backup.extract_to(&staged)?;
        let facts = check_content(&backup, &staged)?;
        let aside = folder::reset_held(&folder, self.fresh_uuid)?;
        let mut local = LocalStore::open_or_make(&folder.local_path(), self.fresh_uuid)?;
        let state = LocalState { uuid: self.fresh_uuid, ..local.state().clone() };
        local.persist(&state.with_an_old_log(self.id, facts.lineage, facts.position.epoch))?;
        let generation = folder.make_generation()?;
        staged.persist(folder.database(generation)).map_err(|failed| {
            StoreError::io("move the restored database into place")(failed.error)
        })?;
        folder::sync(&folder.database(generation))?;
        folder.switch_to(generation)?;
        Ok(Restored { header: backup.header().clone(), aside })
    }

    fn check_fits(&self, backup: &Backup) -> Result<(), BackupError> {
        let (path, header) = (|| backup.path().to_owned(), backup.header());
        if header.cluster != self.cluster {
            let (found, wanted) = (header.cluster.clone(), self.cluster.clone());
            return Err(BackupError::OtherCluster { path: path(), found, wanted });
        }
        if !header.in_sync.contains(&self.id.0) {
            let others: Vec<String> = header.in_sync.iter().map(ToString::to_string).collect();
            let others = others.join(" or ");
            return Err(BackupError::Outsider { path: path(), id: self.id.0, others });
        }
        Ok(())
    }
}

/// Checks every page, and that it is what the first line says.
fn check_content(backup: &Backup, staged: &std::path::Path) -> Result<Facts, BackupError> {
    snapshot::verify_snapshot(staged)?;
    let (facts, header) = (snapshot::facts(staged)?, backup.header());
    let position = facts.position;
    let members: Vec<u32> = facts.members.iter().map(|member| member.0).collect();
    let said = (header.seq, &header.epoch, &header.hash, &header.lineage, &header.in_sync);
    let (epoch, hash) = (position.epoch.to_string(), position.hash.to_string());
    let lineage = facts.lineage.to_string();
    if said == (position.seq, &epoch, &hash, &lineage, &members) {
        return Ok(facts);
    }
    let problem = format!(
        "it says that it ends with entry {}, and it ends with entry {}",
        header.seq, position.seq
    );
    Err(BackupError::Contradicts { path: backup.path().into(), problem })
}
