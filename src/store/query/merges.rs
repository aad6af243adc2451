//! What this server did after the last entry that the common history has, as updates that the common
//! history takes over.
//!
//! Integer keys are log positions: the entry at `p` created the message, account, session and outcome
//! with the key or position `p`, or none. So the rows are sent as they are by now, in the order of the
//! log, and an entry's command only tells which rows it touched beside those that it created.

mod accounts_of;
mod rooms_of;
mod rows_of;
mod side;

use bytes::Bytes;

use side::Side;

use crate::{
    chat::{
        Command, Merge, MergeStep, MergedEdit, MergedRoom, MessageId, SessionId, Timestamp, Update,
    },
    cluster::{Entry, Payload, Seq},
    store::{aliases, error::StoreError, log, pool::Reader, removed, rows},
    wire::update,
};

/// A part of what the common history lacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merges {
    /// Encoded updates, in their order.
    pub updates: Vec<Bytes>,
    /// The last log entry that they cover.
    pub until: Seq,
}

/// How many epochs one update names at most.
const EPOCHS_AT_ONCE: usize = 500;

impl Reader {
    /// What the entries after `after` and up to `until` did, as many as fit `max_bytes`, one entry at
    /// least: updates for a history that has the entries up to `common` and not the next one. The first
    /// part, after `common`, begins with the epochs whose cursors are lost.
    ///
    /// # Errors
    /// Also when the entries are no longer in the log.
    pub fn merges(
        &mut self,
        after: Seq,
        until: Seq,
        common: Seq,
        max_bytes: usize,
    ) -> Result<Merges, StoreError> {
        let connection = &mut self.connection;
        let mut merges = Merges { updates: Vec::new(), until: after };
        if after >= until {
            return Ok(merges);
        }
        let side = Side::read(connection, common)?;
        if after == common {
            for epochs in side.own.chunks(EPOCHS_AT_ONCE) {
                let step = MergeStep::Diverged { common, epochs: epochs.to_vec() };
                merges.updates.push(encode(Timestamp(0), Merge { step, request: None }));
            }
        }
        let mut bytes = 0;
        for entry in log::entries(connection, after + 1, until, max_bytes)? {
            if entry.seq != merges.until + 1 {
                break;
            }
            let updates = self.translate(&entry, &side)?;
            bytes += updates.iter().map(Bytes::len).sum::<usize>();
            if bytes > max_bytes && merges.until > after {
                break;
            }
            merges.updates.extend(updates);
            merges.until = entry.seq;
        }
        if merges.until == after {
            let reason = "is no longer in the log".into();
            return Err(StoreError::BadEntry { seq: after + 1, reason });
        }
        Ok(merges)
    }

    fn translate(&mut self, entry: &Entry, side: &Side) -> Result<Vec<Bytes>, StoreError> {
        let Payload::Update(payload) = &entry.payload else { return Ok(Vec::new()) };
        let update = update::decode(payload)
            .map_err(|error| StoreError::BadEntry { seq: entry.seq, reason: error.to_string() })?;
        let mut translator = Translator { reader: self, side, position: entry.seq as i64 };
        let rooms = translator.left_rooms(&update)?.into_iter();
        let rooms = rooms.map(|step| Merge { step, request: None });
        let mut merges = Vec::new();
        for merge in rooms.chain(translator.merge(&update)?) {
            let owner = translator.later_owner(&merge.step)?;
            merges.extend(owner.map(|step| Merge { step, request: None }));
            merges.push(merge);
        }
        Ok(merges.into_iter().map(|merge| encode(update.time, merge)).collect())
    }
}

fn encode(time: Timestamp, merge: Merge) -> Bytes {
    let command = Command::Merge(Box::new(merge));
    update::encode(&Update { time, request: None, session: None, command })
}

/// Translates the entry at one position.
struct Translator<'a> {
    reader: &'a mut Reader,
    side: &'a Side,
    position: i64,
}

