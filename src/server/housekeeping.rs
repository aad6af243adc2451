//! What the leader does once an hour: remove what is older than its time to live, by a logged command
//! that carries the cut-off time, so that every server removes the same.

use std::time::Duration;

use crate::{
    chat::{Command, Expire, Outcome, Timestamp, Update},
    config::Retention,
    node::NodeHandle,
    wire,
};

const EVERY: Duration = Duration::from_secs(3_600);

pub(super) async fn run(node: NodeHandle, retention: Retention) {
    let mut hour = tokio::time::interval(EVERY);
    loop {
        hour.tick().await;
        while node.standing().serving && expire(&node, &retention).await {}
    }
}

/// Whether there is more to remove.
async fn expire(node: &NodeHandle, retention: &Retention) -> bool {
    let now = jiff::Timestamp::now().as_microsecond();
    let before = |age: Duration| {
        Timestamp(now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)))
    };
    let command = Command::Expire(Expire {
        requests_before: before(retention.requests),
        deleted_before: before(retention.deleted_messages),
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
