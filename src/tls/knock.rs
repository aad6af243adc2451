//! Connections without encryption, on which a caller that wants TLS is noticed: it would go away with
//! garbage for an answer, and nobody would know why.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use crate::sparing::Sparing;

/// TLS begins with a record of this type.
const HANDSHAKE: u8 = 0x16;

/// The connections that others make, without encryption.
pub struct Knocks<Incoming> {
    incoming: Incoming,
    lines: Arc<Sparing>,
}

impl<Incoming> Knocks<Incoming> {
    /// Takes every connection as it is.
    pub fn new(incoming: Incoming) -> Knocks<Incoming> {
        Knocks { incoming, lines: Arc::default() }
    }
}

impl<Incoming> Stream for Knocks<Incoming>
where
    Incoming: Stream<Item = io::Result<TcpStream>> + Unpin,
{
    type Item = io::Result<Plain>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.incoming).poll_next(context));
        let lines = &self.lines;
        Poll::Ready(next.map(|stream| Ok(Plain { stream: stream?, unheard: Some(lines.clone()) })))
    }
}

/// A connection without encryption.
pub struct Plain {
    stream: TcpStream,
    /// There until the first bytes are read.
    unheard: Option<Arc<Sparing>>,
}

impl Plain {
    fn hear(&mut self, bytes: &[u8]) {
        let (Some(first), Some(lines)) = (bytes.first(), self.unheard.take()) else { return };
        if *first == HANDSHAKE
            && let Some(left_out) = lines.permit("TLS is wanted")
        {
            let address = self.stream.peer_addr().map(|address| address.to_string());
            let address = address.unwrap_or_default();
            tracing::warn!(
                address,
                left_out,
                "a caller wants TLS, and this server has no certificate (tls.certificate)"
            );
        }
    }
}

impl Connected for Plain {
    type ConnectInfo = <TcpStream as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if self.unheard.is_some() {
            self.hear(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
