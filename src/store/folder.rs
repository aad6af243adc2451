//! The data folder: who holds it, which generation is in use, what was set aside.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{
    connection::open_unchecked,
    error::StoreError,
    local::{self, LocalStore},
    log,
};
use crate::failpoint::{self, Point};

const LOCK: &str = "LOCK";
const CURRENT: &str = "CURRENT";
const CURRENT_NEW: &str = "CURRENT.new";
const LOCAL: &str = "local.db";
const DATABASE: &str = "chat.db";
const SEARCH: &str = "search.db";
const STAGED: &str = "staged";
const GENERATION: &str = "gen-";
const RESET: &str = "reset-";
const DIVERGED: &str = "diverged-";
/// Stands in a generation that is to be kept aside; holds the number of updates that only it has.
const ASIDE: &str = "UPDATES";

/// A database that was set aside, for it holds updates that the common history lacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DivergedFile {
    /// The database.
    pub path: PathBuf,
    /// How many updates the common history lacks; `None` if that note is gone from the folder.
    pub updates: Option<u64>,
}

/// What a data folder takes of its disk, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskUse {
    /// The database.
    pub database: u64,
    /// Its write-ahead log.
    pub write_ahead_log: u64,
    /// The search index.
    pub search: u64,
}

/// A data folder that this process holds.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// The lock ends with it.
    _lock: File,
}

impl Folder {
    /// Makes the folder where it is missing, and locks it.
    pub(super) fn hold(root: &Path) -> Result<Folder, StoreError> {
        let doing = || format!("open the data folder {}", root.display());
        // It holds everybody's messages and the hashes of their passwords: it is for its owner alone.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
        made.map_err(StoreError::io(doing()))?;
        let root = fs::canonicalize(root).map_err(StoreError::io(doing()))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join(LOCK))
            .map_err(StoreError::io(doing()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { root, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(StoreError::InUse(root)),
            Err(fs::TryLockError::Error(error)) => Err(StoreError::io(doing())(error)),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn local_path(&self) -> PathBuf {
        self.root.join(LOCAL)
    }

    /// The search index. Not in a generation's folder: it is derived, and outlives what it is derived from.
    pub(super) fn search_path(&self) -> PathBuf {
        self.root.join(SEARCH)
    }

    pub(super) fn database(&self, generation: u64) -> PathBuf {
        self.generation(generation).join(DATABASE)
    }

    /// Where a snapshot is received; cleaned whenever the folder is opened.
    pub(super) fn staging_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let staged = self.root.join(STAGED);
        fs::create_dir_all(&staged).map_err(StoreError::io("make the folder for snapshots"))?;
        Ok(staged.join(name))
    }

    /// The generation in use; `None` before the first.
    pub(super) fn current(&self) -> Result<Option<u64>, StoreError> {
        let path = self.root.join(CURRENT);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::damaged(path, error)),
        };
        match numbered(text.trim_end(), GENERATION) {
            Some(generation) => Ok(Some(generation)),
            None => Err(StoreError::damaged(path, "it names no generation")),
        }
    }

    /// Whether there is a database, and not one that is sound and empty.
    pub(super) fn holds_data(&self) -> Result<bool, StoreError> {
        let Ok(Some(current)) = self.current() else {
            return Ok(self.root.join(CURRENT).exists() || !self.numbers(GENERATION)?.is_empty());
        };
        let head =
            open_unchecked(&self.database(current)).and_then(|mut open| log::head(&mut open));
        Ok(!matches!(head, Ok(None)))
    }

    /// Makes an empty generation folder with a number that was not used before.
    pub(super) fn make_generation(&self) -> Result<u64, StoreError> {
        let taken = self.numbers(GENERATION)?;
        let next = taken.last().map_or(1, |last| last + 1);
        fs::create_dir(self.generation(next)).map_err(StoreError::io("make a generation"))?;
        Ok(next)
    }

    /// Puts a generation in use whose database is on the disk: its folder first, then by one atomic rename.
    pub(super) fn switch_to(&self, generation: u64) -> Result<(), StoreError> {
        sync(&self.generation(generation))?;
        sync(&self.root)?;
        let new = self.root.join(CURRENT_NEW);
        write_durably(&new, &format!("{GENERATION}{generation:06}\n"))?;
        failpoint::reach(Point::SwitchBefore);
        fs::rename(&new, self.root.join(CURRENT)).map_err(StoreError::io("replace CURRENT"))?;
        failpoint::reach(Point::SwitchAfter);
        sync(&self.root)
    }

    /// Marks a generation as one to keep when it is no longer in use. Before the switch, so that a
    /// crash after it finds the mark.
    pub(super) fn mark_aside(&self, generation: u64, updates: u64) -> Result<(), StoreError> {
        write_durably(&self.generation(generation).join(ASIDE), &format!("{updates}\n"))?;
        sync(&self.generation(generation))
    }

    /// Removes or sets aside every generation but the current one, and what was staged.
    pub(super) fn tidy(&self, current: Option<u64>) -> Result<(), StoreError> {
        let staged = self.root.join(STAGED);
        if staged.exists() {
            fs::remove_dir_all(&staged).map_err(StoreError::io("remove staged snapshots"))?;
        }
        for generation in self.numbers(GENERATION)? {
            if Some(generation) != current {
                self.retire(generation)?;
            }
        }
        sync(&self.root)
    }

