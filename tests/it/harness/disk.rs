//! What happens to the disks of servers that do not run.

use std::{fs, path::Path};

/// Removes everything that a server stored.
pub(crate) fn wipe(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    // The folder itself may be where a small disk is mounted.
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.expect("the test's own files");
    }
}

/// Puts a copy of a folder in another's place; sockets stay behind.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    wipe(to);
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else if path.is_file() {
            fs::copy(&path, target).expect("the test's own files");
        }
    }
}
