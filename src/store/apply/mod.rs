//! Applying updates, one file a concern. Draws nothing and reads no clock: the same update on the same
//! tables makes the same rows, outcome and digest everywhere.
//!
//! Every command checks all it may refuse before it writes its first row, so a refusal changes nothing
//! and needs no savepoint. Whatever it writes it also shows to the [`Recorder`].

mod account;
mod acknowledge;
mod administer;
mod audiences;
mod departure;
mod edit;
mod expire;
mod mark_read;
mod membership;
mod mentions;
mod merge;
mod password;
mod people;
mod places;
mod remove;
mod requests;
mod room;
mod send;
mod session;
mod surroundings;

use audiences::Audiences;
#[cfg(test)]
pub(super) use departure::BODIES_AT_ONCE as BODIES_WITH_AN_ACCOUNT;
use diesel::SqliteConnection;
use people::People;
use places::Places;

use super::{
    digest::{Recorder, Value},
    error::StoreError,
};
use crate::{
    chat::{Audience, Change, ChangeKind, Command, Outcome, Refusal, Update},
    cluster::{Entry, Epoch, Hash},
    wire::update,
};

/// What one update came to.
pub(super) struct Done {
    pub(super) digest: Hash,
    pub(super) result: Result<Outcome, Refusal>,
    pub(super) changes: Vec<Change>,
}

/// What the writer keeps of the tables beside them, the open transaction included. It is begun anew after
/// a roll-back, and when another database is put in its place.
#[derive(Default)]
pub(super) struct Memory {
    audiences: Audiences,
    people: People,
    places: Places,
}

/// Applies one update of the log after the tables had this digest.
pub(super) fn apply(
    connection: &mut SqliteConnection,
    memory: &mut Memory,
    entry: &Entry,
    payload: &[u8],
    digest: Hash,
) -> Result<Done, StoreError> {
    let update = update::decode(payload)
        .map_err(|error| StoreError::BadEntry { seq: entry.seq, reason: error.to_string() })?;
    let mut context = Context {
        connection,
        memory,
        recorder: Recorder::after(digest, entry.seq),
        epoch: entry.epoch,
        position: entry.seq as i64,
        subject: entry.seq as i64,
        time: update.time.0,
        changes: Vec::new(),
    };
    let result = match carry_out(&mut context, &update) {
        Ok(outcome) => Ok(outcome),
        Err(Stop::Refused(refusal)) => Err(refusal),
        Err(Stop::Failed(error)) => return Err(error),
    };
    context.memory.people.heed(&update.command);
    context.memory.places.heed(&update.command);
    let digest = context.recorder.finish(&requests::digested(&result));
    Ok(Done { digest, result, changes: context.changes })
}

fn carry_out(context: &mut Context<'_>, update: &Update) -> Result<Outcome, Stop> {
    match &update.command {
        Command::TouchSession(session) => session::touch(context, *session),
        Command::Expire(expire) => expire::expire(context, expire),
        Command::ResetPassword(reset) => {
            administer::reset_password(context, reset.account, &reset.password_hash)
        }
        Command::SetDisabled { account, disabled } => {
            administer::set_disabled(context, *account, *disabled)
        }
        Command::EndSessions(account) => administer::end_sessions(context, *account),
        Command::Mark(mark) => Ok(Outcome::Marked(*mark)),
        Command::Merge(merge) => merge::merge(context, merge),
        Command::CreateAccount(_) | Command::Login(_) => {
            requests::once(context, update, None, |context| begin(context, &update.command))
        }
        command => {
            let actor = session::actor(context, update)?;
            requests::once(context, update, Some(&actor.account), |context| {
                act(context, command, &actor)
            })
        }
    }
}

/// The commands that begin a session.
fn begin(context: &mut Context<'_>, command: &Command) -> Result<Outcome, Stop> {
    match command {
        Command::CreateAccount(create) => account::create(context, create),
        Command::Login(login) => session::login(context, login),
        other => unreachable!("{other:?} begins no session"),
    }
}

/// The commands of a session.
fn act(
    context: &mut Context<'_>,
    command: &Command,
    actor: &session::Actor,
) -> Result<Outcome, Stop> {
    let account = &actor.account;
    match command {
        Command::Logout => session::logout(context, actor),
        Command::EndSession(session) => session::end_one(context, actor, *session),
        Command::ChangePassword(wanted) => password::change(context, actor, wanted),
        Command::DeleteAccount(proof) => departure::delete(context, account, proof.as_ref()),
        Command::SendMessage(message) => send::send(context, account, message),
        Command::DeleteMessages(ids) => remove::delete(context, account, ids),
        Command::AcknowledgeMessages(ids) => acknowledge::acknowledge(context, account, ids),
        Command::MarkRead { conversation, seq } => {
            mark_read::mark_read(context, account, conversation, *seq)
        }
        Command::EditMessage { message, body } => edit::edit(context, account, *message, body),
        Command::CreateRoom(create) => room::create(context, account, create),
        Command::UpdateRoom(update) => room::update(context, account, update),
        Command::TransferRoom { room, username } => {
            room::transfer(context, account, room, username)
        }
        Command::DeleteRoom(room) => room::delete(context, account, room),
        Command::JoinRoom(room) => membership::join(context, account, room),
        Command::LeaveRoom(room) => membership::leave(context, account, room),
        Command::AddMember { room, username } => membership::add(context, account, room, username),
        Command::RemoveMember { room, username } => {
            membership::remove(context, account, room, username)
        }
        other => unreachable!("{other:?} needs no session"),
    }
}

/// What a command works with.
struct Context<'a> {
    connection: &'a mut SqliteConnection,
    memory: &'a mut Memory,
    recorder: Recorder,
    epoch: Epoch,
    /// The entry's place in the log: the key of every row that it creates.
    position: i64,
    /// The key of the row that the outcome is about: one that it creates, unless a command says otherwise.
    subject: i64,
    /// The only clock.
    time: i64,
    changes: Vec<Change>,
}

impl Context<'_> {
    /// Subscribers are told, once the update is committed.
    fn tell(&mut self, audience: impl Into<Audience>, kind: ChangeKind) {
        let audience = audience.into();
        self.changes.push(Change { log_seq: self.position as u64, audience, kind });
    }

    /// The digest is told of a written row.
    fn record(&mut self, table: &str, values: &[Value<'_>]) {
        self.recorder.row(table, values);
    }
}

/// Why a command ends early.
enum Stop {
    /// An outcome like any other.
    Refused(Refusal),
    /// The server must not go on.
    Failed(StoreError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Failed(error)
    }
}

impl From<diesel::result::Error> for Stop {
    fn from(error: diesel::result::Error) -> Stop {
        Stop::Failed(error.into())
    }
}
