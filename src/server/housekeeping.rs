//! What the leader does once an hour: remove what is older than its time to live, and end the sessions that
//! nobody uses, by a logged command that carries the cut-off times, so that every server does the same.

use std::time::Duration;

use crate::{
    chat::{Command, Expire, Outcome, Timestamp, Update},
    config::Retention,
    node::NodeHandle,
    wire,
};

const EVERY: Duration = Duration::from_secs(3_600);
/// Servers with an older schema would not end the same sessions.
const IDLE_SCHEMA: u32 = 8;

/// How long things are kept.
pub(super) struct Kept {
    pub(super) retention: Retention,
    /// A session that is not used; for ever where nothing is said.
    pub(super) idle_session: Option<Duration>,
}

pub(super) async fn run(node: NodeHandle, kept: Kept) {
    let mut hour = tokio::time::interval(EVERY);
    loop {
        hour.tick().await;
        while node.standing().serving && expire(&node, &kept).await {}
    }
}

/// Whether there is more to remove.
async fn expire(node: &NodeHandle, Kept { retention, idle_session }: &Kept) -> bool {
    let now = jiff::Timestamp::now().as_microsecond();
    let before = |age: Duration| {
        Timestamp(now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)))
    };
    let idle_session = match idle_session {
        Some(idle) if everybody_ends_idle_sessions(node).await => Some(*idle),
        _ => None,
    };
    let command = Command::Expire(Expire {
        requests_before: before(retention.requests),
        deleted_before: before(retention.deleted_messages),
        idle_before: idle_session.map_or(Timestamp(0), before),
    });
    let update = Update { time: Timestamp(now), request: None, session: None, command };
    let executed = node.execute(wire::update::encode(&update)).await;
    match executed.map(|executed| executed.result) {
        Ok(Ok(Outcome::Expired { more })) => more,
        Ok(_) => false,
        Err(error) => {
            tracing::debug!(%error, "expiry waits for the next hour");
            false
        }
    }
}

async fn everybody_ends_idle_sessions(node: &NodeHandle) -> bool {
    let older = |version: u32| version < IDLE_SCHEMA;
    let status = node.status().await;
    status.is_ok_and(|status| {
        !status.peers.values().any(|peer| peer.schema_version.is_some_and(older))
    })
}
