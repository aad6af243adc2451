//! What a call can end with when it has no answer.

use std::fmt;

use tonic::Code;

/// Why a call has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A leader refused it, and will refuse it again: nothing happened.
    #[error("{0}")]
    Refused(Refusal),
    /// It may or may not have happened. Repeating it *with this request id* tells, and never makes it
    /// happen twice.
    #[error(
        "the outcome is unknown ({detail}); repeat it with request id {request_id}, which never makes \
         it happen twice"
    )]
    OutcomeUnknown {
        /// The id to repeat it with.
        request_id: String,
        /// What went wrong last.
        detail: String,
    },
    /// No server was reached in time. Nothing happened.
    #[error("no server answers ({detail}); check the addresses and that the servers run")]
    NoServer {
        /// What went wrong last.
        detail: String,
    },
    /// No server is the one that it should be: waiting does not help. Nothing happened.
    #[error("no server can be believed: {detail}")]
    Distrusted {
        /// What is wrong, and with whom.
        detail: String,
    },
    /// Servers answered, but none led in time. Nothing happened.
    #[error("no leader ({detail}); try again later, or look at the status")]
    NoLeader {
        /// What went wrong last.
        detail: String,
    },
    /// Whoever leads has no room on its disk, and nobody with room could take over in time. Nothing
    /// happened.
    #[error(
        "the disk of the server at {address} is full, so nothing can be written; make room in its data \
         folder, then try again"
    )]
    DiskFull {
        /// Where the server is.
        address: String,
    },
    /// The search index did not catch up in time. Messages have nothing to do with it.
    #[error(
        "searching is not ready yet ({detail}); messages are safe, and sending and reading them goes on"
    )]
    SearchNotReady {
        /// What the server says of it.
        detail: String,
    },
    /// The call needs a session and there is none, or it has ended. Nothing happened.
    #[error("not logged in ({detail})")]
    NotLoggedIn {
        /// What is missing.
        detail: String,
    },
    /// A server's address cannot be used.
    #[error("\"{address}\" is no address of a server; write host:port, such as 127.0.0.1:50051")]
    BadAddress {
        /// The address as given.
        address: String,
    },
}

/// A definite no.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// gRPC's kind of error.
    pub code: Code,
    /// The reason for programs, such as `NAME_TAKEN`; empty when the server gave none.
    pub reason: String,
    /// What is wrong, for people.
    pub message: String,
    /// Which fields of the request are wrong.
    pub fields: Vec<FieldViolation>,
}

/// A field of a request that cannot be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldViolation {
    /// The field.
    pub field: String,
    /// What is allowed.
    pub description: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.message.is_empty(), self.reason.is_empty()) {
            (false, _) => f.write_str(&self.message)?,
            (true, false) => f.write_str(&self.reason)?,
            (true, true) => write!(f, "refused: {}", self.code.description())?,
        }
        for violation in &self.fields {
            // Servers may repeat the field's words in the message.
            if !self.message.contains(&violation.description) {
                write!(f, "; {}: {}", violation.field, violation.description)?;
            }
        }
        Ok(())
    }
}
