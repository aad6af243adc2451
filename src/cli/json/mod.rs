//! Answers for programs: one JSON object a line, each with its `type`. Names are those of the protos;
//! times are RFC 3339 in UTC.

mod status;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::status::status;
use super::{
    answer::{Answer, FoundMessage, InboxEntry, MemberNews, RoomNews},
    command::HELP,
    exit::Failure,
    outbox::Unsent,
};
use crate::wire::chat::{
    Account, Conversation, Event, Member, Message, Session, SnippetPart, event::Kind,
};

/// An answer, every object of it on a line.
pub(super) fn answer(answer: &Answer) -> String {
    lines(match answer {
        Answer::LoggedIn { username, created } => {
            vec![json!({ "type": "logged_in", "username": username, "created": created })]
        }
        Answer::LoggedOut => vec![json!({ "type": "logged_out" })],
        Answer::Accounts(accounts) => accounts.iter().map(account).collect(),
        Answer::Me(me) => vec![account(me)],
        Answer::Sent(sent) => vec![message("sent", sent)],
        Answer::Queued(count) => vec![json!({ "type": "queued", "count": count })],
        Answer::Inbox(entries) => entries.iter().flat_map(inbox_entry).collect(),
        Answer::History { messages, .. } => {
            messages.iter().map(|m| message("message", m)).collect()
        }
        Answer::Found { messages, .. } => messages.iter().map(found).collect(),
        Answer::Read { conversation, read_seq } => {
            vec![json!({ "type": "read", "conversation": conversation, "read_seq": read_seq })]
        }
        Answer::Deleted(count) => vec![json!({ "type": "deleted", "count": count })],
        Answer::Edited(edited) => vec![message("edited", edited)],
        Answer::Status(answers) => answers.iter().map(status).collect(),
        Answer::Outbox(list) => list.iter().map(unsent).collect(),
        Answer::Dropped(count) => vec![json!({ "type": "dropped", "count": count })],
        Answer::Waited(count) => vec![json!({ "type": "waited", "count": count })],
        Answer::Help => vec![json!({ "type": "help", "lines": HELP.lines().collect::<Vec<_>>() })],
        answer => of_rooms(answer),
    })
}

/// The answers about rooms, and about sessions.
fn of_rooms(answer: &Answer) -> Vec<Value> {
    match answer {
        Answer::Rooms(rooms) => rooms.iter().map(|room| conversation("room", room)).collect(),
        Answer::Members { room, members } => members.iter().map(|m| member(room, m)).collect(),
        Answer::Room(news, room) => vec![conversation(room_news(*news), room)],
        Answer::Gone(news, room) => {
            vec![json!({ "type": room_news(*news), "conversation": room })]
        }
        Answer::Member { room, username, news } => {
            let kind = match news {
                MemberNews::Added => "member_added",
                MemberNews::Removed => "member_removed",
                MemberNews::Owner => "room_transferred",
            };
            vec![json!({ "type": kind, "conversation": room, "username": username })]
        }
        Answer::Sessions(sessions) => sessions.iter().map(session).collect(),
        Answer::SessionEnded(id) => vec![json!({ "type": "session_ended", "session_id": id })],
        Answer::PasswordChanged => vec![json!({ "type": "password_changed" })],
        Answer::AccountDeleted => vec![json!({ "type": "account_deleted" })],
        answer => unreachable!("{answer:?} is no answer about rooms"),
    }
}

fn room_news(news: RoomNews) -> &'static str {
    match news {
        RoomNews::Created => "room_created",
        RoomNews::Joined => "room_joined",
        RoomNews::Changed => "room_changed",
        RoomNews::Left => "room_left",
        RoomNews::Closed => "room_closed",
    }
}

/// A command that was not done.
pub(super) fn failure(failure: &Failure) -> String {
    let mut object = Map::new();
    object.insert("type".into(), "error".into());
    object.insert("exit".into(), failure.exit().code().into());
    object.insert("message".into(), failure.to_string().into());
    if let Some(cursor) = failure.cursor() {
        object.insert("cursor".into(), cursor.into());
    }
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
        // Passing moods, and events of a later version.
        _ => return None,
    };
    object["cursor"] = event.cursor.clone().into();
    Some(lines(vec![object]))
}

fn lines(objects: Vec<Value>) -> String {
    objects.into_iter().map(|object| format!("{object}\n")).collect()
}

/// An account.
pub(super) fn account(account: &Account) -> Value {
    json!({
        "type": "account",
        "username": account.username,
        "create_time": time(account.create_time.as_ref()),
    })
}

fn inbox_entry(entry: &InboxEntry) -> Vec<Value> {
    let of = conversation("conversation", &entry.conversation);
    let unread = entry.unread.iter().map(|unread| message("message", unread));
    [of].into_iter().chain(unread).collect()
}

/// A conversation or a room.
pub(super) fn conversation(kind: &str, of: &Conversation) -> Value {
    json!({
        "type": kind,
        "conversation": of.conversation,
        "topic": of.topic,
        "private": of.private,
        "owner": of.owner,
        "last_seq": of.last_seq,
        "read_seq": of.read_seq,
        "unread_count": of.unread_count,
        "mention_count": of.mention_count,
    })
}

/// A member of a room.
pub(super) fn member(room: &str, member: &Member) -> Value {
    json!({
        "type": "member",
        "conversation": room,
        "username": member.username,
        "join_time": time(member.join_time.as_ref()),
    })
}

fn session(session: &Session) -> Value {
    json!({
        "type": "session",
        "session_id": session.session_id,
        "device_name": session.device_name,
        "create_time": time(session.create_time.as_ref()),
        "last_used_time": time(session.last_used_time.as_ref()),
        "current": session.current,
    })
}

fn unsent(unsent: &Unsent) -> Value {
    json!({
        "type": "pending",
        "request_id": unsent.request_id,
        "conversation": unsent.conversation,
        "body": unsent.body,
    })
}

/// A message, in one of its parts.
pub(super) fn message(kind: &str, message: &Message) -> Value {
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

/// A found message, with what to show of it.
fn found(found: &FoundMessage) -> Value {
    let part = |part: &SnippetPart| json!({ "text": part.text, "found": part.found });
    let mut object = message("message", &found.message);
    object["snippet"] = found.snippet.parts.iter().map(part).collect();
    object
}

fn time(time: Option<&prost_types::Timestamp>) -> Value {
    let stamp = time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
    stamp.map_or(Value::Null, |stamp| stamp.to_string().into())
}
