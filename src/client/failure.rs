//! What one failed attempt tells: the only place of this room that reads gRPC's codes.

use std::{error::Error as StdError, io, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::error::{FieldViolation, Refusal};
use crate::tls::{self, Distrust};

/// How an attempt failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// A definite no.
    Refused(Refusal),
    /// The session is missing or has ended.
    NoSession(String),
    /// Too much at once; the server says when to come back.
    Busy(Refusal, Duration),
    /// The asked server does not lead: nothing happened. It may know who does.
    NotLeader(Option<String>),
    /// The asked server cannot take it now, and said that nothing happened.
    NotNow(String),
    /// The asked server leads and cannot write it down: its disk is full. Nothing happened.
    DiskFull(String),
    /// The asked server leads, and its search index is still behind. Nothing happened.
    SearchNotReady(String),
    /// The server's machine refused the connection, or its address leads nowhere: nothing happened.
    Unreachable(String),
    /// The server's certificate is wrong, or only one of the two wants encryption: nothing happened.
    Distrusted(String),
    /// No connection came about in time: nothing happened.
    NoAnswerToConnect(String),
    /// No answer came in time: it may have happened, and the server may be frozen.
    Silent,
    /// The answer got lost: it may have happened.
    Lost(String),
}

impl Failure {
    /// Whether the attempt may have had its effect.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Failure::Silent | Failure::Lost(_))
    }

    /// In words, for people.
    pub fn detail(&self) -> String {
        match self {
            Failure::Refused(refusal) | Failure::Busy(refusal, _) => refusal.to_string(),
            Failure::NotLeader(_) => "the asked server does not lead".into(),
            Failure::Silent => "no answer in time".into(),
            Failure::NoSession(words)
            | Failure::NotNow(words)
            | Failure::DiskFull(words)
            | Failure::SearchNotReady(words)
            | Failure::Unreachable(words)
            | Failure::Distrusted(words)
            | Failure::NoAnswerToConnect(words)
            | Failure::Lost(words) => words.clone(),
        }
    }

    /// Reads what a call ended with.
    pub fn read(status: &Status) -> Failure {
        if let Some(failure) = distrust(status).or_else(|| connect_failure(status)) {
            return failure;
        }
        let info = status.get_details_error_info();
        let reason = info.as_ref().map_or("", |info| info.reason.as_str());
        match (status.code(), reason) {
            (_, "NOT_LEADER") => {
                let metadata = info.as_ref().map(|info| &info.metadata);
                let address = metadata.and_then(|metadata| metadata.get("leader_address"));
                Failure::NotLeader(address.filter(|address| !address.is_empty()).cloned())
            }
            (_, "NO_LEADER" | "NO_QUORUM") => Failure::NotNow(words_or(status, reason)),
            (_, "STORAGE_FULL") => Failure::DiskFull(words_or(status, reason)),
            (_, "SEARCH_NOT_READY") => Failure::SearchNotReady(words_or(status, reason)),
            (Code::Unauthenticated, "NO_SESSION") => Failure::NoSession(words_or(status, reason)),
            (Code::ResourceExhausted, "RATE_LIMITED") => {
                let delay = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
                Failure::Busy(refusal(status, reason), delay.unwrap_or(Duration::from_millis(100)))
            }
            (Code::DeadlineExceeded, _) => Failure::Silent,
            // A broken HTTP/2 stream shows itself as any of these, "h2 protocol error" as Unknown.
            (
                Code::Unavailable
                | Code::Aborted
                | Code::Unknown
                | Code::Internal
                | Code::Cancelled,
                _,
            ) => Failure::Lost(words_or(status, reason)),
            _ => Failure::Refused(refusal(status, reason)),
        }
    }
}

fn refusal(status: &Status, reason: &str) -> Refusal {
    let violations = status.get_details_bad_request().map_or_else(Vec::new, |bad| {
        bad.field_violations
            .into_iter()
            .map(|v| FieldViolation { field: v.field, description: v.description })
            .collect()
    });
    Refusal {
        code: status.code(),
        reason: reason.into(),
        message: status.message().into(),
        fields: violations,
    }
}

fn words_or(status: &Status, reason: &str) -> String {
    match (status.message(), reason) {
        ("", "") => status.code().description().into(),
        ("", reason) => reason.into(),
        (message, _) => message.into(),
    }
}

/// What is wrong with the server's certificate, or that only one of the two wants encryption.
fn distrust(status: &Status) -> Option<Failure> {
    if let Some(distrust) = Distrust::find(status, "this address") {
        return Some(Failure::Distrusted(distrust.to_string()));
    }
    tls::wants_tls(status).then(|| {
        let words = "the server takes encrypted connections only; give the file of its authority's \
                     certificate (--ca FILE, or tls.ca in the configuration)";
        Failure::Distrusted(words.into())
    })
}

/// A failed connect, which the transport hides among the causes.
fn connect_failure(status: &Status) -> Option<Failure> {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.downcast_ref::<tonic::ConnectError>().is_some() {
            let reason = innermost(error);
            let system = reason.downcast_ref::<io::Error>().map(io::Error::kind);
            return Some(match system {
                Some(io::ErrorKind::ConnectionRefused) => {
                    Failure::Unreachable("connection refused".into())
                }
                Some(kind) if kind != io::ErrorKind::TimedOut => {
                    Failure::Unreachable(reason.to_string())
                }
                _ => Failure::NoAnswerToConnect(reason.to_string()),
            });
        }
        cause = error.source();
    }
    None
}

fn innermost<'a>(mut error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    while let Some(deeper) = error.source() {
        error = deeper;
    }
    error
}
