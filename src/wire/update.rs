//! Updates as the log carries them.
//!
//! A field is only ever added, and what is read is parsed as strictly as at the door: an update that
//! does not parse was written by a newer program, or by nobody of us.

mod accounts;
mod merge;
mod rooms;

use bytes::Bytes;
use prost::Message as _;
use thiserror::Error;

use super::log as wire;
use crate::chat::{
    AccountId, Body, Command, ConversationName, CreateAccount, DeviceName, Expire, Fingerprint,
    Login, MarkId, MessageId, Proof, RequestId, RequestKey, SendMessage, SessionId, Timestamp,
    TokenHash, Update, Username,
};

/// An update of the log cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("the update cannot be read: {0}; run the newest version of the server")]
pub struct UnreadableUpdate(String);

/// The logged form.
pub fn encode(update: &Update) -> Bytes {
    let (request_id, fingerprint) = match &update.request {
        Some(key) => (key.id.0.to_vec(), key.fingerprint.0.to_vec()),
        None => (Vec::new(), Vec::new()),
    };
    let update = wire::Update {
        time_micros: update.time.0,
        request_id,
        fingerprint,
        session_id: update.session.map(|id| id.0.to_vec()).unwrap_or_default(),
        command: Some(encode_command(&update.command)),
    };
    update.encode_to_vec().into()
}

/// Reads the logged form.
pub fn decode(bytes: &[u8]) -> Result<Update, UnreadableUpdate> {
    let update = wire::Update::decode(bytes).map_err(|e| UnreadableUpdate(e.to_string()))?;
    let request = match update.request_id.is_empty() {
        true => None,
        false => Some(RequestKey {
            id: id(&update.request_id, RequestId::from_slice, "request id")?,
            fingerprint: Fingerprint(array(&update.fingerprint, "fingerprint")?),
        }),
    };
    let session = match update.session_id.is_empty() {
        true => None,
        false => Some(id(&update.session_id, SessionId::from_slice, "session id")?),
    };
    let command = update.command.ok_or_else(|| unreadable("command"))?;
    let command = decode_command(command)?;
    Ok(Update { time: Timestamp(update.time_micros), request, session, command })
}

/// Whether this update can be read and takes over a step of a history that ended; other servers may bring
/// nothing else.
pub fn is_merge(bytes: &[u8]) -> bool {
    decode(bytes).is_ok_and(|update| matches!(update.command, Command::Merge(_)))
}

fn encode_command(command: &Command) -> wire::update::Command {
    use wire::update::Command as Wire;
    match command {
        Command::CreateAccount(create) => Wire::CreateAccount(wire::CreateAccount {
            username: create.username.as_str().into(),
            password_hash: create.password_hash.clone(),
            account_id: create.account.0.to_vec(),
            session_id: create.session.0.to_vec(),
            token_hash: create.token.0.to_vec(),
            proved_account_id: accounts::proved_id(create.proof),
            password_version: create.proof.map_or(0, |proof| proof.password_version),
        }),
        Command::Login(login) => Wire::Login(wire::Login {
            account_id: login.proof.account.0.to_vec(),
            password_version: login.proof.password_version,
            username: login.username.as_str().into(),
            session_id: login.session.0.to_vec(),
            token_hash: login.token.0.to_vec(),
            device_name: login.device_name.as_str().into(),
        }),
        Command::Logout => Wire::Logout(wire::Logout {}),
        Command::EndSession(_)
        | Command::ChangePassword(_)
        | Command::DeleteAccount(_)
        | Command::ResetPassword(_)
        | Command::SetDisabled { .. }
        | Command::EndSessions(_) => accounts::encode(command),
        Command::SendMessage(send) => Wire::SendMessage(wire::SendMessage {
            conversation: send.conversation.to_string(),
            body: send.body.as_str().into(),
            reply_to: send.reply_to.map(|id| id.0.to_vec()).unwrap_or_default(),
        }),
        Command::DeleteMessages(ids) => {
            Wire::DeleteMessages(wire::DeleteMessages { message_ids: encode_ids(ids) })
        }
        Command::AcknowledgeMessages(ids) => {
            Wire::AcknowledgeMessages(wire::AcknowledgeMessages { message_ids: encode_ids(ids) })
        }
        Command::MarkRead { conversation, seq } => {
            Wire::MarkRead(wire::MarkRead { conversation: conversation.to_string(), seq: *seq })
        }
        Command::TouchSession(session) => {
            Wire::TouchSession(wire::TouchSession { session_id: session.0.to_vec() })
        }
        Command::Expire(expire) => Wire::Expire(wire::Expire {
            requests_before_micros: expire.requests_before.0,
            deleted_before_micros: expire.deleted_before.0,
            idle_before_micros: expire.idle_before.0,
        }),
        Command::Mark(mark) => Wire::Mark(wire::Mark { mark: mark.0.to_vec() }),
        Command::Merge(merge) => Wire::Merge(merge::encode(merge)),
        command => rooms::encode(command),
    }
}

