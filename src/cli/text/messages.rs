//! Messages and events, a line each.

use super::{harmless::harmless, time};
use crate::{
    cli::{
        answer::{FoundMessage, InboxEntry},
        outbox::Unsent,
        paint::Paint,
    },
    wire::chat::{Event, Message, SnippetPart, event::Kind},
};

/// A subscription could not be resumed.
pub(in crate::cli) const RESET: &str =
    "some messages may have been missed here; the inbox has them";

pub(super) fn sent(message: &Message, paint: Paint) -> String {
    let Message { seq, message_id, .. } = message;
    let place = harmless(&message.conversation);
    paint.dim(format!("sent #{seq} to {place} ({})", harmless(message_id)))
}

pub(super) fn edited(message: &Message) -> String {
    let place = harmless(&message.conversation);
    format!("[{place}] #{} now: {}", message.seq, harmless(&message.body))
}

pub(super) fn inbox_entry(entry: &InboxEntry, paint: Paint) -> Vec<String> {
    let of = &entry.conversation;
    let name = harmless(&of.conversation);
    let place = paint.name(&name);
    let mentions = match of.mention_count {
        0 => String::new(),
        1 => ", 1 mentions you".into(),
        count => format!(", {count} mention you"),
    };
    let mut lines = match of.unread_count {
        0 => vec![format!("{place}  nothing unread, {} in all", of.last_seq)],
        count => vec![format!("{place}  {count} unread{mentions}")],
    };
    lines.extend(entry.unread.iter().map(|message| format!("  {}", line(message, paint))));
    if entry.unread.len() < usize::try_from(of.unread_count).unwrap_or(0) {
        lines.push(format!("  ... /history {name} shows them all"));
    }
    lines
}

pub(super) fn history(messages: &[Message], has_more: bool, paint: Paint) -> Vec<String> {
    if messages.is_empty() {
        return vec!["no messages yet".into()];
    }
    let older = has_more.then(|| "... there are older ones".into());
    older.into_iter().chain(messages.iter().map(|message| line(message, paint))).collect()
}

pub(super) fn found(messages: &[FoundMessage], has_more: bool, paint: Paint) -> Vec<String> {
    if messages.is_empty() {
        return vec!["nothing found: no message that you may see holds all of it".into()];
    }
    let of = |found: &FoundMessage| {
        let place = paint.name(&harmless(&found.message.conversation));
        let text = match found.snippet.parts.is_empty() {
            true => harmless(&found.message.body),
            false => found.snippet.parts.iter().map(|part| stretch(part, paint)).collect(),
        };
        format!("[{place}] {}", line_with(&found.message, &text, paint))
    };
    let more = has_more.then(|| "... there are more; another word makes them fewer".into());
    messages.iter().map(of).chain(more).collect()
}

/// A part of a snippet; what was looked for stands out.
fn stretch(part: &SnippetPart, paint: Paint) -> String {
    let text = harmless(&part.text);
    if part.found { paint.strong(text) } else { text }
}

/// A message of a list: when, where in its conversation, who, what, and the id for `/delete`.
fn line(message: &Message, paint: Paint) -> String {
    let body = match message.deleted {
        true => paint.dim("(deleted)"),
        false => harmless(&message.body),
    };
    line_with(message, &body, paint)
}

fn line_with(message: &Message, body: &str, paint: Paint) -> String {
    let edited = if message.edit_time.is_some() { " (edited)" } else { "" };
    let time = time(message.create_time.as_ref(), "%Y-%m-%d %H:%M:%S");
    let (seq, sender) = (message.seq, paint.name(&harmless(&message.sender)));
    let id = paint.dim(format!("({})", harmless(&message.message_id)));
    format!("{time}  #{seq}  {sender}: {body}{edited}  {id}")
}

/// A message as it arrives; where it belongs stands first, so that pipes can tell it from answers.
pub(in crate::cli) fn live(message: &Message, me: Option<&str>, paint: Paint) -> String {
    let time = paint.dim(time(message.create_time.as_ref(), "%H:%M"));
    let place = paint.name(&harmless(&message.conversation));
    let body = harmless(&message.body);
    let mentioned = me.is_some_and(|me| message.mentions.iter().any(|name| name == me));
    let body = if mentioned { paint.strong(body) } else { body };
    format!("[{place}] {time} {}: {body}\n", paint.name(&harmless(&message.sender)))
}

/// What happened, for `tail`; `None` if it is nothing to tell.
pub(in crate::cli) fn event(event: &Event, paint: Paint) -> Option<String> {
    match event.kind.as_ref()? {
        Kind::MessageCreated(message) => Some(live(message, None, paint)),
        Kind::MessageChanged(message) if message.edit_time.is_some() => {
            Some(edited(message) + "\n")
        }
        Kind::MessageDeleted(message) => {
            Some(format!("[{}] #{} was deleted\n", harmless(&message.conversation), message.seq))
        }
        Kind::MembershipChanged(change) => {
            let what = if change.member { "came" } else { "left" };
            let place = harmless(&change.conversation);
            Some(format!("[{place}] {} {what}\n", harmless(&change.username)))
        }
        Kind::Reset(_) => Some(format!("{RESET}\n")),
        _ => None,
    }
}

/// What waits to be sent.
pub(super) fn unsent(unsent: &Unsent, paint: Paint) -> String {
    let place = harmless(&unsent.conversation);
    paint.open(format!("pending  to {place}: {}", harmless(&unsent.body)))
}
