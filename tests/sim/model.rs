//! The reference: what the log says, in plain maps. Written against the rules of the API, not against the
//! tables; slow where that is simple.

use std::collections::{BTreeMap, BTreeSet};

use chinwag::{
    chat::{
        Account, AccountId, AccountName, Call, Command, Conversation, ConversationName,
        Fingerprint, Message, MessageId, Outcome, Proof, Refusal, RequestId, SessionId, Timestamp,
        TokenHash, Update, Username,
    },
    cluster::{Entry, Payload},
    store::{Around, MessagePage},
    wire::update,
};

pub(crate) struct MAccount {
    pub(crate) id: AccountId,
    pub(crate) name: Username,
    pub(crate) hash: String,
    pub(crate) version: i64,
    /// The entry that changed the password last, of this history's own.
    pub(crate) changed: u64,
    pub(crate) create_time: i64,
    /// The entry that ended it.
    pub(crate) gone: Option<u64>,
}

pub(crate) struct MSession {
    pub(crate) id: SessionId,
    pub(crate) account: u64,
    pub(crate) device: String,
    pub(crate) create_time: i64,
    pub(crate) last_used: i64,
    pub(crate) end_time: Option<i64>,
}

pub(crate) struct MMessage {
    pub(crate) id: MessageId,
    pub(crate) between: (u64, u64),
    pub(crate) seq: i64,
    pub(crate) sender: u64,
    pub(crate) body: String,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) create_time: i64,
    pub(crate) received_time: Option<i64>,
    /// By whom and when.
    pub(crate) deleted: Option<(u64, i64)>,
    pub(crate) hidden_from: BTreeSet<u64>,
    /// Nobody is left to read it.
    pub(crate) purged: bool,
}

#[derive(Default)]
pub(crate) struct MConversation {
    pub(crate) messages: Vec<u64>,
    pub(crate) read: BTreeMap<u64, i64>,
    /// Its last reader has gone.
    pub(crate) over: bool,
    /// The entry that changed it last.
    pub(crate) touched: u64,
    pub(crate) begun: u64,
}

/// What is kept of an outcome.
#[derive(Clone)]
pub(crate) enum Kept {
    Session(u64),
    Message(u64),
    Read(i64),
    Done(Outcome),
    Refused(Refusal),
}

/// Everything, by the place of the entry that made it.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) accounts: BTreeMap<u64, MAccount>,
    pub(crate) sessions: BTreeMap<u64, MSession>,
    pub(crate) tokens: BTreeMap<[u8; 32], u64>,
    /// Those that a renewal ended.
    pub(crate) ended_tokens: BTreeMap<[u8; 32], u64>,
    pub(crate) conversations: BTreeMap<(u64, u64), MConversation>,
    pub(crate) messages: BTreeMap<u64, MMessage>,
    /// Every message by its ids.
    pub(crate) names: BTreeMap<MessageId, u64>,
    /// The ids that do not tell where the message stands.
    pub(crate) message_aliases: BTreeMap<MessageId, u64>,
    /// The ids of accounts that are one with another.
    pub(crate) account_aliases: BTreeMap<AccountId, u64>,
    /// Names that merges took from accounts.
    pub(crate) old_names: BTreeSet<(Username, u64)>,
    /// Epochs of which something is lost, and after which entry.
    pub(crate) divergence: BTreeMap<(u64, u32), u64>,
    pub(crate) requests: BTreeMap<(RequestId, Vec<u8>, Call), (Fingerprint, Kept)>,
    /// Where a request was carried out first.
    pub(crate) first: BTreeMap<RequestId, u64>,
    pub(crate) seq: u64,
    epoch: (u64, u32),
    pub(crate) time: i64,
}

type Result<T> = std::result::Result<T, Refusal>;

