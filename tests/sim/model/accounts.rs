//! Accounts and their sessions.

use chinwag::chat::{
    Account, AccountId, AccountName, ChangePassword, CreateAccount, Login, Outcome, Proof, Refusal,
    SessionId, Timestamp, TokenHash, Username,
};

use super::{Model, Result};

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

impl Model {
    pub(super) fn create_account(&mut self, create: &CreateAccount) -> Result<Outcome> {
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
        self.begin_session(self.seq, create.session, &create.token, "");
        let account = self.account(self.seq);
        Ok(Outcome::AccountCreated { account, session: create.session })
    }

    pub(super) fn login(&mut self, login: &Login) -> Result<Outcome> {
        let account = self.proved(&login.proof).ok_or(Refusal::BadCredentials)?;
        self.begin_session(account, login.session, &login.token, login.device_name.as_str());
        Ok(Outcome::LoggedIn { account: self.account(account), session: login.session })
    }

    fn begin_session(&mut self, account: u64, id: SessionId, token: &TokenHash, device: &str) {
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

    pub(super) fn renew(
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

    pub(super) fn logout(&mut self, session: u64) -> Outcome {
        let time = self.time;
        self.sessions.get_mut(&session).expect("it acts").end_time = Some(time);
        Outcome::LoggedOut
    }

    pub(super) fn end_session(&mut self, actor: u64, id: SessionId) -> Result<Outcome> {
        let own = self.session(id).ok().filter(|key| self.sessions[key].account == actor);
        let own = own.ok_or(Refusal::NoSuchSession)?;
        self.end_sessions(|key, _| key == own);
        Ok(Outcome::SessionEnded)
    }

    pub(super) fn change_password(
        &mut self,
        session: u64,
        actor: u64,
        change: &ChangePassword,
    ) -> Result<Outcome> {
        self.proves_own(actor, change.proof.as_ref())?;
        let account = self.accounts.get_mut(&actor).expect("it acts");
        account.hash.clone_from(&change.password_hash);
        account.version += 1;
        account.changed = self.seq;
        self.end_sessions(|key, of| of == actor && key != session);
        Ok(Outcome::PasswordChanged)
    }

    pub(super) fn delete_account(&mut self, actor: u64, proof: Option<&Proof>) -> Result<Outcome> {
        self.proves_own(actor, proof)?;
        self.depart(actor);
        Ok(Outcome::AccountDeleted)
    }

    fn proves_own(&self, actor: u64, proof: Option<&Proof>) -> Result<()> {
        let proved = proof.and_then(|proof| self.proved(proof));
        proved.filter(|proved| *proved == actor).map(drop).ok_or(Refusal::BadCredentials)
    }

    /// Ends those that live and are chosen, by key and account.
    pub(super) fn end_sessions(&mut self, chosen: impl Fn(u64, u64) -> bool) {
        for (key, session) in &mut self.sessions {
            if session.end_time.is_none() && chosen(*key, session.account) {
                session.end_time = Some(self.time);
            }
        }
    }

    /// Nothing is left of an account but what it said to others.
    pub(super) fn depart(&mut self, account: u64) {
        self.leave_everything(account);
        for message in self.messages.values_mut() {
            message.hidden_from.remove(&account);
            message.mentions.remove(&account);
        }
        self.end_sessions(|_, of| of == account);
        let gone = self.accounts.get_mut(&account).expect("a known one");
        gone.gone = Some(self.seq);
        gone.hash.clear();
    }

    // --- who is who ---

    pub(crate) fn account(&self, key: u64) -> Account {
        let account = &self.accounts[&key];
        let create_time = Timestamp(account.create_time);
        Account { id: account.id, username: account.name.clone(), create_time }
    }

    pub(crate) fn key_of(&self, id: AccountId) -> Option<u64> {
        let found = self.accounts.iter().find(|(_, account)| account.id == id);
        found.map(|(key, _)| *key).or_else(|| self.account_aliases.get(&id).copied())
    }

    pub(crate) fn lives(&self, key: u64) -> bool {
        self.accounts[&key].gone.is_none()
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
    pub(crate) fn called(&self, key: u64) -> AccountName {
        let account = &self.accounts[&key];
        match account.gone {
            Some(_) => AccountName::Deleted(account.id),
            None => AccountName::Named(account.name.clone()),
        }
    }

    /// Whether somebody may mean an account by this name whose password has this hash.
    pub(crate) fn proves(&self, name: &str, hash: &str) -> bool {
        let named = self.named(name).into_iter();
        let renamed = self.old_names.iter().filter(|(old, _)| old.as_str() == name);
        let mut meant = named.chain(renamed.map(|(_, key)| *key));
        meant.any(|key| self.lives(key) && self.accounts[&key].hash == hash)
    }

    pub(crate) fn named(&self, name: &str) -> Option<u64> {
        let mut living = self.accounts.iter().filter(|(_, account)| account.gone.is_none());
        living.find(|(_, account)| account.name.as_str() == name).map(|(key, _)| *key)
    }

    pub(super) fn session(&self, id: SessionId) -> Result<u64> {
        let found = self.sessions.iter().find(|(_, session)| session.id == id);
        found.map(|(key, _)| *key).ok_or(Refusal::NoSession)
    }
}