impl Translator<'_> {
    fn merge(&mut self, update: &Update) -> Result<Option<Merge>, StoreError> {
        let request = self.request()?;
        if let Command::Merge(earlier) = &update.command {
            let step = self.earlier(&earlier.step)?;
            let request = request.or_else(|| earlier.request.clone());
            return Ok(Some(Merge { step, request }));
        }
        let step = self.step(update)?;
        if step.is_none() && request.is_none() {
            return Ok(None);
        }
        Ok(Some(Merge { step: step.unwrap_or(MergeStep::Request), request }))
    }

    fn step(&mut self, update: &Update) -> Result<Option<MergeStep>, StoreError> {
        match &update.command {
            Command::CreateAccount(_) | Command::Login(_) => {
                if let Some(account) = self.account_here()? {
                    return Ok(Some(MergeStep::Account(Box::new(account))));
                }
                match self.session_here()? {
                    Some(session) => Ok(Some(MergeStep::Session(session))),
                    None => self.renewed(update),
                }
            }
            Command::Logout => match update.session {
                Some(session) => self.session(session, true),
                None => Ok(None),
            },
            Command::EndSession(session) => self.session(*session, true),
            Command::ChangePassword(change) => self.changed_password(update.session, change.proof),
            Command::DeleteAccount(proof) => self.departed(*proof),
            Command::TouchSession(session) => self.session(*session, false),
            Command::SendMessage(_) => {
                let message = self.message_here()?;
                Ok(message.map(|message| MergeStep::Message(Box::new(message))))
            }
            Command::DeleteMessages(ids) => self.deleted(update.session, ids),
            Command::AcknowledgeMessages(ids) => self.received(update, ids),
            Command::MarkRead { conversation, seq } => {
                let Some(actor) = self.actor(update.session)? else { return Ok(None) };
                let found = rows::conversation_of_member(
                    &mut self.reader.connection,
                    actor.id,
                    conversation,
                )?;
                match found {
                    Ok(Some((conversation, member))) => {
                        self.read(&actor, &conversation, member.read_seq.min(*seq))
                    }
                    _ => Ok(None),
                }
            }
            Command::EditMessage { message, .. } => self.edited(*message),
            Command::CreateRoom(_)
            | Command::JoinRoom(_)
            | Command::LeaveRoom(_)
            | Command::AddMember { .. }
            | Command::RemoveMember { .. }
            | Command::UpdateRoom(_)
            | Command::TransferRoom { .. }
            | Command::DeleteRoom(_) => {
                let room = self.room_here()?;
                Ok(room.map(|room| MergeStep::Room(Box::new(room))))
            }
            Command::ResetPassword(reset) => self.reset_password(reset.account),
            Command::SetDisabled { account, .. } => self.disabled(*account),
            Command::EndSessions(account) => Ok(Some(self.sessions_ended(*account))),
            Command::Expire(_) | Command::Mark(_) | Command::Merge(_) => Ok(None),
        }
    }

    /// What this history itself took over after the common entry: as the rows are by now if the step
    /// made rows, and otherwise as it came.
    fn earlier(&mut self, step: &MergeStep) -> Result<MergeStep, StoreError> {
        let fresh = match step {
            MergeStep::Diverged { common, epochs } => {
                let common = self.side.common.min(*common);
                Some(MergeStep::Diverged { common, epochs: epochs.clone() })
            }
            MergeStep::Account(_) => {
                self.account_here()?.map(|account| MergeStep::Account(Box::new(account)))
            }
            MergeStep::Session(session) => self.session(session.session, true)?,
            MergeStep::Message(_) => {
                self.message_here()?.map(|message| MergeStep::Message(Box::new(message)))
            }
            MergeStep::Read(read) => {
                let account = rows::account_by_id(&mut self.reader.connection, read.account)?;
                let conversation = self.conversation(&read.conversation)?;
                match (account, conversation) {
                    (Some(account), Some(conversation)) => {
                        self.read(&account, &conversation, i64::MAX)?
                    }
                    _ => None,
                }
            }
            MergeStep::Room(room) => {
                let common = self.side.common.min(room.common);
                Some(MergeStep::Room(Box::new(MergedRoom { common, ..(**room).clone() })))
            }
            MergeStep::Edited(edit) => {
                let common = self.side.common.min(edit.common);
                Some(MergeStep::Edited(MergedEdit { common, ..edit.clone() }))
            }
            MergeStep::Password(password) => self.taken_password(password)?,
            MergeStep::Disabled { account, .. } => self.disabled(*account)?,
            MergeStep::SessionsEnded { account, known } => {
                let known = self.side.common.min(*known);
                Some(MergeStep::SessionsEnded { account: *account, known })
            }
            MergeStep::Deleted { .. }
            | MergeStep::Received { .. }
            | MergeStep::AccountDeleted(_)
            | MergeStep::Request => None,
        };
        Ok(fresh.unwrap_or_else(|| step.clone()))
    }

    /// Those of the named messages that this account has deleted, for everyone or from its own view.
    fn deleted(
        &mut self,
        session: Option<SessionId>,
        ids: &[MessageId],
    ) -> Result<Option<MergeStep>, StoreError> {
        let Some(actor) = self.actor(session)? else { return Ok(None) };
        let mut messages = Vec::new();
        for id in ids {
            let connection = &mut self.reader.connection;
            let Some(row) = aliases::message(connection, *id)? else { continue };
            let gone = row.deleted && row.sender == actor.id;
            if gone || removed::contains(connection, actor.id, row.id)? {
                messages.push(row.public_id()?);
            }
        }
        let account = actor.public_id()?;
        Ok((!messages.is_empty()).then_some(MergeStep::Deleted { account, messages }))
    }

    /// Those of the named messages that are marked as received.
    fn received(
        &mut self,
        update: &Update,
        ids: &[MessageId],
    ) -> Result<Option<MergeStep>, StoreError> {
        let Some(actor) = self.actor(update.session)? else { return Ok(None) };
        let mut messages = Vec::new();
        for id in ids {
            let found = aliases::message(&mut self.reader.connection, *id)?;
            let received = found.filter(|row| {
                row.sender != actor.id
                    && row.received_time.is_some_and(|time| time <= update.time.0)
            });
            if let Some(row) = received {
                messages.push(row.public_id()?);
            }
        }
        let account = actor.public_id()?;
        Ok((!messages.is_empty()).then_some(MergeStep::Received { account, messages }))
    }
}
