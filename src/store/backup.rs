//! Backups: a snapshot in a file that says what it is and shows whether it is whole.
//!
//! The first line is JSON, for people and tools (`head -n 1 FILE`); the database follows, as many bytes as that
//! line says; the SHA-256 of all that ends the file. So a file that was cut short, or in which one byte
//! is another, is refused before anything is done with it.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use thiserror::Error;

use super::{connection::SCHEMA_VERSION, error::StoreError};

/// What the first line begins with; a later format has another number.
const FORMAT: &str = "chinwag backup 1";
/// No first line is longer.
const LONGEST_HEADER: u64 = 64 * 1024;
/// The SHA-256 at the end.
const TRAILER: u64 = 32;

/// The first line of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BackupHeader {
    /// Always the same words.
    pub format: String,
    /// The cluster's name.
    pub cluster: String,
    /// The server whose database it is.
    pub server: u32,
    /// The last log entry in it.
    pub seq: u64,
    /// The epoch that wrote that entry, as `number.server`.
    pub epoch: String,
    /// The chained hash of the log up to it, in hex.
    pub hash: String,
    /// The random hash that the cluster began with, in hex.
    pub lineage: String,
    /// The servers that were in sync there.
    pub in_sync: Vec<u32>,
    /// The version of the database's schema.
    pub schema: u32,
    /// The version of the program that made it.
    pub version: String,
    /// When it was taken, in the form of RFC 3339.
    pub time: String,
    /// How many bytes the database has.
    pub bytes: u64,
}

/// Trouble with a backup. Each says what to do next.
#[derive(Debug, Error)]
pub enum BackupError {
    /// A backup never replaces another file.
    #[error("{0} exists already; choose another name")]
    Exists(PathBuf),
    /// Whatever it is.
    #[error("{0} is no backup; give a file that `client backup` wrote")]
    NotOne(PathBuf),
    /// The end is missing.
    #[error("{path} is cut short ({found} of {wanted} bytes); use another backup")]
    CutShort {
        /// The file.
        path: PathBuf,
        /// How long it is.
        found: u64,
        /// How long it was.
        wanted: u64,
    },
    /// Something in it is not what it was.
    #[error("{0} is damaged: its checksum is wrong; use another backup")]
    Damaged(PathBuf),
    /// It says something else than what is in it.
    #[error("{path} contradicts itself: {problem}; use another backup")]
    Contradicts {
        /// The file.
        path: PathBuf,
        /// How.
        problem: String,
    },
    /// A newer program made it.
    #[error("{path} was made by the newer version {version}; restore it with that version")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Which version.
        version: String,
    },
    /// The configuration is another cluster's.
    #[error("{path} is of the cluster \"{found}\", the configuration is of \"{wanted}\"")]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asks.
        wanted: String,
    },
    /// The server could not go on from it.
    #[error("server {id} was not in sync when {path} was taken; restore it on server {others}")]
    Outsider {
        /// The file.
        path: PathBuf,
        /// The server.
        id: u32,
        /// Those that were.
        others: String,
    },
    /// Nothing is overwritten by the way.
    #[error(
        "{0} holds data; start the server to let it copy from the others, or give --replace to set \
         that data aside"
    )]
    HoldsData(PathBuf),
    /// Fewer or more bytes came than were announced.
    #[error("the backup ended early ({found} of {wanted} bytes); take it again")]
    Unfinished {
        /// How many came.
        found: u64,
        /// How many were announced.
        wanted: u64,
    },
    /// The file system refused something.
    #[error("cannot {doing} {path}: {error}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The data folder.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::Io { doing, path, error }
}

impl BackupHeader {
    /// The words at its beginning.
    pub fn format() -> String {
        FORMAT.to_owned()
    }

    fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("plain values become JSON");
        line.push(b'\n');
        line
    }
}

/// A backup that is being written, under another name until it is whole. Only its owner may read it.
pub struct NewBackup {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    hasher: Sha256,
    written: u64,
    wanted: u64,
}

impl NewBackup {
    /// Begins one.
    ///
    /// # Errors
    /// There is such a file already, or it cannot be made.
    pub fn create(path: &Path, header: &BackupHeader) -> Result<NewBackup, BackupError> {
        if path.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(path.into()));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = tempfile::Builder::new()
            .prefix(".backup-")
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(io_error("make", path))?;
        let mut new = NewBackup {
            path: path.into(),
            file: BufWriter::new(file),
            hasher: Sha256::new(),
            written: 0,
            wanted: header.bytes,
        };
        new.put(&header.line())?;
        Ok(new)
    }

    /// Adds the next bytes of the database.
    ///
    /// # Errors
    /// The disk takes them not.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.written += bytes.len() as u64;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(io_error("write", &self.path))
    }

    /// Ends it: durable, read back, and only then under its name.
    ///
    /// # Errors
    /// It is not whole, or the disk did not keep it.
    pub fn finish(mut self) -> Result<(), BackupError> {
        if self.written != self.wanted {
            let (found, wanted) = (self.written, self.wanted);
            return Err(BackupError::Unfinished { found, wanted });
        }
        let checksum = self.hasher.finalize();
        let path = self.path;
        self.file.write_all(&checksum).map_err(io_error("write", &path))?;
        let file = self.file.into_inner();
        let file = file.map_err(|error| io_error("write", &path)(error.into_error()))?;
        file.as_file().sync_all().map_err(io_error("write", &path))?;
        Backup::open(file.path())?.check()?;
        file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(path.clone()),
            _ => io_error("write", &path)(error.error),
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        folder.and_then(|folder| folder.sync_all()).map_err(io_error("keep", &path))
    }
}

/// A file that begins as a backup does.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    header: BackupHeader,
}

