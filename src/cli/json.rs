//! Answers for programs: one JSON object a line, each with its `type`. Names are those of the protos;
//! times are RFC 3339 in UTC.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, InboxEntry},
    command::HELP,
    exit::Failure,
};
use crate::{
    client::ServerAnswer,
    wire::chat::{Account, Event, GetStatusResponse, Message, Role, event::Kind},
};

/// An answer, every object of it on a line.
pub(super) fn answer(answer: &Answer) -> String {
    lines(match answer {
        Answer::LoggedIn { username, created } => {
            vec![json!({ "type": "logged_in", "username": username, "created": created })]
        }
        Answer::LoggedOut => vec![json!({ "type": "logged_out" })],
        Answer::Accounts(accounts) => accounts.iter().map(account).collect(),
        Answer::Sent(sent) => vec![message("sent", sent)],
        Answer::Inbox(entries) => entries.iter().flat_map(inbox_entry).collect(),
        Answer::History { messages, .. } => {
            messages.iter().map(|m| message("message", m)).collect()
        }
        Answer::Read { conversation, read_seq } => {
            vec![json!({ "type": "read", "conversation": conversation, "read_seq": read_seq })]
        }
        Answer::Deleted(count) => vec![json!({ "type": "deleted", "count": count })],
        Answer::Status(answers) => answers.iter().map(status).collect(),
        Answer::Waited(count) => vec![json!({ "type": "waited", "count": count })],
        Answer::Help => vec![json!({ "type": "help", "lines": HELP.lines().collect::<Vec<_>>() })],
    })
}

/// A command that was not done.
pub(super) fn failure(failure: &Failure) -> String {
    let mut object = Map::new();
    object.insert("type".into(), "error".into());
    object.insert("exit".into(), failure.exit().code().into());
    object.insert("message".into(), failure.to_string().into());
    if !failure.reason().is_empty() {
        object.insert("reason".into(), failure.reason().into());
    }
    if let Some(id) = failure.request_id() {
        object.insert("request_id".into(), id.into());
    }
    lines(vec![Value::Object(object)])
}

/// A message as it arrives.
pub(super) fn live(live: &Message) -> String {
    lines(vec![message("live", live)])
}

/// What happened, for `tail`; `None` if it is nothing to tell.
pub(super) fn event(event: &Event) -> Option<String> {
    let mut object = match event.kind.as_ref()? {
        Kind::MessageCreated(created) => message("message_created", created),
        Kind::MessageChanged(changed) => message("message_changed", changed),
        Kind::MessageDeleted(deleted) => message("message_deleted", deleted),
        Kind::ReadMoved(moved) => json!({
            "type": "read_moved",
            "conversation": moved.conversation,
            "read_seq": moved.read_seq,
            "unread_count": moved.unread_count,
        }),
        Kind::MembershipChanged(change) => json!({
            "type": "membership_changed",
            "conversation": change.conversation,
            "username": change.username,
            "member": change.member,
        }),
        Kind::RoomChanged(room) => json!({
            "type": "room_changed",
            "conversation": room.conversation,
            "topic": room.topic,
            "private": room.private,
            "owner": room.owner,
        }),
        Kind::AccountChanged(change) => json!({
            "type": "account_changed",
            "username": change.username,
            "deleted": change.deleted,
        }),
        Kind::CaughtUp(_) => json!({ "type": "caught_up" }),
        Kind::Reset(reset) => json!({
            "type": "reset",
            "reason": reset.reason().as_str_name(),
        }),
        Kind::Typing(_) | Kind::Presence(_) | Kind::Heartbeat(_) => return None,
    };
    object["cursor"] = event.cursor.clone().into();
    Some(lines(vec![object]))
}

fn lines(objects: Vec<Value>) -> String {
    objects.into_iter().map(|object| format!("{object}\n")).collect()
}

fn account(account: &Account) -> Value {
    json!({
        "type": "account",
        "username": account.username,
        "create_time": time(account.create_time.as_ref()),
    })
}

fn inbox_entry(entry: &InboxEntry) -> Vec<Value> {
    let of = &entry.conversation;
    let conversation = json!({
        "type": "conversation",
        "conversation": of.conversation,
        "last_seq": of.last_seq,
        "read_seq": of.read_seq,
        "unread_count": of.unread_count,
        "mention_count": of.mention_count,
    });
    let unread = entry.unread.iter().map(|unread| message("message", unread));
    [conversation].into_iter().chain(unread).collect()
}

fn message(kind: &str, message: &Message) -> Value {
    json!({
        "type": kind,
        "message_id": message.message_id,
        "conversation": message.conversation,
        "seq": message.seq,
        "sender": message.sender,
        "body": message.body,
        "reply_to": message.reply_to,
        "create_time": time(message.create_time.as_ref()),
        "edit_time": time(message.edit_time.as_ref()),
        "received_time": time(message.received_time.as_ref()),
        "deleted": message.deleted,
        "mentions": message.mentions,
    })
}

fn status(answer: &ServerAnswer) -> Value {
    let mut object = match &answer.status {
        Ok(status) => answered(status),
        Err(error) => json!({ "type": "status", "error": error }),
    };
    object["address"] = answer.address.clone().into();
    object
}

fn answered(status: &GetStatusResponse) -> Value {
    let servers: Vec<Value> = status
        .servers
        .iter()
        .map(|server| {
            json!({
                "server_id": server.server_id,
                "address": server.address,
                "role": role(server.role),
                "in_sync": server.in_sync,
                "applied_index": server.applied_index,
                "last_contact": server.last_contact,
            })
        })
        .collect();
    let diverged: Vec<Value> = status
        .diverged
        .iter()
        .map(|file| {
            json!({ "server_id": file.server_id, "path": file.path, "updates": file.updates })
        })
        .collect();
    json!({
        "type": "status",
        "server_id": status.server_id,
        "role": role(status.role),
        "leader_id": status.leader_id,
        "leader_address": status.leader_address,
        "epoch": status.epoch,
        "policy": status.policy,
        "servers": servers,
        "waiting_for": status.waiting_for,
        "forced_epochs": status.forced_epochs,
        "copies": status.copies,
        "degraded": status.degraded,
        "read_only": status.read_only,
        "diverged": diverged,
        "version": status.version,
        "note": status.note,
    })
}

fn role(role: i32) -> &'static str {
    Role::try_from(role).unwrap_or_default().as_str_name()
}

fn time(time: Option<&prost_types::Timestamp>) -> Value {
    let stamp = time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
    stamp.map_or(Value::Null, |stamp| stamp.to_string().into())
}
