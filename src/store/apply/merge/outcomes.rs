//! Outcomes of the other side's calls, so that their repeats are known here.

use diesel::{ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, update};
use prost::Message as _;

use super::super::{Context, Stop, requests};
use crate::{
    chat::{MergedOutcome, MergedRequest, RequestScope},
    store::{aliases, error::StoreError, outcomes, rows, schema},
    wire::log::{StoredOutcome, stored_outcome::Kind},
};

/// What this side knows of the call: its first outcome here, if it came here as well.
pub(super) fn known(
    context: &mut Context<'_>,
    request: &MergedRequest,
) -> Result<Option<Kind>, Stop> {
    let Some(scope) = scope(context, &request.scope)? else { return Ok(None) };
    match requests::find(context, &request.key, &scope, request.call) {
        // Another call under the same id: two clients drew it, or one used it twice.
        Err(Stop::Refused(_)) => Ok(None),
        found => found,
    }
}

/// Keeps the outcome if this side has none. What was carried out on one side outranks a refusal on the
/// other.
pub(super) fn keep(context: &mut Context<'_>, request: &MergedRequest) -> Result<(), Stop> {
    let Some(scope) = scope(context, &request.scope)? else { return Ok(()) };
    let Some(kind) = local(context, &request.outcome)? else { return Ok(()) };
    match requests::find(context, &request.key, &scope, request.call) {
        Ok(None) => requests::keep(context, &request.key, &scope, request.call, kind),
        Ok(Some(Kind::Refusal(_))) if !matches!(kind, Kind::Refusal(_)) => {
            replace(context, request, &scope, kind)
        }
        Ok(Some(_)) | Err(Stop::Refused(_)) => Ok(()),
        Err(failed) => Err(failed),
    }
}

fn replace(
    context: &mut Context<'_>,
    request: &MergedRequest,
    scope: &[u8],
    kind: Kind,
) -> Result<(), Stop> {
    use schema::requests;
    let outcome = StoredOutcome { kind: Some(kind) }.encode_to_vec();
    let (id, call) = (request.key.id.0, request.call as i64);
    let Some(known) = outcomes::find(context.connection, request.key.id, scope, request.call)?
    else {
        return Ok(());
    };
    update(requests::table.find(known.position))
        .set((
            requests::outcome.eq(Some(outcome.as_slice())),
            requests::time.eq(context.time),
            requests::position.eq(context.position),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("replace a refusal"))?;
    let time = context.time;
    context.record(
        "requests",
        &[(&id).into(), scope.into(), call.into(), outcome.as_slice().into(), time.into()],
    );
    Ok(())
}

fn scope(context: &mut Context<'_>, scope: &RequestScope) -> Result<Option<Vec<u8>>, Stop> {
    Ok(match scope {
        RequestScope::Username(name) => Some(name.as_str().into()),
        RequestScope::Account(id) => rows::account_by_id(context.connection, *id)?
            .map(|account| account.id.to_be_bytes().into()),
    })
}

/// The outcome with this history's places.
fn local(context: &mut Context<'_>, outcome: &MergedOutcome) -> Result<Option<Kind>, Stop> {
    Ok(match outcome {
        MergedOutcome::Done => Some(Kind::Done(true)),
        MergedOutcome::Session(id) => {
            rows::session_by_id(context.connection, *id)?.map(|session| Kind::Session(session.id))
        }
        MergedOutcome::Message(id) => {
            aliases::message(context.connection, *id)?.map(|message| Kind::Message(message.id))
        }
        MergedOutcome::Room(id) => {
            aliases::room(context.connection, *id)?.map(|room| Kind::Room(room.id))
        }
        MergedOutcome::ReadSeq(seq) => Some(Kind::ReadSeq(*seq)),
        MergedOutcome::Refused(refusal) => refusal.number().map(Kind::Refusal),
    })
}
