//! Answers for people: one line each where it can be. Whatever others wrote passes through `harmless`.

mod harmless;
mod messages;
mod notice;
mod rooms;

use jiff::{Timestamp, tz::TimeZone};

pub(super) use self::{
    harmless::harmless,
    messages::{RESET, event, live},
    notice::notice,
};
use super::{answer::Answer, command::HELP, paint::Paint, status};

/// An answer, every line of it ended.
pub(super) fn answer(answer: &Answer, paint: Paint) -> String {
    lines(answer, paint).into_iter().map(|line| line + "\n").collect()
}

fn lines(answer: &Answer, paint: Paint) -> Vec<String> {
    match answer {
        Answer::LoggedIn { username, created: true } => {
            vec![format!("created {}, logged in", harmless(username))]
        }
        Answer::LoggedIn { username, created: false } => {
            vec![format!("logged in as {}", harmless(username))]
        }
        Answer::LoggedOut => vec!["logged out".into()],
        Answer::Accounts(accounts) => {
            or("nobody", accounts.iter().map(|a| paint.name(&harmless(&a.username))).collect())
        }
        Answer::Me(account) => vec![format!("you are {}", harmless(&account.username))],
        Answer::Sent(message) => vec![messages::sent(message, paint)],
        Answer::Queued(1) => vec![paint.open("pending: the line waits for a leader that takes it")],
        Answer::Queued(count) => {
            vec![paint.open(format!("pending: {count} lines wait for a leader that takes them"))]
        }
        Answer::Inbox(entries) => {
            let entries = entries.iter().flat_map(|entry| messages::inbox_entry(entry, paint));
            or("no conversations yet", entries.collect())
        }
        Answer::History { messages, has_more } => messages::history(messages, *has_more, paint),
        Answer::Found { messages, has_more } => messages::found(messages, *has_more, paint),
        Answer::Read { conversation, read_seq } => {
            vec![format!("read {} up to #{read_seq}", harmless(conversation))]
        }
        Answer::Deleted(count) => vec![format!("deleted {}", counted(*count, "message"))],
        Answer::Edited(message) => vec![messages::edited(message)],
        Answer::Status(answers) => status::table(answers),
        Answer::Outbox(unsent) => {
            or("nothing is unsent", unsent.iter().map(|u| messages::unsent(u, paint)).collect())
        }
        Answer::Dropped(count) => vec![format!("dropped {}", counted(*count, "line"))],
        Answer::Waited(count) => vec![format!("{count} came")],
        Answer::Help => HELP.lines().map(Into::into).collect(),
        answer => of_rooms(answer, paint),
    }
}

/// The answers about rooms, and about sessions.
fn of_rooms(answer: &Answer, paint: Paint) -> Vec<String> {
    match answer {
        Answer::Rooms(list) => {
            or("no rooms yet", list.iter().map(|room| rooms::room(room, paint)).collect())
        }
        Answer::Members { members, .. } => {
            or("nobody", members.iter().map(|member| rooms::member(member, paint)).collect())
        }
        Answer::Room(news, room) => vec![rooms::news(*news, room, paint)],
        Answer::Gone(news, room) => vec![rooms::gone(*news, room)],
        Answer::Member { room, username, news } => {
            vec![rooms::member_news(room, username, *news)]
        }
        Answer::Sessions(list) => or("no sessions", list.iter().map(rooms::session).collect()),
        Answer::SessionEnded(id) => vec![format!("ended {}", harmless(id))],
        Answer::PasswordChanged => {
            vec!["the password is changed; your other sessions have ended".into()]
        }
        Answer::AccountDeleted => vec!["the account is deleted".into()],
        answer => unreachable!("{answer:?} is no answer about rooms"),
    }
}

/// The lines, or what to say when there is none.
fn or(nothing: &str, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() { vec![nothing.into()] } else { lines }
}

/// "1 line", "2 lines".
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The local time of an event; dashes if it has none.
fn time(time: Option<&prost_types::Timestamp>, format: &str) -> String {
    let stamp = time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
    match stamp {
        Some(stamp) => stamp.to_zoned(TimeZone::system()).strftime(format).to_string(),
        None => "--:--".into(),
    }
}
