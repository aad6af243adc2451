//! Waiting with a deadline.

use std::{fmt, future::Future, time::Duration};

use tokio::time::{Instant, sleep, timeout};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// One look costs no more of the deadline than this: a machine that stood still for a while has not given
/// anybody the time.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// Asks again and again until there is an answer; `what` names it if there is none in time.
pub(crate) async fn until<T, F>(
    what: impl fmt::Display,
    deadline: Duration,
    mut ask: impl FnMut() -> F,
) -> T
where
    F: Future<Output = Option<T>>,
{
    let mut left = deadline;
    loop {
        let began = Instant::now();
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(!left.is_zero(), "not within {deadline:?}: {what}");
        sleep(LOOK).await;
        left = left.saturating_sub(began.elapsed().min(LONGEST_LOOK));
    }
}

/// The result of something that must end in time.
pub(crate) async fn within<T>(what: &str, deadline: Duration, work: impl Future<Output = T>) -> T {
    timeout(deadline, work).await.unwrap_or_else(|_| panic!("not within {deadline:?}: {what}"))
}
