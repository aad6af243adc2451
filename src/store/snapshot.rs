//! Snapshots: a copy of everything that is committed, in one file that knows where in the log it stands.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    mem,
    path::Path,
    sync::mpsc,
    thread,
};

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::{DefaultLoadingMode, SimpleConnection as _},
    sql_query,
    sql_types::{Binary, Text},
};
use sha2::{Digest as _, Sha256};

use super::{
    check,
    connection::{check_content, number, open_beside, open_unchecked},
    error::StoreError,
    log,
};
use crate::cluster::{Hash, Position, ServerId};

/// How much is written at a time.
const BLOCK: usize = 256 * 1024;
/// So many blocks wait to be hashed.
const BLOCKS: usize = 4;
/// Where a database says whether it has a write-ahead log, and how it says that it has none.
const JOURNAL: std::ops::Range<usize> = 18..20;
const NO_JOURNAL: [u8; 2] = [1, 1];

/// A snapshot that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Made {
    /// Its place in the log.
    pub position: Position,
    /// How many bytes it has.
    pub size: u64,
    /// The SHA-256 of them all.
    pub checksum: Hash,
}

/// What a snapshot says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Its place in the log.
    pub position: Position,
    /// The hash before the first entry.
    pub lineage: Hash,
    /// The in-sync servers there.
    pub members: Vec<ServerId>,
}

/// Copies what is committed into a new file. Nothing waits for a disk to have it: it is only read, by this process.
pub(super) fn take(database: &Path, path: &Path) -> Result<Made, StoreError> {
    let mut connection = open_beside(database)?;
    if is_mostly_in_use(&mut connection)? {
        copy_pages(&mut connection, path)
    } else {
        copy_rows(&mut connection, path)
    }
}

/// Whether most pages hold something, and this SQLite hands pages out.
fn is_mostly_in_use(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let asked = "SELECT freelist_count <= page_count / 4
        AND EXISTS (SELECT 1 FROM pragma_module_list WHERE name = 'sqlite_dbpage') AS value
        FROM pragma_freelist_count, pragma_page_count";
    let answer = number(connection, asked);
    Ok(answer.map_err(StoreError::database("ask how full the database is"))? == 1)
}

/// All pages as they are at one moment. Twice as fast as copying rows, and so the write-ahead log, which cannot begin
/// anew meanwhile, grows less.
fn copy_pages(connection: &mut SqliteConnection, path: &Path) -> Result<Made, StoreError> {
    #[derive(QueryableByName)]
    struct Page {
        #[diesel(sql_type = Binary)]
        data: Vec<u8>,
    }
    let reading = || StoreError::database("read the pages for a snapshot");
    let (blocks, written) = mpsc::sync_channel(BLOCKS);
    let file = File::create(path).map_err(StoreError::io("write a snapshot"))?;
    let mut copy = Copy { file, block: Vec::with_capacity(BLOCK), size: 0, blocks };
    let copied = |connection: &mut SqliteConnection| {
        let head = log::head(connection)?.ok_or_else(|| holds_no_log(path))?;
        let pages = sql_query("SELECT data FROM sqlite_dbpage ORDER BY pgno")
            .load_iter::<Page, DefaultLoadingMode>(connection)
            .map_err(reading())?;
        for page in pages {
            copy.add(page.map_err(reading())?.data)?;
        }
        Ok((head.last, copy.end()?))
    };
    thread::scope(|scope| {
        let hashing = scope.spawn(move || hash(written));
        let (position, size) = connection.transaction::<_, StoreError, _>(copied)?;
        let checksum = hashing.join().expect("nothing can fail in it");
        Ok(Made { position, size, checksum })
    })
}

/// The pages on their way into the file.
struct Copy {
    file: File,
    block: Vec<u8>,
    size: u64,
    /// What was written goes on to be hashed.
    blocks: mpsc::SyncSender<Vec<u8>>,
}

impl Copy {
    fn add(&mut self, mut page: Vec<u8>) -> Result<(), StoreError> {
        if self.size == 0 && self.block.is_empty() {
            page[JOURNAL].copy_from_slice(&NO_JOURNAL);
        }
        if self.block.len() + page.len() > BLOCK {
            self.write()?;
        }
        self.block.extend_from_slice(&page);
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let block = mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        self.file.write_all(&block).map_err(StoreError::io("write a snapshot"))?;
        self.size += block.len() as u64;
        self.blocks.send(block).expect("it is hashed until the end");
        Ok(())
    }

    /// Returns the file's size.
    fn end(mut self) -> Result<u64, StoreError> {
        self.write()?;
        Ok(self.size)
    }
}

fn hash(blocks: mpsc::Receiver<Vec<u8>>) -> Hash {
    let mut hasher = Sha256::new();
    for block in blocks {
        hasher.update(block);
    }
    Hash(hasher.finalize().into())
}

/// Row by row, which leaves the pages out that hold nothing.
fn copy_rows(connection: &mut SqliteConnection, path: &Path) -> Result<Made, StoreError> {
    let text = path.to_str().ok_or_else(|| StoreError::damaged(path, "its path is not UTF-8"))?;
    connection.batch_execute("PRAGMA synchronous = OFF")?;
    sql_query("VACUUM INTO ?")
        .bind::<Text, _>(text)
        .execute(connection)
        .map_err(StoreError::database("write a snapshot"))?;
    let reading = || StoreError::io("read a snapshot back");
    let mut file = File::open(path).map_err(reading())?;
    let (mut size, mut hasher, mut block) = (0, Sha256::new(), vec![0; BLOCK]);
    loop {
        let read = file.read(&mut block).map_err(reading())?;
        if read == 0 {
            let checksum = Hash(hasher.finalize().into());
            return Ok(Made { position: position(path)?, size, checksum });
        }
        hasher.update(&block[..read]);
        size += read as u64;
    }
}

/// What a copy takes at most: the pages in use, and those that are free by now.
pub(super) fn most_bytes(database: &Path) -> Result<u64, StoreError> {
    let mut connection = open_beside(database)?;
    let bytes = "SELECT page_count * page_size AS value FROM pragma_page_count, pragma_page_size";
    let bytes = number(&mut connection, bytes)
        .map_err(StoreError::database("ask for the database's size"))?;
    Ok(bytes.unsigned_abs())
}

/// Checks every page of a received snapshot, and returns its place in the log. Blocks for longer than
/// reading the whole file takes.
pub fn verify_snapshot(path: &Path) -> Result<Position, StoreError> {
    check_content(&mut open_unchecked(path)?, path)?;
    check::check_file(path)?;
    position(path)
}

/// Reads what a snapshot says of itself.
pub fn facts(path: &Path) -> Result<Facts, StoreError> {
    let mut connection = open_unchecked(path)?;
    let summary = log::summary(&mut connection)?;
    let summary = summary.ok_or_else(|| holds_no_log(path))?;
    let members = summary.views.last().map(|(_, view)| view.members.iter().copied().collect());
    let members = members.ok_or_else(|| StoreError::damaged(path, "its log holds no view"))?;
    Ok(Facts { position: summary.last, lineage: summary.lineage, members })
}

fn position(path: &Path) -> Result<Position, StoreError> {
    let mut connection = open_unchecked(path)?;
    let head = log::head(&mut connection)?;
    head.map(|head| head.last).ok_or_else(|| holds_no_log(path))
}

fn holds_no_log(path: &Path) -> StoreError {
    StoreError::damaged(path, "it holds no log")
}
