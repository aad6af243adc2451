//! Reading lines.

use std::time::Duration;

use super::{Command, Failure, USUAL_HISTORY, help::usage_of, usage};

/// More in one answer help nobody.
const MOST_HISTORY: u32 = 10_000;
const USUAL_WAIT: Duration = Duration::from_secs(30);

/// Reads a line; `None` if it is empty. `current` is where text without a command goes.
pub(in crate::cli) fn parse(line: &str, current: Option<&str>) -> Result<Option<Command>, Failure> {
    let line = line.trim_end_matches(['\r', '\n']);
    if line.trim().is_empty() {
        return Ok(None);
    }
    match line.strip_prefix('/') {
        Some(rest) if !rest.starts_with('/') => slash(rest, current).map(Some),
        Some(text) => plain(text, current).map(Some),
        None => plain(line, current).map(Some),
    }
}

fn plain(text: &str, current: Option<&str>) -> Result<Command, Failure> {
    let conversation = current
        .ok_or_else(|| usage("there is no current conversation; begin one by /msg @USER TEXT"))?;
    Ok(Command::Send { conversation: conversation.into(), body: text.into(), request_id: None })
}

fn slash(rest: &str, current: Option<&str>) -> Result<Command, Failure> {
    let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let words: Vec<&str> = rest.split_whitespace().collect();
    let words = words.as_slice();
    let read = account(name, words)
        .or_else(|| message(name, words, rest))
        .or_else(|| in_room(name, words, rest, current))
        .or_else(|| around(name, words));
    read.unwrap_or_else(|| Err(usage(&usage_of(name))))
}

/// Commands about accounts and sessions; `None` for others, and for those with the wrong words.
fn account(name: &str, words: &[&str]) -> Option<Result<Command, Failure>> {
    Some(Ok(match (name, words) {
        ("create", [name]) => Command::Create { username: username(name) },
        ("login", [name]) => Command::Login { username: username(name) },
        ("logout", []) => Command::Logout,
        ("users", []) => Command::Users { pattern: String::new() },
        ("users", [pattern]) => Command::Users { pattern: (*pattern).into() },
        ("sessions", []) => Command::Sessions,
        ("end-session", [id]) => Command::EndSession { id: (*id).into() },
        ("passwd", []) => Command::ChangePassword,
        ("delete-account", []) => Command::DeleteAccount,
        _ => return None,
    }))
}

/// Commands about messages and conversations. `rest` are the words as they were typed.
fn message(name: &str, words: &[&str], rest: &str) -> Option<Result<Command, Failure>> {
    Some(match (name, words) {
        ("msg", [name, _, ..]) => send(name, text_after(rest, 1), None),
        ("inbox", []) => Ok(Command::Inbox),
        ("history", [name]) => history(name, USUAL_HISTORY),
        ("history", [name, count]) => number(count).and_then(|count| history(name, count)),
        ("read", [name]) => conversation(name).map(|conversation| Command::Read { conversation }),
        ("delete", ids @ [_, ..]) => {
            Ok(Command::Delete { ids: ids.iter().map(|id| (*id).into()).collect() })
        }
        ("edit", [id, _, ..]) => {
            Ok(Command::Edit { id: (*id).into(), body: text_after(rest, 1).into() })
        }
        ("search", [first, _, ..]) if first.starts_with("in:") => {
            let query = text_after(rest, 1).trim_end().into();
            conversation(&first["in:".len()..])
                .map(|conversation| Command::Search { query, conversation })
        }
        ("search", [_, ..]) => Ok(Command::Search {
            query: text_after(rest, 0).trim_end().into(),
            conversation: String::new(),
        }),
        _ => return None,
    })
}

