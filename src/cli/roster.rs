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

/// How much is unread where.
#[derive(Default, Debug)]
pub(super) struct Unread {
    counts: BTreeMap<String, i64>,
}

impl Unread {
    /// It is as the server says.
    pub(super) fn set(&mut self, conversation: &str, count: i64) {
        match count {
            0 => self.counts.remove(conversation),
            count => self.counts.insert(conversation.into(), count),
        };
    }

    /// One more.
    pub(super) fn arrived(&mut self, conversation: &str) {
        *self.counts.entry(conversation.into()).or_default() += 1;
    }

    /// Of one conversation.
    pub(super) fn of(&self, conversation: &str) -> i64 {
        self.counts.get(conversation).copied().unwrap_or(0)
    }

    /// Everywhere but in one conversation, which its user has before the eyes.
    pub(super) fn elsewhere(&self, current: Option<&str>) -> i64 {
        let others = self.counts.iter().filter(|(name, _)| Some(name.as_str()) != current);
        others.map(|(_, count)| *count).sum()
    }

    /// What an answer tells of it.
    pub(super) fn learn(&mut self, answer: &Answer) {
        match answer {
            Answer::Inbox(entries) => {
                self.counts.clear();
                for entry in entries {
                    self.set(&entry.conversation.conversation, entry.conversation.unread_count);
                }
            }
            Answer::Read { conversation, .. } => self.set(conversation, 0),
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
