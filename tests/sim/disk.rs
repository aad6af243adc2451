//! Data folders and what happens to them: a killed process leaves its files as they are, a lost machine
//! what was synced.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::chance::Chance;

/// What a kill leaves: everything but the lock and the memory that connections share.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&path, &to.join(&name))?;
        } else if name != "LOCK" && !name.to_string_lossy().ends_with("-shm") {
            fs::copy(&path, to.join(&name))?;
        }
    }
    Ok(())
}

/// The write-ahead log of the database in use.
pub(crate) fn wal(folder: &Path) -> Option<PathBuf> {
    let current = fs::read_to_string(folder.join("CURRENT")).ok()?;
    Some(folder.join(current.trim_end()).join("chat.db-wal"))
}

pub(crate) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

pub(crate) fn cut(path: &Path, length: u64) {
    if let Ok(file) = fs::File::options().write(true).open(path) {
        let _ = file.set_len(length);
    }
}

/// Damages a stopped server's files in a way that can be noticed.
pub(crate) fn damage(folder: &Path, chance: &mut Chance) -> String {
    let Some(wal) = wal(folder) else { return "nothing".to_owned() };
    let database = wal.with_file_name("chat.db");
    match chance.below(6) {
        0 | 1 => flip(&wal, 0, chance),
        2 => {
            let length = length(&wal);
            cut(&wal, length * chance.below(1_000) as u64 / 1_000);
            "a shorter write-ahead log".to_owned()
        }
        3 => {
            cut(&database, chance.below(4_096) as u64);
            "a shorter database".to_owned()
        }
        4 => {
            let _ = fs::write(folder.join("CURRENT"), "gen-\n");
            "a CURRENT that names nothing".to_owned()
        }
        _ => flip(&folder.join("local.db"), 16, chance),
    }
}

fn flip(path: &Path, header: usize, chance: &mut Chance) -> String {
    let Ok(mut bytes) = fs::read(path) else { return "nothing".to_owned() };
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    let at = chance.below(if header == 0 { bytes.len() } else { header.min(bytes.len()) });
    bytes[at] ^= 1 << chance.below(8);
    let _ = fs::write(path, bytes);
    format!("a flipped bit at {at} of {}", path.display())
}
