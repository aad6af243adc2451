//! What the program keeps between its runs: the session, and the history of typed lines.

use std::{
    env, fs,
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{exit::Failure, outbox::Outboxes, paint::Paint};

/// What the program finds around itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// `CHINWAG_SESSION`: a session file of one's own.
    pub(super) session: Option<PathBuf>,
    /// The user's folder for state; without one nothing is kept.
    pub(super) state: Option<PathBuf>,
    /// Whether there is a person to ask for a password.
    pub(super) person: bool,
    /// Whether the output is a terminal.
    pub(super) screen: bool,
    /// The colours of the output.
    pub(super) paint: Paint,
}

impl Surroundings {
    /// As this process's environment has them.
    pub(super) fn of_process() -> Surroundings {
        let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // The XDG rules want relative paths ignored.
        let xdg = path("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let state = xdg.or_else(|| path("HOME").map(|home| home.join(".local/state")));
        Surroundings {
            session: path("CHINWAG_SESSION"),
            state: state.map(|state| state.join("chinwag")),
            person: io::stdin().is_terminal(),
            screen: io::stdout().is_terminal(),
            paint: Paint::of_process(io::stdout().is_terminal()),
        }
    }

    /// The file of the session with these servers.
    pub(super) fn session_file(&self, servers: &[String]) -> SessionFile {
        let usual = || Some(self.state.as_ref()?.join(format!("session-{}.json", key(servers))));
        SessionFile { path: self.session.clone().or_else(usual) }
    }

    /// Where the lines are kept that these servers have not got yet.
    pub(super) fn outboxes(&self, servers: &[String]) -> Outboxes {
        let prefix = format!("outbox-{}", key(servers));
        Outboxes { place: self.state.as_ref().map(|folder| (folder.clone(), prefix)) }
    }

    /// Where typed lines are kept; its folder exists then.
    pub(super) fn history_file(&self) -> Option<PathBuf> {
        let folder = self.state.as_ref()?;
        make_folder(folder).ok()?;
        Some(folder.join("history"))
    }
}

/// Tells clusters apart in the names of files.
fn key(servers: &[String]) -> String {
    let mut sorted: Vec<&str> = servers.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    short_hash(&sorted.join(","))
}

/// Enough of a hash to be a part of a file's name.
pub(super) fn short_hash(text: &str) -> String {
    let hash = Sha256::digest(text);
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The kept session with a cluster.
#[derive(Clone, Debug)]
pub(super) struct SessionFile {
    path: Option<PathBuf>,
}

/// A session.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Whose it is.
    pub(super) username: String,
    /// What proves it.
    pub(super) token: String,
}

impl SessionFile {
    /// The kept session, if there is one.
    pub(super) fn load(&self) -> Result<Option<Kept>, Failure> {
        let Some(path) = &self.path else { return Ok(None) };
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("cannot read the session", path, error)),
        };
        // An empty file is what `mktemp` makes of a place for one.
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&text).map(Some).map_err(|_| {
            let path = path.display();
            Failure::Usage(format!("{path} holds no session; remove it and log in again"))
        })
    }

    /// Keeps a session; nobody else may read it.
    pub(super) fn save(&self, kept: &Kept) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = Zeroizing::new(serde_json::to_string(kept).expect("two texts become JSON"));
        write(path, text.as_bytes()).map_err(|error| failed("cannot keep the session", path, error))
    }

    /// Forgets the kept session if it is this one, which has ended.
    pub(super) fn forget(&self, token: &str) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.load()?.is_none_or(|kept| kept.token != token) {
            return Ok(());
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("cannot forget the session", path, error))
            }
            _ => Ok(()),
        }
    }
}

/// Replaces a file as a whole. The temporary one has mode 0600 from its first byte on.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    make_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Makes a folder that only its owner may look into.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn failed(what: &str, path: &Path, error: io::Error) -> Failure {
    Failure::System { what: format!("{what} in {}", path.display()), error }
}
