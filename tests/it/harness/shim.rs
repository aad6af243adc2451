//! The library in C (tests/shim) that disturbs the syncs of a process which loads it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Compiles it into this folder.
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
