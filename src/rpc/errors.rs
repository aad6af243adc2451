//! The only file that knows gRPC's status codes.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{context::Context, passwords::PasswordError};
use crate::{
    chat::{Malformed, Refusal},
    cluster::ServerId,
    node::{Ended, Refused},
    telemetry::trace,
};

/// The domain of every `ErrorInfo`.
const DOMAIN: &str = "chinwag";
/// The reason of every `ErrorInfo` that there is.
pub(super) const REASONS: &[&str] = &[
    "ACCOUNT_DISABLED",
    "ANOTHER_LEADS",
    "BAD_CREDENTIALS",
    "BAD_FIELD",
    "BUSY",
    "INTERNAL",
    "NAME_TAKEN",
    "NOT_ALLOWED",
    "NOT_A_MEMBER",
    "NOT_COMPARED",
    "NOT_IN_SYNC",
    "NOT_LEADER",
    "NO_LEADER",
    "NO_QUORUM",
    "NO_SESSION",
    "NO_SUCH_ACCOUNT",
    "NO_SUCH_MESSAGE",
    "NO_SUCH_ROOM",
    "NO_SUCH_SESSION",
    "OUTCOME_UNKNOWN",
    "RATE_LIMITED",
    "REQUEST_ID_REUSED",
    "SEARCH_NOT_READY",
    "SHUTTING_DOWN",
    "STORAGE_FULL",
    "SUBSCRIBER_TOO_SLOW",
    "VERSIONS_DIFFER",
];
/// A fail-over takes tens of milliseconds; asking again sooner helps nobody.
const RETRY: Duration = Duration::from_millis(50);

/// A field is not what it may be.
pub(super) fn bad_field(field: &'static str, malformed: Malformed) -> Status {
    field_violation(field, malformed.to_string())
}

/// A field is not what it may be, in words.
pub(super) fn field_violation(field: &'static str, allowed: impl Into<String>) -> Status {
    let allowed = allowed.into();
    let words = format!("{field}: {allowed}");
    let mut details = ErrorDetails::with_bad_request_violation(field, allowed);
    details.set_error_info("BAD_FIELD", DOMAIN, HashMap::new());
    Status::with_error_details(Code::InvalidArgument, words, details)
}

/// An update or a read was refused by the rules of the chat.
pub(super) fn refusal(refusal: Refusal) -> Status {
    let (code, reason) = match refusal {
        Refusal::NameTaken => (Code::AlreadyExists, "NAME_TAKEN"),
        Refusal::NoSuchAccount => (Code::NotFound, "NO_SUCH_ACCOUNT"),
        Refusal::NoSuchRoom => (Code::NotFound, "NO_SUCH_ROOM"),
        Refusal::NoSuchMessage => (Code::NotFound, "NO_SUCH_MESSAGE"),
        Refusal::NoSuchSession => (Code::NotFound, "NO_SUCH_SESSION"),
        Refusal::NotAllowed | Refusal::OwnerStays | Refusal::NoMember => {
            (Code::PermissionDenied, "NOT_ALLOWED")
        }
        Refusal::NoSession => (Code::Unauthenticated, "NO_SESSION"),
        Refusal::BadCredentials => (Code::Unauthenticated, "BAD_CREDENTIALS"),
        Refusal::AccountDisabled => (Code::PermissionDenied, "ACCOUNT_DISABLED"),
        Refusal::RequestIdReused => (Code::InvalidArgument, "REQUEST_ID_REUSED"),
        Refusal::BadField { field, malformed } => return bad_field(field, malformed),
        Refusal::ProofNeeded => return internal("a proof of the password was lost on the way"),
    };
    with_reason(code, refusal.to_string(), reason)
}

/// The node does not serve the request now.
pub(super) fn refused(refused: Refused, context: &Context) -> Status {
    let words = refused.to_string();
    match refused {
        Refused::NotLeader(leader) => not_leader(leader, context),
        Refused::NoLeader => unavailable(
            "no server leads yet; try again in a moment".into(),
            "NO_LEADER",
            HashMap::new(),
        ),
        Refused::NoQuorum => unavailable(words, "NO_QUORUM", HashMap::new()),
        Refused::OutcomeUnknown => unavailable(
            "the lead was lost on the way; repeat the call with the same request_id".into(),
            "OUTCOME_UNKNOWN",
            HashMap::new(),
        ),
        Refused::StorageFull => unavailable(words, "STORAGE_FULL", HashMap::new()),
        Refused::ShuttingDown => unavailable(words, "SHUTTING_DOWN", HashMap::new()),
        Refused::Store(reason) => internal(&reason),
    }
}

/// A stream ended.
pub(super) fn ended(ended: Ended, cursor: Option<String>, context: &Context) -> Status {
    match ended {
        Ended::NotLeader => refused(Refused::NotLeader(context.node.standing().leader), context),
        Ended::TooSlow => too_slow(cursor),
    }
}

