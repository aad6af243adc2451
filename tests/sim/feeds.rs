//! What subscribers were told against the model: everything that was for their eyes, once and in order, and
//! nothing else. A feed alone must be enough to know how things stand.

use std::collections::BTreeMap;

use chinwag::{
    chat::MessageId,
    cluster::Seq,
    rpc::Cursor,
    wire::chat::{Event, Message, event::Kind},
};

use crate::{
    calls::Feed,
    model::{MConversation, MMessage, Model, Place, Stay},
};

/// What is wrong with a feed, if anything. After a split what was merged is told again, at its new place.
/// A history may be gone with a disk although nothing that was acknowledged is.
pub(crate) fn check(model: &Model, feed: &Feed, split: bool, lost: bool) -> Result<(), String> {
    let resets = feed.events.iter().any(|event| matches!(event.kind, Some(Kind::Reset(_))));
    if resets {
        return match split || lost {
            true => Ok(()),
            false => Err("P22: a subscriber is reset, though there is one history".to_owned()),
        };
    }
    let Some(viewer) = model.key_of(feed.account) else {
        return if split { Ok(()) } else { Err("an unknown subscriber".to_owned()) };
    };
    let Some(first) = feed.events.first() else { return Ok(()) };
    let Some(from) = position(first) else { return Err(format!("no cursor: {first:?}")) };
    if let Some(gone) = model.accounts[&viewer].gone {
        return is_silent_after(feed, gone, split);
    }
    let view = View { model, viewer, from, split };
    let picture = Picture::of(feed, &view)?;
    for (id, known) in &picture.messages {
        view.check_told(id, known)?;
    }
    // Its device went on as another account, though this one may live.
    if feed.over {
        return Ok(());
    }
    view.check_messages(&picture)?;
    view.check_markers(&picture)?;
    view.check_memberships(&picture)?;
    view.check_rooms(&picture)
}

fn is_silent_after(feed: &Feed, gone: Seq, split: bool) -> Result<(), String> {
    let after = |event: &&Event| position(event).is_some_and(|at| at >= gone);
    match feed.events.iter().find(after).filter(|_| !split) {
        Some(event) => Err(format!("I12: a deleted account is told at its end {gone}: {event:?}")),
        None => Ok(()),
    }
}

/// Where an event's cursor stands: at the entry that it tells of, or before it.
fn position(event: &Event) -> Option<Seq> {
    Cursor::parse(&event.cursor).map(|cursor| cursor.seq)
}

/// What a subscriber knows from events alone.
#[derive(Default)]
struct Picture {
    messages: BTreeMap<String, Known>,
    /// By conversation; and where that was told.
    read: BTreeMap<String, (i64, Seq)>,
    /// By room and name.
    members: BTreeMap<(String, String), bool>,
    /// By room: topic, privacy and owner.
    rooms: BTreeMap<String, (String, bool, String)>,
}

/// What a subscriber knows of a message.
#[derive(Default, Debug)]
struct Known {
    /// It was told of as a new one.
    created: bool,
    gone: bool,
    received: bool,
    edited: bool,
    body: String,
    mentions: Vec<String>,
}

impl Picture {
    fn of(feed: &Feed, view: &View<'_>) -> Result<Picture, String> {
        let mut picture = Picture::default();
        let mut newest: BTreeMap<u64, i64> = BTreeMap::new();
        for event in &feed.events {
            match &event.kind {
                Some(Kind::MessageCreated(message)) => {
                    picture.created(message, view, &mut newest)?;
                }
                Some(Kind::MessageChanged(message)) => picture.changed(message, message.deleted)?,
                Some(Kind::MessageDeleted(message)) => picture.changed(message, true)?,
                Some(Kind::ReadMoved(moved)) => {
                    let at = position(event).unwrap_or(0);
                    picture.read.insert(moved.conversation.clone(), (moved.read_seq, at));
                }
                Some(Kind::MembershipChanged(moved)) => {
                    let key = (moved.conversation.clone(), moved.username.clone());
                    picture.members.insert(key, moved.member);
                }
                Some(Kind::RoomChanged(room)) => {
                    let state = (room.topic.clone(), room.private, room.owner.clone());
                    picture.rooms.insert(room.conversation.clone(), state);
                }
                _ => {}
            }
        }
        Ok(picture)
    }

