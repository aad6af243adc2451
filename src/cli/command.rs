//! What a user can ask for, and how a line says it.

use std::time::Duration;

use super::exit::Failure;

/// How many messages of a conversation are shown when nothing is said.
pub(super) const USUAL_HISTORY: u32 = 20;
/// More in one answer help nobody.
const MOST_HISTORY: u32 = 10_000;
const USUAL_WAIT: Duration = Duration::from_secs(30);

/// The lines, for `/help`.
pub(super) const HELP: &str = "\
/create USER             create an account (the password on the next line, or prompted for)
/login USER              log in
/logout                  end the session
/users [GLOB]            list accounts; * and ? in GLOB
/msg @USER|#ROOM TEXT    send a message; the conversation becomes the current one
TEXT                     send to the current conversation (// begins a text with a slash)
/inbox                   conversations with what is unread
/history @USER|#ROOM [N] the newest messages
/read @USER|#ROOM        mark as read
/delete ID...            delete messages by the ids that /history shows
/status                  how the servers are
/wait [N] [SECONDS]      until N live messages came since the last /wait (1, 30 s)
/help                    this
/quit                    end";

/// The commands with their slashes, for completion.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let words = HELP.lines().filter_map(|line| line.split_whitespace().next());
    words.filter(|word| word.starts_with('/'))
}

/// What a user asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Create { username: String },
    Login { username: String },
    Logout,
    Users { pattern: String },
    Send { conversation: String, body: String, request_id: Option<String> },
    Inbox,
    History { conversation: String, count: u32 },
    Read { conversation: String },
    Delete { ids: Vec<String> },
    Status,
    Wait { count: u64, within: Duration },
    Help,
    Quit,
}

impl Command {
    /// Whether a password belongs to it.
    pub(super) fn needs_password(&self) -> bool {
        matches!(self, Command::Create { .. } | Command::Login { .. })
    }

    /// The conversation that becomes the current one.
    pub(super) fn conversation(&self) -> Option<&str> {
        match self {
            Command::Send { conversation, .. }
            | Command::History { conversation, .. }
            | Command::Read { conversation } => Some(conversation),
            _ => None,
        }
    }
}

/// Reads a line; `None` if it is empty. `current` is where text without a command goes.
pub(super) fn parse(line: &str, current: Option<&str>) -> Result<Option<Command>, Failure> {
    let line = line.trim_end_matches(['\r', '\n']);
    if line.trim().is_empty() {
        return Ok(None);
    }
    match line.strip_prefix('/') {
        Some(rest) if !rest.starts_with('/') => slash(rest).map(Some),
        Some(text) => plain(text, current).map(Some),
        None => plain(line, current).map(Some),
    }
}

fn plain(text: &str, current: Option<&str>) -> Result<Command, Failure> {
    let conversation = current
        .ok_or_else(|| usage("there is no current conversation; begin one by /msg @USER TEXT"))?;
    Ok(Command::Send { conversation: conversation.into(), body: text.into(), request_id: None })
}

fn slash(rest: &str) -> Result<Command, Failure> {
    let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let words: Vec<&str> = rest.split_whitespace().collect();
    match (name, words.as_slice()) {
        ("create", [name]) => Ok(Command::Create { username: username(name) }),
        ("login", [name]) => Ok(Command::Login { username: username(name) }),
        ("logout", []) => Ok(Command::Logout),
        ("users", []) => Ok(Command::Users { pattern: String::new() }),
        ("users", [pattern]) => Ok(Command::Users { pattern: (*pattern).into() }),
        ("msg", [name, _, ..]) => {
            let text = rest.trim_start()[name.len()..].trim_start();
            send(name, text, None)
        }
        ("inbox", []) => Ok(Command::Inbox),
        ("history", [name]) => history(name, USUAL_HISTORY),
        ("history", [name, count]) => history(name, number(count)?),
        ("read", [name]) => Ok(Command::Read { conversation: conversation(name)? }),
        ("delete", ids @ [_, ..]) => {
            Ok(Command::Delete { ids: ids.iter().map(|id| (*id).into()).collect() })
        }
        ("status", []) => Ok(Command::Status),
        ("wait", words) if words.len() <= 2 => wait(words),
        ("help", _) => Ok(Command::Help),
        ("quit", []) => Ok(Command::Quit),
        (name, _) if LATER.contains(&name) => Err(later(&format!("/{name}"))),
        (name, _) => Err(usage(&usage_of(name))),
    }
}

const LATER: [&str; 8] =
    ["edit", "search", "join", "leave", "rooms", "who", "passwd", "delete-account"];

/// What this version does not have.
pub(super) fn later(name: &str) -> Failure {
    Failure::Refused(format!("{name} comes with a later version; this one does not have it yet"))
}

/// Sends, unless the text is nothing.
pub(super) fn send(name: &str, text: &str, request_id: Option<String>) -> Result<Command, Failure> {
    Ok(Command::Send { conversation: conversation(name)?, body: text.into(), request_id })
}

/// Shows the newest messages.
pub(super) fn history(name: &str, count: u32) -> Result<Command, Failure> {
    if !(1..=MOST_HISTORY).contains(&count) {
        return Err(usage(&format!("ask for 1 to {MOST_HISTORY} messages")));
    }
    Ok(Command::History { conversation: conversation(name)?, count })
}

/// `@name` or `#name`; the rest of the rules is the server's.
pub(super) fn conversation(name: &str) -> Result<String, Failure> {
    if name.len() > 1 && name.starts_with(['@', '#']) {
        return Ok(name.into());
    }
    Err(usage(&format!("\"{name}\" is no conversation; write @USER or #ROOM")))
}

/// A username, with or without its `@`.
pub(super) fn username(name: &str) -> String {
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

/// How a known command is written, or that it is unknown.
fn usage_of(name: &str) -> String {
    let of_it = |line: &&str| {
        line.strip_prefix('/').and_then(|line| line.split_whitespace().next()) == Some(name)
    };
    match HELP.lines().find(of_it) {
        Some(line) => {
            let form = line.split("  ").next().unwrap_or(line);
            format!("write it so: {form}")
        }
        None => format!("/{name} is unknown; /help lists what there is"),
    }
}

fn usage(problem: &str) -> Failure {
    Failure::Usage(problem.into())
}
