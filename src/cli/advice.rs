//! What to do next, as it is typed: after a refusal, for the servers' own words know of no lines and no
//! commands, and after an answer that a newcomer may wonder about.

use super::{
    answer::{Answer, RoomNews},
    command::Command,
    exit::Failure,
};
use crate::client::Error;

/// Where the user types, which decides how a command is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// In a session: `/join #games`.
    Session,
    /// In a shell, where a bare # begins a comment: `client join games`.
    Shell,
}

impl Place {
    fn form(self, words: &str) -> String {
        match self {
            Place::Session => format!("/{words}"),
            Place::Shell => format!("client {}", words.replace(" #", " ")),
        }
    }
}

/// The failure of a command, with what can be done about it where there is something to say.
pub(super) fn advised(failure: Failure, command: Option<&Command>, place: Place) -> Failure {
    let Failure::Call(error) = &failure else { return failure };
    match advice(error, command, place) {
        Some(advice) => Failure::Advised { failure: Box::new(failure), advice },
        None => failure,
    }
}

/// What can be done about it.
pub(super) fn advice(error: &Error, command: Option<&Command>, place: Place) -> Option<String> {
    let form = |words: &str| place.form(words);
    match (error, command) {
        (Error::NotLoggedIn { .. }, _) => Some(format!(
            "{}, or {} if you have no account",
            form("login USER"),
            form("create USER")
        )),
        (Error::Refused(refusal), Some(command)) => match refusal.reason.as_str() {
            "NAME_TAKEN" => taken(command, place),
            "BAD_CREDENTIALS" => Some(credentials(command, place)),
            "NO_SUCH_ACCOUNT" => Some(format!("{} lists who there is", form("users"))),
            "NO_SUCH_ROOM" => Some(format!(
                "{} lists those that you can see, {} creates one",
                form("rooms"),
                form("room #ROOM")
            )),
            "NO_SUCH_MESSAGE" => {
                Some(format!("{} shows ids, at the end of each line", form("history @USER|#ROOM")))
            }
            "NO_SUCH_SESSION" => Some(format!("{} shows ids", form("sessions"))),
            "NOT_ALLOWED" => not_allowed(command, place),
            _ => None,
        },
        _ => None,
    }
}

fn taken(command: &Command, place: Place) -> Option<String> {
    Some(match command {
        Command::Create { username } => {
            format!("or {} if it is yours", place.form(&format!("login {username}")))
        }
        Command::CreateRoom { room, .. } => {
            format!("or {} if you meant that one", place.form(&format!("join {room}")))
        }
        _ => return None,
    })
}

fn credentials(command: &Command, place: Place) -> String {
    match command {
        Command::ChangePassword | Command::DeleteAccount => {
            "what is asked for first is the password that you log in with; nothing was changed"
                .into()
        }
        _ => format!("try again, or {} if you have no account", place.form("create USER")),
    }
}

/// Who is not in a room, does not own it, or did not write a message.
fn not_allowed(command: &Command, place: Place) -> Option<String> {
    let form = |words: String| place.form(&words);
    let owner = || format!("{} shows who owns a room", place.form("rooms"));
    let joining = |room: &str| format!("{} brings you in", form(format!("join {room}")));
    Some(match command {
        Command::Send { conversation: room, .. }
        | Command::History { conversation: room, .. }
        | Command::Read { conversation: room }
        | Command::Search { conversation: room, .. }
            if room.starts_with('#') =>
        {
            joining(room)
        }
        Command::Who { room: Some(room) } => joining(room),
        Command::Edit { .. } => "you did not write this one; answer it by a message".into(),
        Command::Delete { .. } => {
            "in a room, only who wrote a message deletes it; nothing was deleted".into()
        }
        Command::Invite { room, .. } => {
            format!(
                "{}; into a private room its owner alone brings others: {}",
                joining(room),
                owner()
            )
        }
        Command::Leave { room } => format!(
            "its owner hands it on first by {}, or closes it by {}",
            form(format!("transfer {room} @USER")),
            form(format!("close-room {room}"))
        ),
        Command::Transfer { room, username } => {
            format!("{}, {} adds a member", owner(), form(format!("invite @{username} {room}")))
        }
        Command::Kick { .. } | Command::Topic { .. } | Command::CloseRoom { .. } => owner(),
        _ => return None,
    })
}

/// What a newcomer to a session may want to do after an answer.
pub(super) fn next_step(answer: &Answer) -> Option<&'static str> {
    Some(match answer {
        Answer::LoggedIn { created: true, .. } => {
            "/users lists who is here, /rooms what you can join; /msg @USER TEXT writes to somebody"
        }
        Answer::LoggedOut | Answer::AccountDeleted => "/login USER or /create USER to go on",
        Answer::Room(RoomNews::Created, room) if room.private => {
            "/invite @USER #ROOM brings others in; what you type now goes to this room"
        }
        Answer::Room(RoomNews::Created, _) => {
            "others find it by /rooms; what you type now goes to this room"
        }
        Answer::Room(RoomNews::Joined, _) => {
            "what you type now goes to this room; /who lists who is in it, /history #ROOM what was said"
        }
        Answer::Inbox(entries) if entries.is_empty() => {
            "/users lists who is here, /msg @USER TEXT writes to somebody"
        }
        Answer::Inbox(entries)
            if entries.iter().any(|entry| entry.conversation.unread_count > 0) =>
        {
            "/read @USER or /read #ROOM marks as read, and so does writing there"
        }
        Answer::Rooms(rooms) if rooms.is_empty() => "/room #ROOM creates one",
        Answer::Found { messages, .. } if messages.is_empty() => {
            "what was said just now is found a second later; beg* finds words that begin so"
        }
        Answer::History { messages, .. } if !messages.is_empty() => {
            "what stands in parentheses is what /edit and /delete want; the Tab key knows it too"
        }
        _ => return None,
    })
}
