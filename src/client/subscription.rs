//! The stream of events, mended whenever it breaks.

use std::time::Instant;

use tokio::time;
use tonic::{Code, Status, Streaming};

use super::{
    Client,
    error::{Error, Refusal},
    failure::Failure,
    resume::Resume,
    route::ServerIndex,
    transport::{Kind, chance, now},
};
use crate::wire::chat::{Event, SubscribeRequest, event_service_client::EventServiceClient};

/// What a subscription brings.
#[derive(Clone, PartialEq, Debug)]
pub enum Delivery {
    /// Something happened; a message comes once.
    Event(Box<Event>),
    /// The stream broke; the next call of [`Subscription::next`] mends it.
    Interrupted {
        /// What happened to it.
        detail: String,
    },
    /// The stream is mended, at the cursor where it broke.
    Resumed {
        /// The server that it comes from now.
        address: String,
    },
}

/// A stream of events that survives fail-overs.
#[derive(Debug)]
pub struct Subscription {
    client: Client,
    resume: Resume,
    open: Option<(ServerIndex, Streaming<Event>)>,
    interrupted: bool,
}

impl Client {
    /// Subscribes to everything that the user may see after `cursor`; empty means from now on. Opens at
    /// the first call of [`Subscription::next`].
    pub fn subscribe(&self, cursor: impl Into<String>) -> Subscription {
        Subscription {
            client: self.clone(),
            resume: Resume::after(cursor.into(), now()),
            open: None,
            interrupted: false,
        }
    }
}

impl Subscription {
    /// Where the stream stands: subscribing there later loses nothing.
    pub fn cursor(&self) -> &str {
        self.resume.cursor()
    }

    /// Waits for the next thing. May be dropped at any time and called again.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`], [`Error::Distrusted`] and refusals end the subscription. [`Error::NoLeader`] and
    /// [`Error::NoServer`] only say that nobody could be reached in time: call again to go on.
    pub async fn next(&mut self) -> Result<Delivery, Error> {
        loop {
            let Some((server, stream)) = &mut self.open else {
                match self.open().await? {
                    Some(resumed) => return Ok(resumed),
                    None => continue,
                }
            };
            let server = *server;
            let silent_at = time::Instant::from_std(self.resume.silent_at());
            let failure = match time::timeout_at(silent_at, stream.message()).await {
                Ok(Ok(Some(event))) => match self.resume.take(event, now()) {
                    Some(event) => return Ok(Delivery::Event(Box::new(event))),
                    None => continue,
                },
                Ok(Ok(None)) => Failure::Lost("the server ended the stream".into()),
                Ok(Err(status)) => ended(&status)?,
                Err(_) => Failure::Silent,
            };
            return Ok(self.broken(server, &failure, now()));
        }
    }

    /// Opens the stream at the cursor; tells if it was open before.
    async fn open(&mut self) -> Result<Option<Delivery>, Error> {
        time::sleep(self.resume.delay(chance())).await;
        let body = SubscribeRequest { cursor: self.resume.cursor().into() };
        let opened = self
            .client
            .call_at(Kind::Stream, None, body, |channel, request| async move {
                EventServiceClient::new(channel).subscribe(request).await
            })
            .await?;
        let address = self.client.with_route(|route| route.address(opened.0).to_owned());
        self.resume.opened(now());
        self.open = Some(opened);
        let before = std::mem::replace(&mut self.interrupted, false);
        Ok(before.then_some(Delivery::Resumed { address }))
    }

    fn broken(&mut self, server: ServerIndex, failure: &Failure, now: Instant) -> Delivery {
        self.open = None;
        self.interrupted = true;
        self.resume.broke();
        let notice = self.client.with_route(|route| {
            let notice = route.failed(server, failure, now);
            if let Failure::NotLeader(Some(leader)) = failure {
                route.prefer(leader);
            }
            notice
        });
        self.client.tell(notice);
        Delivery::Interrupted { detail: failure.detail() }
    }
}

/// Whether an ended stream can be mended.
fn ended(status: &Status) -> Result<Failure, Error> {
    match Failure::read(status) {
        Failure::NoSession(detail) => Err(Error::NotLoggedIn { detail }),
        // This subscriber was too slow; what it missed is replayed from its cursor.
        Failure::Refused(Refusal { code: Code::ResourceExhausted, message, .. }) => {
            Ok(Failure::Lost(message))
        }
        Failure::Refused(refusal) => Err(Error::Refused(refusal)),
        failure => Ok(failure),
    }
}
