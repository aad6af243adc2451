//! What the fail-over library promises, shown on the pure code and against fake servers.

mod calls;
mod decisions;
pub(crate) mod fake;
mod services;
mod subscriptions;

use std::time::Duration;

use super::{Client, Patience};

/// Shorter than in life, so that a frozen server costs a test little.
pub(crate) fn patience() -> Patience {
    Patience {
        call: Duration::from_secs(10),
        attempt: Duration::from_millis(300),
        longest_attempt: Duration::from_secs(2),
        ..Patience::default()
    }
}

/// A client of these servers, logged in if there is a token.
pub(crate) fn client(servers: &[String], token: Option<String>) -> Client {
    let client = Client::new(servers, patience()).unwrap();
    client.set_session_token(token);
    client
}
