//! What the reference makes of a merge: the union of both sides. What is deleted, ended or received on one
//! side is so on both, the first time counts, everything keeps its id, and every step may come twice.

use std::collections::BTreeSet;

use chinwag::chat::{
    AccountId, Call, LostEpoch, Merge, MergeStep, MergedAccount, MergedConversation, MergedMessage,
    MergedOutcome, MergedPassword, MergedRead, MergedRequest, MergedSession, MessageId, Outcome,
    RequestScope,
};

use crate::model::{Kept, MAccount, MConversation, MMessage, MSession, Model};

impl Model {
    pub(crate) fn merge(&mut self, merge: &Merge) -> Outcome {
        let request = merge.request.as_ref();
        let mut marker = None;
        match &merge.step {
            MergeStep::Diverged { common, epochs } => {
                for LostEpoch { number, server } in epochs {
                    let point = self.divergence.entry((*number, *server)).or_insert(*common);
                    *point = (*point).min(*common);
                }
            }
            MergeStep::Account(account) => self.merge_account(account, request),
            MergeStep::Session(session) => self.merge_session(session),
            MergeStep::Message(message) => self.merge_message(message, request),
            MergeStep::Deleted { account, messages } => self.merge_deleted(*account, messages),
            MergeStep::Received { account, messages } => self.merge_received(*account, messages),
            MergeStep::Read(read) => marker = self.merge_read(read),
            MergeStep::Password(password) => self.merge_password(password),
            MergeStep::AccountDeleted(account) => {
                let living = self.key_of(*account).filter(|key| self.accounts[key].gone.is_none());
                living.into_iter().for_each(|key| self.depart(key));
            }
            MergeStep::Request => {}
            other @ (MergeStep::Room(_) | MergeStep::Edited(_)) => {
                unreachable!("no client here has rooms, or edits: {other:?}")
            }
        }
        if let Some(request) = request {
            self.merge_request(request, marker);
        }
        Outcome::Merged
    }

    /// Two calls with the same key made one account.
    fn merge_account(&mut self, merged: &MergedAccount, request: Option<&MergedRequest>) {
        let twin = match self.outcome_of(request, Call::CreateAccount) {
            Some(Kept::Session(session)) => Some(self.sessions[&session].account),
            _ => None,
        };
        let key = match (self.key_of(merged.account), twin) {
            (Some(known), _) => known,
            (None, Some(twin)) => {
                self.account_aliases.insert(merged.account, twin);
                twin
            }
            (None, None) => self.take_account(merged),
        };
        for name in &merged.old_names {
            self.old_names.insert((name.clone(), key));
        }
        merged.session.iter().for_each(|session| self.merge_session(session));
    }

    /// The own password counts if it was changed here; otherwise the greater one.
    fn merge_password(&mut self, merged: &MergedPassword) {
        let Some(key) = self.key_of(merged.account) else { return };
        let account = self.accounts.get_mut(&key).expect("a known one");
        if account.gone.is_some() {
            return;
        }
        let offered = (merged.password_version, &merged.password_hash);
        let is_new = account.changed <= merged.common && offered > (account.version, &account.hash);
        if is_new {
            account.version = merged.password_version;
            account.hash.clone_from(&merged.password_hash);
        }
        let spared = self.sessions.iter().find(|(_, session)| session.id == merged.spared);
        let spared = spared.map(|(key, _)| *key);
        self.end_sessions(|session, of| {
            of == key && Some(session) != spared && (is_new || session <= merged.known)
        });
    }

    fn take_account(&mut self, merged: &MergedAccount) -> u64 {
        let mut name = merged.username.clone();
        if !merged.deleted && self.named(name.as_str()).is_some() {
            self.old_names.insert((name.clone(), self.seq));
            let free = |attempt| {
                let marked = merged.username.marked(merged.account, attempt);
                self.named(marked.as_str()).is_none().then_some(marked)
            };
            name = (0..).find_map(free).expect("some name is free");
        }
        let account = MAccount {
            id: merged.account,
            name,
            hash: merged.password_hash.clone(),
            version: merged.password_version,
            changed: 0,
            create_time: merged.create_time.0,
            gone: merged.deleted.then_some(self.seq),
        };
        self.accounts.insert(self.seq, account);
        self.seq
    }

