//! What a person's session knows beside its conversation: the names that can be completed, and how much
//! is unread where.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use super::answer::Answer;
use crate::{
    client::Client,
    wire::chat::{Conversation, Message},
};

/// So many ids of messages can be completed, the newest ones.
const IDS: usize = 200;

/// Names for completion, shared with the line editor's thread.
#[derive(Clone, Default, Debug)]
pub(super) struct Words {
    shared: Arc<Mutex<Known>>,
}

/// What can be completed.
#[derive(Default, Debug)]
pub(super) struct Known {
    /// Conversations, with their `@` or `#`.
    pub(super) names: BTreeSet<String>,
    /// Ids of messages, the newest last.
    pub(super) ids: Vec<String>,
}

impl Words {
    /// What is known now.
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.shared.lock().expect("no holder panics")
    }

    /// Learns a conversation's name. One with anything but plain letters is none to be typed.
    pub(super) fn learn(&self, name: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "@#_.-~".contains(c);
        if name.chars().all(plain) {
            self.known().names.insert(name.into());
        }
    }

    fn learn_id(&self, id: &str) {
        let mut known = self.known();
        if !known.ids.iter().any(|known| known == id) {
            known.ids.push(id.into());
        }
        let extra = known.ids.len().saturating_sub(IDS);
        known.ids.drain(..extra);
    }

    /// Learns what a message names.
    pub(super) fn learn_message(&self, message: &Message) {
        self.learn(&message.conversation);
        self.learn(&format!("@{}", message.sender));
        self.learn_id(&message.message_id);
    }
}

/// How much is unread where: what a server counted, and what came after that.
#[derive(Default, Debug)]
pub(super) struct Unread {
    counts: BTreeMap<String, Count>,
}

/// Of one conversation.
#[derive(Default, Debug)]
struct Count {
    /// Up to this seq a server counted,
    until: i64,
    /// and so many were unread.
    counted: i64,
    /// What came later.
    later: BTreeSet<i64>,
}

impl Count {
    fn listed(&mut self, conversation: &Conversation) {
        self.until = conversation.last_seq;
        self.counted = conversation.unread_count;
        self.later.retain(|seq| *seq > conversation.last_seq);
    }

    fn sum(&self) -> i64 {
        self.counted + i64::try_from(self.later.len()).unwrap_or(i64::MAX)
    }
}

impl Unread {
    /// A server listed the conversation, perhaps before what is known already.
    pub(super) fn listed(&mut self, conversation: &Conversation) {
        let count = self.counts.entry(conversation.conversation.clone()).or_default();
        if conversation.last_seq >= count.until {
            count.listed(conversation);
        }
    }

    /// A server listed all conversations just now.
    pub(super) fn all_listed<'a>(&mut self, all: impl Iterator<Item = &'a Conversation> + Clone) {
        self.counts.retain(|name, _| all.clone().any(|of| of.conversation == *name));
        for conversation in all {
            let count = self.counts.entry(conversation.conversation.clone()).or_default();
            count.listed(conversation);
        }
    }

    /// After everything that has arrived, so many are unread.
    pub(super) fn set(&mut self, conversation: &str, counted: i64) {
        let count = self.counts.entry(conversation.into()).or_default();
        count.until = count.until.max(count.later.last().copied().unwrap_or(0));
        count.counted = counted;
        count.later.clear();
    }

    /// The conversation is none of the user's any more.
    pub(super) fn forget(&mut self, conversation: &str) {
        self.counts.remove(conversation);
    }

    /// A message of somebody else came.
    pub(super) fn arrived(&mut self, message: &Message) {
        let count = self.counts.entry(message.conversation.clone()).or_default();
        if message.seq > count.until {
            count.later.insert(message.seq);
        }
    }

    /// Of one conversation.
    pub(super) fn of(&self, conversation: &str) -> i64 {
        self.counts.get(conversation).map_or(0, Count::sum)
    }

    /// Everywhere but in one conversation, which its user has before the eyes.
    pub(super) fn elsewhere(&self, current: Option<&str>) -> i64 {
        let others = self.counts.iter().filter(|(name, _)| Some(name.as_str()) != current);
        others.map(|(_, count)| count.sum()).sum()
    }

    /// What an answer tells of it.
    pub(super) fn learn(&mut self, answer: &Answer) {
        match answer {
            Answer::Inbox(entries) => {
                self.all_listed(entries.iter().map(|entry| &entry.conversation));
            }
            Answer::Read { conversation, .. } => self.set(conversation, 0),
            Answer::Gone(_, room) => self.forget(room),
            _ => {}
        }
    }
}

