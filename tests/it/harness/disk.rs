//! What happens to the disks of servers that do not run.

use std::{fs, path::Path};

/// Removes everything that a server stored.
pub(crate) fn wipe(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).expect("the test's own files");
    }
}

/// Puts a copy of a folder in another's place.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    wipe(to);
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, target).expect("the test's own files");
        }
    }
}
