//! From connections to encrypted connections: many handshakes at a time, none for long.

use std::{
    collections::VecDeque,
    future::Future as _,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};
use tokio_stream::Stream;

use super::{explain, problem};
use crate::sparing::Sparing;

/// How many handshakes at a time, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// So many are under way at a time. Each takes a millisecond of work, so that even this many delay
    /// nothing else for long; whoever comes then waits in the port's own queue.
    pub at_once: usize,
    /// None takes longer.
    pub longest: Duration,
    /// While all places are taken, one that takes longer than this makes room: whoever means it is done
    /// by then, and whoever only holds places must come back for each of them all the time.
    pub crowded: Duration,
    /// So long a caller without TLS may take to its first request; then it is told what is wrong.
    pub plain: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            at_once: 256,
            longest: Duration::from_secs(10),
            crowded: Duration::from_secs(1),
            plain: Duration::from_millis(500),
        }
    }
}

/// The stream of encrypted connections. Dropping it ends the handshakes under way.
pub struct Handshakes<Incoming> {
    incoming: Incoming,
    config: watch::Receiver<Arc<ServerConfig>>,
    patience: Patience,
    told: Told,
    /// Came and has no place yet.
    waiting: Option<TcpStream>,
    tasks: JoinSet<Option<TlsStream<TcpStream>>>,
    /// Those under way, the oldest first; some may be over.
    begun: VecDeque<(Instant, AbortHandle)>,
    alarm: Pin<Box<Sleep>>,
}

/// What every handshake needs to tell how it failed.
#[derive(Clone)]
struct Told {
    authority: Arc<str>,
    lines: Arc<Sparing>,
}

impl<Incoming> Handshakes<Incoming> {
    /// Answers whoever comes with the configuration of the moment; `authority` is the file by which
    /// callers' certificates are known, for words.
    pub fn new(
        incoming: Incoming,
        config: watch::Receiver<Arc<ServerConfig>>,
        authority: PathBuf,
        patience: Patience,
    ) -> Handshakes<Incoming> {
        Handshakes {
            incoming,
            config,
            patience,
            told: Told {
                authority: authority.display().to_string().into(),
                lines: Arc::new(Sparing::default()),
            },
            waiting: None,
            tasks: JoinSet::new(),
            begun: VecDeque::new(),
            alarm: Box::pin(sleep_until(Instant::now())),
        }
    }

    fn begin(&mut self, stream: TcpStream) {
        let (config, told) = (self.config.borrow().clone(), self.told.clone());
        let handle = self.tasks.spawn(handshake(stream, config, told, self.patience));
        self.begun.push_back((Instant::now(), handle));
    }

    /// Waits for a place for whoever came. The places are those of tasks; one that was told to end frees
    /// its own when it is joined.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.begun.front().is_some_and(|(_, task)| task.is_finished()) {
            self.begun.pop_front();
        }
        if self.tasks.len() < self.patience.at_once {
            return Poll::Ready(());
        }
        if let Some((began, task)) = self.begun.front() {
            let due = *began + self.patience.crowded;
            if self.alarm.deadline() != due {
                self.alarm.as_mut().reset(due);
            }
            ready!(self.alarm.as_mut().poll(context));
            task.abort();
            self.begun.pop_front();
        }
        Poll::Pending
    }
}

impl<Incoming> Stream for Handshakes<Incoming>
where
    Incoming: Stream<Item = io::Result<TcpStream>> + Unpin,
{
    type Item = io::Result<TlsStream<TcpStream>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.tasks.poll_join_next(context) {
                Poll::Ready(Some(Ok(Some(stream)))) => return Poll::Ready(Some(Ok(stream))),
                // It failed and said so, or it had to make room.
                Poll::Ready(Some(_)) => continue,
                Poll::Ready(None) | Poll::Pending => {}
            }
            if self.waiting.is_none() {
                match ready!(Pin::new(&mut self.incoming).poll_next(context)) {
                    Some(Ok(stream)) => self.waiting = Some(stream),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                }
            }
            ready!(self.poll_room(context));
            if let Some(stream) = self.waiting.take() {
                self.begin(stream);
            }
        }
    }
}

async fn handshake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    told: Told,
    patience: Patience,
) -> Option<TlsStream<TcpStream>> {
    let address = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    let shaking = shake(stream, config, &told.authority, patience.plain);
    let problem = match timeout(patience.longest, shaking).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(problem)) => problem?,
        Err(_) => format!("did not finish the handshake within {} s", patience.longest.as_secs()),
    };
    if let Some(left_out) = told.lines.permit(&problem) {
        tracing::warn!(address, left_out, "refused a connection: the caller {problem}");
    }
    None
}

/// The problem is `None` where nobody needs to be told of it.
async fn shake(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
    authority: &str,
    plain: Duration,
) -> Result<TlsStream<TcpStream>, Option<String>> {
    let mut first = [0; 4];
    let first = match stream.peek(&mut first).await {
        // The other servers look whether the port is open, and say nothing.
        Ok(0) | Err(_) => return Err(None),
        Ok(read) => &first[..read],
    };
    if explain::PREFACE.starts_with(first) {
        explain::that_tls_is_wanted(&mut stream, plain).await;
        let words = "speaks HTTP/2 without TLS; this server takes encrypted connections only: \
                     give a client the authority's file by --ca";
        return Err(Some(words.into()));
    }
    TlsAcceptor::from(config).accept(stream).await.map_err(|error| {
        match problem::of_caller(&error, authority) {
            Some(problem) => Some(problem),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                let words = "ended the connection during the handshake, as some do that don't \
                             believe a certificate";
                Some(words.into())
            }
            None => Some(format!("broke the handshake: {error}")),
        }
    })
}
