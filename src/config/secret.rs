//! The secret by which the servers of a cluster know each other.

use std::{fs, path::Path};

use zeroize::Zeroizing;

use super::ConfigError;

/// Reads the secret: the file's text without the white space around it.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| ConfigError::Unreadable { path: path.into(), error })?;
    let secret = text.trim();
    // It travels in a header, which takes nothing else.
    if secret.len() < 16 || !secret.chars().all(|c| c.is_ascii_graphic()) {
        return Err(ConfigError::BadValue {
            origin: path.display().to_string(),
            key: "cluster.secret_file".into(),
            problem: "must hold at least 16 printable characters without spaces".into(),
        });
    }
    Ok(Zeroizing::new(secret.into()))
}
