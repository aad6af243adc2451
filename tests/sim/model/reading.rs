//! What viewers are shown.

use chinwag::{
    chat::{
        Account, Conversation, ConversationName, Member, Message, Outcome, RoomName, Timestamp,
        Username,
    },
    store::{Around, MessagePage},
};

use super::{MConversation, MMember, MMessage, Model, Place, Result};

impl Model {
    /// How the viewer calls a conversation.
    pub(crate) fn address(&self, place: u64, viewer: u64) -> ConversationName {
        match &self.conversations[&place].place {
            Place::Direct(low, high) => {
                let other = if *low == viewer { *high } else { *low };
                ConversationName::Direct(self.called(other))
            }
            Place::Room(room) => ConversationName::Room(room.name.clone()),
        }
    }

    pub(crate) fn show(&self, message: &MMessage, viewer: u64) -> Message {
        self.message_to(message, viewer, message.is_gone_for(viewer))
    }

    /// To its author it is what was sent, unless it is gone for everyone.
    pub(super) fn show_to_author(&self, key: u64) -> Message {
        let message = &self.messages[&key];
        self.message_to(message, message.sender, message.is_gone())
    }

    fn message_to(&self, message: &MMessage, viewer: u64, gone: bool) -> Message {
        Message {
            id: message.id,
            conversation: self.address(message.place, viewer),
            seq: message.seq,
            sender: self.called(message.sender),
            body: if gone { String::new() } else { message.body.clone() },
            reply_to: message.reply_to,
            create_time: Timestamp(message.create_time),
            edit_time: message.edit_time.map(Timestamp),
            received_time: message.received_time.map(Timestamp),
            deleted: gone,
            mentions: if gone { Vec::new() } else { self.names_of(message) },
        }
    }

    fn names_of(&self, message: &MMessage) -> Vec<Username> {
        message.mentions.iter().map(|key| self.accounts[key].name.clone()).collect()
    }

    pub(crate) fn page(
        &self,
        viewer: u64,
        name: &ConversationName,
        around: Around,
        size: usize,
    ) -> Result<MessagePage> {
        let Some(place) = self.find(viewer, name)? else {
            return Ok(MessagePage::default());
        };
        let joined = self.conversations[&place].members[&viewer].joined;
        let all: Vec<Message> =
            self.after(place, joined).map(|message| self.show(message, viewer)).collect();
        let before = |seq: i64| all.iter().filter(move |message| message.seq < seq).count();
        let (from, to, has_more) = match around {
            Around::Latest => {
                let from = all.len().saturating_sub(size);
                (from, all.len(), from > 0)
            }
            Around::Before(seq) => {
                let to = before(seq);
                let from = to.saturating_sub(size);
                (from, to, from > 0)
            }
            Around::After(seq) => {
                let from = before(seq.saturating_add(1));
                let to = (from + size).min(all.len());
                (from, to, to < all.len())
            }
            Around::Seq(seq) => {
                let middle = before(seq);
                let from = middle.saturating_sub((size - 1) / 2);
                let to = (middle + size - (size - 1) / 2).min(all.len());
                let older = if size < 3 { seq > joined + 1 } else { from > 0 };
                (from, to, older || to < all.len())
            }
        };
        Ok(MessagePage { messages: all[from..to].to_vec(), has_more })
    }

    /// A conversation's messages after this seq.
    pub(crate) fn after(&self, place: u64, seq: i64) -> impl Iterator<Item = &MMessage> {
        let all = self.conversations[&place].messages.iter().map(|key| &self.messages[key]);
        all.filter(move |message| message.seq > seq)
    }

    /// The viewer's conversations, the one that changed last first.
    pub(crate) fn list(&self, viewer: u64) -> Vec<Conversation> {
        let own = self.conversations.iter().filter(|(_, one)| one.members.contains_key(&viewer));
        let mut own: Vec<_> = own.map(|(key, one)| (one.touched, *key)).collect();
        own.sort();
        own.into_iter().rev().map(|(_, key)| self.conversation_to(key, viewer)).collect()
    }

    /// The rooms that the viewer may know of.
    pub(crate) fn rooms(&self, viewer: u64) -> Vec<Conversation> {
        let known = |(_, one): &(&u64, &MConversation)| {
            let own = one.members.contains_key(&viewer);
            one.closed.is_none() && one.room().is_some_and(|room| own || !room.private)
        };
        let known = self.conversations.iter().filter(known);
        let mut known: Vec<_> = known.map(|(key, _)| self.conversation_to(*key, viewer)).collect();
        known.sort_by(|one, other| one.name.cmp(&other.name));
        known
    }

    pub(crate) fn members(&self, viewer: u64, name: &RoomName) -> Result<Vec<Member>> {
        let key = self.room_of_member(viewer, name)?;
        let owner = self.room(key).owner;
        let all = self.conversations[&key].members.iter();
        let show = |(account, member): (&u64, &MMember)| Member {
            username: self.accounts[account].name.clone(),
            join_time: Timestamp(member.join_time),
            owner: *account == owner,
        };
        let mut all: Vec<Member> = all.map(show).collect();
        all.sort_by(|one, other| one.username.cmp(&other.username));
        Ok(all)
    }

    /// The answer of a call that made a room so.
    pub(super) fn stands(&self, room: u64, viewer: u64) -> Outcome {
        Outcome::RoomStands(Box::new(self.conversation_to(room, viewer)))
    }

    /// Whoever is not in a room sees what it is, and no message.
    fn conversation_to(&self, key: u64, viewer: u64) -> Conversation {
        let conversation = &self.conversations[&key];
        let room = conversation.room();
        let last_seq = conversation.messages.len() as i64;
        let member = conversation.members.get(&viewer);
        let newest = member.and_then(|member| self.after(key, member.joined).last());
        let unread = || self.unread(key, viewer);
        let mentions_viewer = |message: &&MMessage| message.mentions.contains(&viewer);
        Conversation {
            name: self.address(key, viewer),
            topic: room.map(|room| room.topic.clone()).unwrap_or_default(),
            private: room.is_some_and(|room| room.private),
            owner: room.map(|room| self.called(room.owner)),
            last_seq,
            read_seq: member.map_or(last_seq, |member| member.read),
            unread_count: unread().count() as i64,
            mention_count: unread().filter(mentions_viewer).count() as i64,
            last_message: newest.map(|message| self.show(message, viewer)),
            member: member.is_some(),
        }
    }

    /// Others' messages after the member's marker that are neither deleted nor hidden.
    pub(crate) fn unread(&self, place: u64, viewer: u64) -> impl Iterator<Item = &MMessage> {
        let member = self.conversations[&place].members.get(&viewer);
        let after = member.into_iter().flat_map(move |member| self.after(place, member.read));
        after.filter(move |message| message.sender != viewer && !message.is_gone_for(viewer))
    }

    pub(crate) fn everybody(&self) -> Vec<Account> {
        let living = self.accounts.iter().filter(|(_, account)| account.gone.is_none());
        let mut all: Vec<Account> = living.map(|(key, _)| self.account(*key)).collect();
        all.sort_by(|one, other| one.username.cmp(&other.username));
        all
    }
}
