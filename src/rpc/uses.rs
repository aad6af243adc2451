//! When sessions were last used, to the hour: what an account's list of devices shows.
//!
//! A call looks into the memory of sessions and no further. When the last note of its session is an hour
//! old, it leaves the token with a task, which writes the use down by a logged command, one after the other;
//! nobody waits for that. What finds no room, or is refused, is left to a later call. The task looks into the
//! store first, so that a memory that was cleared meanwhile, or a leader that is new, makes no second note.

use tokio::sync::mpsc;

use super::context::now;
use crate::{
    chat::{Command, Timestamp, TokenHash, Update},
    node::{NodeHandle, Refused},
    wire,
};

/// An hour, in microseconds.
const HOUR: i64 = 3_600_000_000;
/// So many sessions may wait to be noted; whoever comes then is noted at a later call.
const WAITING: usize = 256;

/// Takes the tokens of sessions that are in use; clones share it.
#[derive(Clone)]
pub(super) struct Uses(mpsc::Sender<TokenHash>);

/// The other end, for [`write_down`].
pub(super) fn channel() -> (Uses, mpsc::Receiver<TokenHash>) {
    let (offered, due) = mpsc::channel(WAITING);
    (Uses(offered), due)
}

impl Uses {
    /// Whether there was room.
    pub(super) fn offer(&self, token: TokenHash) -> bool {
        self.0.try_send(token).is_ok()
    }
}

/// Whether a use is to be written down.
pub(super) fn is_due(last_used: Timestamp, now: Timestamp) -> bool {
    now.0.saturating_sub(last_used.0) >= HOUR
}

/// Writes down what was offered, as long as this server lives.
pub(super) async fn write_down(node: NodeHandle, mut due: mpsc::Receiver<TokenHash>) {
    while let Some(token) = due.recv().await {
        if let Err(error) = write_one(&node, token).await {
            tracing::debug!(%error, "the use of a session is noted later");
        }
    }
}

async fn write_one(node: &NodeHandle, token: TokenHash) -> Result<(), Refused> {
    let known = node.peek(move |reader| reader.session_by_token(&token)).await?;
    let time = now();
    let Some(session) = known.filter(|known| !known.ended && is_due(known.last_used, time)) else {
        return Ok(());
    };
    let command = Command::TouchSession(session.session);
    let update = Update { time, request: None, session: None, command };
    // A session that has ended meanwhile is refused, which is as good.
    node.execute(wire::update::encode(&update)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_due_when_the_last_note_is_an_hour_old() {
        let noted = Timestamp(1_800_000_000_000_000);
        assert!(!is_due(noted, Timestamp(noted.0 + HOUR - 1)));
        assert!(is_due(noted, Timestamp(noted.0 + HOUR)));
        assert!(!is_due(noted, Timestamp(noted.0 - 2 * HOUR)), "another leader's clock was ahead");
        assert!(!is_due(Timestamp(i64::MAX), Timestamp(i64::MIN)));
    }

    #[test]
    fn what_finds_no_room_is_not_taken_and_nobody_waits() {
        let (uses, mut due) = channel();
        let taken = (0..WAITING + 10).filter(|_| uses.offer(TokenHash([1; 32]))).count();
        assert_eq!(taken, WAITING);
        due.try_recv().unwrap();
        assert!(uses.offer(TokenHash([2; 32])));
    }
}
