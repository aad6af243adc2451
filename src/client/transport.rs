//! The shell: carries out what the pure code decides, over one channel a server.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::Mutex,
    time::{Duration, Instant},
};

use tokio::time;
use tonic::{
    Request, Response, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
    transport::Channel,
};
use zeroize::Zeroizing;

use super::{
    Client, Patience,
    attempts::{Attempts, Step},
    error::Error,
    failure::Failure,
    route::{Route, ServerIndex},
};
use crate::{
    telemetry::trace::{TRACEPARENT, TraceId},
    tls::Dialing,
};

/// One lazily connected channel a server.
#[derive(Debug)]
pub(super) struct Channels {
    connect: Duration,
    ping: Duration,
    dialing: Dialing,
    open: Mutex<BTreeMap<String, Channel>>,
}

impl Channels {
    pub(super) fn new(patience: &Patience, dialing: Dialing) -> Channels {
        let open = Mutex::new(BTreeMap::new());
        Channels { connect: patience.connect, ping: patience.ping, dialing, open }
    }

    /// The channel to this server; connects at its first call and again after a break.
    pub(super) fn get(&self, address: &str) -> Result<Channel, Failure> {
        let mut open = self.open.lock().expect("no holder panics");
        if let Some(channel) = open.get(address) {
            return Ok(channel.clone());
        }
        let endpoint = self
            .dialing
            .endpoint(address)
            .map_err(|error| Failure::Unreachable(format!("{address}: {error}")))?;
        let endpoint = endpoint
            .connect_timeout(self.connect)
            .tcp_nodelay(true)
            // A frozen peer's kernel keeps the connection alive; only an unanswered ping shows it.
            .http2_keep_alive_interval(self.ping)
            .keep_alive_timeout(self.ping);
        let channel = self.dialing.connect(&endpoint, None);
        open.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    /// Gives up a connection that does not answer; calls under way on it go on.
    fn forget(&self, address: &str) {
        self.open.lock().expect("no holder panics").remove(address);
    }
}

/// What kind of call it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Anybody may make it, for a password stands in it.
    Password,
    /// Only a logged-in user may make it.
    Session,
    /// As `Session`, and a password stands in it, which is slow to check.
    SessionPassword,
    /// As `Session`, and its answer is a stream, which lasts.
    Stream,
}

impl Client {
    /// Makes a call with as many attempts as it takes. `request_id` is that of the request if it
    /// changes something.
    pub(super) async fn call<Body, Answer, Invoke, Pending>(
        &self,
        kind: Kind,
        request_id: Option<&str>,
        body: Body,
        invoke: Invoke,
    ) -> Result<Answer, Error>
    where
        Body: Clone,
        Invoke: Fn(Channel, Request<Body>) -> Pending,
        Pending: Future<Output = Result<Response<Answer>, Status>>,
    {
        Ok(self.call_at(kind, request_id, body, invoke).await?.1)
    }

    /// As [`Client::call`], and tells which server answered.
    pub(super) async fn call_at<Body, Answer, Invoke, Pending>(
        &self,
        kind: Kind,
        request_id: Option<&str>,
        body: Body,
        invoke: Invoke,
    ) -> Result<(ServerIndex, Answer), Error>
    where
        Body: Clone,
        Invoke: Fn(Channel, Request<Body>) -> Pending,
        Pending: Future<Output = Result<Response<Answer>, Status>>,
    {
        let token = self.session_token();
        if kind != Kind::Password && token.is_none() {
            return Err(Error::NotLoggedIn { detail: "there is no session".into() });
        }
        let patience = &self.shared.patience;
        let first = match kind {
            Kind::Password | Kind::SessionPassword => patience.password_attempt,
            Kind::Session | Kind::Stream => patience.attempt,
        };
        let mut attempts = Attempts::begin(request_id, first, patience, now());
        let trace = TraceId::draw();
        let mut step = self.with_route(|route| attempts.first(route, now()));
        loop {
            step = match step {
                Step::Try(server, patience) => {
                    let mut request = traced(authorized(body.clone(), token.as_ref())?, trace);
                    if kind != Kind::Stream {
                        // The server may stop working on what nobody waits for any more.
                        request.set_timeout(patience);
                    }
                    match self.attempt(server, patience, request, &invoke).await {
                        Ok(answer) => return Ok((server, answer)),
                        Err(failure) => {
                            tell(trace, &failure);
                            self.failed(&mut attempts, server, failure)
                        }
                    }
                }
                Step::Wait(delay) => {
                    time::sleep(delay).await;
                    self.with_route(|route| attempts.waited(route, now()))
                }
                Step::End(error) => return Err(error),
            }
        }
    }

