//! Answers for people: one line each where it can be.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    answer::{Answer, InboxEntry},
    command::HELP,
    status,
};
use crate::{
    client::Notice,
    wire::chat::{Event, Message, event::Kind},
};

/// An answer, every line of it ended.
pub(super) fn answer(answer: &Answer) -> String {
    let lines = match answer {
        Answer::LoggedIn { username, created: true } => {
            vec![format!("created {}, logged in", harmless(username))]
        }
        Answer::LoggedIn { username, created: false } => {
            vec![format!("logged in as {}", harmless(username))]
        }
        Answer::LoggedOut => vec!["logged out".into()],
        Answer::Accounts(accounts) if accounts.is_empty() => vec!["nobody".into()],
        Answer::Accounts(accounts) => accounts.iter().map(|a| harmless(&a.username)).collect(),
        Answer::Sent(message) => vec![sent(message)],
        Answer::Inbox(entries) if entries.is_empty() => vec!["no conversations yet".into()],
        Answer::Inbox(entries) => entries.iter().flat_map(inbox_entry).collect(),
        Answer::History { messages, has_more } => history(messages, *has_more),
        Answer::Read { conversation, read_seq } => {
            vec![format!("read {} up to #{read_seq}", harmless(conversation))]
        }
        Answer::Deleted(1) => vec!["deleted 1 message".into()],
        Answer::Deleted(count) => vec![format!("deleted {count} messages")],
        Answer::Status(answers) => status::table(answers),
        Answer::Waited(count) => vec![format!("{count} came")],
        Answer::Help => HELP.lines().map(Into::into).collect(),
    };
    lines.into_iter().map(|line| line + "\n").collect()
}

fn sent(message: &Message) -> String {
    let Message { seq, message_id, .. } = message;
    format!("sent #{seq} to {} ({message_id})", harmless(&message.conversation))
}

fn inbox_entry(entry: &InboxEntry) -> Vec<String> {
    let of = &entry.conversation;
    let name = harmless(&of.conversation);
    let mut lines = match of.unread_count {
        0 => vec![format!("{name}  nothing unread, {} in all", of.last_seq)],
        count => vec![format!("{name}  {count} unread")],
    };
    lines.extend(entry.unread.iter().map(|message| format!("  {}", line(message))));
    if entry.unread.len() < usize::try_from(of.unread_count).unwrap_or(0) {
        lines.push(format!("  ... /history {name} shows them all"));
    }
    lines
}

fn history(messages: &[Message], has_more: bool) -> Vec<String> {
    if messages.is_empty() {
        return vec!["no messages yet".into()];
    }
    let older = has_more.then(|| "... there are older ones".into());
    older.into_iter().chain(messages.iter().map(line)).collect()
}

/// A message of a list: when, where in its conversation, who, what, and the id for `/delete`.
fn line(message: &Message) -> String {
    let body = match message.deleted {
        true => "(deleted)".into(),
        false => harmless(&message.body),
    };
    let edited = if message.edit_time.is_some() { " (edited)" } else { "" };
    let time = time(message.create_time.as_ref(), "%Y-%m-%d %H:%M:%S");
    let (seq, sender, id) = (message.seq, harmless(&message.sender), &message.message_id);
    format!("{time}  #{seq}  {sender}: {body}{edited}  ({id})")
}

/// A message as it arrives; where it belongs stands first, so that pipes can tell it from answers.
pub(super) fn live(message: &Message) -> String {
    let time = time(message.create_time.as_ref(), "%H:%M");
    let place = harmless(&message.conversation);
    format!("[{place}] {time} {}: {}\n", harmless(&message.sender), harmless(&message.body))
}

/// What happened, for `tail`; `None` if it is nothing to tell.
pub(super) fn event(event: &Event) -> Option<String> {
    let place =
        |message: &Message| format!("[{}] #{}", harmless(&message.conversation), message.seq);
    match event.kind.as_ref()? {
        Kind::MessageCreated(message) => Some(live(message)),
        Kind::MessageChanged(message) if message.edit_time.is_some() => {
            Some(format!("{} now: {}\n", place(message), harmless(&message.body)))
        }
        Kind::MessageDeleted(message) => Some(format!("{} was deleted\n", place(message))),
        Kind::MembershipChanged(change) => {
            let what = if change.member { "came" } else { "left" };
            let place = harmless(&change.conversation);
            Some(format!("[{place}] {} {what}\n", harmless(&change.username)))
        }
        Kind::Reset(_) => Some(format!("{RESET}\n")),
        _ => None,
    }
}

/// A subscription could not be resumed.
pub(super) const RESET: &str = "some messages may have been missed here; the inbox has them";

/// What people want to know about the cluster, with the time of day.
pub(super) fn notice(notice: &Notice) -> String {
    let words = match notice {
        Notice::Waiting { detail } => format!("no leader; trying... ({})", harmless(detail)),
        Notice::Back { address, outage } => {
            format!("the leader at {address} is back after {}", duration(*outage))
        }
        Notice::Moved { address, outage } => {
            format!("the leader moved to {address} ({} without one)", duration(*outage))
        }
        Notice::Copies(1) => "one copy left: a single server holds what is acknowledged".into(),
        Notice::Copies(copies) => format!("{copies} copies again"),
    };
    let now = Timestamp::now().to_zoned(TimeZone::system());
    format!("{} {words}", now.strftime("%H:%M:%S"))
}

/// With the unit that suits it.
fn duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        millis => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
    }
}

/// The local time of an event; dashes if it has none.
fn time(time: Option<&prost_types::Timestamp>, format: &str) -> String {
    let stamp = time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
    match stamp {
        Some(stamp) => stamp.to_zoned(TimeZone::system()).strftime(format).to_string(),
        None => "--:--".into(),
    }
}

/// What somebody wrote, on one line and without anything that a terminal would obey.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Direction marks reorder what stands around them.
        let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c {
            '\t' => out.push(c),
            c if c.is_control() || reorders || matches!(c, '\u{2028}' | '\u{2029}') => {
                out.extend(c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}
