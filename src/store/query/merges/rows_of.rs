//! The rows that an entry created or touched, by public ids.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SelectableHelper as _,
};

use super::{EPOCHS_AT_ONCE, Translator, rooms_of::room_id};
use crate::{
    chat::{
        AccountId, Body, Call, Command, DeviceName, MergeStep, MergedAccount, MergedConversation,
        MergedMessage, MergedOutcome, MergedRead, MergedRequest, MergedSession, MessageId,
        MessageSeq, Refusal, RequestId, RequestKey, RequestScope, SessionId, Timestamp, TokenHash,
        Update, Username,
    },
    store::{
        self,
        error::StoreError,
        outcomes,
        rows::{self, AccountRow, ConversationRow, MessageRow, SessionRow},
        schema::{
            accounts, aliases, deleted_messages, ended_tokens, messages, session_tokens, sessions,
        },
    },
    wire::log::stored_outcome::Kind,
};

impl Translator<'_> {
    /// The outcome that the entry left.
    pub(super) fn request(&mut self) -> Result<Option<MergedRequest>, StoreError> {
        let Some(row) = outcomes::at(&mut self.reader.connection, self.position)? else {
            return Ok(None);
        };
        let malformed = || rows::malformed("outcome");
        let call = Call::from_number(row.call).ok_or_else(malformed)?;
        let id = RequestId::from_slice(&row.request_id).ok_or_else(malformed)?;
        let key = RequestKey { id, fingerprint: row.fingerprint()? };
        let scope = self.scope(call, &row.scope)?;
        let outcome = self.outcome(row.kind()?)?;
        Ok(outcome.map(|outcome| MergedRequest { key, call, scope, outcome }))
    }

    fn scope(&mut self, call: Call, scope: &[u8]) -> Result<RequestScope, StoreError> {
        let malformed = || rows::malformed("request's scope");
        if call.begins_session() {
            let name = std::str::from_utf8(scope).map_err(|_| malformed())?;
            return Ok(RequestScope::Username(Username::parse(name).map_err(|_| malformed())?));
        }
        let key = i64::from_be_bytes(scope.try_into().map_err(|_| malformed())?);
        Ok(RequestScope::Account(self.account_id(key)?))
    }

    /// `None` for a session that ended long ago.
    fn outcome(&mut self, kind: Kind) -> Result<Option<MergedOutcome>, StoreError> {
        Ok(Some(match kind {
            Kind::Done(_) => MergedOutcome::Done,
            Kind::Session(key) => {
                let Some(session) = self.session_row(key)? else { return Ok(None) };
                MergedOutcome::Session(session.public_id()?)
            }
            Kind::Message(key) => {
                let message = rows::message_by_key(&mut self.reader.connection, key)?;
                MergedOutcome::Message(message.public_id()?)
            }
            Kind::Room(key) => {
                let room = rows::conversation_by_key(&mut self.reader.connection, key)?;
                MergedOutcome::Room(room_id(&room)?)
            }
            Kind::ReadSeq(seq) => MergedOutcome::ReadSeq(seq),
            Kind::Refusal(number) => MergedOutcome::Refused(
                Refusal::from_number(number).ok_or_else(|| rows::malformed("outcome"))?,
            ),
        }))
    }

    /// The account that the entry created, with its first session.
    pub(super) fn account_here(&mut self) -> Result<Option<MergedAccount>, StoreError> {
        self.account_at(self.position)
    }

    /// The account that the entry at this position created, with its first session.
    pub(super) fn account_at(
        &mut self,
        position: i64,
    ) -> Result<Option<MergedAccount>, StoreError> {
        let row: Option<AccountRow> = accounts::table
            .find(position)
            .select(AccountRow::as_select())
            .first(&mut self.reader.connection)
            .optional()
            .map_err(StoreError::database("read the account of an entry"))?;
        let Some(row) = row else { return Ok(None) };
        let old_names: Vec<String> = aliases::table
            .filter(aliases::account.eq(row.id))
            .order(aliases::old_name)
            .select(aliases::old_name)
            .load(&mut self.reader.connection)
            .map_err(StoreError::database("read an account's old names"))?;
        let username = |name: &str| Username::parse(name).map_err(|_| rows::malformed("username"));
        let session = self.session_row(position)?;
        let session = session.map(|row| self.merged_session(row)).transpose()?;
        Ok(Some(MergedAccount {
            account: row.public_id()?,
            username: username(&row.username)?,
            old_names: old_names.iter().map(|name| username(name)).collect::<Result<_, _>>()?,
            password_hash: row.password_hash,
            password_version: row.password_version,
            create_time: Timestamp(row.create_time),
            deleted: row.deleted,
            disabled_changes: row.disabled_changes,
            session,
        }))
    }

    /// The session that the entry began.
    pub(super) fn session_here(&mut self) -> Result<Option<MergedSession>, StoreError> {
        let row = self.session_row(self.position)?;
        row.map(|row| self.merged_session(row)).transpose()
    }

    /// A session as it is by now. Use alone says nothing of one that is sent from its beginning.
    pub(super) fn session(
        &mut self,
        id: SessionId,
        always: bool,
    ) -> Result<Option<MergeStep>, StoreError> {
        let row = rows::session_by_id(&mut self.reader.connection, id)?;
        let row = row.filter(|row| always || row.id <= self.side.common as i64);
        row.map(|row| self.merged_session(row).map(MergeStep::Session)).transpose()
    }

    /// The session that a repeat of an earlier call renewed, if it began before the divergence: later
    /// ones are sent with the token that they have by now.
    pub(super) fn renewed(&mut self, update: &Update) -> Result<Option<MergeStep>, StoreError> {
        let (name, call) = match &update.command {
            Command::CreateAccount(create) => (&create.username, Call::CreateAccount),
            Command::Login(login) => (&login.username, Call::Login),
            _ => return Ok(None),
        };
        let Some(key) = &update.request else { return Ok(None) };
        let connection = &mut self.reader.connection;
        let Some(known) = outcomes::find(connection, key.id, name.as_str().as_bytes(), call)?
        else {
            return Ok(None);
        };
        let Kind::Session(key) = known.kind()? else { return Ok(None) };
        let row = self.session_row(key)?.filter(|row| row.id <= self.side.common as i64);
        row.map(|row| self.merged_session(row).map(MergeStep::Session)).transpose()
    }

    /// The message that the entry created.
    pub(super) fn message_here(&mut self) -> Result<Option<MergedMessage>, StoreError> {
        let row: Option<MessageRow> = messages::table
            .find(self.position)
            .select(MessageRow::as_select())
            .first(&mut self.reader.connection)
            .optional()
            .map_err(StoreError::database("read the message of an entry"))?;
        let Some(row) = row else { return Ok(None) };
        let (mut body, mut deletion) = (Some(row.body.clone()), None);
        if row.deleted {
            let (archived, by, time): (Option<String>, i64, i64) = deleted_messages::table
                .find(row.id)
                .select((
                    deleted_messages::body,
                    deleted_messages::deleted_by,
                    deleted_messages::delete_time,
                ))
                .first(&mut self.reader.connection)
                .optional()
                .map_err(StoreError::database("read a deleted message"))?
                // Purged with a closed room.
                .unwrap_or((None, row.sender, row.create_time));
            body = archived.filter(|body| !body.is_empty());
            deletion = Some((self.account_id(by)?, Timestamp(time)));
        }
        let message_id =
            |id: &Vec<u8>| MessageId::from_slice(id).ok_or_else(|| rows::malformed("message id"));
        let conversation =
            rows::conversation_by_key(&mut self.reader.connection, row.conversation)?;
        Ok(Some(MergedMessage {
            message: row.public_id()?,
            conversation: self.merged_conversation(&conversation)?,
            sender: self.account_id(row.sender)?,
            body: body.map(Body::parse).transpose().map_err(|_| rows::malformed("body"))?,
            reply_to: row.reply_to.as_ref().map(message_id).transpose()?,
            create_time: Timestamp(row.create_time),
            edit_time: row.edit_time.map(Timestamp),
            received_time: row.received_time.map(Timestamp),
            deletion,
        }))
    }

    /// How far the account has read, up to `limit`, among the messages that came before the entry.
    pub(super) fn read(
        &mut self,
        account: &AccountRow,
        conversation: &ConversationRow,
        limit: MessageSeq,
    ) -> Result<Option<MergeStep>, StoreError> {
        let connection = &mut self.reader.connection;
        let Some(member) = rows::member(connection, account.id, conversation.id)? else {
            return Ok(None);
        };
        let last: Option<MessageRow> = messages::table
            .filter(messages::conversation.eq(conversation.id))
            .filter(messages::seq.le(member.read_seq.min(limit)))
            .filter(messages::id.lt(self.position))
            .order(messages::seq.desc())
            .select(MessageRow::as_select())
            .first(connection)
            .optional()
            .map_err(StoreError::database("find the last message that was read"))?;
        let Some(last) = last else { return Ok(None) };
        let epochs = self.side.seen(connection, self.position)?;
        Ok(Some(MergeStep::Read(MergedRead {
            account: account.public_id()?,
            conversation: self.merged_conversation(conversation)?,
            message: last.public_id()?,
            common: self.side.common,
            // Fewer epochs than there are only keep the marker lower.
            epochs: epochs.into_iter().take(EPOCHS_AT_ONCE).collect(),
        })))
    }

    /// Who acted.
    pub(super) fn actor(
        &mut self,
        session: Option<SessionId>,
    ) -> Result<Option<AccountRow>, StoreError> {
        let Some(session) = session else { return Ok(None) };
        let connection = &mut self.reader.connection;
        let session = rows::session_by_id(connection, session)?;
        session.map(|session| rows::account_by_key(connection, session.account)).transpose()
    }

    /// The conversation as this side has it.
    pub(super) fn conversation(
        &mut self,
        conversation: &MergedConversation,
    ) -> Result<Option<ConversationRow>, StoreError> {
        let connection = &mut self.reader.connection;
        match conversation {
            MergedConversation::Room(id) => store::aliases::room(connection, *id),
            MergedConversation::Direct(one, other) => {
                let one = rows::account_by_id(connection, *one)?;
                let other = rows::account_by_id(connection, *other)?;
                match (one, other) {
                    (Some(one), Some(other)) => {
                        rows::direct_conversation(connection, one.id, other.id)
                    }
                    _ => Ok(None),
                }
            }
        }
    }

    fn merged_conversation(
        &mut self,
        conversation: &ConversationRow,
    ) -> Result<MergedConversation, StoreError> {
        match (conversation.low_account, conversation.high_account) {
            (Some(low), Some(high)) => {
                Ok(MergedConversation::Direct(self.account_id(low)?, self.account_id(high)?))
            }
            _ => room_id(conversation).map(MergedConversation::Room),
        }
    }

    fn merged_session(&mut self, row: SessionRow) -> Result<MergedSession, StoreError> {
        let connection = &mut self.reader.connection;
        let tokens: Vec<Vec<u8>> = session_tokens::table
            .filter(session_tokens::session.eq(row.id))
            .order(session_tokens::token_hash)
            .select(session_tokens::token_hash)
            .load(connection)
            .map_err(StoreError::database("read a session's tokens"))?;
        let ended: Vec<Vec<u8>> = ended_tokens::table
            .filter(ended_tokens::session.eq(row.id))
            .order(ended_tokens::token_hash)
            .select(ended_tokens::token_hash)
            .load(connection)
            .map_err(StoreError::database("read a session's ended tokens"))?;
        let token = |hash: Vec<u8>| {
            hash.try_into().map(TokenHash).map_err(|_| rows::malformed("token's hash"))
        };
        Ok(MergedSession {
            session: row.public_id()?,
            account: self.account_id(row.account)?,
            tokens: tokens.into_iter().map(token).collect::<Result<_, _>>()?,
            ended_tokens: ended.into_iter().map(token).collect::<Result<_, _>>()?,
            device_name: DeviceName::parse(row.device_name)
                .map_err(|_| rows::malformed("device name"))?,
            create_time: Timestamp(row.create_time),
            last_used: Timestamp(row.last_used),
            end_time: row.end_time.map(Timestamp),
            common: self.side.common,
            began_before: row.id <= self.side.common as i64,
        })
    }

    fn session_row(&mut self, key: i64) -> Result<Option<SessionRow>, StoreError> {
        sessions::table
            .find(key)
            .select(SessionRow::as_select())
            .first(&mut self.reader.connection)
            .optional()
            .map_err(StoreError::database("read the session of an entry"))
    }

    pub(super) fn account_id(&mut self, key: i64) -> Result<AccountId, StoreError> {
        rows::account_by_key(&mut self.reader.connection, key)?.public_id()
    }
}