impl Words {
    /// Learns what an answer names.
    pub(super) fn learn_answer(&self, answer: &Answer) {
        match answer {
            Answer::Accounts(accounts) => {
                accounts.iter().for_each(|account| self.learn(&format!("@{}", account.username)));
            }
            Answer::Inbox(entries) => {
                entries.iter().for_each(|entry| self.learn(&entry.conversation.conversation));
            }
            Answer::Rooms(rooms) => rooms.iter().for_each(|room| self.learn(&room.conversation)),
            Answer::Room(_, room) => self.learn(&room.conversation),
            Answer::Members { members, .. } => {
                members.iter().for_each(|member| self.learn(&format!("@{}", member.username)));
            }
            Answer::Sent(message) => self.learn_message(message),
            answer => answer.messages().into_iter().for_each(|message| self.learn_message(message)),
        }
    }
}

/// Looks around for a session that begins: names for completion, and the conversations with what is unread
/// there. What cannot be had is left out; nobody waits for it.
pub(super) async fn look_around(client: Client, words: Words) -> Vec<Conversation> {
    // It tells which address is which server.
    client.status().await;
    if let Ok(page) = client.list_accounts("", "").await {
        page.accounts.iter().for_each(|account| words.learn(&format!("@{}", account.username)));
    }
    if let Ok(page) = client.list_rooms("", "").await {
        page.conversations.iter().for_each(|room| words.learn(&room.conversation));
    }
    let conversations = client.all_conversations().await.unwrap_or_default();
    conversations.iter().for_each(|of| words.learn(&of.conversation));
    conversations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(unread: &mut Unread, last_seq: i64, unread_count: i64) -> i64 {
        let conversation = "@bob".to_owned();
        unread.listed(&Conversation {
            conversation,
            last_seq,
            unread_count,
            ..Conversation::default()
        });
        unread.of("@bob")
    }

    fn arrives(unread: &mut Unread, seq: i64) -> i64 {
        unread.arrived(&Message { conversation: "@bob".into(), seq, ..Message::default() });
        unread.of("@bob")
    }

    #[test]
    fn a_message_that_a_list_knows_is_counted_once_whichever_comes_first() {
        let mut unread = Unread::default();
        assert_eq!(arrives(&mut unread, 3), 1);
        assert_eq!(arrives(&mut unread, 4), 2);
        assert_eq!(listed(&mut unread, 3, 2), 3, "the list is older than the last one");
        assert_eq!(listed(&mut unread, 5, 4), 4, "this one is newer than anything that came");
        assert_eq!(arrives(&mut unread, 5), 4);
        assert_eq!(arrives(&mut unread, 6), 5);
        assert_eq!(unread.elsewhere(Some("@bob")), 0);
    }

    #[test]
    fn what_was_read_or_left_is_not_unread() {
        let mut unread = Unread::default();
        arrives(&mut unread, 3);
        unread.set("@bob", 0);
        assert_eq!(arrives(&mut unread, 3), 0, "a replay brings it once more");
        assert_eq!(listed(&mut unread, 2, 2), 0, "a list from before that");
        assert_eq!(arrives(&mut unread, 4), 1);
        unread.forget("@bob");
        assert_eq!(unread.elsewhere(None), 0);
        arrives(&mut unread, 5);
        unread.all_listed([].iter());
        assert_eq!(unread.elsewhere(None), 0);
    }
}
