//! Conversations and who is in them: the direct ones of two accounts, and rooms.

use std::collections::{BTreeMap, BTreeSet};

use chinwag::chat::{
    CreateRoom, MessageSeq, Outcome, Refusal, RoomId, RoomName, UpdateRoom, Username,
};

use super::{Model, Result};

/// A conversation of either kind.
pub(crate) struct MConversation {
    pub(crate) place: Place,
    pub(crate) messages: Vec<u64>,
    pub(crate) members: BTreeMap<u64, MMember>,
    /// The entry that changed it last.
    pub(crate) touched: u64,
    /// When its last reader went, or the room was closed.
    pub(crate) closed: Option<i64>,
    /// The bodies up to this message went with the last reader.
    pub(crate) purged: MessageSeq,
    /// Everybody who was ever in it: who, from which entry, up to which, and after which message.
    pub(crate) stays: Vec<Stay>,
}

pub(crate) enum Place {
    /// Of these two, who may be one.
    Direct(u64, u64),
    Room(MRoom),
}

pub(crate) struct MRoom {
    pub(crate) id: RoomId,
    pub(crate) name: RoomName,
    pub(crate) topic: String,
    pub(crate) private: bool,
    pub(crate) owner: u64,
    /// Whoever joins the public room sees what came after this message.
    pub(crate) open: MessageSeq,
    /// The entry that changed topic, privacy or owner last.
    pub(crate) changed: u64,
    /// It was closed because its owner's account ended and nobody else was in it.
    pub(crate) forsaken: bool,
    /// The newest coming or going of each account.
    pub(crate) moves: BTreeMap<u64, (u64, bool)>,
}

pub(crate) struct MMember {
    /// What is after this message is for this member's eyes.
    pub(crate) joined: MessageSeq,
    pub(crate) read: MessageSeq,
    pub(crate) join_time: i64,
    /// The entry that let it into a room.
    pub(crate) join_entry: u64,
}

pub(crate) struct Stay {
    pub(crate) account: u64,
    pub(crate) from: u64,
    pub(crate) until: Option<u64>,
    pub(crate) joined: MessageSeq,
}

impl MConversation {
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.place, Place::Direct(..))
    }

    pub(crate) fn room(&self) -> Option<&MRoom> {
        match &self.place {
            Place::Room(room) => Some(room),
            Place::Direct(..) => None,
        }
    }
}

impl Model {
    pub(super) fn create_room(&mut self, actor: u64, create: &CreateRoom) -> Result<Outcome> {
        if let Some(holder) = self.open_room(&create.room) {
            if !self.conversations[&holder].members.is_empty() {
                return Err(Refusal::NameTaken);
            }
            self.close(holder, self.time);
        }
        let room = MRoom {
            id: create.id,
            name: create.room.clone(),
            topic: create.topic.as_str().to_owned(),
            private: create.private,
            owner: actor,
            open: 0,
            changed: self.seq,
            forsaken: false,
            moves: BTreeMap::new(),
        };
        self.begin_room(room);
        Ok(self.stands(self.seq, actor))
    }

    /// With its owner as the only member, if that account lives.
    pub(super) fn begin_room(&mut self, room: MRoom) {
        let owner = room.owner;
        self.begin_conversation(Place::Room(room));
        if self.lives(owner) {
            self.admit(self.seq, owner);
        }
    }

    fn begin_conversation(&mut self, place: Place) {
        let conversation = MConversation {
            place,
            messages: Vec::new(),
            members: BTreeMap::new(),
            touched: self.seq,
            closed: None,
            purged: 0,
            stays: Vec::new(),
        };
        self.conversations.insert(self.seq, conversation);
    }

    /// A direct conversation; a deleted account takes no part in it.
    pub(super) fn begin_direct(&mut self, one: u64, other: u64) -> u64 {
        self.begin_conversation(Place::Direct(one.min(other), one.max(other)));
        for side in BTreeSet::from([one, other]) {
            if self.lives(side) {
                let join_time = self.time;
                let member = MMember { joined: 0, read: 0, join_time, join_entry: 0 };
                let seq = self.seq;
                let stay = Stay { account: side, from: seq, until: None, joined: 0 };
                let conversation = self.conversation(seq);
                conversation.members.insert(side, member);
                conversation.stays.push(stay);
            }
        }
        self.seq
    }

    pub(super) fn join(&mut self, actor: u64, name: &RoomName) -> Result<Outcome> {
        let room = self.open_room(name).ok_or(Refusal::NoSuchRoom)?;
        if !self.is_in(room, actor) {
            if self.room(room).private {
                return Err(Refusal::NoSuchRoom);
            }
            self.come(room, actor);
        }
        Ok(self.stands(room, actor))
    }

    pub(super) fn leave(&mut self, actor: u64, name: &RoomName) -> Result<Outcome> {
        let room = self.room_of_member(actor, name)?;
        if self.room(room).owner == actor {
            return Err(Refusal::OwnerStays);
        }
        self.go(room, actor);
        Ok(Outcome::RoomChanged)
    }

    pub(super) fn add_member(
        &mut self,
        actor: u64,
        name: &RoomName,
        whom: &Username,
    ) -> Result<Outcome> {
        let room = self.room_of_member(actor, name)?;
        if self.room(room).private && self.room(room).owner != actor {
            return Err(Refusal::NotAllowed);
        }
        let whom = self.named(whom.as_str()).ok_or(Refusal::NoSuchAccount)?;
        if !self.is_in(room, whom) {
            self.come(room, whom);
        }
        Ok(Outcome::RoomChanged)
    }

