//! Messages: sending, editing, deleting, receiving and reading them, and whom they mention.

use std::collections::BTreeSet;

use chinwag::chat::{
    AccountName, ConversationName, MessageId, MessageSeq, Outcome, Refusal, SendMessage,
};

use super::{Model, Result};

pub(crate) struct MMessage {
    pub(crate) id: MessageId,
    /// The conversation.
    pub(crate) place: u64,
    pub(crate) seq: MessageSeq,
    pub(crate) sender: u64,
    pub(crate) body: String,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) create_time: i64,
    pub(crate) edit_time: Option<i64>,
    /// The entry of this history that edited it last.
    pub(crate) edited: Option<u64>,
    pub(crate) received_time: Option<i64>,
    /// By whom and when.
    pub(crate) deleted: Option<(u64, i64)>,
    pub(crate) hidden_from: BTreeSet<u64>,
    pub(crate) mentions: BTreeSet<u64>,
    /// Nobody is left to read it.
    pub(crate) purged: bool,
}

impl MMessage {
    /// For everybody.
    pub(crate) fn is_gone(&self) -> bool {
        self.purged || self.deleted.is_some()
    }

    pub(crate) fn is_gone_for(&self, viewer: u64) -> bool {
        self.is_gone() || self.hidden_from.contains(&viewer)
    }
}

impl Model {
    pub(super) fn send(&mut self, actor: u64, send: &SendMessage) -> Result<Outcome> {
        if let ConversationName::Direct(AccountName::Deleted(_)) = send.conversation {
            return Err(Refusal::NoSuchAccount);
        }
        let place = self.find(actor, &send.conversation)?;
        let reply_to = match send.reply_to {
            Some(answered) => {
                let answered = &self.messages[&self.visible(actor, answered)?];
                if Some(answered.place) != place {
                    return Err(Refusal::NoSuchMessage);
                }
                Some(answered.id)
            }
            None => None,
        };
        let place = match (place, &send.conversation) {
            (Some(place), _) => place,
            (None, ConversationName::Direct(AccountName::Named(other))) => {
                let other = self.named(other.as_str()).expect("just found");
                self.begin_direct(actor, other)
            }
            (None, other) => unreachable!("nobody sends to {other}"),
        };
        let body = send.body.as_str();
        self.post(MMessage {
            id: MessageId::natural(self.epoch.0, self.epoch.1, self.seq),
            place,
            seq: 0,
            sender: actor,
            body: body.to_owned(),
            reply_to,
            create_time: self.time,
            edit_time: None,
            edited: None,
            received_time: None,
            deleted: None,
            hidden_from: BTreeSet::new(),
            mentions: self.mentioned(place, actor, body),
            purged: false,
        });
        Ok(Outcome::MessageSent(Box::new(self.show_to_author(self.seq))))
    }

    /// At the end of its conversation.
    pub(super) fn post(&mut self, mut message: MMessage) {
        let seq = self.seq;
        let conversation = self.conversation(message.place);
        conversation.messages.push(seq);
        conversation.touched = seq;
        message.seq = conversation.messages.len() as i64;
        self.names.insert(message.id, seq);
        self.messages.insert(seq, message);
    }

    /// The members whom this body names, its author aside. A full stop may belong to a name or end a sentence.
    pub(super) fn mentioned(&self, place: u64, author: u64, body: &str) -> BTreeSet<u64> {
        let members = &self.conversations[&place].members;
        let mut found = BTreeSet::new();
        for word in body.split_whitespace().filter_map(|word| word.strip_prefix('@')) {
            let meant = [word, word.trim_end_matches('.')].into_iter();
            let mut named = meant.filter_map(|name| self.named(name));
            found.extend(named.find(|key| members.contains_key(key)));
        }
        found.remove(&author);
        found
    }

