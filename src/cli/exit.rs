//! How the program ends.

use std::{io, process::ExitCode};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tonic::Code;

use super::text::harmless;
use crate::{client, config::ConfigError, tls::TlsError};

/// What the exit code says. A piped session ends with that of its first failure; it answers the lines
/// after it all the same. A session on a terminal ends with 0 once it has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// 0: everything was done.
    Ok,
    /// 1: a leader refused, or this version does not have it.
    Refused,
    /// 2: the command line, a line, or the configuration is wrong.
    Usage,
    /// 65: something in the data is not allowed, such as a name or a body.
    BadData,
    /// 69: no server, no leader, or none that could do it within the timeout; nothing happened.
    Unavailable,
    /// 75: the outcome is unknown; the request id that settles it was printed.
    OutcomeUnknown,
    /// 77: not logged in.
    NotLoggedIn,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::BadData => 65,
            Exit::Unavailable => 69,
            Exit::OutcomeUnknown => 75,
            Exit::NotLoggedIn => 77,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The cluster did not do it.
    #[error(transparent)]
    Call(#[from] client::Error),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The authority's file cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It was not asked for in the right way.
    #[error("{0}")]
    Usage(String),
    /// It was asked for in the right way, but with data that nothing can take.
    #[error("{0}")]
    BadData(String),
    /// It did not come about.
    #[error("{0}")]
    Refused(String),
    /// A command that an event was handed to failed. Going on after the cursor skips nothing.
    #[error("{problem}; go on after the cursor {cursor}")]
    Handler {
        /// What happened to it.
        problem: String,
        /// That of the last event that was handled.
        cursor: String,
    },
    /// One of these, and what can be done about it.
    #[error("{failure}; {advice}")]
    Advised {
        /// What failed.
        failure: Box<Failure>,
        /// What to do next.
        advice: String,
    },
    /// A file or the output failed.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

impl Failure {
    /// How the program ends after it.
    pub(super) fn exit(&self) -> Exit {
        use client::Error;
        match self {
            Failure::Advised { failure, .. } => failure.exit(),
            Failure::Call(Error::Refused(refusal)) if refusal.code == Code::InvalidArgument => {
                Exit::BadData
            }
            Failure::Call(Error::Refused(_)) | Failure::Refused(_) | Failure::Handler { .. } => {
                Exit::Refused
            }
            Failure::Call(Error::OutcomeUnknown { .. }) => Exit::OutcomeUnknown,
            Failure::Call(
                Error::NoServer { .. }
                | Error::Distrusted { .. }
                | Error::NoLeader { .. }
                | Error::DiskFull { .. }
                | Error::SearchNotReady { .. },
            ) => Exit::Unavailable,
            Failure::Call(Error::NotLoggedIn { .. }) => Exit::NotLoggedIn,
            Failure::Call(Error::BadAddress { .. })
            | Failure::Config(_)
            | Failure::Tls(_)
            | Failure::Usage(_) => Exit::Usage,
            Failure::BadData(_) => Exit::BadData,
            // Whoever reads the output has enough of it, as `head` does.
            Failure::System { error, .. } if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            Failure::System { .. } => Exit::Refused,
        }
    }

    /// Without advice.
    fn bare(&self) -> &Failure {
        match self {
            Failure::Advised { failure, .. } => failure,
            bare => bare,
        }
    }

    /// In words for people. What a server wrote is made harmless.
    pub(super) fn words(&self) -> String {
        match self {
            Failure::Call(_) | Failure::Advised { .. } => harmless(&self.to_string()),
            // Faults of a configuration stand on a line each.
            own => own.to_string().lines().map(harmless).collect::<Vec<_>>().join("\n"),
        }
    }

    /// Where a broken tail can be taken up again.
    pub(super) fn cursor(&self) -> Option<&str> {
        match self.bare() {
            Failure::Handler { cursor, .. } => Some(cursor),
            _ => None,
        }
    }

    /// The reason for programs; empty when there is none.
    pub(super) fn reason(&self) -> &str {
        match self.bare() {
            Failure::Call(client::Error::Refused(refusal)) => &refusal.reason,
            Failure::Call(client::Error::OutcomeUnknown { .. }) => "OUTCOME_UNKNOWN",
            Failure::Call(client::Error::DiskFull { .. }) => "STORAGE_FULL",
            Failure::Call(client::Error::SearchNotReady { .. }) => "SEARCH_NOT_READY",
            _ => "",
        }
    }

    /// Whether the conversation is none of the user's.
    pub(super) fn is_outside(&self) -> bool {
        matches!(self.reason(), "NO_SUCH_ROOM" | "NO_SUCH_ACCOUNT" | "NOT_ALLOWED")
    }

    /// The id of the request whose outcome is unknown.
    pub(super) fn request_id(&self) -> Option<&str> {
        match self.bare() {
            Failure::Call(client::Error::OutcomeUnknown { request_id, .. }) => Some(request_id),
            _ => None,
        }
    }
}

/// A failed output.
pub(super) fn output(error: io::Error) -> Failure {
    Failure::System { what: "cannot write".into(), error }
}

/// Says on the notes why the program ends.
pub(super) async fn tell(failure: &Failure, mut notes: impl AsyncWrite + Unpin) -> Exit {
    if failure.exit() != Exit::Ok {
        // There is nowhere left to complain about a failed complaint.
        let _ = notes.write_all(format!("client: {}\n", failure.words()).as_bytes()).await;
        let _ = notes.flush().await;
    }
    failure.exit()
}
