//! Conversations by key, by name and by whoever is in them.

use chinwag::chat::{AccountName, ConversationName, Refusal, RoomName};

use super::{MConversation, MRoom, Model, Place, Result};

impl Model {
    pub(super) fn conversation(&mut self, key: u64) -> &mut MConversation {
        self.conversations.get_mut(&key).expect("a known conversation")
    }

    pub(super) fn room(&self, key: u64) -> &MRoom {
        self.conversations[&key].room().expect("a room")
    }

    pub(super) fn room_mut(&mut self, key: u64) -> &mut MRoom {
        match &mut self.conversation(key).place {
            Place::Room(room) => room,
            Place::Direct(..) => unreachable!("a room"),
        }
    }

    pub(super) fn is_in(&self, key: u64, account: u64) -> bool {
        self.conversations[&key].members.contains_key(&account)
    }

    /// The room that has this name.
    pub(super) fn open_room(&self, name: &RoomName) -> Option<u64> {
        let mut open = self.conversations.iter().filter(|(_, one)| one.closed.is_none());
        open.find(|(_, one)| one.room().is_some_and(|room| room.name == *name)).map(|(key, _)| *key)
    }

    pub(super) fn direct(&self, one: u64, other: u64) -> Option<u64> {
        let (low, high) = (one.min(other), one.max(other));
        let found = self
            .conversations
            .iter()
            .find(|(_, one)| matches!(one.place, Place::Direct(l, h) if (l, h) == (low, high)));
        found.map(|(key, _)| *key)
    }

    /// A conversation as a member finds it by its address; `None` for a direct one that nobody has begun.
    /// Strangers are not told whether there is a private room.
    pub(super) fn find(&self, viewer: u64, name: &ConversationName) -> Result<Option<u64>> {
        match name {
            ConversationName::Direct(other) => {
                let other = match other {
                    AccountName::Named(name) => self.named(name.as_str()),
                    AccountName::Deleted(id) => self.key_of(*id).filter(|key| !self.lives(*key)),
                };
                Ok(self.direct(viewer, other.ok_or(Refusal::NoSuchAccount)?))
            }
            ConversationName::Room(name) => {
                let room = self.open_room(name).ok_or(Refusal::NoSuchRoom)?;
                match (self.is_in(room, viewer), self.room(room).private) {
                    (true, _) => Ok(Some(room)),
                    (false, true) => Err(Refusal::NoSuchRoom),
                    (false, false) => Err(Refusal::NotAllowed),
                }
            }
        }
    }

    pub(super) fn room_of_member(&self, viewer: u64, name: &RoomName) -> Result<u64> {
        let found = self.find(viewer, &ConversationName::Room(name.clone()))?;
        found.ok_or(Refusal::NoSuchRoom)
    }

    pub(super) fn room_of_owner(&self, actor: u64, name: &RoomName) -> Result<u64> {
        let room = self.room_of_member(actor, name)?;
        if self.room(room).owner == actor { Ok(room) } else { Err(Refusal::NotAllowed) }
    }
}