    /// Removes a generation that is no longer in use, or sets it aside if it is marked.
    pub(super) fn retire(&self, generation: u64) -> Result<(), StoreError> {
        let folder = self.generation(generation);
        if folder.join(ASIDE).exists() {
            let next = self.numbers(DIVERGED)?.last().map_or(1, |last| last + 1);
            fs::rename(&folder, self.root.join(format!("{DIVERGED}{next}")))
                .map_err(StoreError::io("set a generation aside"))?;
            sync(&self.root)
        } else {
            fs::remove_dir_all(&folder).map_err(StoreError::io("remove an old generation"))
        }
    }

    /// What was set aside with updates that the common history lacks.
    pub(super) fn diverged(&self) -> Result<Vec<DivergedFile>, StoreError> {
        let mut files = Vec::new();
        for number in self.numbers(DIVERGED)? {
            let folder = self.root.join(format!("{DIVERGED}{number}"));
            let mark = folder.join(ASIDE);
            let updates =
                fs::read_to_string(&mark).ok().and_then(|text| text.trim_end().parse().ok());
            files.push(DivergedFile { path: folder.join(DATABASE), updates });
        }
        Ok(files)
    }

    /// The bytes that this user can still write to the folder's disk.
    pub(super) fn free_space(&self) -> Result<u64, StoreError> {
        let found = rustix::fs::statvfs(&self.root)
            .map_err(|error| StoreError::io("ask for free disk space")(error.into()))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// What is there; a file that is missing takes nothing.
    pub(super) fn disk_use(&self, generation: u64) -> DiskUse {
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |found| found.len());
        let database = self.database(generation);
        DiskUse {
            write_ahead_log: size(database.with_extension("db-wal")),
            database: size(database),
            search: size(self.search_path()),
        }
    }

    fn generation(&self, generation: u64) -> PathBuf {
        self.root.join(format!("{GENERATION}{generation:06}"))
    }

    /// The numbers of the folders with this prefix, ascending.
    fn numbers(&self, prefix: &str) -> Result<Vec<u64>, StoreError> {
        let entries = fs::read_dir(&self.root).map_err(StoreError::io("list the data folder"))?;
        let mut numbers = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list the data folder"))?;
            numbers.extend(entry.file_name().to_str().and_then(|name| numbered(name, prefix)));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// Wipes a server's state: moves the database aside as `reset-<n>` (one such copy is kept; where it was
/// moved to is returned) and gives the folder a new uuid, so that the others take it for a new disk.
///
/// The local store stays. It remembers that the folder belonged to a lineage, so that the server never
/// begins a history alone; what it promised and how often it started are kept too, which is never
/// wrong. Can be repeated after a crash.
pub fn reset(data_dir: &Path, fresh_uuid: [u8; 16]) -> Result<Option<PathBuf>, StoreError> {
    reset_held(&Folder::hold(data_dir)?, fresh_uuid)
}

/// The same with a folder that is held.
pub(super) fn reset_held(
    folder: &Folder,
    fresh_uuid: [u8; 16],
) -> Result<Option<PathBuf>, StoreError> {
    let (lineage, held_data) = (local::lineage_in(folder)?, folder.holds_data()?);
    let older = folder.numbers(RESET)?;
    let next = older.last().map_or(1, |last| last + 1);
    let copy = folder.root.join(format!("{RESET}{next}"));
    let generations = folder.numbers(GENERATION)?;
    let current = folder.root.join(CURRENT);
    if current.exists() || !generations.is_empty() {
        fs::create_dir(&copy).map_err(StoreError::io("make the folder for the old database"))?;
    }
    if current.exists() {
        fs::rename(&current, copy.join(CURRENT)).map_err(StoreError::io("set CURRENT aside"))?;
        sync(&folder.root)?;
    }
    failpoint::reach(Point::ResetUnnamed);
    for generation in &generations {
        let from = folder.generation(*generation);
        let to = copy.join(format!("{GENERATION}{generation:06}"));
        fs::rename(from, to).map_err(StoreError::io("set the old database aside"))?;
    }
    sync(&folder.root)?;
    failpoint::reach(Point::ResetMoved);
    LocalStore::open_or_make(&folder.local_path(), fresh_uuid)?.reset(fresh_uuid, lineage)?;
    failpoint::reach(Point::ResetForgotten);
    if !held_data {
        fs::remove_dir_all(&copy)
            .or_else(absent)
            .map_err(StoreError::io("remove what is empty"))?;
        return Ok(None);
    }
    for number in older {
        fs::remove_dir_all(folder.root.join(format!("{RESET}{number}")))
            .map_err(StoreError::io("remove an older copy"))?;
    }
    Ok(Some(copy))
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn numbered(name: &str, prefix: &str) -> Option<u64> {
    name.strip_prefix(prefix)?.parse().ok()
}

fn write_durably(path: &Path, text: &str) -> Result<(), StoreError> {
    let doing = || format!("write {}", path.display());
    let mut file = File::create(path).map_err(StoreError::io(doing()))?;
    file.write_all(text.as_bytes()).map_err(StoreError::io(doing()))?;
    file.sync_all().map_err(StoreError::io(doing()))
}

/// Has the disk keep a file or a folder; not a database that is open here (see `connection::check_file`).
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::io(format!("sync {}", path.display())))
}