    fn merge_session(&mut self, merged: &MergedSession) {
        let Some(account) = self.key_of(merged.account) else { return };
        let found = self.sessions.iter().find(|(_, known)| known.id == merged.session);
        if found.is_none() && merged.began_before {
            return;
        }
        let held = &self.accounts[&account];
        let outdated = held.gone.is_some() || held.changed > merged.common;
        let ended = (found.is_none() && outdated).then_some(self.time);
        let key = found.map_or(self.seq, |(key, _)| *key);
        let session = self.sessions.entry(key).or_insert_with(|| MSession {
            id: merged.session,
            account,
            device: merged.device_name.as_str().to_owned(),
            create_time: merged.create_time.0,
            last_used: merged.last_used.0,
            end_time: merged.end_time.map(|time| time.0).or(ended),
        });
        session.last_used = session.last_used.max(merged.last_used.0);
        session.end_time = session.end_time.or(merged.end_time.map(|time| time.0));
        for token in &merged.ended_tokens {
            self.tokens.remove(&token.0);
            self.ended_tokens.entry(token.0).or_insert(key);
        }
        for token in &merged.tokens {
            if !self.ended_tokens.contains_key(&token.0) {
                self.tokens.entry(token.0).or_insert(key);
            }
        }
    }

    /// It stands where its own call's repeat put it, or at the end.
    fn merge_message(&mut self, merged: &MergedMessage, request: Option<&MergedRequest>) {
        if let Some(known) = self.names.get(&merged.message) {
            self.merge_marks(*known, merged);
            return;
        }
        let Some(sender) = self.key_of(merged.sender) else { return };
        let Some(between) = self.merged_place(&merged.conversation) else { return };
        if between.0 != sender && between.1 != sender {
            return;
        }
        let twin = match self.outcome_of(request, Call::SendMessage) {
            Some(Kept::Message(twin)) => Some(twin),
            _ => None,
        };
        if let Some(twin) = twin.filter(|twin| self.messages[twin].between == between) {
            self.alias(merged.message, twin);
            self.merge_marks(twin, merged);
            return;
        }
        let reply_to = merged.reply_to.map(|id| match self.names.get(&id) {
            Some(known) => self.messages[known].id,
            None => id,
        });
        let body = merged.body.as_ref().map(|body| body.as_str().to_owned());
        let message = MMessage {
            id: merged.message,
            between,
            seq: 0,
            sender,
            body: body.unwrap_or_default(),
            reply_to,
            create_time: merged.create_time.0,
            received_time: merged.received_time.map(|time| time.0),
            deleted: None,
            hidden_from: BTreeSet::new(),
            purged: false,
        };
        self.post(message);
        if merged.message.log_seq() != self.seq {
            self.alias(merged.message, self.seq);
        }
        self.merge_marks(self.seq, merged);
    }

    fn alias(&mut self, id: MessageId, key: u64) {
        self.names.insert(id, key);
        self.message_aliases.insert(id, key);
    }

    /// At the end of its conversation.
    pub(crate) fn post(&mut self, mut message: MMessage) {
        let (between, seq) = (message.between, self.seq);
        let sides = [between.0, between.1].into_iter();
        let living = sides.filter(|side| self.accounts[side].gone.is_none());
        let read = living.map(|side| (side, 0)).collect();
        let conversation = self.conversations.entry(between).or_insert_with(|| MConversation {
            begun: seq,
            read,
            ..MConversation::default()
        });
        message.purged = conversation.read.is_empty();
        conversation.messages.push(seq);
        conversation.touched = seq;
        message.seq = conversation.messages.len() as i64;
        self.names.insert(message.id, seq);
        self.messages.insert(seq, message);
    }

    fn merged_place(&self, place: &MergedConversation) -> Option<(u64, u64)> {
        let MergedConversation::Direct(one, other) = place else { return None };
        let (one, other) = (self.key_of(*one)?, self.key_of(*other)?);
        Some((one.min(other), one.max(other)))
    }

    fn merge_marks(&mut self, key: u64, merged: &MergedMessage) {
        if let Some(time) = merged.received_time {
            self.receive_at(key, time.0);
        }
        if let Some((by, time)) = merged.deletion {
            let by = self.key_of(by).unwrap_or(self.messages[&key].sender);
            self.delete_for_all(key, by, time.0);
        }
    }

    fn receive_at(&mut self, key: u64, time: i64) {
        let message = self.messages.get_mut(&key).expect("a known one");
        let news = message.received_time.is_none_or(|known| time < known);
        if message.deleted.is_none() && !message.purged && news {
            message.received_time = Some(time);
            self.touch(key);
        }
    }

    fn delete_for_all(&mut self, key: u64, by: u64, time: i64) {
        let message = self.messages.get_mut(&key).expect("a known one");
        if message.deleted.is_none() && !message.purged {
            message.deleted = Some((by, time));
            self.touch(key);
        }
    }

    fn touch(&mut self, key: u64) {
        let between = self.messages[&key].between;
        self.conversations.get_mut(&between).expect("it has one").touched = self.seq;
    }

