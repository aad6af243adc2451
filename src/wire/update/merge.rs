//! The steps of a merge as the log carries them.

use super::{UnreadableUpdate, array, decode_ids, encode_ids, id, rooms, unreadable, wire};
use crate::chat::{
    AccountId, Body, Call, DeviceName, Fingerprint, LostEpoch, Merge, MergeStep, MergedAccount,
    MergedConversation, MergedEdit, MergedMessage, MergedOutcome, MergedPassword, MergedRead,
    MergedRequest, MergedSession, MessageId, Refusal, RequestId, RequestKey, RequestScope, RoomId,
    SeenEpoch, SessionId, Timestamp, TokenHash, Username,
};

pub(super) fn encode(merge: &Merge) -> wire::Merge {
    use wire::merge::Step;
    let step = match &merge.step {
        MergeStep::Diverged { common, epochs } => {
            Step::Diverged(wire::Diverged { common_seq: *common, epochs: encode_epochs(epochs) })
        }
        MergeStep::Account(account) => Step::Account(encode_account(account)),
        MergeStep::Session(session) => Step::Session(encode_session(session)),
        MergeStep::Message(message) => Step::Message(encode_message(message)),
        MergeStep::Deleted { account, messages } => Step::Deleted(encode_marks(account, messages)),
        MergeStep::Received { account, messages } => {
            Step::Received(encode_marks(account, messages))
        }
        MergeStep::Read(read) => Step::Read(wire::MergedRead {
            account_id: read.account.0.to_vec(),
            conversation: Some(encode_conversation(&read.conversation)),
            message_id: read.message.0.to_vec(),
            common_seq: read.common,
            epochs: read.epochs.iter().map(encode_seen).collect(),
        }),
        MergeStep::Room(room) => Step::Room(rooms::encode_merged(room)),
        MergeStep::Edited(edit) => Step::Edited(wire::MergedEdit {
            message_id: edit.message.0.to_vec(),
            body: edit.body.as_str().into(),
            time_micros: edit.time.0,
            common_seq: edit.common,
        }),
        MergeStep::Password(password) => Step::Password(encode_password(password)),
        MergeStep::AccountDeleted(account) => Step::DeletedAccountId(account.0.to_vec()),
        MergeStep::Disabled { account, changes } => Step::Disabled(wire::MergedDisabled {
            account_id: account.0.to_vec(),
            changes: *changes,
        }),
        MergeStep::SessionsEnded { account, known } => Step::SessionsEnd(wire::MergedSessionsEnd {
            account_id: account.0.to_vec(),
            known_seq: *known,
        }),
        MergeStep::Request => {
            return wire::Merge { request: merge.request.as_ref().map(encode_request), step: None };
        }
    };
    wire::Merge { request: merge.request.as_ref().map(encode_request), step: Some(step) }
}

