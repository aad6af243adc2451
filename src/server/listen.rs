//! Where a server listens.

use std::{io, net::TcpListener};

use tonic::transport::server::TcpIncoming;

use super::ServerError;
use crate::{cluster::ServerId, config::Config};

/// Binds where this server listens.
///
/// # Errors
/// The server is not configured, or its port is in use.
pub fn bind(config: &Config, id: ServerId) -> Result<TcpListener, ServerError> {
    let address = config.server(id)?.listen.to_string();
    let failed = |error| ServerError::Listen { address: address.clone(), error };
    let listener = TcpListener::bind(&address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// The connections that come, and a second handle of the port, which keeps it open until the very end.
pub(super) fn open(
    listener: impl FnOnce() -> Result<TcpListener, ServerError>,
) -> Result<(TcpIncoming, TcpListener), ServerError> {
    let port = listener()?;
    let failed = |error| listen_error(&port, error);
    let serving = port.try_clone().map_err(failed)?;
    let serving = tokio::net::TcpListener::from_std(serving).map_err(failed)?;
    Ok((connections(serving), port))
}

/// The connections that others make. An answer is often several small writes, and none of them may wait for
/// the acknowledgement of the one before: that would cost 40 ms. The server's own setting is not for
/// connections that it is handed.
pub(super) fn connections(listener: tokio::net::TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

fn listen_error(port: &TcpListener, error: io::Error) -> ServerError {
    let address = port.local_addr().map(|address| address.to_string()).unwrap_or_default();
    ServerError::Listen { address, error }
}
