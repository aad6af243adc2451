//! The fail-over library: calls that survive the death of a leader.
//!
//! Promises: a call ends with the answer of a leader, with its refusal, with "nothing happened", or with
//! "unknown" and the request id that settles it; through every attempt of a call the request id stays
//! the same, so that no retry has an effect twice. A subscription goes on after a break exactly where it
//! was. May not: give up before its time while any server may still answer, keep asking a frozen
//! server, or hide that an outcome is unknown.
//!
//! The decisions stand in pure code that is handed time and chance: `route` (which server),
//! `attempts` (one call), `resume` (one subscription), `failure` (what a gRPC status tells). The
//! rest is a thin shell around tonic: `transport` carries them out; `calls`, `accounts`,
//! `conversations` and `bulk` give them types. `admin` stands apart: an operator's way to one server of this
//! machine, without rotation.

mod accounts;
mod admin;
mod attempts;
mod bulk;
mod calls;
mod conversations;
mod error;
mod failure;
mod resume;
mod route;
mod subscription;
#[cfg(test)]
pub(crate) mod tests;
mod transport;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::broadcast;
use tonic::transport::Endpoint;
use zeroize::Zeroizing;

/// The decisions without the shell, for a simulator that brings time, chance and network of its own.
#[doc(hidden)]
pub mod decisions {
    pub use super::{
        attempts::{Attempts, Step},
        failure::Failure,
        resume::Resume,
        route::{Route, ServerIndex},
    };
}

pub use self::{
    admin::{Admin, HandedOver, Parts},
    bulk::Outgoing,
    calls::{Page, ServerAnswer},
    error::{Error, FieldViolation, Refusal},
    route::Notice,
    subscription::{Delivery, Subscription},
};
use self::{route::Route, transport::Channels};
use crate::tls::Dialing;

/// Notices that a slow listener may be behind; older ones are dropped, for only the newest matter.
const NOTICES: usize = 64;

/// How long to wait for what.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For a call with all its attempts.
    pub call: Duration,
    /// For the first attempt; a server that is silent for longer is left.
    pub attempt: Duration,
    /// For the first attempt of a call with a password: checking one is slow on purpose, and many may
    /// wait. A frozen server is left earlier even so, by its silence to pings.
    pub password_attempt: Duration,
    /// Attempts grow up to this, for slow servers.
    pub longest_attempt: Duration,
    /// For a connection to come about.
    pub connect: Duration,
    /// A connection whose other end does not answer a ping for so long is given up.
    pub ping: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            call: Duration::from_secs(30),
            attempt: Duration::from_millis(1_500),
            password_attempt: Duration::from_secs(5),
            longest_attempt: Duration::from_secs(10),
            connect: Duration::from_secs(1),
            ping: Duration::from_secs(1),
        }
    }
}

/// A user's connection to the cluster. Clones share servers, session and what was learned.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    channels: Channels,
    route: Mutex<Route>,
    session: Mutex<Option<Zeroizing<String>>>,
    patience: Patience,
    notices: broadcast::Sender<Notice>,
}

impl Client {
    /// Knows these servers (`host:port`); connects at the first call. The first one is asked first.
    ///
    /// # Errors
    /// [`Error::BadAddress`], also when there is none at all.
    pub fn new(servers: &[String], patience: Patience) -> Result<Client, Error> {
        Client::over(Dialing::Plain(Endpoint::connect_lazy), servers, patience)
    }

    /// As [`Client::new`], over connections that are made in another way: encrypted ones to servers of an
    /// authority ([`Dialing::trusting`]), or those of a simulated network.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn over(dialing: Dialing, servers: &[String], patience: Patience) -> Result<Client, Error> {
        if let Some(address) = servers.iter().find(|address| !is_address(address)) {
            return Err(Error::BadAddress { address: address.clone() });
        }
        if servers.is_empty() {
            return Err(Error::BadAddress { address: String::new() });
        }
        let shared = Shared {
            channels: Channels::new(&patience, dialing),
            route: Mutex::new(Route::new(servers)),
            session: Mutex::new(None),
            patience,
            notices: broadcast::channel(NOTICES).0,
        };
        Ok(Client { shared: Arc::new(shared) })
    }

    /// What people want to know while they wait or work, from now on.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.shared.notices.subscribe()
    }

    /// The token of the session, if there is one.
    pub fn session_token(&self) -> Option<Zeroizing<String>> {
        self.shared.session.lock().expect("no holder panics").clone()
    }

    /// Goes on with a session that was begun before, or forgets it.
    pub fn set_session_token(&self, token: Option<String>) {
        *self.shared.session.lock().expect("no holder panics") = token.map(Zeroizing::new);
    }

    fn tell(&self, notice: Option<Notice>) {
        if let Some(notice) = notice {
            // An error only says that nobody listens.
            let _ = self.shared.notices.send(notice);
        }
    }
}

/// Whether this can be a server's address.
fn is_address(address: &str) -> bool {
    crate::config::Address::parse(address).is_ok()
}
