//! What the reference makes of a merge: the union of both sides. What is deleted, ended or received on one
//! side is so on both, the first time counts, everything keeps its id, and every step may come twice.

use std::collections::BTreeSet;

use chinwag::chat::{
    AccountId, Call, LostEpoch, Merge, MergeStep, MergedAccount, MergedConversation, MergedMessage,
    MergedOutcome, MergedPassword, MergedRead, MergedRequest, MergedSession, MessageId, Outcome,
    RequestScope,
};

use super::{Kept, MAccount, MMessage, MSession, Model};

impl Model {
    pub(super) fn merge(&mut self, merge: &Merge) -> Outcome {
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
            MergeStep::Room(room) => self.merge_room(room, request),
            MergeStep::Edited(edit) => self.merge_edit(edit),
            MergeStep::Disabled { .. } | MergeStep::SessionsEnded { .. } => {
                unreachable!("there is no operator here")
            }
            MergeStep::Request => {}
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
        let spared = self.sessions.iter().find(|(_, session)| Some(session.id) == merged.spared);
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
        let Some(place) = self.merged_place_of(&merged.conversation, sender) else { return };
        let twin = match self.outcome_of(request, Call::SendMessage) {
            Some(Kept::Message(twin)) => Some(twin),
            _ => None,
        };
        if let Some(twin) = twin.filter(|twin| self.messages[twin].place == place) {
            self.alias(merged.message, twin);
            self.merge_marks(twin, merged);
            return;
        }
        let reply_to = merged.reply_to.map(|id| match self.names.get(&id) {
            Some(known) => self.messages[known].id,
            None => id,
        });
        let body = merged.body.as_ref().map(|body| body.as_str().to_owned()).unwrap_or_default();
        let conversation = &self.conversations[&place];
        let purged = conversation.is_direct() && conversation.members.is_empty();
        self.post(MMessage {
            id: merged.message,
            place,
            seq: 0,
            sender,
            mentions: self.mentioned(place, sender, &body),
            body,
            reply_to,
            create_time: merged.create_time.0,
            edit_time: merged.edit_time.map(|time| time.0),
            edited: None,
            received_time: merged.received_time.map(|time| time.0),
            deleted: None,
            hidden_from: BTreeSet::new(),
            purged,
        });
        if merged.message.log_seq() != self.seq {
            self.alias(merged.message, self.seq);
        }
        self.merge_marks(self.seq, merged);
    }

    fn alias(&mut self, id: MessageId, key: u64) {
        self.names.insert(id, key);
        self.message_aliases.insert(id, key);
    }

    /// The conversation here, if it has begun.
    fn merged_place(&self, place: &MergedConversation) -> Option<u64> {
        match place {
            MergedConversation::Direct(one, other) => {
                self.direct(self.key_of(*one)?, self.key_of(*other)?)
            }
            MergedConversation::Room(id) => self.room_by_id(*id),
        }
    }

    /// A direct one begins where it is missing.
    fn merged_place_of(&mut self, place: &MergedConversation, sender: u64) -> Option<u64> {
        let known = self.merged_place(place);
        let MergedConversation::Direct(one, other) = place else { return known };
        let (one, other) = (self.key_of(*one)?, self.key_of(*other)?);
        if ![one, other].contains(&sender) {
            return None;
        }
        known.or_else(|| Some(self.begin_direct(one, other)))
    }

    fn merge_marks(&mut self, key: u64, merged: &MergedMessage) {
        if let Some(time) = merged.received_time {
            self.receive_at(key, time.0);
        }
        if let Some((by, time)) = merged.deletion {
            let by = self.key_of(by).unwrap_or(self.messages[&key].sender);
            self.delete_at(key, by, time.0);
        }
    }

    fn receive_at(&mut self, key: u64, time: i64) {
        let message = self.message(key);
        let news = message.received_time.is_none_or(|known| time < known);
        if !message.is_gone() && news {
            message.received_time = Some(time);
            self.touch(key);
        }
    }

    /// Once is enough.
    fn delete_at(&mut self, key: u64, by: u64, time: i64) {
        if !self.messages[&key].is_gone() {
            self.delete_for_all(key, by, time);
        }
    }

    fn merge_deleted(&mut self, account: AccountId, ids: &[MessageId]) {
        let Some(account) = self.key_of(account) else { return };
        for key in self.known(ids) {
            let message = &self.messages[&key];
            let own_view = self.is_in(message.place, account)
                && self.conversations[&message.place].is_direct();
            if message.sender == account {
                self.delete_at(key, account, self.time);
            } else if own_view && !message.is_gone() {
                self.message(key).hidden_from.insert(account);
            }
        }
    }

    fn merge_received(&mut self, account: AccountId, ids: &[MessageId]) {
        let Some(account) = self.key_of(account) else { return };
        for key in self.known(ids) {
            let message = &self.messages[&key];
            let is_direct = self.conversations[&message.place].is_direct();
            if is_direct && message.sender != account {
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
        let place = self.merged_place(&read.conversation)?;
        let conversation = &self.conversations[&place];
        let before = conversation.members.get(&reader)?.read;
        let named = self.names.get(&read.message).map(|key| &self.messages[key]);
        let Some(named) = named.filter(|named| named.place == place) else {
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
                || message.is_gone()
                || lost(&message.id)
                || other_names.map(|(id, _)| id).any(lost)
        };
        let after = conversation.messages.iter().skip(before as usize);
        let wanted = (named.seq - before).max(0) as usize;
        let risen = after.take(wanted).take_while(|key| had(key)).count();
        let marker = before + risen as i64;
        let members = &mut self.conversation(place).members;
        members.get_mut(&reader).expect("just seen").read = marker;
        Some(marker)
    }

    fn scope(&self, scope: &RequestScope) -> Option<Vec<u8>> {
        Some(match scope {
            RequestScope::Username(name) => name.as_str().as_bytes().to_vec(),
            RequestScope::Account(id) => self.key_of(*id)?.to_be_bytes().to_vec(),
        })
    }

    /// What this side knows of the same call.
    pub(super) fn outcome_of(&self, request: Option<&MergedRequest>, call: Call) -> Option<Kept> {
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
                Call::LeaveRoom
                | Call::AddMember
                | Call::RemoveMember
                | Call::TransferRoom
                | Call::DeleteRoom => Kept::Done(Outcome::RoomChanged),
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
            MergedOutcome::Room(id) => {
                let Some(key) = self.room_by_id(id) else { return };
                Kept::Room(key)
            }
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