    pub(super) fn edit(&mut self, actor: u64, id: MessageId, body: &str) -> Result<Outcome> {
        let key = self.visible(actor, id)?;
        let message = &self.messages[&key];
        if message.sender != actor {
            return Err(Refusal::NotAllowed);
        }
        if message.is_gone() {
            return Err(Refusal::NoSuchMessage);
        }
        let earlier = message.edit_time.unwrap_or(message.create_time);
        self.rewrite(key, body, self.time.max(earlier));
        Ok(Outcome::MessageEdited(Box::new(self.show_to_author(key))))
    }

    /// It says this from now on.
    pub(super) fn rewrite(&mut self, key: u64, body: &str, time: i64) {
        let message = &self.messages[&key];
        let mentions = self.mentioned(message.place, message.sender, body);
        let seq = self.seq;
        let message = self.message(key);
        message.body = body.to_owned();
        message.edit_time = Some(time);
        message.edited = Some(seq);
        message.mentions = mentions;
        self.touch(key);
    }

    pub(super) fn delete(&mut self, actor: u64, ids: &[MessageId]) -> Result<Outcome> {
        let targets = self.targets(actor, ids)?;
        for target in &targets {
            let message = &self.messages[target];
            if message.sender != actor && !self.conversations[&message.place].is_direct() {
                return Err(Refusal::NotAllowed);
            }
        }
        for target in targets {
            let message = &self.messages[&target];
            if message.is_gone_for(actor) {
                continue;
            }
            if message.sender == actor {
                self.delete_for_all(target, actor, self.time);
            } else {
                self.message(target).hidden_from.insert(actor);
            }
        }
        Ok(Outcome::MessagesDeleted)
    }

    pub(super) fn delete_for_all(&mut self, key: u64, by: u64, time: i64) {
        let message = self.message(key);
        message.deleted = Some((by, time));
        message.mentions.clear();
        self.touch(key);
    }

    pub(super) fn receive(&mut self, actor: u64, ids: &[MessageId]) -> Result<Outcome> {
        for target in self.targets(actor, ids)? {
            let message = &self.messages[&target];
            let counts = self.conversations[&message.place].is_direct()
                && message.sender != actor
                && message.received_time.is_none()
                && !message.is_gone_for(actor);
            if counts {
                let time = self.time;
                self.message(target).received_time = Some(time);
                self.touch(target);
            }
        }
        Ok(Outcome::MessagesAcknowledged)
    }

    pub(super) fn mark_read(
        &mut self,
        actor: u64,
        name: &ConversationName,
        seq: MessageSeq,
    ) -> Result<Outcome> {
        let Some(place) = self.find(actor, name)? else {
            return Ok(Outcome::ReadMoved { read_seq: 0 });
        };
        let conversation = self.conversation(place);
        let newest = conversation.messages.len() as i64;
        let member = conversation.members.get_mut(&actor).expect("just found");
        member.read = member.read.max(seq.min(newest));
        Ok(Outcome::ReadMoved { read_seq: member.read })
    }

    /// The message, if this account may see it.
    pub(super) fn visible(&self, viewer: u64, id: MessageId) -> Result<u64> {
        let key = self.names.get(&id).copied().ok_or(Refusal::NoSuchMessage)?;
        let message = &self.messages[&key];
        let member = self.conversations[&message.place].members.get(&viewer);
        let sees = member.is_some_and(|member| member.joined < message.seq);
        if sees { Ok(key) } else { Err(Refusal::NoSuchMessage) }
    }

    fn targets(&self, actor: u64, ids: &[MessageId]) -> Result<BTreeSet<u64>> {
        ids.iter().map(|id| self.visible(actor, *id)).collect()
    }

    pub(super) fn message(&mut self, key: u64) -> &mut MMessage {
        self.messages.get_mut(&key).expect("a known message")
    }

    /// Its conversation changed here last.
    pub(super) fn touch(&mut self, key: u64) {
        let place = self.messages[&key].place;
        let seq = self.seq;
        self.conversation(place).touched = seq;
    }
}
