//! The secret by which the servers of a cluster know each other: from a file, or from the environment.

use std::{collections::HashMap, fmt, fs, path::Path};

use zeroize::Zeroizing;

use super::ConfigError;

/// The environment variable that holds the secret itself.
pub const SECRET_VARIABLE: &str = "CHINWAG_CLUSTER_SECRET";

/// A secret that was given and not looked at yet. It is never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub(super) fn from_environment(environment: &HashMap<String, String>) -> Option<Secret> {
        environment.get(SECRET_VARIABLE).map(|text| Secret(Zeroizing::new(text.clone())))
    }

    pub(super) fn check(&self) -> Result<Zeroizing<String>, ConfigError> {
        check(&self.0, &format!("{SECRET_VARIABLE} in the environment"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Reads the secret: the file's text without the white space around it.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| ConfigError::Unreadable { path: path.into(), error })?;
    check(&text, &path.display().to_string())
}

fn check(text: &str, origin: &str) -> Result<Zeroizing<String>, ConfigError> {
    let secret = text.trim();
    // It travels in a header, which takes nothing else.
    if secret.len() < 16 || !secret.chars().all(|c| c.is_ascii_graphic()) {
        return Err(ConfigError::BadValue {
            origin: origin.into(),
            key: "cluster.secret_file".into(),
            problem: "must hold at least 16 printable characters without spaces".into(),
        });
    }
    Ok(Zeroizing::new(secret.into()))
}