    pub(super) fn remove_member(
        &mut self,
        actor: u64,
        name: &RoomName,
        whom: &Username,
    ) -> Result<Outcome> {
        let room = self.room_of_owner(actor, name)?;
        let whom = self.named(whom.as_str()).ok_or(Refusal::NoSuchAccount)?;
        if whom == actor {
            return Err(Refusal::OwnerStays);
        }
        if self.is_in(room, whom) {
            self.go(room, whom);
        }
        Ok(Outcome::RoomChanged)
    }

    pub(super) fn update_room(&mut self, actor: u64, wanted: &UpdateRoom) -> Result<Outcome> {
        let key = self.room_of_owner(actor, &wanted.room)?;
        let room = self.room(key);
        let topic = wanted.topic.as_ref().map_or(room.topic.as_str(), |topic| topic.as_str());
        let (topic, private) = (topic.to_owned(), wanted.private.unwrap_or(room.private));
        if topic != room.topic || private != room.private {
            self.change_room(key, topic, private, actor);
        }
        Ok(self.stands(key, actor))
    }

    /// What was said while it was private stays with those who were there.
    pub(super) fn change_room(&mut self, key: u64, topic: String, private: bool, owner: u64) {
        let seq = self.seq;
        let newest = self.conversations[&key].messages.len() as i64;
        let room = self.room_mut(key);
        if room.private && !private {
            room.open = newest;
        }
        room.topic = topic;
        room.private = private;
        room.owner = owner;
        room.changed = seq;
        self.conversation(key).touched = seq;
    }

    pub(super) fn transfer(
        &mut self,
        actor: u64,
        name: &RoomName,
        heir: &Username,
    ) -> Result<Outcome> {
        let room = self.room_of_owner(actor, name)?;
        let heir = self.named(heir.as_str()).ok_or(Refusal::NoSuchAccount)?;
        if !self.is_in(room, heir) {
            return Err(Refusal::NoMember);
        }
        if heir != actor {
            self.hand_on(room, heir);
        }
        Ok(Outcome::RoomChanged)
    }

    pub(super) fn delete_room(&mut self, actor: u64, name: &RoomName) -> Result<Outcome> {
        let room = self.room_of_owner(actor, name)?;
        self.close(room, self.time);
        Ok(Outcome::RoomChanged)
    }

    fn hand_on(&mut self, key: u64, heir: u64) {
        let room = self.room(key);
        self.change_room(key, room.topic.clone(), room.private, heir);
    }

    /// Nobody is in it any more, and its name is free.
    pub(super) fn close(&mut self, key: u64, time: i64) {
        let members: Vec<u64> = self.conversations[&key].members.keys().copied().collect();
        for member in members {
            self.go(key, member);
        }
        let seq = self.seq;
        let conversation = self.conversation(key);
        conversation.closed = Some(time);
        conversation.touched = seq;
    }

    /// Somebody comes to a room, and owns it if its owner is not there.
    pub(super) fn come(&mut self, key: u64, account: u64) {
        self.admit(key, account);
        if !self.is_in(key, self.room(key).owner) {
            self.hand_on(key, account);
        }
    }

    /// A newcomer of a public room sees it from where it was private last, one of a private room from now on.
    fn admit(&mut self, key: u64, account: u64) {
        let (seq, join_time) = (self.seq, self.time);
        let newest = self.conversations[&key].messages.len() as i64;
        let room = self.room_mut(key);
        let joined = if room.private { newest } else { room.open };
        room.moves.insert(account, (seq, true));
        let conversation = self.conversation(key);
        conversation.touched = seq;
        let member = MMember { joined, read: newest, join_time, join_entry: seq };
        conversation.members.insert(account, member);
        conversation.stays.push(Stay { account, from: seq, until: None, joined });
    }

    pub(super) fn go(&mut self, key: u64, account: u64) {
        let seq = self.seq;
        self.room_mut(key).moves.insert(account, (seq, false));
        self.part(key, account);
        self.conversation(key).touched = seq;
    }

    fn part(&mut self, key: u64, account: u64) {
        let seq = self.seq;
        let conversation = self.conversation(key);
        conversation.members.remove(&account);
        let stays = conversation.stays.iter_mut();
        stays
            .filter(|stay| stay.account == account && stay.until.is_none())
            .for_each(|stay| stay.until = Some(seq));
    }

    /// The rooms of an account that ends go to whoever has been there longest; what nobody is left to read
    /// of its direct conversations is gone.
    pub(super) fn leave_everything(&mut self, account: u64) {
        let all = self.conversations.keys().copied();
        let own: Vec<u64> = all.filter(|key| self.is_in(*key, account)).collect();
        for key in own {
            if self.conversations[&key].is_direct() {
                self.leave_direct(key, account);
            } else {
                self.leave_room(key, account);
            }
        }
    }

    fn leave_direct(&mut self, key: u64, account: u64) {
        self.part(key, account);
        if !self.conversations[&key].members.is_empty() {
            return;
        }
        let conversation = self.conversation(key);
        // Older than everything that expires.
        conversation.closed = Some(i64::MIN);
        conversation.purged = conversation.messages.len() as i64;
        for message in self.conversations[&key].messages.clone() {
            self.message(message).purged = true;
        }
    }

    fn leave_room(&mut self, key: u64, account: u64) {
        if self.room(key).owner == account {
            let others =
                self.conversations[&key].members.iter().filter(|(who, _)| **who != account);
            let heir = others
                .min_by_key(|(who, member)| (member.join_entry, member.join_time, **who))
                .map(|(who, _)| *who);
            let Some(heir) = heir else {
                self.close(key, self.time);
                self.room_mut(key).forsaken = true;
                return;
            };
            self.hand_on(key, heir);
        }
        self.go(key, account);
    }
}
