//! Clients: the real library's decisions over the simulated network, and what people do with them.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, VecDeque},
    rc::Rc,
    time::{Duration, Instant},
};

use chinwag::{
    chat::{
        AccountId, ConversationName, MessageId, Outcome, Refusal, RequestId, SessionId, TokenHash,
    },
    client::{
        Error, Patience,
        decisions::{Attempts, Failure, Resume, Route, ServerIndex, Step},
    },
    store::Around,
    wire::chat::event::Kind,
};

use crate::{
    calls::{Ask, Call, Definite, Feed, History, Reply, Sight},
    chance::Chance,
    tasks::{Clock, Receiver, Sender, channel},
};

/// A call on its way to a server.
pub(crate) struct Outgoing {
    pub(crate) client: usize,
    pub(crate) server: usize,
    pub(crate) call: Call,
    pub(crate) replies: Sender<Reply>,
}

/// What all clients share.
pub(crate) struct Net {
    pub(crate) clock: Rc<Clock>,
    pub(crate) history: RefCell<History>,
    pub(crate) outbox: RefCell<VecDeque<Outgoing>>,
    /// The sessions that each name began.
    pub(crate) sessions: RefCell<Vec<(String, SessionId)>>,
    /// Nobody begins anything new any more.
    pub(crate) over: Cell<bool>,
    pub(crate) servers: usize,
    pub(crate) clients: usize,
    /// An arbitrary moment at which simulated time began.
    pub(crate) began: Instant,
}

/// Where clients reach a server.
pub(crate) fn address(server: usize) -> String {
    format!("127.0.0.1:{}", 7_001 + server)
}

fn patience() -> Patience {
    Patience { call: Duration::from_secs(4), ..Patience::default() }
}

/// One person's device.
pub(crate) struct Client {
    pub(crate) index: usize,
    pub(crate) net: Rc<Net>,
    route: RefCell<Route>,
    chance: RefCell<Chance>,
    session: Cell<Option<TokenHash>>,
    account: Cell<Option<AccountId>>,
    /// Which of the account's passwords it holds for the right one.
    password: Cell<usize>,
}

/// So many passwords have come to a person's mind.
const PASSWORDS: usize = 3;

impl Client {
    pub(crate) fn new(index: usize, net: Rc<Net>, seed: u64) -> Client {
        let mut chance = Chance(seed);
        let first = chance.below(net.servers);
        let addresses: Vec<String> =
            (0..net.servers).map(|place| address((first + place) % net.servers)).collect();
        Client {
            index,
            net,
            route: RefCell::new(Route::new(&addresses)),
            chance: RefCell::new(chance),
            session: Cell::new(None),
            account: Cell::new(None),
            password: Cell::new(0),
        }
    }

    fn now(&self) -> Instant {
        self.net.began + self.net.clock.now.get()
    }

    fn below(&self, limit: usize) -> usize {
        self.chance.borrow_mut().below(limit)
    }

    fn spread(&self) -> f64 {
        self.below(1_001) as f64 / 1_000.0
    }