pub(super) fn decode(merge: wire::Merge) -> Result<Merge, UnreadableUpdate> {
    use wire::merge::Step;
    let request = merge.request.map(decode_request).transpose()?;
    let step = match merge.step {
        Some(Step::Diverged(diverged)) => MergeStep::Diverged {
            common: diverged.common_seq,
            epochs: decode_epochs(&diverged.epochs),
        },
        Some(Step::Account(account)) => MergeStep::Account(Box::new(decode_account(account)?)),
        Some(Step::Session(session)) => MergeStep::Session(decode_session(session)?),
        Some(Step::Message(message)) => MergeStep::Message(Box::new(decode_message(message)?)),
        Some(Step::Deleted(marks)) => MergeStep::Deleted {
            account: account_id(&marks.account_id)?,
            messages: decode_ids(&marks.message_ids)?,
        },
        Some(Step::Received(marks)) => MergeStep::Received {
            account: account_id(&marks.account_id)?,
            messages: decode_ids(&marks.message_ids)?,
        },
        Some(Step::Read(read)) => MergeStep::Read(MergedRead {
            account: account_id(&read.account_id)?,
            conversation: decode_conversation(read.conversation)?,
            message: message_id(&read.message_id)?,
            common: read.common_seq,
            epochs: read.epochs.iter().map(decode_seen).collect::<Result<_, _>>()?,
        }),
        Some(Step::Room(room)) => MergeStep::Room(Box::new(rooms::decode_merged(room)?)),
        Some(Step::Edited(edit)) => MergeStep::Edited(MergedEdit {
            message: message_id(&edit.message_id)?,
            body: Body::parse(edit.body).map_err(|_| unreadable("body"))?,
            time: Timestamp(edit.time_micros),
            common: edit.common_seq,
        }),
        Some(Step::Password(password)) => MergeStep::Password(decode_password(password)?),
        Some(Step::Disabled(disabled)) => MergeStep::Disabled {
            account: account_id(&disabled.account_id)?,
            changes: disabled.changes,
        },
        Some(Step::SessionsEnd(end)) => {
            MergeStep::SessionsEnded { account: account_id(&end.account_id)?, known: end.known_seq }
        }
        Some(Step::DeletedAccountId(account)) => MergeStep::AccountDeleted(account_id(&account)?),
        None if request.is_some() => MergeStep::Request,
        None => return Err(unreadable("merge step")),
    };
    Ok(Merge { step, request })
}

fn encode_epochs(epochs: &[LostEpoch]) -> Vec<wire::LostEpoch> {
    epochs.iter().map(encode_epoch).collect()
}

fn decode_epochs(epochs: &[wire::LostEpoch]) -> Vec<LostEpoch> {
    epochs.iter().map(decode_epoch).collect()
}

fn encode_epoch(epoch: &LostEpoch) -> wire::LostEpoch {
    wire::LostEpoch { number: epoch.number, server: epoch.server }
}

fn decode_epoch(epoch: &wire::LostEpoch) -> LostEpoch {
    LostEpoch { number: epoch.number, server: epoch.server }
}

fn encode_seen(seen: &SeenEpoch) -> wire::SeenEpoch {
    wire::SeenEpoch { epoch: Some(encode_epoch(&seen.epoch)), until_seq: seen.until }
}

fn decode_seen(seen: &wire::SeenEpoch) -> Result<SeenEpoch, UnreadableUpdate> {
    let epoch = seen.epoch.as_ref().ok_or_else(|| unreadable("epoch"))?;
    Ok(SeenEpoch { epoch: decode_epoch(epoch), until: seen.until_seq })
}

fn encode_account(account: &MergedAccount) -> wire::MergedAccount {
    wire::MergedAccount {
        account_id: account.account.0.to_vec(),
        username: account.username.to_string(),
        old_names: account.old_names.iter().map(ToString::to_string).collect(),
        password_hash: account.password_hash.clone(),
        password_version: account.password_version,
        create_time_micros: account.create_time.0,
        deleted: account.deleted,
        session: account.session.as_ref().map(encode_session),
        disabled_changes: account.disabled_changes,
    }
}

fn decode_account(account: wire::MergedAccount) -> Result<MergedAccount, UnreadableUpdate> {
    Ok(MergedAccount {
        account: account_id(&account.account_id)?,
        username: username(&account.username)?,
        old_names: account.old_names.iter().map(|name| username(name)).collect::<Result<_, _>>()?,
        password_hash: account.password_hash,
        password_version: account.password_version,
        create_time: Timestamp(account.create_time_micros),
        deleted: account.deleted,
        disabled_changes: account.disabled_changes,
        session: account.session.map(decode_session).transpose()?,
    })
}

fn encode_session(session: &MergedSession) -> wire::MergedSession {
    wire::MergedSession {
        session_id: session.session.0.to_vec(),
        account_id: session.account.0.to_vec(),
        token_hashes: session.tokens.iter().map(|token| token.0.to_vec()).collect(),
        ended_token_hashes: session.ended_tokens.iter().map(|token| token.0.to_vec()).collect(),
        device_name: session.device_name.as_str().into(),
        create_time_micros: session.create_time.0,
        last_used_micros: session.last_used.0,
        end_time_micros: session.end_time.map(|time| time.0),
        common_seq: session.common,
        began_before: session.began_before,
    }
}

