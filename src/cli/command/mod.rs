//! What a user can ask for. `parse` reads it from a line, `once` from the command line; `help` lists it.

mod help;
mod parse;

use std::time::Duration;

pub(super) use self::{
    help::{HELP, names},
    parse::{conversation, history, parse, room, send, username},
};
use super::exit::Failure;

/// How many messages of a conversation are shown when nothing is said.
pub(super) const USUAL_HISTORY: u32 = 20;

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
    Edit { id: String, body: String },
    Search { query: String, conversation: String },
    Rooms { pattern: String },
    Join { room: String },
    Leave { room: String },
    Who { room: Option<String> },
    CreateRoom { room: String, topic: String, private: bool },
    Invite { username: String, room: String },
    Kick { username: String, room: String },
    Topic { room: String, topic: String },
    Transfer { room: String, username: String },
    CloseRoom { room: String },
    Status,
    Sessions,
    EndSession { id: String },
    ChangePassword,
    DeleteAccount,
    Outbox,
    DropOutbox,
    Wait { count: u64, within: Duration },
    Help,
    Quit,
}

/// Which passwords belong to a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Secrets {
    /// None.
    None,
    /// The one there is.
    Current,
    /// One that is being chosen.
    New,
    /// Both, the current one first.
    Both,
}

impl Command {
    /// Which passwords belong to it.
    pub(super) fn secrets(&self) -> Secrets {
        match self {
            Command::Create { .. } => Secrets::New,
            Command::Login { .. } | Command::DeleteAccount => Secrets::Current,
            Command::ChangePassword => Secrets::Both,
            _ => Secrets::None,
        }
    }

    /// The conversation that becomes the current one.
    pub(super) fn conversation(&self) -> Option<&str> {
        match self {
            Command::Send { conversation, .. }
            | Command::History { conversation, .. }
            | Command::Read { conversation } => Some(conversation),
            Command::Join { room } | Command::CreateRoom { room, .. } => Some(room),
            _ => None,
        }
    }

    /// The conversation that is the current one no more.
    pub(super) fn leaves(&self) -> Option<&str> {
        match self {
            Command::Leave { room } | Command::CloseRoom { room } => Some(room),
            _ => None,
        }
    }
}

fn usage(problem: &str) -> Failure {
    Failure::Usage(problem.into())
}
