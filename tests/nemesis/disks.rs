//! Disks that fill, fail or take long.
//!
//! Failing and slow syncs come from a small library in C (tests/shim), which is loaded into the servers; a
//! full disk is a file system in memory that shrinks to what is on it, which one server has its data on.
//! Where the machine has no C compiler, or does not let this user mount anything, these faults are left out,
//! and the report says so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What the disk has room for while nothing is wrong with it: more than a round of the nemesis writes.
const ROOM_MIB: u64 = 2_048;
/// Below the reserve of 64 MiB.
const NEARLY_FULL_MIB: u64 = 40;

/// A disk whose size is at the nemesis' will, mounted; it goes when this is dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one where a server's data will be.
    ///
    /// # Errors
    /// In words, why there is none.
    pub(crate) fn mount(at: &Path) -> Result<SmallDisk, String> {
        fs::create_dir_all(at).map_err(|error| error.to_string())?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={ROOM_MIB}m"), "chinwag-test"])
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

    /// There is no room left, or hardly any.
    pub(crate) fn fill(&self, wholly: bool) {
        let leave_mib = if wholly { 0 } else { NEARLY_FULL_MIB };
        // The server goes on writing while this is done.
        let full = (0..20).any(|_| self.resize(used(&self.0) + (leave_mib << 20)));
        assert!(full, "the small disk cannot be made smaller");
    }

    /// There is room again.
    pub(crate) fn clear(&self) {
        assert!(self.resize(ROOM_MIB << 20), "the small disk cannot be made larger");
    }

    fn resize(&self, bytes: u64) -> bool {
        let resized = Command::new("mount")
            .args(["-o", &format!("remount,size={bytes}")])
            .arg(&self.0)
            .stderr(Stdio::null())
            .status();
        resized.is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server of a failed run may still have its files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn used(at: &Path) -> u64 {
    let found = rustix::fs::statvfs(at).expect("a mounted disk");
    (found.f_blocks - found.f_bfree) * found.f_frsize
}
