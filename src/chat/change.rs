//! What subscribers are told.

use std::collections::BTreeMap;

use super::{
    audience::Audience,
    id::{AccountId, MessageSeq, SessionId},
    name::{AccountName, ConversationName, RoomName, Username},
    view::Message,
};

/// One thing that an update changed, for those who may know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The log position that changed it.
    pub log_seq: u64,
    /// Who is told.
    pub audience: Audience,
    /// What changed.
    pub kind: ChangeKind,
}

/// What changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// A new message.
    MessageCreated(Box<Posted>),
    /// A message was edited or received.
    MessageChanged(Box<Posted>),
    /// A message is gone: for everyone, or from the view of the only account in the audience.
    MessageDeleted(Box<Posted>),
    /// The read marker of the only account in the audience moved.
    ReadMoved {
        /// From that account's side.
        conversation: ConversationName,
        /// Where it is now.
        read_seq: MessageSeq,
        /// Others' undeleted messages after it.
        unread_count: i64,
    },
    /// Somebody came to a room or left it.
    MembershipChanged {
        /// Which room.
        room: RoomName,
        /// Who.
        account: AccountName,
        /// Whether the account is a member now.
        member: bool,
    },
    /// A room's topic, privacy or owner changed.
    RoomChanged(Box<RoomState>),
    /// A room was closed. Every account in the audience is told that it is a member no more.
    RoomDeleted {
        /// Which room.
        room: RoomName,
        /// How each account in the audience is called.
        members: BTreeMap<AccountId, AccountName>,
    },
    /// An account was renamed or deleted.
    AccountChanged {
        /// Its name by now.
        username: Username,
        /// Whether it is gone.
        deleted: bool,
    },
    /// Whoever keeps this session in memory reads it anew: it ended, or has another token. Its
    /// account is the only one in the audience; no event of a subscriber.
    SessionChanged {
        /// Which.
        session: SessionId,
        /// Whether it ended.
        ended: bool,
    },
}

/// A message together with its place, so that it can be shown to every side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Posted {
    /// Where it stands.
    pub place: Place,
    /// As its author sees it.
    pub message: Message,
}

/// A room as all its members see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomState {
    /// Its name.
    pub room: RoomName,
    /// What it is about.
    pub topic: String,
    /// Whether it is by invitation only.
    pub private: bool,
    /// Who owns it.
    pub owner: Option<AccountName>,
}

/// A conversation from nobody's side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A direct conversation: its two sides, which are equal when somebody writes to themselves.
    Direct([(AccountId, AccountName); 2]),
    /// A room.
    Room(RoomName),
}

impl Place {
    /// How the viewer calls it.
    pub fn seen_by(&self, viewer: AccountId) -> ConversationName {
        match self {
            Place::Direct([(one, name), (_, other_name)]) => {
                let other = if *one == viewer { other_name } else { name };
                ConversationName::Direct(other.clone())
            }
            Place::Room(room) => ConversationName::Room(room.clone()),
        }
    }
}

/// A change from one viewer's side: what one event of a subscriber says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Happening {
    /// A new message.
    MessageCreated(Box<Message>),
    /// A message was edited or received.
    MessageChanged(Box<Message>),
    /// A message is gone.
    MessageDeleted(Box<Message>),
    /// The viewer's read marker moved.
    ReadMoved {
        /// Which conversation.
        conversation: ConversationName,
        /// Where it is now.
        read_seq: MessageSeq,
        /// Others' undeleted messages after it.
        unread_count: i64,
    },
    /// Somebody came to a room or left it.
    MembershipChanged {
        /// Which room.
        room: RoomName,
        /// Who.
        account: AccountName,
        /// Whether the account is a member now.
        member: bool,
    },
    /// A room's topic, privacy or owner changed.
    RoomChanged(Box<RoomState>),
    /// Somebody is typing.
    Typing {
        /// Where.
        conversation: ConversationName,
        /// Who.
        account: AccountName,
    },
    /// Somebody came or went.
    Presence {
        /// Who.
        account: AccountName,
        /// Whether this account is there.
        online: bool,
    },
    /// An account was renamed or deleted.
    AccountChanged {
        /// Its name by now.
        username: Username,
        /// Whether it is gone.
        deleted: bool,
    },
}

impl Change {
    /// What this viewer is told; `None` for whoever is not in the audience, and for what is no event.
    pub fn seen_by(&self, viewer: AccountId) -> Option<Happening> {
        if !self.audience.contains(viewer) {
            return None;
        }
        match &self.kind {
            ChangeKind::MessageCreated(posted) => {
                Some(Happening::MessageCreated(Box::new(posted.seen_by(viewer))))
            }
            ChangeKind::MessageChanged(posted) => {
                Some(Happening::MessageChanged(Box::new(posted.seen_by(viewer))))
            }
            ChangeKind::MessageDeleted(posted) => {
                Some(Happening::MessageDeleted(Box::new(posted.seen_by(viewer).without_content())))
            }
            ChangeKind::ReadMoved { conversation, read_seq, unread_count } => {
                Some(Happening::ReadMoved {
                    conversation: conversation.clone(),
                    read_seq: *read_seq,
                    unread_count: *unread_count,
                })
            }
            ChangeKind::MembershipChanged { room, account, member } => {
                let (room, account) = (room.clone(), account.clone());
                Some(Happening::MembershipChanged { room, account, member: *member })
            }
            ChangeKind::RoomChanged(state) => Some(Happening::RoomChanged(state.clone())),
            ChangeKind::RoomDeleted { room, members } => {
                let account = members.get(&viewer)?.clone();
                Some(Happening::MembershipChanged { room: room.clone(), account, member: false })
            }
            ChangeKind::AccountChanged { username, deleted } => {
                Some(Happening::AccountChanged { username: username.clone(), deleted: *deleted })
            }
            ChangeKind::SessionChanged { .. } => None,
        }
    }
}

impl Posted {
    /// The message as this viewer sees it.
    pub fn seen_by(&self, viewer: AccountId) -> Message {
        Message { conversation: self.place.seen_by(viewer), ..self.message.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{MessageId, Timestamp};

    fn side(id: u8, name: &str) -> (AccountId, AccountName) {
        (AccountId([id; 16]), AccountName::Named(Username::parse(name).unwrap()))
    }

    #[test]
    fn each_side_sees_a_direct_message_under_the_other_ones_name_and_nobody_else_sees_it() {
        let (alice, bob) = (side(1, "alice"), side(2, "bob"));
        let place = Place::Direct([alice.clone(), bob.clone()]);
        let message = Message {
            id: MessageId::natural(1, 1, 9),
            conversation: place.seen_by(alice.0),
            seq: 1,
            sender: alice.1,
            body: "hi".into(),
            reply_to: None,
            create_time: Timestamp(5),
            edit_time: None,
            received_time: None,
            deleted: false,
            mentions: vec![],
        };
        let change = Change {
            log_seq: 9,
            audience: vec![alice.0, bob.0].into(),
            kind: ChangeKind::MessageCreated(Box::new(Posted { place, message })),
        };
        let name_for = |viewer| match change.seen_by(viewer) {
            Some(Happening::MessageCreated(message)) => message.conversation.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(name_for(alice.0), "@bob");
        assert_eq!(name_for(bob.0), "@alice");
        assert_eq!(change.seen_by(AccountId([3; 16])), None);
    }
}