    fn merge_deleted(&mut self, account: AccountId, ids: &[MessageId]) {
        let Some(account) = self.key_of(account) else { return };
        for key in self.known(ids) {
            let message = self.messages.get_mut(&key).expect("a known one");
            let own_view = self.conversations[&message.between].read.contains_key(&account);
            if message.sender == account {
                self.delete_for_all(key, account, self.time);
            } else if own_view && message.deleted.is_none() && !message.purged {
                message.hidden_from.insert(account);
            }
        }
    }

    fn merge_received(&mut self, account: AccountId, ids: &[MessageId]) {
        let Some(account) = self.key_of(account) else { return };
        for key in self.known(ids) {
            if self.messages[&key].sender != account {
                self.receive_at(key, self.time);
            }
        }
    }

    fn known(&self, ids: &[MessageId]) -> Vec<u64> {
        ids.iter().filter_map(|id| self.names.get(id).copied()).collect()
    }

    /// A marker rises over what the reader's side had, and stops before the first message that it lacked.
    fn merge_read(&mut self, read: &MergedRead) -> Option<i64> {
        let reader = self.key_of(read.account)?;
        let between = self.merged_place(&read.conversation)?;
        let conversation = self.conversations.get(&between)?;
        let before = *conversation.read.get(&reader)?;
        let named = self.names.get(&read.message).map(|key| &self.messages[key]);
        let Some(named) = named.filter(|named| named.between == between) else {
            return Some(before);
        };
        let lost = |id: &MessageId| {
            let (number, server) = id.epoch();
            let epoch = LostEpoch { number, server };
            read.epochs.iter().any(|seen| seen.epoch == epoch && id.log_seq() <= seen.until)
        };
        let had = |key: &u64| {
            let message = &self.messages[key];
            let other_names = self.message_aliases.iter().filter(|(_, other)| *other == key);
            *key <= read.common
                || message.sender == reader
                || message.deleted.is_some()
                || lost(&message.id)
                || other_names.map(|(id, _)| id).any(lost)
        };
        let after = conversation.messages.iter().skip(before as usize);
        let wanted = (named.seq - before).max(0) as usize;
        let risen = after.take(wanted).take_while(|key| had(key)).count();
        let marker = before + risen as i64;
        let conversation = self.conversations.get_mut(&between).expect("just seen");
        conversation.read.insert(reader, marker);
        Some(marker)
    }

    fn scope(&self, scope: &RequestScope) -> Option<Vec<u8>> {
        Some(match scope {
            RequestScope::Username(name) => name.as_str().as_bytes().to_vec(),
            RequestScope::Account(id) => self.key_of(*id)?.to_be_bytes().to_vec(),
        })
    }

    /// What this side knows of the same call.
    fn outcome_of(&self, request: Option<&MergedRequest>, call: Call) -> Option<Kept> {
        let request = request.filter(|request| request.call == call)?;
        let key = (request.key.id, self.scope(&request.scope)?, call);
        let (fingerprint, kept) = self.requests.get(&key)?;
        (*fingerprint == request.key.fingerprint).then(|| kept.clone())
    }

    /// What was done on one side outranks a refusal on the other; otherwise the own outcome stays.
    fn merge_request(&mut self, request: &MergedRequest, marker: Option<i64>) {
        let Some(scope) = self.scope(&request.scope) else { return };
        let kept = match request.outcome {
            MergedOutcome::Done => match request.call {
                Call::Logout => Kept::Done(Outcome::LoggedOut),
                Call::EndSession => Kept::Done(Outcome::SessionEnded),
                Call::ChangePassword => Kept::Done(Outcome::PasswordChanged),
                Call::DeleteAccount => Kept::Done(Outcome::AccountDeleted),
                Call::DeleteMessages => Kept::Done(Outcome::MessagesDeleted),
                Call::AcknowledgeMessages => Kept::Done(Outcome::MessagesAcknowledged),
                other => unreachable!("{other:?} is not done by clients"),
            },
            MergedOutcome::Session(id) => {
                let found = self.sessions.iter().find(|(_, session)| session.id == id);
                let Some((key, _)) = found else { return };
                Kept::Session(*key)
            }
            MergedOutcome::Message(id) => {
                let Some(key) = self.names.get(&id) else { return };
                Kept::Message(*key)
            }
            MergedOutcome::ReadSeq(seq) => Kept::Read(marker.unwrap_or(seq)),
            MergedOutcome::Room(_) => unreachable!("no client here has rooms"),
            MergedOutcome::Refused(refusal) => Kept::Refused(refusal),
        };
        let key = (request.key.id, scope, request.call);
        let fingerprint = request.key.fingerprint;
        let counts = match self.requests.get(&key) {
            None => true,
            Some((known, Kept::Refused(_))) => {
                *known == fingerprint && !matches!(kept, Kept::Refused(_))
            }
            Some(_) => false,
        };
        if counts {
            self.requests.insert(key, (fingerprint, kept));
        }
    }
}
