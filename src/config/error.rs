//! What can be wrong with a configuration, in words that name the file, the key and the way out.

use std::{io, path::PathBuf};

/// Why a configuration is refused. `origin` is the file, or the environment variable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read it: {error}; name a file that exists and may be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The file is no YAML.
    #[error("{origin}: not readable as YAML: {message}")]
    Syntax {
        /// Where it stands.
        origin: String,
        /// What the parser said.
        message: String,
    },
    /// No such key exists.
    #[error("{origin}: unknown key `{key}`; did you mean `{nearest}`?")]
    UnknownKey {
        /// Where it stands.
        origin: String,
        /// Its full path.
        key: String,
        /// The valid key that is spelled most alike.
        nearest: String,
    },
    /// A value is of another kind.
    #[error("{origin}: `{key}` must be {expected}, but is {found}")]
    WrongType {
        /// Where it stands.
        origin: String,
        /// Its full path.
        key: String,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A value is of the right kind but cannot be used.
    #[error("{origin}: `{key}` {problem}")]
    BadValue {
        /// Where it stands.
        origin: String,
        /// Its full path.
        key: String,
        /// What is wrong and what would do.
        problem: String,
    },
}