    /// Each once, and in the order of their conversation; a direct one has no gaps.
    fn created(
        &mut self,
        message: &Message,
        view: &View<'_>,
        newest: &mut BTreeMap<u64, i64>,
    ) -> Result<(), String> {
        let id = &message.message_id;
        if self.messages.get(id).is_some_and(|known| known.created) && !view.split {
            return Err(format!("a subscriber is told of {id} twice"));
        }
        if let Some((_, known)) = view.message(id) {
            let before = newest.insert(known.place, message.seq).unwrap_or(0);
            let next = match view.model.conversations[&known.place].is_direct() {
                true => before == 0 || message.seq == before + 1,
                false => message.seq > before,
            };
            if !next && !view.split {
                let (seq, place) = (message.seq, &message.conversation);
                return Err(format!("a subscriber is told of seq {seq} after {before} in {place}"));
            }
        }
        self.changed(message, message.deleted)?;
        self.messages.entry(id.clone()).or_default().created = true;
        Ok(())
    }

    fn changed(&mut self, message: &Message, gone: bool) -> Result<(), String> {
        let id = &message.message_id;
        let known = self.messages.entry(id.clone()).or_default();
        if known.gone && !gone {
            return Err(format!("a deleted message comes back to a subscriber: {id}"));
        }
        known.gone = gone;
        known.received |= message.received_time.is_some();
        known.edited |= message.edit_time.is_some();
        known.body.clone_from(&message.body);
        known.mentions.clone_from(&message.mentions);
        Ok(())
    }
}

/// A subscriber with the history that it followed.
struct View<'a> {
    model: &'a Model,
    viewer: u64,
    /// What came after this entry was to be told.
    from: Seq,
    split: bool,
}

