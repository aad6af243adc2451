//! Views and happenings as users' clients get them.

use prost_types::Timestamp as WireTimestamp;

use super::chat as wire;
use crate::chat::{Account, Conversation, Happening, Member, Message, Session, Timestamp};

const MICROS: i64 = 1_000_000;

/// The well-known form of a time.
pub fn timestamp(time: Timestamp) -> WireTimestamp {
    WireTimestamp {
        seconds: time.0.div_euclid(MICROS),
        nanos: (time.0.rem_euclid(MICROS) * 1_000) as i32,
    }
}

impl From<Account> for wire::Account {
    fn from(account: Account) -> wire::Account {
        wire::Account {
            username: account.username.to_string(),
            create_time: Some(timestamp(account.create_time)),
        }
    }
}

impl From<Message> for wire::Message {
    fn from(message: Message) -> wire::Message {
        wire::Message {
            message_id: message.id.to_string(),
            conversation: message.conversation.to_string(),
            seq: message.seq,
            sender: message.sender.to_string(),
            body: message.body,
            reply_to: message.reply_to.map(|id| id.to_string()).unwrap_or_default(),
            create_time: Some(timestamp(message.create_time)),
            edit_time: message.edit_time.map(timestamp),
            received_time: message.received_time.map(timestamp),
            deleted: message.deleted,
            mentions: message.mentions.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<Conversation> for wire::Conversation {
    fn from(conversation: Conversation) -> wire::Conversation {
        wire::Conversation {
            conversation: conversation.name.to_string(),
            topic: conversation.topic,
            private: conversation.private,
            owner: conversation.owner.map(|name| name.to_string()).unwrap_or_default(),
            last_seq: conversation.last_seq,
            read_seq: conversation.read_seq,
            unread_count: conversation.unread_count,
            mention_count: conversation.mention_count,
            last_message: conversation.last_message.map(Into::into),
            member: conversation.member,
        }
    }
}

impl From<Member> for wire::Member {
    fn from(member: Member) -> wire::Member {
        wire::Member {
            username: member.username.to_string(),
            join_time: Some(timestamp(member.join_time)),
            owner: member.owner,
        }
    }
}

/// A session; whether it is the caller's is for the caller's side to say.
impl From<Session> for wire::Session {
    fn from(session: Session) -> wire::Session {
        wire::Session {
            session_id: session.id.to_string(),
            device_name: session.device_name,
            create_time: Some(timestamp(session.create_time)),
            last_used_time: Some(timestamp(session.last_used_time)),
            current: false,
        }
    }
}

impl From<Happening> for wire::event::Kind {
    fn from(happening: Happening) -> wire::event::Kind {
        use wire::event::Kind;
        match happening {
            Happening::MessageCreated(message) => Kind::MessageCreated((*message).into()),
            Happening::MessageChanged(message) => Kind::MessageChanged((*message).into()),
            Happening::MessageDeleted(message) => Kind::MessageDeleted((*message).into()),
            Happening::ReadMoved { conversation, read_seq, unread_count } => {
                let conversation = conversation.to_string();
                Kind::ReadMoved(wire::ReadMoved { conversation, read_seq, unread_count })
            }
            Happening::MembershipChanged { room, account, member } => {
                Kind::MembershipChanged(wire::MembershipChanged {
                    conversation: format!("#{room}"),
                    username: account.to_string(),
                    member,
                })
            }
            Happening::Typing { conversation, account } => Kind::Typing(wire::Typing {
                conversation: conversation.to_string(),
                username: account.to_string(),
            }),
            Happening::Presence { account, online } => {
                Kind::Presence(wire::Presence { username: account.to_string(), online })
            }
            Happening::RoomChanged(state) => Kind::RoomChanged(wire::RoomChanged {
                conversation: format!("#{}", state.room),
                topic: state.topic,
                private: state.private,
                owner: state.owner.map(|owner| owner.to_string()).unwrap_or_default(),
            }),
            Happening::AccountChanged { username, deleted } => {
                Kind::AccountChanged(wire::AccountChanged {
                    username: username.to_string(),
                    deleted,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_well_formed_too() {
        assert_eq!(timestamp(Timestamp(-1)), WireTimestamp { seconds: -1, nanos: 999_999_000 });
        assert_eq!(
            timestamp(Timestamp(1_500_000)),
            WireTimestamp { seconds: 1, nanos: 500_000_000 }
        );
    }
}