fn too_slow(cursor: Option<String>) -> Status {
    let metadata: HashMap<_, _> =
        cursor.map(|cursor| ("cursor".to_owned(), cursor)).into_iter().collect();
    let details = ErrorDetails::with_error_info("SUBSCRIBER_TOO_SLOW", DOMAIN, metadata);
    let words = "this subscriber did not keep up; subscribe again at the last cursor";
    Status::with_error_details(Code::ResourceExhausted, words, details)
}

/// Somebody does too much, and may come back after this.
pub(super) fn limited(words: impl Into<String>, wait: Duration) -> Status {
    let mut details = ErrorDetails::new();
    details
        .set_error_info("RATE_LIMITED", DOMAIN, HashMap::new())
        .set_retry_info(Some(wait.max(RETRY)));
    Status::with_error_details(Code::ResourceExhausted, words, details)
}

/// A call took longer than any should.
pub(super) fn took_too_long() -> Status {
    let words = "the call was not finished in time; repeat it with the same request_id";
    Status::deadline_exceeded(words)
}

/// A password was neither right nor wrong.
pub(super) fn password(error: &PasswordError) -> Status {
    match error {
        PasswordError::Busy => {
            limited(format!("{error}; try again in a moment"), Duration::from_secs(1))
        }
        _ => internal(&error.to_string()),
    }
}

/// As many subscribers as this server takes are there already.
pub(super) fn too_many(what: &str) -> Status {
    limited(format!("too many {what}"), Duration::from_secs(5))
}

/// The search index lacks what it must hold.
pub(super) fn search_not_ready() -> Status {
    let words = "the search index is being built; search again in a moment";
    unavailable(words.into(), "SEARCH_NOT_READY", HashMap::new())
}

/// Something broke; the words are for the log, the caller only learns that it did.
pub(super) fn internal(reason: &str) -> Status {
    tracing::error!(reason, trace = trace::current().map(tracing::field::display), "a call failed");
    with_reason(Code::Internal, "the server failed; see its log", "INTERNAL")
}

/// Whoever speaks to the servers' own service has not shown to be a member of the cluster.
pub(super) fn stranger(words: impl Into<String>) -> Status {
    with_reason(Code::Unauthenticated, words, "NOT_A_MEMBER")
}

/// A member said something that means nothing.
pub(super) fn malformed(words: impl std::fmt::Display) -> Status {
    Status::invalid_argument(words.to_string())
}

/// A member wants something of an epoch that this server does not lead.
pub(super) fn leads_another_epoch() -> Status {
    Status::failed_precondition("this server does not lead that epoch")
}

/// A member's question got no answer in time.
pub(super) fn unanswered() -> Status {
    Status::deadline_exceeded("the question was not answered in time")
}

/// Nobody leads, and an operator waited long enough.
pub(super) fn no_leader() -> Status {
    let words = "no server leads; look at the status, and try again when one does";
    unavailable(words.into(), "NO_LEADER", HashMap::new())
}

/// This server lacks what the others have, and an operator waited long enough.
pub(super) fn behind(id: ServerId) -> Status {
    let words = format!("server {id} is behind the others; ask one that is in sync");
    with_reason(Code::FailedPrecondition, words, "NOT_IN_SYNC")
}

/// A server cannot lead now.
pub(super) fn not_in_sync(id: ServerId) -> Status {
    let words = format!("server {id} is not in sync and cannot lead; look at the status");
    with_reason(Code::FailedPrecondition, words, "NOT_IN_SYNC")
}

/// Somebody else came to lead than was wanted.
pub(super) fn another_leads(wanted: ServerId, leads: Option<ServerId>) -> Status {
    let leads = leads.map_or("nobody leads".into(), |id| format!("server {id} leads"));
    let words =
        format!("server {wanted} did not come to lead, {leads}; look at its log, try again");
    with_reason(Code::Aborted, words, "ANOTHER_LEADS")
}

/// One comparison is enough.
pub(super) fn comparing_already() -> Status {
    let words = "the servers are being compared already; wait for that to end";
    with_reason(Code::Aborted, words, "BUSY")
}

/// The servers were never at the same place when they were looked at.
pub(super) fn no_common_place() -> Status {
    let words = "the servers were not at one place in the log together; try again in a moment";
    with_reason(Code::Aborted, words, "BUSY")
}

/// The tables of servers with different programs have different columns.
pub(super) fn schemas_differ() -> Status {
    let words = "the servers run different versions; upgrade them all, then compare";
    with_reason(Code::FailedPrecondition, words, "VERSIONS_DIFFER")
}

/// Some server could not read what is wanted.
pub(super) fn too_old(ids: &[ServerId]) -> Status {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let words = format!("an older version runs on server {}; upgrade it first", ids.join(", "));
    with_reason(Code::FailedPrecondition, words, "VERSIONS_DIFFER")
}

/// A server in sync did not take part in a comparison.
pub(super) fn not_compared(id: ServerId, problem: &str) -> Status {
    let words = format!("server {id} cannot be compared: {problem}");
    with_reason(Code::Aborted, words, "NOT_COMPARED")
}

/// What another server said.
pub(super) fn passed_on(id: ServerId, status: &Status) -> Status {
    not_compared(id, status.message())
}

