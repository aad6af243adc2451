//! Disks that fill, fail or take long.
//!
//! Failing and slow syncs come from a small library in C (tests/shim), which is compiled here and loaded
//! into the servers; a full disk is a small file system in memory, which one server has its data on. Where
//! the machine has no C compiler, or does not let this user mount anything, these faults are left out, and
//! the report says so.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The size of the small disk: three times the reserve below which a server takes no writes.
const SMALL_MIB: u64 = 192;
/// Below the reserve of 64 MiB.
const NEARLY_FULL_MIB: u64 = 40;

/// Compiles the library that disturbs syncs.
///
/// # Errors
/// In words, why there is none.
pub(crate) fn compile_shim(folder: &Path) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/sync.c");
    let library = folder.join("sync.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output()
        .map_err(|error| format!("no C compiler (cc): {error}"))?;
    if compiled.status.success() {
        Ok(library)
    } else {
        Err(format!("cc failed: {}", String::from_utf8_lossy(&compiled.stderr)))
    }
}

/// A small disk, mounted; it goes when this is dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one where a server's data will be.
    ///
    /// # Errors
    /// In words, why there is none.
    pub(crate) fn mount(at: &Path) -> Result<SmallDisk, String> {
        fs::create_dir_all(at).map_err(|error| error.to_string())?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SMALL_MIB}m"), "chinwag-test"])
            .arg(at)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| format!("no mount: {error}"))?;
        if mounted.success() {
            Ok(SmallDisk(at.to_owned()))
        } else {
            Err("this user may not mount a tmpfs".into())
        }
    }

    /// Fills it, wholly or nearly.
    pub(crate) fn fill(&self, wholly: bool) {
        let leave = if wholly { 0 } else { NEARLY_FULL_MIB };
        let mut file = fs::File::create(self.ballast()).expect("a file");
        let block = vec![1; 1 << 20];
        while free_mib(&self.0) > leave && file.write_all(&block).is_ok() {}
        // The last part of a block may still fit.
        while leave == 0 && file.write_all(&block[..4096]).is_ok() {}
    }

    /// There is room again.
    pub(crate) fn clear(&self) {
        let _ = fs::remove_file(self.ballast());
    }

    /// Beside the data folder's own files.
    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server of a failed run may still have its files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn free_mib(at: &Path) -> u64 {
    rustix::fs::statvfs(at).map_or(0, |found| (found.f_bavail * found.f_frsize) >> 20)
}
