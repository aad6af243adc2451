//! Connections that have a place: they begin in time, are not idle for ever, do not only ping, and end when they
//! must.
//!
//! HTTP/2 has its own pings, which find a peer that is gone; they begin after its preface, and say nothing of
//! one that is there and wants nothing. So this looks at both ends of a connection's life.

use std::{
    fmt,
    future::Future as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};
use tokio_stream::Stream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use super::{Caller, Full, Place, Places, frames::Frames};
use crate::sparing::Sparing;

/// What a caller sends before anything else, by the rules of HTTP/2.
const PREFACE_BYTES: usize = 24;
/// Without files to open, the port rests for so long; whoever comes meanwhile waits in its queue.
const REST: Duration = Duration::from_millis(100);

/// How long connections may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// To the end of the preface of HTTP/2.
    pub preface: Duration,
    /// Without a call under way; between this and twice as long.
    pub idle: Duration,
}

/// The connections of a stream that get a place.
pub struct Guarded<Incoming> {
    incoming: Incoming,
    places: Places,
    patience: Patience,
    lines: Sparing,
    rest: Option<Pin<Box<Sleep>>>,
}

impl<Incoming> Guarded<Incoming> {
    /// Gives them these places.
    pub fn new(incoming: Incoming, places: Places, patience: Patience) -> Guarded<Incoming> {
        Guarded { incoming, places, patience, lines: Sparing::default(), rest: None }
    }

    fn refuse(&self, origin: impl fmt::Display, full: Full) {
        let problem = match full {
            Full::All => "all places are taken, and none for its address (limits.connections)",
            Full::Origin => "its address has as many as it may (limits.connections_per_address)",
        };
        if let Some(left_out) = self.lines.permit(problem) {
            tracing::warn!(address = %origin, left_out, "refused a connection: {problem}");
        }
    }

    /// Whether the port must rest.
    fn failed(&mut self, error: &io::Error) -> bool {
        if let Some(left_out) = self.lines.permit(&error.to_string()) {
            tracing::warn!(%error, left_out, "a connection could not be taken");
        }
        // A caller who hung up before this has another number.
        let out_of =
            [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOBUFS];
        let code = error.raw_os_error();
        code.is_some_and(|code| out_of.iter().any(|errno| errno.raw_os_error() == code))
    }
}

impl<Incoming, Connection> Stream for Guarded<Incoming>
where
    Incoming: Stream<Item = io::Result<Connection>> + Unpin,
    Connection: Connected,
    Connection::ConnectInfo: Caller,
{
    type Item = io::Result<Held<Connection>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(rest) = &mut self.rest {
                ready!(rest.as_mut().poll(context));
                self.rest = None;
            }
            let connection = match ready!(Pin::new(&mut self.incoming).poll_next(context)) {
                Some(Ok(connection)) => connection,
                Some(Err(error)) => {
                    if self.failed(&error) {
                        self.rest = Some(Box::pin(sleep(REST)));
                    }
                    continue;
                }
                None => return Poll::Ready(None),
            };
            let origin = connection.connect_info().origin();
            match self.places.take(origin, Instant::now().into_std()) {
                Ok(place) => {
                    return Poll::Ready(Some(Ok(Held::new(connection, place, self.patience))));
                }
                Err(full) => self.refuse(origin, full),
            }
        }
    }
}

/// A connection that has a place.
pub struct Held<Connection> {
    connection: Connection,
    place: Place,
    idle: Duration,
    /// Of the preface, bytes that are still to come.
    missing: usize,
    /// When to look at it next.
    look: Pin<Box<Sleep>>,
    /// How many calls had begun at the last look.
    begun: u64,
    told_to_end: Pin<Box<WaitForCancellationFutureOwned>>,
    frames: Frames,
    /// Until then nothing is read.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<Connection> Held<Connection> {
    fn new(connection: Connection, place: Place, patience: Patience) -> Held<Connection> {
        let told_to_end = Box::pin(place.end().clone().cancelled_owned());
        Held {
            connection,
            place,
            idle: patience.idle,
            missing: PREFACE_BYTES,
            look: Box::pin(sleep(patience.preface)),
            begun: 0,
            told_to_end,
            frames: Frames::new(Instant::now().into_std()),
            pause: None,
        }
    }

    /// Whether it is over.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if self.told_to_end.as_mut().poll(context).is_ready() {
            return true;
        }
        while self.look.as_mut().poll(context).is_ready() {
            let (under_way, begun) = self.place.calls();
            if self.missing > 0 || (under_way == 0 && begun == self.begun) {
                return true;
            }
            self.begun = begun;
            self.look.as_mut().reset(Instant::now() + self.idle);
        }
        false
    }

    /// This has come.
    fn heard(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let (preface, frames) = bytes.split_at(self.missing.min(bytes.len()));
        if self.missing > 0 {
            self.missing -= preface.len();
            if self.missing == 0 {
                self.look = Box::pin(sleep_until(now + self.idle));
            }
        }
        let wait = self.frames.read(frames, now.into_std());
        if !wait.is_zero() {
            self.pause = Some(Box::pin(sleep_until(now + wait)));
        }
    }

    /// So much was written, or it could not be.
    fn told(
        &mut self,
        polled: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match polled {
            // Whoever takes nothing is never read from again, so it must be noticed here.
            Poll::Pending if self.is_over(context) => Poll::Ready(Err(over())),
            Poll::Ready(Ok(bytes)) => {
                self.frames.written(bytes);
                Poll::Ready(Ok(bytes))
            }
            polled => polled,
        }
    }
}

/// Brings what is known of a connection into its calls: the place, and what its transport says.
#[derive(Clone)]
pub struct Introduction {
    place: Place,
    tell: Arc<dyn Fn(&mut http::Extensions) + Send + Sync>,
}

impl Introduction {
    /// Tells the services behind what the transport says; returns the connection's place.
    pub fn tell(self, extensions: &mut http::Extensions) -> Place {
        (self.tell)(extensions);
        self.place
    }
}

impl<Connection: Connected> Connected for Held<Connection> {
    type ConnectInfo = Introduction;

    fn connect_info(&self) -> Introduction {
        let info = self.connection.connect_info();
        let tell = move |extensions: &mut http::Extensions| {
            extensions.insert(info.clone());
        };
        Introduction { place: self.place.clone(), tell: Arc::new(tell) }
    }
}

impl<Connection: AsyncRead + Unpin> AsyncRead for Held<Connection> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(context) {
            // As if the caller had ended it.
            return Poll::Ready(Ok(()));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(context, buffer))?;
        self.heard(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<Connection: AsyncWrite + Unpin> AsyncWrite for Held<Connection> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.told(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.connection).poll_flush(context) {
            Poll::Pending if self.is_over(context) => Poll::Ready(Err(over())),
            polled => polled,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.connection).poll_write_vectored(context, parts);
        self.told(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the connection had to end")
}
