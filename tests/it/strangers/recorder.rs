//! Somebody who stands in front of every server, passes on what the servers say to each other, and keeps
//! a copy of every question.

use std::{
    convert::Infallible,
    future::Future,
    net::TcpListener,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio_stream::{StreamExt as _, wrappers::TcpListenerStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    client::Grpc,
    server::{NamedService, StreamingService},
    transport::{Channel, Server},
};
use tower::Service;

use super::calls::BareBytes;
use crate::harness::Door;

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One question, as it went over the wire.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) to: u32,
    pub(super) method: String,
    pub(super) message: Bytes,
}

type Tape = Arc<Mutex<Vec<Recorded>>>;

/// See the file's header. Ends when it is dropped.
pub(super) struct Recorder {
    listeners: Vec<TcpListener>,
    tape: Tape,
    _end: DropGuard,
    stop: CancellationToken,
}

impl Recorder {
    /// Takes a port for each of these servers.
    pub(super) fn of(servers: u32) -> Recorder {
        let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stop = CancellationToken::new();
        Recorder {
            listeners: (0..servers).map(bind).collect(),
            tape: Tape::default(),
            _end: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Where the servers are to be reached.
    pub(super) fn ports(&self) -> Vec<u16> {
        let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
        self.listeners.iter().map(port).collect()
    }

    /// Begins to pass on to the servers behind.
    pub(super) fn pass_on(&mut self, servers: impl Iterator<Item = String>) {
        for (id, (listener, server)) in (1..).zip(self.listeners.drain(..).zip(servers)) {
            listener.set_nonblocking(true).expect("a socket");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            let front =
                Front { to: id, server: Door::to(&server).channel(), tape: self.tape.clone() };
            let serving = Server::builder().add_service(front).serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                self.stop.clone().cancelled_owned(),
            );
            tokio::spawn(serving);
        }
    }

    /// Everything that was asked so far.
    pub(super) fn tape(&self) -> Vec<Recorded> {
        self.tape.lock().expect("no holder panics").clone()
    }
}

/// In front of one server. On the wire a call with one message is a stream of one.
#[derive(Clone)]
struct Front {
    to: u32,
    server: Channel,
    tape: Tape,
}

impl NamedService for Front {
    const NAME: &'static str = "chinwag.cluster.v1.ReplicationService";
}

impl Service<http::Request<Body>> for Front {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pending<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path_and_query().expect("a call has a path").clone();
        let passing = Passing { front: self.clone(), path };
        Box::pin(async move {
            Ok(tonic::server::Grpc::new(BareBytes).streaming(passing, request).await)
        })
    }
}

/// One call on its way.
struct Passing {
    front: Front,
    path: PathAndQuery,
}

impl StreamingService<Bytes> for Passing {
    type Response = Bytes;
    type ResponseStream = Streaming<Bytes>;
    type Future = Pending<Result<Response<Streaming<Bytes>>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (metadata, extensions, messages) = request.into_parts();
        let Front { to, server, tape } = self.front.clone();
        let path = self.path.clone();
        let method = path.path().rsplit('/').next().expect("a part").to_owned();
        let noted = messages.map_while(move |message| {
            let message = message.ok()?;
            let recorded = Recorded { to, method: method.clone(), message: message.clone() };
            tape.lock().expect("no holder panics").push(recorded);
            Some(message)
        });
        let request = Request::from_parts(metadata, extensions, noted);
        Box::pin(async move {
            let mut service = Grpc::new(server);
            service.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            service.streaming(request, path, BareBytes).await
        })
    }
}