impl Backup {
    /// Reads what it says of itself, and looks at its length.
    ///
    /// # Errors
    /// It is none, a newer one, or not whole.
    pub fn open(path: &Path) -> Result<Backup, BackupError> {
        let file = File::open(path).map_err(io_error("open", path))?;
        let found = file.metadata().map_err(io_error("open", path))?.len();
        let mut line = Vec::new();
        let mut start = BufReader::new(file).take(LONGEST_HEADER);
        start.read_until(b'\n', &mut line).map_err(io_error("read", path))?;
        let header: BackupHeader =
            serde_json::from_slice(&line).map_err(|_| BackupError::NotOne(path.into()))?;
        if header.format != FORMAT || header.schema > SCHEMA_VERSION {
            return Err(BackupError::Newer { path: path.into(), version: header.version });
        }
        let wanted = (line.len() as u64).saturating_add(header.bytes).saturating_add(TRAILER);
        if found < wanted {
            return Err(BackupError::CutShort { path: path.into(), found, wanted });
        }
        if found > wanted {
            return Err(BackupError::Damaged(path.into()));
        }
        Ok(Backup { path: path.into(), header })
    }

    /// What it says of itself.
    pub fn header(&self) -> &BackupHeader {
        &self.header
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// One of its bytes is not what it was.
    pub fn check(&self) -> Result<(), BackupError> {
        self.copy_to(&mut io::sink())
    }

    /// Writes the database into a new file.
    pub(super) fn extract_to(&self, path: &Path) -> Result<(), BackupError> {
        let mut file = File::create(path).map_err(io_error("write", path))?;
        self.copy_to(&mut file)?;
        file.sync_all().map_err(io_error("write", path))
    }

    fn copy_to(&self, to: &mut impl Write) -> Result<(), BackupError> {
        let reading = || io_error("read", &self.path);
        let mut file = BufReader::new(File::open(&self.path).map_err(reading())?);
        let mut hasher = Sha256::new();
        let mut line = Vec::new();
        file.by_ref().take(LONGEST_HEADER).read_until(b'\n', &mut line).map_err(reading())?;
        hasher.update(&line);
        let (mut left, mut buffer) = (self.header.bytes, vec![0; 128 * 1024]);
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact(&mut buffer[..most]).map_err(reading())?;
            hasher.update(&buffer[..most]);
            to.write_all(&buffer[..most]).map_err(io_error("copy", &self.path))?;
            left -= most as u64;
        }
        let mut trailer = [0; TRAILER as usize];
        file.read_exact(&mut trailer).map_err(reading())?;
        if hasher.finalize().as_slice() != trailer {
            return Err(BackupError::Damaged(self.path.clone()));
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn header(bytes: u64) -> BackupHeader {
        BackupHeader {
            format: BackupHeader::format(),
            cluster: "demo".into(),
            server: 1,
            seq: 9,
            epoch: "2.1".into(),
            hash: "00".into(),
            lineage: "11".into(),
            in_sync: vec![1, 2, 3],
            schema: SCHEMA_VERSION,
            version: "0.1.0".into(),
            time: "2026-11-20T10:00:00Z".into(),
            bytes,
        }
    }

    fn written(folder: &Path) -> PathBuf {
        let path = folder.join("backup");
        let mut new = NewBackup::create(&path, &header(10)).expect("begun");
        new.write(b"12345").expect("written");
        new.write(b"67890").expect("written");
        new.finish().expect("whole");
        path
    }

    #[test]
    fn what_was_written_is_read_and_nobody_else_may() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = written(folder.path());
        let backup = Backup::open(&path).expect("a backup");
        assert_eq!(backup.header(), &header(10));
        backup.check().expect("whole");
        let copy = folder.path().join("copy");
        backup.extract_to(&copy).expect("whole");
        assert_eq!(fs::read(copy).expect("written"), b"1234567890");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let first = fs::read(&path).expect("readable");
        assert!(first.starts_with(b"{\"format\":\"chinwag backup 1\""), "for people");
    }

    #[test]
    fn a_backup_that_was_cut_anywhere_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = fs::read(written(folder.path())).expect("readable");
        let cut = folder.path().join("cut");
        for length in 0..whole.len() {
            fs::write(&cut, &whole[..length]).expect("written");
            let refused = Backup::open(&cut).expect_err("it is not whole");
            let words = refused.to_string();
            assert!(words.contains("is cut short") || words.contains("is no backup"), "{words}");
        }
    }

    #[test]
    fn a_backup_with_one_other_bit_anywhere_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = fs::read(written(folder.path())).expect("readable");
        let flipped = folder.path().join("flipped");
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(&flipped, bytes).expect("written");
            let looked = Backup::open(&flipped).and_then(|backup| backup.check());
            assert!(looked.is_err(), "byte {place}");
        }
    }

    #[test]
    fn an_unfinished_backup_leaves_nothing_and_a_finished_one_is_never_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backup");
        let mut new = NewBackup::create(&path, &header(10)).expect("begun");
        new.write(b"12345").expect("written");
        assert!(matches!(new.finish(), Err(BackupError::Unfinished { found: 5, wanted: 10 })));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);

        let path = written(folder.path());
        let again = NewBackup::create(&path, &header(10));
        assert!(matches!(again.err(), Some(BackupError::Exists(_))));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_newer_backup_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("newer");
        let newer = BackupHeader { schema: SCHEMA_VERSION + 1, version: "9.0".into(), ..header(0) };
        fs::write(&path, newer.line()).expect("written");
        let refused = Backup::open(&path).expect_err("unknown here").to_string();
        assert!(refused.contains("9.0"), "{refused}");
    }
}
