//! Idempotency: a request id counts once per account (or username) and call.
//!
//! A repeat travels through the log like any update and finds the stored outcome here, so there is one
//! path, the same on every leader. Outcomes are kept as ids and seqs, and rebuilt from current rows.

use diesel::{ExpressionMethods as _, RunQueryDsl as _, insert_into};
use prost::Message as _;

use super::{Context, Stop, room, session};
use crate::{
    chat::{Call, Command, Message, Outcome, Refusal, RequestKey, Update},
    store::{
        error::StoreError,
        mentions, outcomes,
        rows::{self, AccountRow},
        schema::requests,
    },
    wire::log::{StoredOutcome, stored_outcome::Kind},
};

/// Carries a call out, or answers a repeat of one with its first outcome. `actor` is `None` for the
/// calls that begin a session.
pub(super) fn once(
    context: &mut Context<'_>,
    update: &Update,
    actor: Option<&AccountRow>,
    carry_out: impl FnOnce(&mut Context<'_>) -> Result<Outcome, Stop>,
) -> Result<Outcome, Stop> {
    let (Some(key), Some(call)) = (&update.request, update.command.call()) else {
        return carry_out(context);
    };
    let scope = scope(&update.command, actor);
    if let Some(kind) = find(context, key, &scope, call)? {
        return rebuild(context, update, actor, kind);
    }
    let result = match carry_out(context) {
        Ok(outcome) => Ok(outcome),
        Err(Stop::Refused(refusal)) => Err(refusal),
        failed => return failed,
    };
    if let Some(kind) = to_keep(&result, context.subject) {
        keep(context, key, &scope, call, kind)?;
    }
    result.map_err(Stop::Refused)
}

/// Whether the call was carried out before. For a caller whose session has ended.
pub(super) fn is_known(
    context: &mut Context<'_>,
    update: &Update,
    actor: &AccountRow,
) -> Result<bool, Stop> {
    let (Some(key), Some(call)) = (&update.request, update.command.call()) else {
        return Ok(false);
    };
    let scope = scope(&update.command, Some(actor));
    Ok(find(context, key, &scope, call)?.is_some())
}

/// What the digest sees of an outcome.
pub(super) fn digested(result: &Result<Outcome, Refusal>) -> Vec<u8> {
    match to_keep(result, 0) {
        Some(kind) => StoredOutcome { kind: Some(kind) }.encode_to_vec(),
        None => vec![u8::from(result.is_ok())],
    }
}

/// The folded username for calls that begin a session, the account for all others.
fn scope(command: &Command, actor: Option<&AccountRow>) -> Vec<u8> {
    match (command, actor) {
        (Command::CreateAccount(create), _) => create.username.as_str().into(),
        (Command::Login(login), _) => login.username.as_str().into(),
        (_, Some(actor)) => actor.id.to_be_bytes().into(),
        (other, None) => unreachable!("{other:?} has an actor"),
    }
}

pub(super) fn find(
    context: &mut Context<'_>,
    key: &RequestKey,
    scope: &[u8],
    call: Call,
) -> Result<Option<Kind>, Stop> {
    let Some(row) = outcomes::find(context.connection, key.id, scope, call)? else {
        return Ok(None);
    };
    if row.fingerprint()? != key.fingerprint {
        return Err(Refusal::RequestIdReused.into());
    }
    Ok(Some(row.kind()?))
}

/// What is stored of an outcome; `None` for refusals that are never kept.
fn to_keep(result: &Result<Outcome, Refusal>, subject: i64) -> Option<Kind> {
    Some(match result {
        Ok(Outcome::AccountCreated { .. } | Outcome::LoggedIn { .. }) => Kind::Session(subject),
        Ok(Outcome::MessageSent(_) | Outcome::MessageEdited(_)) => Kind::Message(subject),
        Ok(Outcome::RoomStands(_)) => Kind::Room(subject),
        Ok(Outcome::ReadMoved { read_seq }) => Kind::ReadSeq(*read_seq),
        Ok(
            Outcome::LoggedOut
            | Outcome::SessionEnded
            | Outcome::PasswordChanged
            | Outcome::AccountDeleted
            | Outcome::MessagesDeleted
            | Outcome::MessagesAcknowledged
            | Outcome::RoomChanged
            | Outcome::SessionTouched
            | Outcome::Expired { .. }
            | Outcome::Administered
            | Outcome::Marked(_)
            | Outcome::Merged,
        ) => Kind::Done(true),
        Err(refusal) => Kind::Refusal(refusal.number()?),
    })
}

pub(super) fn keep(
    context: &mut Context<'_>,
    key: &RequestKey,
    scope: &[u8],
    call: Call,
    kind: Kind,
) -> Result<(), Stop> {
    let is_own = kind == Kind::Message(context.position);
    let outcome = StoredOutcome { kind: Some(kind) }.encode_to_vec();
    insert_into(requests::table)
        .values((
            requests::position.eq(context.position),
            requests::request_id.eq(key.id.0.as_slice()),
            requests::scope.eq(scope),
            requests::call.eq(call as i64),
            requests::fingerprint.eq(key.fingerprint.kept()),
            requests::outcome.eq(Some(outcome.as_slice()).filter(|_| !is_own)),
            requests::time.eq(context.time),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("keep an outcome"))?;
    context.recorder.row(
        "requests",
        &[
            (&key.id.0).into(),
            scope.into(),
            (call as i64).into(),
            (&key.fingerprint.0).into(),
            outcome.as_slice().into(),
            context.time.into(),
        ],
    );
    Ok(())
}

/// The first outcome, from current rows.
fn rebuild(
    context: &mut Context<'_>,
    update: &Update,
    actor: Option<&AccountRow>,
    kind: Kind,
) -> Result<Outcome, Stop> {
    match (kind, &update.command, actor) {
        (Kind::Refusal(number), _, _) => {
            Err(Refusal::from_number(number).ok_or_else(|| rows::malformed("outcome"))?.into())
        }
        (Kind::Session(session), Command::CreateAccount(create), _) => {
            session::live(context, session)?;
            let proof = create.proof.ok_or(Refusal::ProofNeeded)?;
            let (account, session) = session::renew(context, session, &proof, &create.token)?;
            Ok(Outcome::AccountCreated { account, session })
        }
        (Kind::Session(session), Command::Login(login), _) => {
            let (account, session) = session::renew(context, session, &login.proof, &login.token)?;
            Ok(Outcome::LoggedIn { account, session })
        }
        (Kind::Message(message), Command::SendMessage(_), Some(actor)) => {
            let message = own_message(context, message, actor)?;
            Ok(Outcome::MessageSent(Box::new(message)))
        }
        (Kind::Message(message), Command::EditMessage { .. }, Some(actor)) => {
            let message = own_message(context, message, actor)?;
            Ok(Outcome::MessageEdited(Box::new(message)))
        }
        (
            Kind::Room(room),
            Command::CreateRoom(_) | Command::JoinRoom(_) | Command::UpdateRoom(_),
            Some(actor),
        ) => room::stands(context, actor, room),
        (
            Kind::Done(_),
            Command::LeaveRoom(_)
            | Command::AddMember { .. }
            | Command::RemoveMember { .. }
            | Command::TransferRoom { .. }
            | Command::DeleteRoom(_),
            _,
        ) => Ok(Outcome::RoomChanged),
        (Kind::ReadSeq(read_seq), Command::MarkRead { .. }, _) => {
            Ok(Outcome::ReadMoved { read_seq })
        }
        (Kind::Done(_), Command::Logout, _) => Ok(Outcome::LoggedOut),
        (Kind::Done(_), Command::EndSession(_), _) => Ok(Outcome::SessionEnded),
        (Kind::Done(_), Command::ChangePassword(_), _) => Ok(Outcome::PasswordChanged),
        (Kind::Done(_), Command::DeleteAccount(_), _) => Ok(Outcome::AccountDeleted),
        (Kind::Done(_), Command::DeleteMessages(_), _) => Ok(Outcome::MessagesDeleted),
        (Kind::Done(_), Command::AcknowledgeMessages(_), _) => Ok(Outcome::MessagesAcknowledged),
        _ => Err(rows::malformed("outcome").into()),
    }
}

fn own_message(
    context: &mut Context<'_>,
    message: i64,
    actor: &AccountRow,
) -> Result<Message, Stop> {
    let row = rows::message_by_key(context.connection, message)?;
    let conversation = rows::conversation_by_key(context.connection, row.conversation)?;
    let name = rows::place(context.connection, &conversation)?.seen_by(actor.public_id()?);
    let key = row.id;
    let mut message = row.view(name, actor.name()?, false)?;
    mentions::fill(context.connection, key, &mut message)?;
    Ok(message)
}
