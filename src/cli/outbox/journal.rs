//! The outbox on disk: a file of JSON lines to which lines that are added and lines that are done are
//! appended; it is emptied when nothing is left and removed at the end. A line that is added is on the disk
//! when that is said. That a line is done need not be: sent once more under its request id, it is still one
//! message.
//!
//! Every running program has a file of its own, locked as long as it runs. Whoever starts takes over the
//! unlocked files of the same user: their programs are gone.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Unsent;
use crate::cli::{
    exit::Failure,
    state::{make_folder, short_hash},
};

/// A program's own file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    empty: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    Add(Unsent),
    Done(String),
}

impl Journal {
    /// Opens a file of one's own, with the lines that gone programs of this user left behind.
    pub(super) fn open(
        folder: &Path,
        prefix: &str,
        username: &str,
    ) -> Result<(Journal, Vec<Unsent>), Failure> {
        let prefix = format!("{prefix}-{}-", short_hash(username));
        open(folder, &prefix).map_err(|error| failed(folder, error))
    }

    /// A line that waits.
    pub(super) fn add(&mut self, line: &Unsent) -> Result<(), Failure> {
        self.append(&Entry::Add(line.clone()))?;
        self.file.sync_data().map_err(|error| failed(&self.path, error))
    }

    /// A line that waits no more; `empty` if it was the last.
    pub(super) fn done(&mut self, request_id: &str, empty: bool) -> Result<(), Failure> {
        if !empty {
            return self.append(&Entry::Done(request_id.into()));
        }
        self.empty = true;
        self.file.set_len(0).map_err(|error| failed(&self.path, error))
    }

    fn append(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.empty = false;
        let mut line = serde_json::to_string(entry).expect("texts and numbers become JSON");
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|error| failed(&self.path, error))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.empty {
            // An empty file that stays is only untidy.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(folder: &Path, prefix: &str) -> io::Result<(Journal, Vec<Unsent>)> {
    make_folder(folder)?;
    let mut left = Vec::new();
    for path in files(folder, prefix)? {
        let mut file = options().open(&path)?;
        // A locked one belongs to a program that runs.
        if file.try_lock().is_ok() {
            left.push((read(&mut file)?, path, file));
        }
    }
    let path = folder.join(format!("{prefix}{}.jsonl", Uuid::now_v7()));
    let file = options().create(true).open(&path)?;
    file.try_lock().map_err(io::Error::from)?;
    let mut journal = Journal { path, file, empty: true };
    let mut lines = Vec::new();
    for line in left.iter().flat_map(|(unsent, ..)| unsent) {
        journal.append(&Entry::Add(line.clone())).map_err(io::Error::other)?;
        lines.push(line.clone());
    }
    // On the disk here before they are gone there. A new file's name is there with its folder; where that
    // cannot be synced, it need not be.
    journal.file.sync_data()?;
    let _ = File::open(folder)?.sync_all();
    for (_, path, _locked) in left {
        fs::remove_file(path)?;
    }
    Ok((journal, lines))
}

/// The files of a user, the oldest first, for their names hold the time.
fn files(folder: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    options
}

/// What waits according to a file. A torn last line is of a program that died while it wrote.
fn read(file: &mut File) -> io::Result<Vec<Unsent>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let mut lines: Vec<Unsent> = Vec::new();
    for entry in bytes.split(|byte| *byte == b'\n') {
        match serde_json::from_slice(entry) {
            Ok(Entry::Add(line)) => lines.push(line),
            Ok(Entry::Done(id)) => lines.retain(|line| line.request_id != id),
            Err(_) => {}
        }
    }
    Ok(lines)
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::System { what: format!("cannot keep unsent lines in {}", path.display()), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: i64) -> Unsent {
        let request_id = format!("id-{number}");
        Unsent { request_id, conversation: "@bob".into(), body: "hi".into(), typed: number }
    }

    fn numbers(lines: &[Unsent]) -> Vec<i64> {
        lines.iter().map(|line| line.typed).collect()
    }

    #[test]
    fn lines_of_a_gone_program_are_taken_over_in_order_and_those_of_a_running_one_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let open = |user: &str| Journal::open(folder.path(), "outbox-x", user).unwrap();
        let (mut first, none) = open("alice");
        assert!(none.is_empty());
        for number in 1..=3 {
            first.add(&line(number)).unwrap();
        }
        first.done("id-2", false).unwrap();
        assert!(open("alice").1.is_empty(), "the first one still runs");
        drop(first);
        assert!(open("bob").1.is_empty(), "they are alice's");
        let (second, lines) = open("alice");
        assert_eq!(numbers(&lines), [1, 3]);
        drop(second);
        let (mut third, lines) = open("alice");
        assert_eq!(numbers(&lines), [1, 3], "nobody has sent them yet");
        third.done("id-1", false).unwrap();
        third.done("id-3", true).unwrap();
        drop(third);
        assert!(open("alice").1.is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_line_counts_as_kept_only_when_it_is_on_the_disk() {
        // A pipe takes whatever is written, and cannot be synced.
        let (_reader, writer) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let mut journal = Journal { path: "nowhere".into(), file, empty: false };
        let failure = journal.add(&line(1)).unwrap_err();
        assert!(failure.to_string().contains("cannot keep unsent lines"), "{failure}");
        journal.done("id-1", false).expect("that it is done need not be on the disk");
    }

    #[test]
    fn a_torn_line_spoils_none_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path(), "outbox-x", "alice").unwrap();
        journal.add(&line(1)).unwrap();
        journal.file.write_all(b"{\"add\":{\"requ").unwrap();
        drop(journal);
        let (_, lines) = Journal::open(folder.path(), "outbox-x", "alice").unwrap();
        assert_eq!(numbers(&lines), [1]);
    }
}
