//! What queries answer: rows as one viewer may see them.

use super::{
    id::{AccountId, MessageId, MessageSeq, SessionId, Timestamp},
    name::{AccountName, ConversationName, Username},
};

/// An account as everybody may see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Names it for ever.
    pub id: AccountId,
    /// Its name.
    pub username: Username,
    /// When it was created.
    pub create_time: Timestamp,
}

/// An account as an operator sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdministeredAccount {
    /// As everybody may see it.
    pub account: Account,
    /// Whether nobody may log in to it.
    pub disabled: bool,
    /// On how many devices it is logged in.
    pub sessions: i64,
    /// When the last of them was used; none if there is none.
    pub last_used: Option<Timestamp>,
}

/// A message from one viewer's side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Names it for ever.
    pub id: MessageId,
    /// The conversation, from the viewer's side.
    pub conversation: ConversationName,
    /// Its place there.
    pub seq: MessageSeq,
    /// Its author.
    pub sender: AccountName,
    /// Its text; empty when deleted.
    pub body: String,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// When the leader took it.
    pub create_time: Timestamp,
    /// When it was last edited.
    pub edit_time: Option<Timestamp>,
    /// When it reached a device of its recipient; direct messages only.
    pub received_time: Option<Timestamp>,
    /// Whether it was deleted, or removed from the viewer's own view.
    pub deleted: bool,
    /// The names that it mentions.
    pub mentions: Vec<Username>,
}

impl Message {
    /// The same message where it is gone.
    pub fn without_content(self) -> Message {
        Message { body: String::new(), deleted: true, mentions: Vec::new(), ..self }
    }
}

/// A conversation from one viewer's side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conversation {
    /// Its address for this viewer.
    pub name: ConversationName,
    /// A room's topic.
    pub topic: String,
    /// Whether a room is by invitation only.
    pub private: bool,
    /// A room's owner.
    pub owner: Option<AccountName>,
    /// The seq of the newest message; 0 before the first.
    pub last_seq: MessageSeq,
    /// How far the viewer has read.
    pub read_seq: MessageSeq,
    /// Others' undeleted messages after `read_seq`.
    pub unread_count: i64,
    /// Those of them that mention the viewer.
    pub mention_count: i64,
    /// The newest message.
    pub last_message: Option<Message>,
    /// Whether the viewer is a member.
    pub member: bool,
}

/// A member of a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The account's name.
    pub username: Username,
    /// When it came in.
    pub join_time: Timestamp,
    /// Whether it owns the room.
    pub owner: bool,
}

/// A session as its account may see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Names it.
    pub id: SessionId,
    /// What the device called itself.
    pub device_name: String,
    /// When it began.
    pub create_time: Timestamp,
    /// When it was last used, to the hour.
    pub last_used_time: Timestamp,
}