    /// Makes a call with as many attempts as it takes. Returns its first answer, and the rest of them for a
    /// stream.
    async fn call(
        &self,
        call: &Call,
        is_write: bool,
    ) -> Result<(ServerIndex, Reply, Receiver<Reply>), Error> {
        let patience = patience();
        let (id, first) = match call {
            Call::Unary { id, ask: Ask::Create { .. } | Ask::Login { .. }, .. } => {
                (Some(id.to_string()), patience.password_attempt)
            }
            Call::Unary { id, .. } if is_write => (Some(id.to_string()), patience.attempt),
            _ => (None, patience.attempt),
        };
        let mut attempts = Attempts::begin(id.as_deref(), first, &patience, self.now());
        let mut step = attempts.first(&self.route.borrow(), self.now());
        loop {
            step = match step {
                Step::Try(server, patience) => match self.attempt(server, patience, call).await {
                    Ok((reply, rest)) => {
                        let _ = self.route.borrow_mut().served(server, self.now());
                        return Ok((server, reply, rest));
                    }
                    Err(failure) => {
                        let (now, spread) = (self.now(), self.spread());
                        let mut route = self.route.borrow_mut();
                        let _ = route.failed(server, &failure, now);
                        attempts.failed(&mut route, server, failure, now, spread)
                    }
                },
                Step::Wait(delay) => {
                    self.net.clock.sleep(delay).await;
                    attempts.waited(&self.route.borrow(), self.now())
                }
                Step::End(error) => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        server: ServerIndex,
        patience: Duration,
        call: &Call,
    ) -> Result<(Reply, Receiver<Reply>), Failure> {
        let place = self.route.borrow().address(server).to_owned();
        let server = (0..self.net.servers).find(|index| address(*index) == place);
        let server = server.ok_or_else(|| Failure::Unreachable("an unknown place".into()))?;
        let (sender, replies) = channel();
        let (client, call) = (self.index, call.clone());
        self.net.outbox.borrow_mut().push_back(Outgoing { client, server, call, replies: sender });
        match self.net.clock.within(patience, replies.recv()).await {
            Some(Some(Reply::Failed(failure))) => Err(failure),
            Some(Some(reply)) => Ok((reply, replies)),
            Some(None) => Err(Failure::Lost("the connection broke".into())),
            None => Err(Failure::Silent),
        }
    }

    /// Asks until there is a definite answer, with the same request id all the way.
    async fn settle(&self, ask: Ask) -> Definite {
        let is_write = !matches!(ask, Ask::Messages { .. } | Ask::Conversations | Ask::Accounts);
        let mut id = [0; 16];
        for half in id.chunks_mut(8) {
            half.copy_from_slice(&self.chance.borrow_mut().number().to_be_bytes());
        }
        let id = RequestId(id);
        let begins = matches!(ask, Ask::Create { .. } | Ask::Login { .. });
        let token = if begins { None } else { self.session.get() };
        let op = self.net.history.borrow_mut().begin(id, ask.clone(), token);
        let call = Call::Unary { id, token, ask };
        loop {
            if let Ok((_, Reply::Definite { answer, token }, _)) = self.call(&call, is_write).await
            {
                if begins {
                    self.session.set(token);
                }
                self.net.history.borrow_mut().end(op, answer.clone());
                return answer;
            }
            self.net.clock.sleep(Duration::from_millis(50)).await;
        }
    }

    /// A person at work until the load is over.
    pub(crate) async fn work(self: Rc<Client>, pace_ms: usize) {
        self.pause(300).await;
        self.begin_account().await;
        let mut known: Vec<MessageId> = Vec::new();
        while !self.net.over.get() {
            self.pause(pace_ms).await;
            if self.session.get().is_none() {
                self.come_back().await;
                continue;
            }
            self.act(&mut known).await;
        }
        // Whoever follows the events needs a session to the end.
        while self.session.get().is_none() {
            self.come_back().await;
        }
    }

    async fn pause(&self, most_ms: usize) {
        let micros = self.below(most_ms * 1_000 + 1) as u64;
        self.net.clock.sleep(Duration::from_micros(micros)).await;
    }

    fn name(&self) -> String {
        // The last one shares the first one's account, as a second device.
        let second = self.net.clients > 2 && self.index + 1 == self.net.clients;
        format!("user{}", if second { 0 } else { self.index })
    }

    fn secret(&self, which: usize) -> String {
        format!("secret {which} of {}", self.name())
    }

    /// Logs in with the password that is known, or one that another device may have chosen; or begins anew, if
    /// that ended the account.
    async fn come_back(&self) {
        if self.below(2) == 0 {
            self.password.set(self.below(PASSWORDS));
        }
        match self.below(3) {
            0 => self.begin_account().await,
            _ => self.log_in().await,
        }
    }

    async fn begin_account(&self) {
        let (username, password) = (self.name(), self.secret(self.password.get()));
        match self.settle(Ask::Create { username, password }).await {
            Definite::Executed {
                result: Ok(Outcome::AccountCreated { account, session }), ..
            } => {
                self.account.set(Some(account.id));
                self.net.sessions.borrow_mut().push((self.name(), session));
            }
            _ => self.log_in().await,
        }
    }

    async fn log_in(&self) {
        let (username, password) = (self.name(), self.secret(self.password.get()));
        let device = format!("device {}", self.below(100));
        let answer = self.settle(Ask::Login { username, password, device }).await;
        if let Definite::Executed { result: Ok(Outcome::LoggedIn { account, session }), .. } =
            answer
        {
            self.account.set(Some(account.id));
            self.net.sessions.borrow_mut().push((self.name(), session));
        }
    }

    async fn act(&self, known: &mut Vec<MessageId>) {
        let ask = self.choose(known);
        let logs_out = matches!(ask, Ask::Logout);
        let (before, new) = (self.password.get(), self.below(PASSWORDS));
        let ask = match ask {
            Ask::ChangePassword { old, .. } => Ask::ChangePassword { old, new: self.secret(new) },
            other => other,
        };
        match self.settle(ask).await {
            Definite::Executed { result: Ok(Outcome::PasswordChanged), .. } => {
                self.password.set(new);
            }
            Definite::Executed { result: Ok(Outcome::AccountDeleted), .. } => {
                self.session.set(None);
            }
            Definite::Executed { result: Err(Refusal::BadCredentials), .. } => {
                self.password.set((before + 1) % PASSWORDS);
            }
            Definite::Executed { result: Err(Refusal::NoSession), .. }
            | Definite::Refused { refusal: Refusal::NoSession, .. } => self.session.set(None),
            Definite::Executed { result: Ok(Outcome::MessageSent(message)), .. } => {
                known.push(message.id);
            }
            Definite::Read { seen: Ok(Sight::Messages(page)), .. } => {
                known.extend(page.messages.iter().map(|message| message.id));
            }
            _ => {}
        }
        if logs_out {
            self.session.set(None);
        }
    }

    fn choose(&self, known: &[MessageId]) -> Ask {
        let other = self.below(self.net.clients);
        let conversation = ConversationName::parse(&format!("@user{other}")).expect("a good name");
        match self.below(100) {
            0..=49 => {
                let body = format!("{} says {}", self.name(), self.below(1_000_000));
                let reply_to = known.last().copied().filter(|_| self.below(10) == 0);
                Ask::Send { to: conversation, body, reply_to }
            }
            50..=62 => {
                let around = match self.below(4) {
                    0 => Around::Latest,
                    1 => Around::Before(1 + self.below(30) as i64),
                    2 => Around::After(self.below(30) as i64),
                    _ => Around::Seq(1 + self.below(30) as i64),
                };
                Ask::Messages { conversation, around, size: 1 + self.below(12) as i32 }
            }
            63..=72 => Ask::MarkRead { conversation, seq: self.below(40) as i64 },
            73..=80 if !known.is_empty() => Ask::Delete(self.some(known)),
            81..=87 if !known.is_empty() => Ask::Acknowledge(self.some(known)),
            88 => Ask::Logout,
            89 => match self.below(4) {
                0 => Ask::DeleteAccount { password: self.secret(self.password.get()) },
                1 => {
                    let (old, new) = (self.secret(self.password.get()), String::new());
                    Ask::ChangePassword { old, new }
                }
                _ => Ask::EndSession(self.a_session()),
            },
            90..=93 => Ask::Accounts,
            _ => Ask::Conversations,
        }
    }

    /// One of the own sessions, or once in a while somebody else's.
    fn a_session(&self) -> SessionId {
        let all = self.net.sessions.borrow();
        let others = self.below(8) == 0;
        let some: Vec<_> =
            all.iter().filter(|(name, _)| (*name == self.name()) != others).collect();
        match some.len() {
            0 => SessionId([3; 16]),
            len => some[self.below(len)].1,
        }
    }

    /// One or a few of them, once in a while one that is no message.
    fn some(&self, known: &[MessageId]) -> Vec<MessageId> {
        if self.below(30) == 0 {
            return vec![MessageId([3; 16])];
        }
        let count = 1 + self.below(3);
        let chosen: BTreeSet<usize> = (0..count).map(|_| self.below(known.len())).collect();
        chosen.into_iter().map(|place| known[place]).collect()
    }

    /// A device that follows everything, across breaks and log-ins, until the end of the run.
    pub(crate) async fn follow(self: Rc<Client>) {
        while self.account.get().is_none() || self.session.get().is_none() {
            self.net.clock.sleep(Duration::from_millis(20)).await;
        }
        let mut account = self.account.get().expect("just seen");
        let mut feed = self.begin_feed(account);
        let mut resume = Resume::after(String::new(), self.now());
        loop {
            self.net.clock.sleep(resume.delay(self.spread())).await;
            let now = self.account.get().expect("never unset");
            if now != account {
                self.net.history.borrow_mut().feeds[feed].over = true;
                (account, feed) = (now, self.begin_feed(now));
                resume = Resume::after(String::new(), self.now());
            }
            let Some(token) = self.session.get() else {
                self.net.clock.sleep(Duration::from_millis(50)).await;
                continue;
            };
            let call = Call::Subscribe { token, cursor: resume.cursor().to_owned() };
            let Ok((server, first, rest)) = self.call(&call, false).await else { continue };
            resume.opened(self.now());
            let failure = self.listen(feed, &mut resume, first, rest).await;
            self.net.history.borrow_mut().feeds[feed].open = false;
            resume.broke();
            if let Some(failure) = failure {
                let mut route = self.route.borrow_mut();
                let _ = route.failed(server, &failure, self.now());
                if let Failure::NotLeader(Some(leader)) = &failure {
                    route.prefer(leader);
                }
            } else {
                self.net.clock.sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn begin_feed(&self, account: AccountId) -> usize {
        let mut history = self.net.history.borrow_mut();
        history.feeds.push(Feed { account, events: Vec::new(), open: false, over: false });
        history.feeds.len() - 1
    }

    /// Takes events until the stream breaks; says why, unless the session is over.
    async fn listen(
        &self,
        feed: usize,
        resume: &mut Resume,
        first: Reply,
        rest: Receiver<Reply>,
    ) -> Option<Failure> {
        let mut next = Some(first);
        loop {
            match next {
                Some(Reply::Event(event)) => {
                    if let Some(event) = resume.take(*event, self.now()) {
                        let mut history = self.net.history.borrow_mut();
                        let feed = &mut history.feeds[feed];
                        feed.open |= matches!(event.kind, Some(Kind::CaughtUp(_)));
                        feed.events.push(event);
                    }
                }
                Some(Reply::Failed(failure)) => return Some(failure),
                Some(Reply::Definite { .. }) => return None,
                None => return Some(Failure::Lost("the stream broke".into())),
            }
            let silence = resume.silent_at().saturating_duration_since(self.now());
            next = match self.net.clock.within(silence, rest.recv()).await {
                Some(next) => next,
                None => return Some(Failure::Silent),
            };
        }
    }
}