    async fn attempt<Body, Answer, Invoke, Pending>(
        &self,
        server: ServerIndex,
        patience: Duration,
        request: Request<Body>,
        invoke: &Invoke,
    ) -> Result<Answer, Failure>
    where
        Invoke: Fn(Channel, Request<Body>) -> Pending,
        Pending: Future<Output = Result<Response<Answer>, Status>>,
    {
        let address = self.with_route(|route| route.address(server).to_owned());
        let channel = self.shared.channels.get(&address)?;
        let outcome = time::timeout(patience, invoke(channel, request)).await;
        let failure = match outcome {
            Ok(Ok(response)) => {
                self.served(server, response.metadata());
                return Ok(response.into_inner());
            }
            Ok(Err(status)) => Failure::read(&status),
            Err(_) => Failure::Silent,
        };
        if failure == Failure::Silent {
            self.shared.channels.forget(&address);
        }
        Err(failure)
    }

    fn failed(&self, attempts: &mut Attempts, server: ServerIndex, failure: Failure) -> Step {
        let now = now();
        let chance = chance();
        let (notice, step) = self.with_route(|route| {
            let notice = match &failure {
                // Nothing is wrong with the server.
                Failure::Refused(_) | Failure::NoSession(_) | Failure::Busy(..) => None,
                Failure::DiskFull(_) | Failure::SearchNotReady(_) => {
                    attempts.lack(route, server, &failure, now)
                }
                _ => route.failed(server, &failure, now),
            };
            (notice, attempts.failed(route, server, failure, now, chance))
        });
        self.tell(notice);
        step
    }

    fn served(&self, server: ServerIndex, metadata: &MetadataMap) {
        let text = |name| metadata.get(name).and_then(|value| value.to_str().ok());
        let copies = text("chinwag-copies").and_then(|copies| copies.parse::<u32>().ok());
        // An epoch is `number.server`: it names who leads in it.
        let id = text("chinwag-epoch").and_then(|epoch| epoch.split('.').nth(1)?.parse().ok());
        let (moved, copies) = self.with_route(|route| {
            if let Some(id) = id {
                let address = route.address(server).to_owned();
                route.learn_id(&address, id);
            }
            let moved = route.served(server, now());
            (moved, copies.and_then(|copies| route.copies(copies)))
        });
        self.tell(moved);
        self.tell(copies);
    }

    pub(super) fn with_route<Output>(&self, act: impl FnOnce(&mut Route) -> Output) -> Output {
        act(&mut self.shared.route.lock().expect("no holder panics"))
    }
}

/// The clock of this room.
pub(super) fn now() -> Instant {
    time::Instant::now().into_std()
}

/// From 0 to 1; spreads the retries of many clients.
pub(super) fn chance() -> f64 {
    // Without chance the retries come together, which is slower but right.
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}

fn authorized<Body>(body: Body, token: Option<&Zeroizing<String>>) -> Result<Request<Body>, Error> {
    let mut request = Request::new(body);
    if let Some(token) = token {
        let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut value = AsciiMetadataValue::try_from(bearer.as_str()).map_err(|_| {
            Error::NotLoggedIn { detail: "the kept session token is damaged".into() }
        })?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
    }
    Ok(request)
}

/// Names the trace by which the servers' logs can be searched for the call.
fn traced<Body>(mut request: Request<Body>, trace: Option<TraceId>) -> Request<Body> {
    if let Some(header) = trace.and_then(|trace| trace.header().parse().ok()) {
        request.metadata_mut().insert(TRACEPARENT, header);
    }
    request
}

/// For whoever looks at what a call went through.
fn tell(trace: Option<TraceId>, failure: &Failure) {
    let trace = trace.map(tracing::field::display);
    tracing::debug!(trace, problem = failure.detail(), "an attempt of a call brought no answer");
}