/// Commands about rooms.
fn in_room(
    name: &str,
    words: &[&str],
    rest: &str,
    current: Option<&str>,
) -> Option<Result<Command, Failure>> {
    let command = match (name, words) {
        ("rooms", []) => Ok(Command::Rooms { pattern: String::new() }),
        ("rooms", [pattern]) => Ok(Command::Rooms { pattern: (*pattern).into() }),
        ("who", []) => Ok(Command::Who {
            room: current.filter(|current| current.starts_with('#')).map(Into::into),
        }),
        ("who", [name]) => room(name).map(|room| Command::Who { room: Some(room) }),
        ("join", [name]) => room(name).map(|room| Command::Join { room }),
        ("leave", [name]) => room(name).map(|room| Command::Leave { room }),
        ("close-room", [name]) => room(name).map(|room| Command::CloseRoom { room }),
        ("room", [name, "private", ..]) => {
            let topic = text_after(rest, 2).trim_end().into();
            room(name).map(|room| Command::CreateRoom { room, topic, private: true })
        }
        ("room", [name, ..]) => {
            let topic = text_after(rest, 1).trim_end().into();
            room(name).map(|room| Command::CreateRoom { room, topic, private: false })
        }
        ("topic", [name, ..]) => {
            let topic = text_after(rest, 1).trim_end().into();
            room(name).map(|room| Command::Topic { room, topic })
        }
        ("invite", [name, of]) => {
            room(of).map(|room| Command::Invite { username: username(name), room })
        }
        ("kick", [name, of]) => {
            room(of).map(|room| Command::Kick { username: username(name), room })
        }
        ("transfer", [of, name]) => {
            room(of).map(|room| Command::Transfer { room, username: username(name) })
        }
        _ => return None,
    };
    Some(command)
}

/// Commands about the cluster and the session itself.
fn around(name: &str, words: &[&str]) -> Option<Result<Command, Failure>> {
    Some(match (name, words) {
        ("status", []) => Ok(Command::Status),
        ("outbox", []) => Ok(Command::Outbox),
        ("outbox", ["drop"]) => Ok(Command::DropOutbox),
        ("wait", words) if words.len() <= 2 => wait(words),
        ("help", _) => Ok(Command::Help),
        ("quit", []) => Ok(Command::Quit),
        _ => return None,
    })
}

/// What was typed after so many words, with its inner blanks as they were.
fn text_after(rest: &str, words: usize) -> &str {
    let mut text = rest.trim_start();
    for _ in 0..words {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        text = text[end..].trim_start();
    }
    text
}

/// Sends, unless the text is nothing.
pub(in crate::cli) fn send(
    name: &str,
    text: &str,
    request_id: Option<String>,
) -> Result<Command, Failure> {
    Ok(Command::Send { conversation: conversation(name)?, body: text.into(), request_id })
}

/// Shows the newest messages.
pub(in crate::cli) fn history(name: &str, count: u32) -> Result<Command, Failure> {
    if !(1..=MOST_HISTORY).contains(&count) {
        return Err(usage(&format!("ask for 1 to {MOST_HISTORY} messages")));
    }
    Ok(Command::History { conversation: conversation(name)?, count })
}

/// `@name` or `#name`; the rest of the rules is the server's.
pub(in crate::cli) fn conversation(name: &str) -> Result<String, Failure> {
    if name.len() > 1 && name.starts_with(['@', '#']) {
        return Ok(name.into());
    }
    Err(usage(&format!("\"{name}\" is no conversation; write @USER or #ROOM")))
}

/// A room's `#name`; shells take a word that begins with # for a comment, so that it may be left out.
pub(in crate::cli) fn room(name: &str) -> Result<String, Failure> {
    let bare = name.strip_prefix('#').unwrap_or(name);
    if bare.is_empty() || bare.starts_with('@') {
        return Err(usage(&format!("\"{name}\" is no room; write #ROOM")));
    }
    Ok(format!("#{bare}"))
}

/// A username, with or without its `@`.
pub(in crate::cli) fn username(name: &str) -> String {
    name.strip_prefix('@').unwrap_or(name).into()
}

fn wait(words: &[&str]) -> Result<Command, Failure> {
    let count = words.first().map_or(Ok(1), |word| number(word))?;
    let within = match words.get(1) {
        Some(word) => Duration::from_secs(number(word)?.into()),
        None => USUAL_WAIT,
    };
    Ok(Command::Wait { count: count.into(), within })
}

fn number(word: &str) -> Result<u32, Failure> {
    word.parse().map_err(|_| usage(&format!("\"{word}\" is no number")))
}