fn decode_session(session: wire::MergedSession) -> Result<MergedSession, UnreadableUpdate> {
    let token = |hash: &Vec<u8>| array(hash, "token hash").map(TokenHash);
    Ok(MergedSession {
        session: id(&session.session_id, SessionId::from_slice, "session id")?,
        account: account_id(&session.account_id)?,
        tokens: session.token_hashes.iter().map(token).collect::<Result<_, _>>()?,
        ended_tokens: session.ended_token_hashes.iter().map(token).collect::<Result<_, _>>()?,
        device_name: DeviceName::parse(session.device_name)
            .map_err(|_| unreadable("device name"))?,
        create_time: Timestamp(session.create_time_micros),
        last_used: Timestamp(session.last_used_micros),
        end_time: session.end_time_micros.map(Timestamp),
        common: session.common_seq,
        began_before: session.began_before,
    })
}

fn encode_password(password: &MergedPassword) -> wire::MergedPassword {
    wire::MergedPassword {
        account_id: password.account.0.to_vec(),
        password_hash: password.password_hash.clone(),
        password_version: password.password_version,
        spared_session_id: password.spared.map(|id| id.0.to_vec()).unwrap_or_default(),
        known_seq: password.known,
        common_seq: password.common,
    }
}

fn decode_password(password: wire::MergedPassword) -> Result<MergedPassword, UnreadableUpdate> {
    Ok(MergedPassword {
        account: account_id(&password.account_id)?,
        password_hash: password.password_hash,
        password_version: password.password_version,
        spared: match password.spared_session_id.is_empty() {
            true => None,
            false => Some(id(&password.spared_session_id, SessionId::from_slice, "session id")?),
        },
        known: password.known_seq,
        common: password.common_seq,
    })
}

fn encode_conversation(conversation: &MergedConversation) -> wire::MergedConversation {
    match conversation {
        MergedConversation::Direct(one, other) => wire::MergedConversation {
            account_ids: vec![one.0.to_vec(), other.0.to_vec()],
            room_id: Vec::new(),
        },
        MergedConversation::Room(room) => {
            wire::MergedConversation { account_ids: Vec::new(), room_id: room.0.to_vec() }
        }
    }
}

fn decode_conversation(
    conversation: Option<wire::MergedConversation>,
) -> Result<MergedConversation, UnreadableUpdate> {
    let conversation = conversation.ok_or_else(|| unreadable("conversation"))?;
    match &conversation.account_ids[..] {
        [one, other] => Ok(MergedConversation::Direct(account_id(one)?, account_id(other)?)),
        [] => {
            id(&conversation.room_id, RoomId::from_slice, "room id").map(MergedConversation::Room)
        }
        _ => Err(unreadable("conversation")),
    }
}

fn encode_message(message: &MergedMessage) -> wire::MergedMessage {
    wire::MergedMessage {
        message_id: message.message.0.to_vec(),
        conversation: Some(encode_conversation(&message.conversation)),
        sender_id: message.sender.0.to_vec(),
        body: message.body.as_ref().map(|body| body.as_str().to_owned()).unwrap_or_default(),
        reply_to: message.reply_to.map(|id| id.0.to_vec()).unwrap_or_default(),
        create_time_micros: message.create_time.0,
        edit_time_micros: message.edit_time.map(|time| time.0),
        received_time_micros: message.received_time.map(|time| time.0),
        deleted_by: message.deletion.map(|(by, _)| by.0.to_vec()).unwrap_or_default(),
        delete_time_micros: message.deletion.map_or(0, |(_, time)| time.0),
    }
}