impl View<'_> {
    fn message(&self, id: &str) -> Option<(Seq, &MMessage)> {
        let key = self.model.names.get(&MessageId::parse(id).ok()?)?;
        Some((*key, &self.model.messages[key]))
    }

    fn stays<'a>(&self, place: &'a MConversation) -> impl Iterator<Item = &'a Stay> {
        let viewer = self.viewer;
        place.stays.iter().filter(move |stay| stay.account == viewer)
    }

    /// The viewer's stay that lasts to the end.
    fn stay<'a>(&self, place: &'a MConversation) -> Option<&'a Stay> {
        self.stays(place).find(|stay| stay.until.is_none())
    }

    fn check_messages(&self, picture: &Picture) -> Result<(), String> {
        for (key, message) in self.model.messages.range(self.from + 1..) {
            let stay = self.stay(&self.model.conversations[&message.place]);
            if stay.is_none_or(|stay| *key < stay.from || message.seq <= stay.joined) {
                continue;
            }
            let Some(known) = picture.messages.get(&message.id.to_string()) else {
                return Err(format!("a subscriber was never told of {} at {key}", message.id));
            };
            self.check_known(message, known)?;
        }
        Ok(())
    }

    /// I12: what is told of was for these eyes; as a new one only if it came while they were there.
    fn check_told(&self, id: &str, known: &Known) -> Result<(), String> {
        let Some((key, message)) = self.message(id) else {
            return match self.split {
                true => Ok(()),
                false => Err(format!("I12: a subscriber is told of {id}, which does not exist")),
            };
        };
        let sees = |stay: &Stay| {
            let there = stay.from <= key && stay.until.is_none_or(|until| key < until);
            message.seq > stay.joined && (there || !known.created)
        };
        // One that a merge moved may have been told of where it stood before, to whom it was shown there.
        let moved = message.id.log_seq() != key;
        if (self.split && moved) || self.stays(&self.model.conversations[&message.place]).any(sees)
        {
            return Ok(());
        }
        Err(format!("I12: a subscriber is told of {id}, which is none of its own: {known:?}"))
    }

    fn check_known(&self, message: &MMessage, known: &Known) -> Result<(), String> {
        let right = self.model.show(message, self.viewer);
        // A deleted message that a merge brings is told of as a deleted one alone.
        let created = known.created || self.split && known.gone;
        let names = || right.mentions.iter().map(|name| name.as_str());
        // The names of those who are gone go without a word.
        let somebody_left = self.model.accounts.values().any(|account| account.gone.is_some());
        let same = known.gone == right.deleted
            && known.received == right.received_time.is_some()
            && (known.gone
                || known.body == right.body
                    && known.edited == right.edit_time.is_some()
                    && (somebody_left || names().eq(known.mentions.iter().map(String::as_str))));
        if same && created {
            return Ok(());
        }
        let id = message.id;
        Err(format!("a subscriber's picture of {id} is wrong: {known:?}; right is {right:?}"))
    }

    fn check_markers(&self, picture: &Picture) -> Result<(), String> {
        let list = self.model.list(self.viewer);
        for (conversation, (read_seq, at)) in &picture.read {
            let right = list.iter().find(|one| one.name.to_string() == *conversation);
            let since = right.and_then(|one| self.since(&one.name));
            // An address may mean another account or room by now, and whoever comes again begins anew.
            if since.is_none_or(|since| since > *at) {
                continue;
            }
            if right.is_none_or(|one| one.read_seq != *read_seq) && !self.split {
                return Err(format!("a subscriber's read marker of {conversation} is {read_seq}"));
            }
        }
        Ok(())
    }

    /// Since when the viewer is in the conversation of this name.
    fn since(&self, name: &chinwag::chat::ConversationName) -> Option<Seq> {
        let named =
            |(key, _): &(&u64, &MConversation)| self.model.address(**key, self.viewer) == *name;
        let mut own = self.model.conversations.iter().filter(|(_, one)| self.stay(one).is_some());
        own.find(named).and_then(|(_, one)| self.stay(one)).map(|stay| stay.from)
    }

    /// Who came and went where the viewer is, and where the viewer is no more.
    fn check_memberships(&self, picture: &Picture) -> Result<(), String> {
        let mut own: BTreeMap<String, (u64, bool)> = BTreeMap::new();
        for conversation in self.model.conversations.values() {
            let Place::Room(room) = &conversation.place else { continue };
            let name = format!("#{}", room.name);
            if let Some(newest) = room.moves.get(&self.viewer) {
                let known = own.entry(name.clone()).or_insert(*newest);
                *known = (*known).max(*newest);
            }
            let Some(stay) = self.stay(conversation) else { continue };
            for (account, (entry, member)) in &room.moves {
                if *entry > self.from.max(stay.from) && self.model.lives(*account) {
                    self.check_move(picture, &name, *account, *member)?;
                }
            }
        }
        for (name, (entry, member)) in own {
            if entry > self.from {
                self.check_move(picture, &name, self.viewer, member)?;
            }
        }
        Ok(())
    }

    fn check_move(
        &self,
        picture: &Picture,
        room: &str,
        account: u64,
        member: bool,
    ) -> Result<(), String> {
        let name = self.model.called(account).to_string();
        match picture.members.get(&(room.to_owned(), name.clone())) {
            Some(told) if *told == member => Ok(()),
            told => Err(format!(
                "a subscriber's picture of {name} in {room} is {told:?}, and right is {member}"
            )),
        }
    }

    fn check_rooms(&self, picture: &Picture) -> Result<(), String> {
        for conversation in self.model.conversations.values() {
            let (Some(stay), Some(room)) = (self.stay(conversation), conversation.room()) else {
                continue;
            };
            if room.changed <= self.from.max(stay.from) {
                continue;
            }
            let owner = self.model.called(room.owner).to_string();
            let right = (room.topic.clone(), room.private, owner);
            let told = picture.rooms.get(&format!("#{}", room.name));
            if told != Some(&right) {
                let name = &room.name;
                return Err(format!(
                    "a subscriber's picture of #{name} is {told:?}, not {right:?}"
                ));
            }
        }
        Ok(())
    }
}
