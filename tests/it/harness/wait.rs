//! Waiting with a deadline.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep, timeout};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Asks again and again until there is an answer; `what` names it if there is none in time.
pub(crate) async fn until<T, F>(what: &str, deadline: Duration, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        sleep(LOOK).await;
    }
}

/// The result of something that must end in time.
pub(crate) async fn within<T>(what: &str, deadline: Duration, work: impl Future<Output = T>) -> T {
    timeout(deadline, work).await.unwrap_or_else(|_| panic!("not within {deadline:?}: {what}"))
}