fn decode_command(command: wire::update::Command) -> Result<Command, UnreadableUpdate> {
    use wire::update::Command as Wire;
    Ok(match command {
        Wire::CreateAccount(create) => Command::CreateAccount(decode_create(create)?),
        Wire::Login(login) => Command::Login(decode_login(login)?),
        Wire::Logout(wire::Logout {}) => Command::Logout,
        Wire::EndSession(end) => {
            Command::EndSession(id(&end.session_id, SessionId::from_slice, "session id")?)
        }
        Wire::ChangePassword(change) => accounts::decode_change(change)?,
        Wire::DeleteAccount(delete) => accounts::decode_delete(&delete)?,
        Wire::ResetPassword(reset) => accounts::decode_reset(reset)?,
        Wire::SetDisabled(set) => accounts::decode_set_disabled(&set)?,
        Wire::EndSessions(end) => accounts::decode_end_sessions(&end)?,
        Wire::SendMessage(send) => Command::SendMessage(SendMessage {
            conversation: conversation(&send.conversation)?,
            body: Body::parse(send.body).map_err(|_| unreadable("body"))?,
            reply_to: match send.reply_to.is_empty() {
                true => None,
                false => Some(id(&send.reply_to, MessageId::from_slice, "message id")?),
            },
        }),
        Wire::DeleteMessages(delete) => Command::DeleteMessages(decode_ids(&delete.message_ids)?),
        Wire::AcknowledgeMessages(acknowledge) => {
            Command::AcknowledgeMessages(decode_ids(&acknowledge.message_ids)?)
        }
        Wire::MarkRead(mark) => {
            Command::MarkRead { conversation: conversation(&mark.conversation)?, seq: mark.seq }
        }
        Wire::TouchSession(touch) => {
            Command::TouchSession(id(&touch.session_id, SessionId::from_slice, "session id")?)
        }
        Wire::Expire(expire) => Command::Expire(Expire {
            requests_before: Timestamp(expire.requests_before_micros),
            deleted_before: Timestamp(expire.deleted_before_micros),
            idle_before: Timestamp(expire.idle_before_micros),
        }),
        Wire::Mark(mark) => Command::Mark(id(&mark.mark, MarkId::from_slice, "mark")?),
        Wire::Merge(merge) => Command::Merge(Box::new(merge::decode(merge)?)),
        command => rooms::decode(command)?,
    })
}

fn decode_create(create: wire::CreateAccount) -> Result<CreateAccount, UnreadableUpdate> {
    let proof = accounts::proof(&create.proved_account_id, create.password_version)?;
    Ok(CreateAccount {
        username: Username::parse(&create.username).map_err(|_| unreadable("username"))?,
        password_hash: create.password_hash,
        account: id(&create.account_id, AccountId::from_slice, "account id")?,
        session: id(&create.session_id, SessionId::from_slice, "session id")?,
        token: TokenHash(array(&create.token_hash, "token hash")?),
        proof,
    })
}

fn decode_login(login: wire::Login) -> Result<Login, UnreadableUpdate> {
    Ok(Login {
        username: Username::parse(&login.username).map_err(|_| unreadable("username"))?,
        proof: Proof {
            account: id(&login.account_id, AccountId::from_slice, "account id")?,
            password_version: login.password_version,
        },
        session: id(&login.session_id, SessionId::from_slice, "session id")?,
        token: TokenHash(array(&login.token_hash, "token hash")?),
        device_name: DeviceName::parse(login.device_name).map_err(|_| unreadable("device name"))?,
    })
}

fn encode_ids(ids: &[MessageId]) -> Vec<Vec<u8>> {
    ids.iter().map(|id| id.0.to_vec()).collect()
}

fn decode_ids(ids: &[Vec<u8>]) -> Result<Vec<MessageId>, UnreadableUpdate> {
    ids.iter().map(|bytes| id(bytes, MessageId::from_slice, "message id")).collect()
}

fn conversation(text: &str) -> Result<ConversationName, UnreadableUpdate> {
    ConversationName::parse(text).map_err(|_| unreadable("conversation"))
}

fn id<T>(
    bytes: &[u8],
    parse: impl FnOnce(&[u8]) -> Option<T>,
    what: &str,
) -> Result<T, UnreadableUpdate> {
    parse(bytes).ok_or_else(|| unreadable(what))
}

fn array<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], UnreadableUpdate> {
    bytes.try_into().map_err(|_| unreadable(what))
}

fn unreadable(what: &str) -> UnreadableUpdate {
    UnreadableUpdate(format!("its {what} is missing or malformed"))
}