/// Whether another moment, or another leader, may bring an answer. For what may be asked twice.
pub(super) fn may_be_asked_again(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Unknown)
        && reason(status) != "STORAGE_FULL"
}

/// The reason that a status names for programs; empty when it names none.
pub(super) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn not_leader(leader: Option<ServerId>, context: &Context) -> Status {
    let Some(leader) = leader else {
        let words = "this server leads no more; ask another one";
        return unavailable(words.into(), "NOT_LEADER", HashMap::new());
    };
    let mut metadata = HashMap::from([("leader_id".to_owned(), leader.to_string())]);
    if let Some(address) = context.addresses.get(&leader) {
        metadata.insert("leader_address".to_owned(), address.clone());
    }
    unavailable(format!("server {leader} leads; ask it"), "NOT_LEADER", metadata)
}

fn unavailable(words: String, reason: &str, metadata: HashMap<String, String>) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, metadata).set_retry_info(Some(RETRY));
    Status::with_error_details(Code::Unavailable, words, details)
}

fn with_reason(code: Code, words: impl Into<String>, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, words, details)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Every reason with its status code, as the reference tells it.
    fn documented() -> BTreeMap<String, String> {
        let rows = include_str!("../docs/api.md").lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let (reason, code) = (cells.next()?.strip_suffix('`')?, cells.next()?);
            let code = code.strip_prefix('`')?.strip_suffix('`')?;
            let is_code = |code: &str| code.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            is_code(code).then(|| (reason.to_owned(), code.to_owned()))
        });
        rows.collect()
    }

    /// At least one error with each reason.
    fn errors() -> Vec<Status> {
        let refusals = [
            Refusal::NameTaken,
            Refusal::NoSuchAccount,
            Refusal::NoSuchRoom,
            Refusal::NoSuchMessage,
            Refusal::NoSuchSession,
            Refusal::NotAllowed,
            Refusal::OwnerStays,
            Refusal::NoMember,
            Refusal::NoSession,
            Refusal::BadCredentials,
            Refusal::AccountDisabled,
            Refusal::RequestIdReused,
        ];
        let unavailable = ["NOT_LEADER", "NO_QUORUM", "OUTCOME_UNKNOWN", "STORAGE_FULL"];
        let unavailable = unavailable.into_iter().chain(["SHUTTING_DOWN"]);
        let id = ServerId(1);
        refusals
            .into_iter()
            .map(refusal)
            .chain(
                unavailable.map(|reason| super::unavailable(String::new(), reason, HashMap::new())),
            )
            .chain([
                field_violation("body", "is too long"),
                limited("too many subscribers", Duration::from_millis(1)),
                too_slow(None),
                search_not_ready(),
                internal("a test"),
                stranger("who is there?"),
                no_leader(),
                behind(id),
                not_in_sync(id),
                another_leads(id, None),
                comparing_already(),
                no_common_place(),
                schemas_differ(),
                too_old(&[id]),
                not_compared(id, "its disk is damaged"),
            ])
            .collect()
    }

    #[test]
    fn every_reason_comes_with_the_code_that_the_reference_tells() {
        let documented = documented();
        let mut met = BTreeSet::new();
        for status in errors() {
            let reason = reason(&status);
            let code = format!("{:?}", status.code()).to_uppercase();
            let told = documented.get(&reason).unwrap_or_else(|| panic!("{reason} is not told"));
            assert_eq!(told.replace('_', ""), code, "{reason}");
            met.insert(reason);
        }
        let told: BTreeSet<String> = documented.into_keys().collect();
        assert_eq!(met, told, "what is told and what is answered");
    }

    #[test]
    fn no_reason_is_answered_that_the_reference_lacks() {
        let documented = documented();
        let (production, _) =
            include_str!("errors.rs").split_once("mod tests {").expect("this one");
        let literals = production.split('"').skip(1).step_by(2);
        let is_reason = |text: &&str| {
            text.len() > 3 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        };
        let reasons: BTreeSet<&str> = literals.filter(is_reason).collect();
        assert!(reasons.len() > 20, "they were found: {reasons:?}");
        for reason in reasons {
            assert!(documented.contains_key(reason), "{reason}: tell it in error.proto");
        }
    }

    #[test]
    fn every_reason_stands_in_the_list() {
        let source = include_str!("errors.rs");
        let (_, below) = source.split_once("];\n").expect("the list ends");
        let (below, _) = below.split_once("\n#[cfg(test)]").expect("these tests");
        let is_reason = |text: &str| {
            text.len() > 2
                && text.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
        };
        let reasons: Vec<&str> = below.split('"').filter(|text| is_reason(text)).collect();
        assert!(reasons.contains(&"NOT_LEADER") && reasons.contains(&"BAD_FIELD"), "{reasons:?}");
        for reason in &reasons {
            assert!(REASONS.contains(reason), "{reason} is not in the list");
        }
        for known in REASONS {
            assert!(reasons.contains(known), "nothing is refused for {known}");
        }
    }
}
