//! What the reference makes of the other side's rooms and edits.
//!
//! A room is the same one on both sides if its id is; of two that have one name, the other side's gets a mark.
//! Closed on one side is closed. Topic, privacy and owner are the own ones if they changed here after the
//! divergence, else the other side's. Members are those of both sides but whom either let go after it. The own
//! edit stands if it was made after the divergence, else the other side's; what is deleted stays so.

use std::collections::BTreeMap;

use chinwag::chat::{MergedEdit, MergedRequest, MergedRoom, RoomId, RoomName};

use super::{Kept, MRoom, Model};

impl Model {
    pub(super) fn merge_room(&mut self, merged: &MergedRoom, request: Option<&MergedRequest>) {
        let known = request.and_then(|request| self.outcome_of(Some(request), request.call));
        // A call that was carried out here, or taken over before, has had its say.
        let said = known.as_ref().is_some_and(|kept| !matches!(kept, Kept::Refused(_)));
        let Some(key) = self.merged_room(merged, known) else { return };
        if self.conversations[&key].closed.is_some() {
            return;
        }
        if let Some(time) = merged.delete_time {
            self.close(key, time.0);
            return;
        }
        self.merge_changes(key, merged);
        if let Some((account, member)) = merged.membership.filter(|_| !said)
            && let Some(account) = self.key_of(account)
        {
            self.merge_move(key, account, member, merged.common);
        }
    }

    /// The room here: by its id, as the twin that its own call's repeat made, or a new one.
    fn merged_room(&mut self, merged: &MergedRoom, known: Option<Kept>) -> Option<u64> {
        if let Some(key) = self.room_by_id(merged.room) {
            return Some(key);
        }
        if let Some(Kept::Room(twin)) = known {
            self.room_aliases.insert(merged.room, twin);
            return Some(twin);
        }
        let room = MRoom {
            id: merged.room,
            name: self.free_name(&merged.name, merged.room),
            topic: merged.topic.as_str().to_owned(),
            private: merged.private,
            owner: self.key_of(merged.owner)?,
            open: 0,
            changed: self.seq,
            forsaken: false,
            moves: BTreeMap::new(),
        };
        self.begin_room(room);
        Some(self.seq)
    }

    pub(super) fn room_by_id(&self, id: RoomId) -> Option<u64> {
        let is = |key: &u64| self.conversations[key].room().is_some_and(|room| room.id == id);
        self.conversations.keys().copied().find(is).or_else(|| self.room_aliases.get(&id).copied())
    }

    fn free_name(&self, name: &RoomName, id: RoomId) -> RoomName {
        let marks = (0..).map(|attempt| name.marked(id, attempt));
        let mut names = std::iter::once(name.clone()).chain(marks);
        names.find(|name| self.open_room(name).is_none()).expect("some name is free")
    }

    fn merge_changes(&mut self, key: u64, merged: &MergedRoom) {
        if !merged.changed || self.room(key).changed > merged.common {
            return;
        }
        let Some(owner) = self.key_of(merged.owner) else { return };
        if self.lives(owner) && !self.is_in(key, owner) {
            self.come(key, owner);
        }
        let owner = if self.lives(owner) { owner } else { self.room(key).owner };
        self.change_room(key, merged.topic.as_str().to_owned(), merged.private, owner);
    }

    fn merge_move(&mut self, key: u64, account: u64, member: bool, common: u64) {
        let room = self.room(key);
        let newest = room.moves.get(&account);
        let removed = newest.is_some_and(|(entry, member)| *entry > common && !member);
        if member && !self.is_in(key, account) && self.lives(account) && !removed {
            self.come(key, account);
        } else if !member && self.is_in(key, account) && room.owner != account {
            self.go(key, account);
        }
    }

    pub(super) fn merge_edit(&mut self, merged: &MergedEdit) {
        let Some(key) = self.names.get(&merged.message).copied() else { return };
        let message = &self.messages[&key];
        let own = message.edited.is_some_and(|entry| entry > merged.common);
        let same = message.edit_time == Some(merged.time.0) && message.body == merged.body.as_str();
        if !message.is_gone() && !own && !same {
            self.rewrite(key, merged.body.as_str(), merged.time.0);
        }
    }
}
