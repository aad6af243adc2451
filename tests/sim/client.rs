//! Clients: the real library's decisions over the simulated network. What people do with them is in `people`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

use chinwag::{
    chat::{AccountId, RequestId, SessionId, TokenHash},
    client::{
        Error, Patience,
        decisions::{Attempts, Failure, Resume, Route, ServerIndex, Step},
    },
    wire::chat::event::Kind,
};

use crate::{
    calls::{Ask, Call, Definite, Feed, History, Reply},
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
    pub(crate) house_keeping: bool,
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
    pub(crate) session: Cell<Option<TokenHash>>,
    pub(crate) account: Cell<Option<AccountId>>,
    /// Which of the account's passwords it holds for the right one.
    pub(crate) password: Cell<usize>,
}

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

    pub(crate) fn below(&self, limit: usize) -> usize {
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
    pub(crate) async fn settle(&self, ask: Ask) -> Definite {
        let is_write = ask.is_write();
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
                if self.net.over.get() && self.session.get().is_none() {
                    self.come_back().await;
                }
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
            } else if self.session.get() == Some(token) {
                // Another device ended it.
                self.session.set(None);
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