fn decode_message(message: wire::MergedMessage) -> Result<MergedMessage, UnreadableUpdate> {
    let deletion = match message.deleted_by.is_empty() {
        true => None,
        false => Some((account_id(&message.deleted_by)?, Timestamp(message.delete_time_micros))),
    };
    let body = match (message.body.is_empty(), deletion) {
        (true, Some(_)) => None,
        _ => Some(Body::parse(message.body).map_err(|_| unreadable("body"))?),
    };
    Ok(MergedMessage {
        message: message_id(&message.message_id)?,
        conversation: decode_conversation(message.conversation)?,
        sender: account_id(&message.sender_id)?,
        body,
        reply_to: match message.reply_to.is_empty() {
            true => None,
            false => Some(message_id(&message.reply_to)?),
        },
        create_time: Timestamp(message.create_time_micros),
        edit_time: message.edit_time_micros.map(Timestamp),
        received_time: message.received_time_micros.map(Timestamp),
        deletion,
    })
}

fn encode_marks(account: &AccountId, messages: &[MessageId]) -> wire::MergedMarks {
    wire::MergedMarks { account_id: account.0.to_vec(), message_ids: encode_ids(messages) }
}

fn encode_request(request: &MergedRequest) -> wire::MergedRequest {
    use wire::merged_request::Outcome;
    let (username, account_id) = match &request.scope {
        RequestScope::Username(name) => (name.to_string(), Vec::new()),
        RequestScope::Account(account) => (String::new(), account.0.to_vec()),
    };
    let outcome = match request.outcome {
        MergedOutcome::Done => Some(Outcome::Done(true)),
        MergedOutcome::Session(session) => Some(Outcome::SessionId(session.0.to_vec())),
        MergedOutcome::Message(message) => Some(Outcome::MessageId(message.0.to_vec())),
        MergedOutcome::Room(room) => Some(Outcome::RoomId(room.0.to_vec())),
        MergedOutcome::ReadSeq(seq) => Some(Outcome::ReadSeq(seq)),
        MergedOutcome::Refused(refusal) => refusal.number().map(Outcome::Refusal),
    };
    wire::MergedRequest {
        request_id: request.key.id.0.to_vec(),
        fingerprint: request.key.fingerprint.0.to_vec(),
        call: request.call as i32,
        username,
        account_id,
        outcome,
    }
}

fn decode_request(request: wire::MergedRequest) -> Result<MergedRequest, UnreadableUpdate> {
    use wire::merged_request::Outcome;
    let call = Call::from_number(request.call.into()).ok_or_else(|| unreadable("call"))?;
    let scope = match call.begins_session() {
        true => RequestScope::Username(username(&request.username)?),
        false => RequestScope::Account(account_id(&request.account_id)?),
    };
    let outcome = match request.outcome.ok_or_else(|| unreadable("outcome"))? {
        Outcome::Done(_) => MergedOutcome::Done,
        Outcome::SessionId(session) => {
            MergedOutcome::Session(id(&session, SessionId::from_slice, "session id")?)
        }
        Outcome::MessageId(message) => MergedOutcome::Message(message_id(&message)?),
        Outcome::RoomId(room) => MergedOutcome::Room(id(&room, RoomId::from_slice, "room id")?),
        Outcome::ReadSeq(seq) => MergedOutcome::ReadSeq(seq),
        Outcome::Refusal(number) => MergedOutcome::Refused(
            Refusal::from_number(number).ok_or_else(|| unreadable("refusal"))?,
        ),
    };
    let key = RequestKey {
        id: id(&request.request_id, RequestId::from_slice, "request id")?,
        fingerprint: Fingerprint(array(&request.fingerprint, "fingerprint")?),
    };
    Ok(MergedRequest { key, call, scope, outcome })
}

fn username(text: &str) -> Result<Username, UnreadableUpdate> {
    Username::parse(text).map_err(|_| unreadable("username"))
}

fn account_id(bytes: &[u8]) -> Result<AccountId, UnreadableUpdate> {
    id(bytes, AccountId::from_slice, "account id")
}

fn message_id(bytes: &[u8]) -> Result<MessageId, UnreadableUpdate> {
    id(bytes, MessageId::from_slice, "message id")
}
