//! What a command is answered with, as data; `text` and `json` write it down.

use super::outbox::Unsent;
use crate::{
    client::ServerAnswer,
    wire::chat::{Account, Conversation, Member, Message, Session, Snippet},
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
    /// The user's own account.
    Me(Account),
    /// The message as it stands in its conversation.
    Sent(Message),
    /// The message waits for a leader, behind others if there are any.
    Queued(usize),
    /// Conversations with their unread messages.
    Inbox(Vec<InboxEntry>),
    /// Messages by rising seq.
    History { messages: Vec<Message>, has_more: bool },
    /// Messages of any conversation, the best first.
    Found { messages: Vec<FoundMessage>, has_more: bool },
    /// Where the read marker is.
    Read { conversation: String, read_seq: i64 },
    /// So many messages are gone.
    Deleted(usize),
    /// The message with its new body.
    Edited(Message),
    /// Rooms, in the order of their names.
    Rooms(Vec<Conversation>),
    /// The members of a room.
    Members { room: String, members: Vec<Member> },
    /// A room as it is now, and what happened to it.
    Room(RoomNews, Conversation),
    /// What happened to a room that there is no more to say of.
    Gone(RoomNews, String),
    /// What happened to somebody in a room.
    Member { room: String, username: String, news: MemberNews },
    /// What each server said.
    Status(Vec<ServerAnswer>),
    /// Where the account is logged in, oldest first.
    Sessions(Vec<Session>),
    /// A session of the account has ended.
    SessionEnded(String),
    /// The password is another one; other sessions have ended.
    PasswordChanged,
    /// The account is gone, and the session with it.
    AccountDeleted,
    /// What is typed and not sent yet.
    Outbox(Vec<Unsent>),
    /// So many lines will not be sent.
    Dropped(usize),
    /// So many live messages came.
    Waited(u64),
    /// The lines there are.
    Help,
}

/// What happened to a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RoomNews {
    Created,
    Joined,
    Changed,
    Left,
    Closed,
}

/// What happened to a member of a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MemberNews {
    Added,
    Removed,
    Owner,
}

/// A message that a search found.
#[derive(Clone, Debug)]
pub(super) struct FoundMessage {
    /// The message.
    pub(super) message: Message,
    /// What to show of it; empty from a server that does not say.
    pub(super) snippet: Snippet,
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
            Answer::Found { messages, .. } => messages.iter().map(|found| &found.message).collect(),
            _ => Vec::new(),
        }
    }
}
