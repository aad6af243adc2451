//! Who may call now: the first that every call meets, before it is looked at by a service.
//!
//! Calls between servers pass, whatever clients do: they are for `members` to judge. Every other call counts
//! for its session's account if the server remembers the session, and for its address. One that comes
//! too early waits a moment, which slows down whoever waits for its answers; only whoever does not is refused.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{
    allowances::{Allowances, Held, Who},
    context::token_in,
    errors,
};
use crate::{
    chat::TokenHash,
    limits::{Introduction, Origin, Place},
    node::NodeHandle,
};

/// The calls between servers.
const SERVERS: &str = "/chinwag.cluster.";
/// The call that goes on for as long as its caller sends.
const BULK: &str = "/chinwag.chat.v1.MessageService/SendMessages";
/// What a client asks for is at most a body of 16 KiB, or 500 names.
const LARGEST: usize = 256 * 1024;
/// To its answer, or to the beginning of the stream that it is answered by, no call takes longer.
const LONGEST: Duration = Duration::from_secs(60);
/// How soon a caller with too many calls under way may try again.
const RETRY: Duration = Duration::from_millis(200);

/// Puts the admission before services.
#[derive(Clone)]
pub struct AdmissionLayer {
    pub(super) node: NodeHandle,
    pub(super) allowances: Arc<Allowances>,
}

impl<Inner> Layer<Inner> for AdmissionLayer {
    type Service = Admission<Inner>;

    fn layer(&self, inner: Inner) -> Admission<Inner> {
        Admission { inner, admits: self.clone() }
    }
}

/// Services behind the admission.
#[derive(Clone)]
pub struct Admission<Inner> {
    inner: Inner,
    admits: AdmissionLayer,
}

type Answering<Error> = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

impl<Inner> Service<Request<Body>> for Admission<Inner>
where
    Inner: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    Inner::Future: Send,
    Inner::Error: Send,
{
    type Response = Response<Body>;
    type Error = Inner::Error;
    type Future = Answering<Inner::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Inner::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that was ready is the one to call.
        let next = self.inner.clone();
        let inner = mem::replace(&mut self.inner, next);
        Box::pin(self.admits.clone().serve(request, inner))
    }
}

impl AdmissionLayer {
    async fn serve<Inner>(
        self,
        mut request: Request<Body>,
        mut inner: Inner,
    ) -> Result<Response<Body>, Inner::Error>
    where
        Inner: Service<Request<Body>, Response = Response<Body>>,
    {
        let introduction = request.extensions_mut().remove::<Introduction>();
        let place = introduction.map(|introduction| introduction.tell(request.extensions_mut()));
        let call = place.as_ref().map(Place::call);
        if request.uri().path().starts_with(SERVERS) {
            if let Some(place) = place {
                request.extensions_mut().insert(place);
            }
            let answer = inner.call(request).await?;
            return Ok(answer.map(|body| keep(body, call)));
        }
        let token = token_of(request.headers());
        let who = self.who(token, place.as_ref());
        let held = match self.admit(who, place.as_ref()).await {
            Ok(held) => Arc::new(Mutex::new(held)),
            Err(status) => return Ok(status.into_http()),
        };
        request.extensions_mut().insert(who.origin);
        if request.uri().path() != BULK {
            let counting = Counting {
                held: held.clone(),
                weighed: Weighed::at(request.uri().path()),
                who,
                allowances: self.allowances.clone(),
            };
            request = request.map(|body| Body::new(Counted { body, counting }));
        }
        match timeout(LONGEST, inner.call(request)).await {
            Ok(answer) => {
                let answer = answer?;
                if who.account.is_none() {
                    self.meet(token, place.as_ref(), &held);
                }
                Ok(answer.map(|body| keep(body, (call, held))))
            }
            Err(_) => Ok(errors::took_too_long().into_http()),
        }
    }

    /// The first call of a session shows whose it is only when it is answered: a stream that it began is
    /// that account's from now on, and the connection is no stranger's.
    fn meet(&self, token: Option<TokenHash>, place: Option<&Place>, held: &Mutex<Held>) {
        let who = self.who(token, place);
        if who.account.is_some()
            && let Some(own) = self.allowances.hold(who)
        {
            *held.lock().unwrap_or_else(PoisonError::into_inner) = own;
        }
    }

    async fn admit(&self, who: Who, place: Option<&Place>) -> Result<Held, Status> {
        let Some(held) = self.allowances.hold(who) else {
            if let Some(place) = place {
                place.strike();
            }
            let words = "too many of your calls are under way; wait for their answers";
            return Err(errors::limited(words, RETRY));
        };
        self.allowances.turn(who).await?;
        Ok(held)
    }

    fn who(&self, token: Option<TokenHash>, place: Option<&Place>) -> Who {
        let origin = place.map_or(Origin::UNKNOWN, Place::origin);
        let owner = token.and_then(|token| self.node.token_owner(&token).ok());
        let account = owner.map(|owner| owner.account);
        if let (Some(account), Some(place)) = (account, place) {
            let [a, b, c, d, e, f, g, h, ..] = account.0;
            if place.is_known(u64::from_ne_bytes([a, b, c, d, e, f, g, h])) {
                self.allowances.is_at_home(account, origin);
            }
        }
        Who { account, origin }
    }
}

fn token_of(headers: &HeaderMap) -> Option<TokenHash> {
    token_in(headers.get(AUTHORIZATION)?.to_str().ok()?)
}

/// Keeps something until the body is sent or dropped.
fn keep(body: Body, kept: impl Send + 'static) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _ = &kept;
        frame
    }))
}

/// What a call brings, counted while the call is under way.
struct Counted {
    body: Body,
    counting: Counting,
}

/// For whom.
struct Counting {
    held: Arc<Mutex<Held>>,
    weighed: Weighed,
    who: Who,
    allowances: Arc<Allowances>,
}

impl Counting {
    /// Refuses what is far too large before it has come, and whoever brings too much at once.
    fn count(&mut self, data: &[u8]) -> Result<(), Status> {
        if let Some(bytes) = self.weighed.read(data) {
            self.allowances.after_request(self.who, bytes);
            self.weighed.judge(bytes)?;
        }
        self.held.lock().unwrap_or_else(PoisonError::into_inner).takes(data.len())
    }
}

/// The beginning of a request, which says how large it is: a flag and a length of four bytes.
struct Weighed {
    head: [u8; 5],
    /// How much of it has come.
    filled: usize,
    /// What is too large if the request is.
    field: &'static str,
}

impl Weighed {
    fn at(path: &str) -> Weighed {
        let has_body = path.ends_with("/SendMessage") || path.ends_with("/EditMessage");
        Weighed { head: [0; 5], filled: 0, field: if has_body { "body" } else { "request" } }
    }

    /// Reads on; returns how large the request is, once, when that has come.
    fn read(&mut self, data: &[u8]) -> Option<usize> {
        if self.filled == self.head.len() {
            return None;
        }
        let taken = (self.head.len() - self.filled).min(data.len());
        self.head[self.filled..self.filled + taken].copy_from_slice(&data[..taken]);
        self.filled += taken;
        let [_, length @ ..] = self.head;
        (self.filled == self.head.len()).then_some(u32::from_be_bytes(length) as usize)
    }

    fn judge(&self, bytes: usize) -> Result<(), Status> {
        if bytes <= LARGEST {
            return Ok(());
        }
        let words = format!("is too large: {bytes} bytes, where a request has at most {LARGEST}");
        Err(errors::field_violation(self.field, words))
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.counting.count(data)?;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