impl Model {
    /// What an entry comes to; `None` if it is no update.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Option<Result<Outcome>> {
        let Payload::Update(payload) = &entry.payload else { return None };
        let update = update::decode(payload).expect("an update that a server took");
        self.seq = entry.seq;
        self.epoch = (entry.epoch.number, entry.epoch.server.0);
        self.time = update.time.0;
        if let Command::Merge(merge) = &update.command {
            return Some(Ok(self.merge(merge)));
        }
        if let Some(request) = &update.request {
            self.first.entry(request.id).or_insert(entry.seq);
        }
        Some(self.once(&update))
    }

    /// A request id has one effect.
    fn once(&mut self, update: &Update) -> Result<Outcome> {
        let (scope, actor) = match &update.command {
            Command::CreateAccount(create) => (create.username.as_str().as_bytes().to_vec(), None),
            Command::Login(login) => (login.username.as_str().as_bytes().to_vec(), None),
            _ => {
                let session = self.session(update.session.ok_or(Refusal::NoSession)?)?;
                let account = self.sessions[&session].account;
                (account.to_be_bytes().to_vec(), Some((session, account)))
            }
        };
        let call = update.command.call().expect("clients call");
        let request = update.request.expect("every call has an id");
        let key = (request.id, scope, call);
        let known = self.requests.get(&key).cloned();
        if let Some((session, _)) = actor {
            let ended = self.sessions[&session].end_time.is_some();
            let ends_itself = match update.command {
                Command::Logout | Command::DeleteAccount(_) => true,
                Command::EndSession(id) => Some(id) == update.session,
                _ => false,
            };
            let repeats = ends_itself && known.is_some();
            if ended && !repeats {
                return Err(Refusal::NoSession);
            }
        }
        if let Some((fingerprint, kept)) = known {
            if fingerprint != request.fingerprint {
                return Err(Refusal::RequestIdReused);
            }
            return self.again(update, kept, actor.map(|(_, account)| account));
        }
        let result = self.carry_out(update, actor);
        let kept = match &result {
            Ok(Outcome::AccountCreated { .. } | Outcome::LoggedIn { .. }) => {
                Kept::Session(self.seq)
            }
            Ok(Outcome::MessageSent(_)) => Kept::Message(self.seq),
            Ok(Outcome::ReadMoved { read_seq }) => Kept::Read(*read_seq),
            Ok(done) => Kept::Done(done.clone()),
            Err(
                refusal @ (Refusal::NameTaken
                | Refusal::NoSuchAccount
                | Refusal::NoSuchRoom
                | Refusal::NoSuchMessage
                | Refusal::NoSuchSession
                | Refusal::NotAllowed),
            ) => Kept::Refused(*refusal),
            Err(_) => return result,
        };
        self.requests.insert(key, (request.fingerprint, kept));
        result
    }

    fn again(&mut self, update: &Update, kept: Kept, actor: Option<u64>) -> Result<Outcome> {
        match kept {
            Kept::Refused(refusal) => Err(refusal),
            Kept::Done(outcome) => Ok(outcome),
            Kept::Read(read_seq) => Ok(Outcome::ReadMoved { read_seq }),
            Kept::Message(message) => {
                let viewer = actor.expect("senders have a session");
                let mut shown = self.show(&self.messages[&message], viewer);
                // To its author it is what was sent, unless it is gone for everyone.
                if self.messages[&message].deleted.is_none() {
                    shown.body.clone_from(&self.messages[&message].body);
                    shown.deleted = false;
                }
                Ok(Outcome::MessageSent(Box::new(shown)))
            }
            Kept::Session(session) => match &update.command {
                Command::CreateAccount(create) => {
                    if self.sessions[&session].end_time.is_some() {
                        return Err(Refusal::BadCredentials);
                    }
                    let proof = create.proof.ok_or(Refusal::ProofNeeded)?;
                    let (account, session) = self.renew(session, &proof, &create.token)?;
                    Ok(Outcome::AccountCreated { account, session })
                }
                Command::Login(login) => {
                    let (account, session) = self.renew(session, &login.proof, &login.token)?;
                    Ok(Outcome::LoggedIn { account, session })
                }
                other => unreachable!("{other:?} begins no session"),
            },
        }
    }

    fn renew(
        &mut self,
        session: u64,
        proof: &Proof,
        token: &TokenHash,
    ) -> Result<(Account, SessionId)> {
        let live = &self.sessions[&session];
        if live.end_time.is_some() || self.proved(proof) != Some(live.account) {
            return Err(Refusal::BadCredentials);
        }
        let answer = (self.account(live.account), live.id);
        let earlier = self.tokens.extract_if(.., |_, other| *other == session);
        self.ended_tokens.extend(earlier);
        self.tokens.insert(token.0, session);
        Ok(answer)
    }

    fn carry_out(&mut self, update: &Update, actor: Option<(u64, u64)>) -> Result<Outcome> {
        match (&update.command, actor) {
            (Command::CreateAccount(create), _) => {
                if self.named(create.username.as_str()).is_some() {
                    return Err(Refusal::NameTaken);
                }
                if create.password_hash.is_empty() {
                    return Err(Refusal::ProofNeeded);
                }
                let account = MAccount {
                    id: create.account,
                    name: create.username.clone(),
                    hash: create.password_hash.clone(),
                    version: 1,
                    changed: 0,
                    create_time: self.time,
                    gone: None,
                };
                self.accounts.insert(self.seq, account);
                self.begin(self.seq, create.session, &create.token, "");
                let account = self.account(self.seq);
                Ok(Outcome::AccountCreated { account, session: create.session })
            }
            (Command::Login(login), _) => {
                let account = self.proved(&login.proof);
                let account = account.ok_or(Refusal::BadCredentials)?;
                self.begin(account, login.session, &login.token, login.device_name.as_str());
                Ok(Outcome::LoggedIn { account: self.account(account), session: login.session })
            }
            (Command::Logout, Some((session, _))) => {
                let time = self.time;
                self.sessions.get_mut(&session).expect("it acts").end_time = Some(time);
                Ok(Outcome::LoggedOut)
            }
            (Command::EndSession(id), Some((_, actor))) => {
                let own = self.session(*id).ok().filter(|key| self.sessions[key].account == actor);
                let own = own.ok_or(Refusal::NoSuchSession)?;
                self.end_sessions(|key, _| key == own);
                Ok(Outcome::SessionEnded)
            }
            (Command::ChangePassword(change), Some((session, actor))) => {
                let proved = change.proof.as_ref().and_then(|proof| self.proved(proof));
                proved.filter(|proved| *proved == actor).ok_or(Refusal::BadCredentials)?;
                let account = self.accounts.get_mut(&actor).expect("it acts");
                account.hash.clone_from(&change.password_hash);
                account.version += 1;
                account.changed = self.seq;
                self.end_sessions(|key, of| of == actor && key != session);
                Ok(Outcome::PasswordChanged)
            }
            (Command::DeleteAccount(proof), Some((_, actor))) => {
                let proved = proof.as_ref().and_then(|proof| self.proved(proof));
                proved.filter(|proved| *proved == actor).ok_or(Refusal::BadCredentials)?;
                self.depart(actor);
                Ok(Outcome::AccountDeleted)
            }
            (Command::SendMessage(send), Some((_, actor))) => {
                self.send(actor, &send.conversation, send.body.as_str(), send.reply_to)
            }
            (Command::DeleteMessages(ids), Some((_, actor))) => self.delete(actor, ids),
            (Command::AcknowledgeMessages(ids), Some((_, actor))) => self.receive(actor, ids),
            (Command::MarkRead { conversation, seq }, Some((_, actor))) => {
                self.mark_read(actor, conversation, *seq)
            }
            (other, _) => unreachable!("no client calls {other:?}"),
        }
    }

    /// Ends those that live and are chosen, by key and account.
    pub(crate) fn end_sessions(&mut self, chosen: impl Fn(u64, u64) -> bool) {
        for (key, session) in &mut self.sessions {
            if session.end_time.is_none() && chosen(*key, session.account) {
                session.end_time = Some(self.time);
            }
        }
    }

    /// Nothing is left of an account but what it said to others.
    pub(crate) fn depart(&mut self, account: u64) {
        for conversation in self.conversations.values_mut() {
            if conversation.read.remove(&account).is_some() && conversation.read.is_empty() {
                conversation.over = true;
                for key in &conversation.messages {
                    self.messages.get_mut(key).expect("it stands there").purged = true;
                }
            }
        }
        for message in self.messages.values_mut() {
            message.hidden_from.remove(&account);
        }
        self.end_sessions(|_, of| of == account);
        let gone = self.accounts.get_mut(&account).expect("a known one");
        gone.gone = Some(self.seq);
        gone.hash.clear();
    }

    fn begin(&mut self, account: u64, id: SessionId, token: &TokenHash, device: &str) {
        let session = MSession {
            id,
            account,
            device: device.to_owned(),
            create_time: self.time,
            last_used: self.time,
            end_time: None,
        };
        self.sessions.insert(self.seq, session);
        self.tokens.insert(token.0, self.seq);
    }

    fn send(
        &mut self,
        actor: u64,
        to: &ConversationName,
        body: &str,
        reply_to: Option<MessageId>,
    ) -> Result<Outcome> {
        if matches!(to, ConversationName::Direct(AccountName::Deleted(_))) {
            return Err(Refusal::NoSuchAccount);
        }
        let between = self.between(actor, to)?;
        if let Some(answered) = reply_to {
            let answered = self.visible(actor, answered)?;
            if self.messages[&answered].between != between {
                return Err(Refusal::NoSuchMessage);
            }
        }
        let reply_to = reply_to.map(|id| self.messages[&self.names[&id]].id);
        let message = MMessage {
            id: MessageId::natural(self.epoch.0, self.epoch.1, self.seq),
            between,
            seq: 0,
            sender: actor,
            body: body.to_owned(),
            reply_to,
            create_time: self.time,
            received_time: None,
            deleted: None,
            hidden_from: BTreeSet::new(),
            purged: false,
        };
        self.post(message);
        let shown = self.show(&self.messages[&self.seq], actor);
        Ok(Outcome::MessageSent(Box::new(shown)))
    }

    fn delete(&mut self, actor: u64, ids: &[MessageId]) -> Result<Outcome> {
        for target in self.targets(actor, ids)? {
            let (seq, time) = (self.seq, self.time);
            let message = self.messages.get_mut(&target).expect("it is a target");
            if message.deleted.is_some() || message.hidden_from.contains(&actor) {
                continue;
            }
            if message.sender == actor {
                message.deleted = Some((actor, time));
                self.conversations.get_mut(&message.between).expect("it has one").touched = seq;
            } else {
                message.hidden_from.insert(actor);
            }
        }
        Ok(Outcome::MessagesDeleted)
    }

    fn receive(&mut self, actor: u64, ids: &[MessageId]) -> Result<Outcome> {
        for target in self.targets(actor, ids)? {
            let (seq, time) = (self.seq, self.time);
            let message = self.messages.get_mut(&target).expect("it is a target");
            let counts = message.sender != actor
                && message.received_time.is_none()
                && message.deleted.is_none()
                && !message.hidden_from.contains(&actor);
            if counts {
                message.received_time = Some(time);
                self.conversations.get_mut(&message.between).expect("it has one").touched = seq;
            }
        }
        Ok(Outcome::MessagesAcknowledged)
    }

    fn mark_read(&mut self, actor: u64, name: &ConversationName, seq: i64) -> Result<Outcome> {
        let between = self.between(actor, name)?;
        let Some(conversation) = self.conversations.get_mut(&between) else {
            return Ok(Outcome::ReadMoved { read_seq: 0 });
        };
        let newest = conversation.messages.len() as i64;
        let marker = conversation.read.get_mut(&actor).expect("a member");
        *marker = (*marker).max(seq.min(newest));
        Ok(Outcome::ReadMoved { read_seq: *marker })
    }

    // --- reading ---

    pub(crate) fn account(&self, key: u64) -> Account {
        let account = &self.accounts[&key];
        let create_time = Timestamp(account.create_time);
        Account { id: account.id, username: account.name.clone(), create_time }
    }

    pub(crate) fn key_of(&self, id: AccountId) -> Option<u64> {
        let found = self.accounts.iter().find(|(_, account)| account.id == id);
        found.map(|(key, _)| *key).or_else(|| self.account_aliases.get(&id).copied())
    }

    /// The living account whose present password was proved.
    fn proved(&self, proof: &Proof) -> Option<u64> {
        let right = |key: &u64| {
            let account = &self.accounts[key];
            account.id == proof.account
                && account.gone.is_none()
                && account.version == proof.password_version
        };
        self.key_of(proof.account).filter(right)
    }

    /// How others call it.
    fn called(&self, key: u64) -> AccountName {
        let account = &self.accounts[&key];
        match account.gone {
            Some(_) => AccountName::Deleted(account.id),
            None => AccountName::Named(account.name.clone()),
        }
    }

    /// Whether a call with this id was carried out, and not refused.
    pub(crate) fn did(&self, id: RequestId) -> bool {
        let mut same = self.requests.iter().filter(|((other, ..), _)| *other == id);
        same.any(|(_, (_, kept))| !matches!(kept, Kept::Refused(_)))
    }

    /// Whether somebody may mean an account by this name whose password has this hash.
    pub(crate) fn proves(&self, name: &str, hash: &str) -> bool {
        let named = self.named(name).into_iter();
        let renamed = self.old_names.iter().filter(|(old, _)| old.as_str() == name);
        let mut meant = named.chain(renamed.map(|(_, key)| *key));
        meant.any(|key| self.accounts[&key].gone.is_none() && self.accounts[&key].hash == hash)
    }

    pub(crate) fn named(&self, name: &str) -> Option<u64> {
        let mut living = self.accounts.iter().filter(|(_, account)| account.gone.is_none());
        living.find(|(_, account)| account.name.as_str() == name).map(|(key, _)| *key)
    }

    fn session(&self, id: SessionId) -> Result<u64> {
        let found = self.sessions.iter().find(|(_, session)| session.id == id);
        found.map(|(key, _)| *key).ok_or(Refusal::NoSession)
    }

    /// Whether this token lets somebody in.
    pub(crate) fn lets_in(&self, token: &TokenHash) -> bool {
        let session = self.tokens.get(&token.0).and_then(|key| self.sessions.get(key));
        session.is_some_and(|session| session.end_time.is_none())
    }

    fn between(&self, actor: u64, name: &ConversationName) -> Result<(u64, u64)> {
        let ConversationName::Direct(name) = name else {
            return Err(Refusal::NoSuchAccount);
        };
        let other = match name {
            AccountName::Named(name) => self.named(name.as_str()),
            AccountName::Deleted(id) => {
                self.key_of(*id).filter(|key| self.accounts[key].gone.is_some())
            }
        };
        let other = other.ok_or(Refusal::NoSuchAccount)?;
        Ok((actor.min(other), actor.max(other)))
    }

    fn visible(&self, viewer: u64, id: MessageId) -> Result<u64> {
        let key = self.names.get(&id).copied().ok_or(Refusal::NoSuchMessage)?;
        let found = self.messages.get(&key);
        let seen =
            found.filter(|message| message.between.0 == viewer || message.between.1 == viewer);
        seen.map(|_| key).ok_or(Refusal::NoSuchMessage)
    }

    fn targets(&self, actor: u64, ids: &[MessageId]) -> Result<BTreeSet<u64>> {
        ids.iter().map(|id| self.visible(actor, *id)).collect()
    }

    pub(crate) fn show(&self, message: &MMessage, viewer: u64) -> Message {
        let (low, high) = message.between;
        let other = if low == viewer { high } else { low };
        let named = |key: u64| self.called(key);
        let gone =
            message.purged || message.deleted.is_some() || message.hidden_from.contains(&viewer);
        Message {
            id: message.id,
            conversation: ConversationName::Direct(named(other)),
            seq: message.seq,
            sender: named(message.sender),
            body: if gone { String::new() } else { message.body.clone() },
            reply_to: message.reply_to,
            create_time: Timestamp(message.create_time),
            edit_time: None,
            received_time: message.received_time.map(Timestamp),
            deleted: gone,
            mentions: Vec::new(),
        }
    }

    pub(crate) fn page(
        &self,
        viewer: u64,
        name: &ConversationName,
        around: Around,
        size: usize,
    ) -> Result<MessagePage> {
        let between = self.between(viewer, name)?;
        let Some(conversation) = self.conversations.get(&between) else {
            return Ok(MessagePage::default());
        };
        let all: Vec<Message> = conversation
            .messages
            .iter()
            .map(|key| self.show(&self.messages[key], viewer))
            .collect();
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
                let older = if size < 3 { seq > 1 } else { from > 0 };
                (from, to, older || to < all.len())
            }
        };
        Ok(MessagePage { messages: all[from..to].to_vec(), has_more })
    }

    /// Others' messages after the marker that are neither deleted nor hidden.
    pub(crate) fn unread(&self, between: (u64, u64), viewer: u64) -> i64 {
        let conversation = &self.conversations[&between];
        let read = conversation.read[&viewer];
        let after = conversation.messages.iter().map(|key| &self.messages[key]);
        let counts = |message: &&MMessage| {
            message.seq > read
                && message.sender != viewer
                && message.deleted.is_none()
                && !message.hidden_from.contains(&viewer)
        };
        after.filter(counts).count() as i64
    }

    pub(crate) fn list(&self, viewer: u64) -> Vec<Conversation> {
        let mut own: Vec<_> = self
            .conversations
            .iter()
            .filter(|((low, high), _)| *low == viewer || *high == viewer)
            .collect();
        own.sort_by_key(|(_, conversation)| (conversation.touched, conversation.begun));
        own.reverse();
        own.into_iter()
            .map(|(between, conversation)| {
                let newest = conversation.messages.last().map(|key| &self.messages[key]);
                let newest = newest.map(|message| self.show(message, viewer));
                let other = if between.0 == viewer { between.1 } else { between.0 };
                let name = self.called(other);
                Conversation {
                    name: ConversationName::Direct(name),
                    topic: String::new(),
                    private: false,
                    owner: None,
                    last_seq: conversation.messages.len() as i64,
                    read_seq: conversation.read[&viewer],
                    unread_count: self.unread(*between, viewer),
                    mention_count: 0,
                    last_message: newest,
                    member: true,
                }
            })
            .collect()
    }

    pub(crate) fn everybody(&self) -> Vec<Account> {
        let living = self.accounts.iter().filter(|(_, account)| account.gone.is_none());
        let mut all: Vec<Account> = living.map(|(key, _)| self.account(*key)).collect();
        all.sort_by(|one, other| one.username.cmp(&other.username));
        all
    }
}
