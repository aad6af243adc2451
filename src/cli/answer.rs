//! What a command is answered with, as data; `text` and `json` write it down.

use crate::{
    client::ServerAnswer,
    wire::chat::{Account, Conversation, Message},
};

/// An answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// There is a session now; `created` if the account is new.
    LoggedIn { username: String, created: bool },
    /// The session has ended.
    LoggedOut,
    /// Accounts, in the order of their names.
    Accounts(Vec<Account>),
    /// The message as it stands in its conversation.
    Sent(Message),
    /// Conversations with their unread messages.
    Inbox(Vec<InboxEntry>),
    /// Messages by rising seq.
    History { messages: Vec<Message>, has_more: bool },
    /// Where the read marker is.
    Read { conversation: String, read_seq: i64 },
    /// So many messages are gone.
    Deleted(usize),
    /// What each server said.
    Status(Vec<ServerAnswer>),
    /// So many live messages came.
    Waited(u64),
    /// The lines there are.
    Help,
}

/// One conversation of an inbox.
#[derive(Clone, Debug)]
pub(super) struct InboxEntry {
    /// The conversation.
    pub(super) conversation: Conversation,
    /// Others' unread messages, the oldest ones if there are many.
    pub(super) unread: Vec<Message>,
}

impl Answer {
    /// The messages that the user sees by it.
    pub(super) fn messages(&self) -> Vec<&Message> {
        match self {
            Answer::Inbox(entries) => entries.iter().flat_map(|entry| &entry.unread).collect(),
            Answer::History { messages, .. } => messages.iter().collect(),
            _ => Vec::new(),
        }
    }
}
