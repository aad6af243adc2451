//! A subscriber's stream, as the service tells it: what was missed, then what comes.

use std::time::Duration;

use chinwag::{
    chat::{Change, ChangeKind, Happening, TokenHash},
    client::decisions::Failure,
    cluster::{Position, Seq},
    node::{Ended, Refused, Subscription},
    rpc::Cursor,
    wire::chat::{CaughtUp, Event, Heartbeat, Reset, event::Kind, reset::Reason},
};

use crate::{
    calls::Reply,
    door::{Caller, Door, Replies, Stop},
    tasks::{Either, either},
};

const HEARTBEAT: Duration = Duration::from_secs(5);
/// Small, so that a replay has several parts.
const REPLAY_PART: usize = 7;

/// Tells until the stream ends; says why.
pub(crate) async fn subscribe(
    door: &Door,
    token: TokenHash,
    cursor: &str,
    replies: &Replies,
) -> Result<(), Stop> {
    let caller = door.caller(Some(token)).await?;
    let live = door.hub.subscribe(caller.account);
    let live = live.ok_or_else(|| Refused::NotLeader(door.standing.borrow().leader))?;
    Device { door, caller, live, replies, told: None }.run(cursor).await
}

/// One subscriber's stream.
struct Device<'a> {
    door: &'a Door,
    caller: Caller,
    live: Subscription,
    replies: &'a Replies,
    told: Option<Cursor>,
}

impl Device<'_> {
    async fn run(mut self, cursor: &str) -> Result<(), Stop> {
        let head = self.head().await?;
        if cursor.is_empty() {
            self.told = Some(Cursor::at(head));
        } else {
            self.resume(cursor, head).await?;
        }
        self.tell(Kind::CaughtUp(CaughtUp {}));
        self.follow(head.seq).await
    }

    async fn head(&self) -> Result<Position, Stop> {
        Ok(self.door.read_as(self.caller, |_| Ok(())).await?.0)
    }

    async fn resume(&mut self, text: &str, head: Position) -> Result<(), Stop> {
        let cursor = Cursor::parse(text).expect("a cursor that a server gave out");
        let (_, epoch) = self.door.read(|reader| reader.epoch_at(cursor.seq)).await?;
        if epoch != Some(cursor.epoch) {
            self.told = Some(Cursor::at(head));
            self.tell(Kind::Reset(Reset { reason: Reason::Unknown.into() }));
            return Ok(());
        }
        self.told = Some(cursor);
        let mut after = cursor.seq;
        while after < head.seq {
            after = self.replay(after, head.seq).await?;
        }
        self.told = Some(Cursor::at(head));
        Ok(())
    }

    async fn replay(&mut self, after: Seq, until: Seq) -> Result<Seq, Stop> {
        let viewer = self.caller.account;
        let (_, (placed, told_until)) = self
            .door
            .read_as(self.caller, |reader| {
                let replay = reader.replay(viewer, after, until, REPLAY_PART)?;
                let mut placed = Vec::new();
                for (seq, happening) in replay.happenings {
                    placed.push((reader.epoch_at(seq)?, seq, happening));
                }
                Ok((placed, replay.told_until))
            })
            .await?;
        let mut placed = placed.into_iter().peekable();
        while let Some((epoch, seq, happening)) = placed.next() {
            let complete = placed.peek().is_none_or(|(_, next, _)| *next > seq);
            if let Some(epoch) = epoch.filter(|_| complete) {
                self.told = Some(Cursor { epoch, seq });
            }
            self.tell(happening.into());
        }
        Ok(told_until)
    }

    async fn follow(&mut self, told_until: Seq) -> Result<(), Stop> {
        loop {
            match either(self.live.next(), self.door.clock.sleep(HEARTBEAT)).await {
                Either::Left(Ok(changes)) => {
                    if changes.iter().all(|change| change.log_seq > told_until) {
                        self.changed(&changes).await?;
                    }
                }
                Either::Left(Err(Ended::NotLeader)) => {
                    return Err(Refused::NotLeader(self.door.standing.borrow().leader).into());
                }
                Either::Left(Err(Ended::TooSlow)) => {
                    return Err(Stop::Failed(Failure::Lost("too slow".into())));
                }
                Either::Right(()) => {
                    self.head().await?;
                    self.tell(Kind::Heartbeat(Heartbeat {}));
                }
            }
        }
    }

    async fn changed(&mut self, changes: &[Change]) -> Result<(), Stop> {
        let touched = |change: &Change| {
            matches!(change.kind, ChangeKind::SessionChanged { session, .. }
                if session == self.caller.session)
        };
        if changes.iter().any(touched) {
            self.head().await?;
        }
        let viewer = self.caller.account;
        let seen: Vec<Happening> =
            changes.iter().filter_map(|change| change.seen_by(viewer)).collect();
        let last = seen.len().saturating_sub(1);
        for (index, happening) in seen.into_iter().enumerate() {
            if index == last {
                self.told = Some(Cursor { epoch: self.live.epoch(), seq: changes[0].log_seq });
            }
            self.tell(happening.into());
        }
        Ok(())
    }

    fn tell(&self, kind: Kind) {
        let cursor = self.told.map(|told| told.to_string()).unwrap_or_default();
        self.replies.send(Reply::Event(Box::new(Event { cursor, kind: Some(kind) })));
    }
}
