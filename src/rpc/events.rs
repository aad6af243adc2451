//! `EventService`: everything that an account may see, as it happens.
//!
//! A subscription first begins to collect what is committed from now on, then replays from the store
//! what was committed between the cursor and a barrier, and then goes on with what it has collected
//! since: no gap, whatever commits meanwhile, and nothing is told before it is committed.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    context::{Caller, Context, parse},
    cursor::Cursor,
    errors,
    signs::{self, Signs},
};
use crate::{
    chat::{Change, ChangeKind, ConversationName, Happening, SessionId},
    cluster::{Position, Seq},
    node::{Ended, News, Refused, Subscription},
    store::Resume,
    wire::chat::{
        self as proto, CaughtUp, Event, Heartbeat, Reset, event::Kind,
        event_service_server::EventService, reset::Reason,
    },
};

/// How often a stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Events on their way to a device; its queue in the node comes on top.
const OUTGOING: usize = 16;
/// Happenings read from the store at once.
const REPLAY_PART: usize = 200;
/// A stream that was resumed tells of so many who are not there.
const ABSENT: usize = 200;
/// A device that takes no event in this time is ended.
const PATIENCE: Duration = Duration::from_secs(30);
/// A device that does not take the reason for the end in this time is left without it.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) struct Events {
    context: Context,
    signs: Signs,
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Events {
    pub(super) fn new(
        context: Context,
        signs: Signs,
        subscribers: usize,
        stop: CancellationToken,
    ) -> Events {
        Events { context, signs, room: Arc::new(Semaphore::new(subscribers)), stop }
    }
}

#[tonic::async_trait]
impl EventService for Events {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<proto::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let permit = self.room.clone().try_acquire_owned();
        let permit = permit.map_err(|_| errors::too_many("subscribers; try again later"))?;
        let live = self.context.node.subscribe(caller.account);
        let live = live.map_err(|error| errors::refused(error, &self.context))?;
        let (outgoing, events) = mpsc::channel(OUTGOING);
        let (context, signs) = (self.context.clone(), self.signs.clone());
        let device = Device { context, signs, caller, live, outgoing, told: None };
        let (cursor, stop) = (request.into_inner().cursor, self.stop.clone());
        // Ends with the device's connection, the lead, the session, or the server.
        tokio::spawn(serve(device, cursor, permit, stop));
        Ok(Response::new(Box::pin(ReceiverStream::new(events).map(|told| *told))))
    }

    async fn set_typing(
        &self,
        request: Request<proto::SetTypingRequest>,
    ) -> Result<Response<proto::SetTypingResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let text = request.into_inner().conversation;
        let name = parse("conversation", ConversationName::parse(&text))?;
        if self.signs.types(caller.account, &name) {
            let place = name.clone();
            let read =
                self.context.read_as(caller, move |reader| reader.typing(caller.account, &place));
            if let Some(signal) = read.await? {
                self.signs.typed(caller.account, name);
                self.context.node.signal(signal);
            }
        }
        Ok(Response::new(proto::SetTypingResponse {}))
    }

    async fn set_presence(
        &self,
        request: Request<proto::SetPresenceRequest>,
    ) -> Result<Response<proto::SetPresenceResponse>, Status> {
        let caller = self.context.caller(request.metadata()).await?;
        let online = request.into_inner().online;
        // The session is looked at first: one that has ended is nowhere.
        self.context.read_as(caller, |_| Ok(Ok(()))).await?;
        let said = self.signs.say(caller.account, caller.session, online);
        if said.map_err(|_| errors::too_many("sessions that are there; try again later"))? {
            let account = caller.account;
            let read = self.context.read(move |reader| reader.presence(account, online));
            if let Some(signal) = read.await? {
                self.signs.announce(&self.context.node, account, online, signal);
            }
        }
        Ok(Response::new(proto::SetPresenceResponse {}))
    }
}

async fn serve(
    mut device: Device,
    cursor: String,
    permit: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    let outgoing = device.outgoing.clone();
    let context = device.context.clone();
    let ended = tokio::select! {
        ended = device.run(&cursor) => ended,
        () = outgoing.closed() => return,
        () = stop.cancelled() => Err(errors::refused(Refused::ShuttingDown, &context)),
    };
    if let Err(status) = ended {
        let _ = timeout(LAST_WORDS, outgoing.send(Box::new(Err(status)))).await;
    }
    drop(permit);
}

/// A queue has places for 32 of them from the start, so they are boxed.
type Told = Box<Result<Event, Status>>;

/// One device's stream.
struct Device {
    context: Context,
    signs: Signs,
    caller: Caller,
    live: Subscription,
    outgoing: mpsc::Sender<Told>,
    /// Where the stream stands; `None` before the first place is known.
    told: Option<Cursor>,
}

impl Device {
    async fn run(&mut self, cursor: &str) -> Result<(), Status> {
        let head = self.head().await?;
        let told_until = head.map_or(0, |position| position.seq);
        if cursor.is_empty() {
            self.told = head.map(Cursor::at);
        } else {
            self.resume(cursor, told_until, head).await?;
        }
        self.tell(Kind::CaughtUp(CaughtUp {})).await?;
        self.tell_presence(false).await?;
        // Another leader may have told who is there and died: whoever lives says so again meanwhile.
        let settled = (!cursor.is_empty()).then(|| Instant::now() + signs::LEASE);
        self.follow(told_until, settled).await
    }

    /// The newest committed entry, and whether the session lives.
    async fn head(&self) -> Result<Option<Position>, Status> {
        let read = |reader: &mut crate::store::Reader| reader.last_position().map(Ok);
        self.context.read_as(self.caller, read).await
    }

    /// Tells what came between the cursor and `until`, or that the cursor means nothing here. One of a
    /// history that was merged into this one stands for the place where the two parted: what moved is
    /// told again, with its new seq.
    async fn resume(
        &mut self,
        text: &str,
        until: Seq,
        head: Option<Position>,
    ) -> Result<(), Status> {
        let cursor = Cursor::parse(text);
        let resume = match cursor {
            Some(Cursor { epoch, seq }) => {
                self.context.read(move |reader| reader.resume(epoch, seq)).await?
            }
            None => Resume::Unknown,
        };
        self.told = match resume {
            Resume::There => cursor,
            Resume::Merged(epoch, seq) => Some(Cursor { epoch, seq }),
            Resume::Unknown => head.map(Cursor::at),
        };
        match resume {
            Resume::There => {}
            Resume::Merged(..) => self.reset(Reason::Merged).await?,
            Resume::Unknown => return self.reset(Reason::Unknown).await,
        }
        let mut after = self.told.map_or(0, |told| told.seq);
        while after < until {
            after = self.replay_part(after, until).await?;
        }
        self.told = head.map(Cursor::at);
        Ok(())
    }

    async fn reset(&self, reason: Reason) -> Result<(), Status> {
        self.tell(Kind::Reset(Reset { reason: reason.into() })).await
    }

    async fn replay_part(&mut self, after: Seq, until: Seq) -> Result<Seq, Status> {
        let viewer = self.caller.account;
        // The session is looked at again with each part: it may end while a long history is told.
        let read = self.context.read_as(self.caller, move |reader| {
            let replay = reader.replay(viewer, after, until, REPLAY_PART)?;
            let mut placed = Vec::with_capacity(replay.happenings.len());
            for (seq, happening) in replay.happenings {
                placed.push((reader.epoch_at(seq)?, seq, happening));
            }
            Ok(Ok((placed, replay.told_until)))
        });
        let (placed, told_until) = read.await?;
        let mut placed = placed.into_iter().peekable();
        while let Some((epoch, seq, happening)) = placed.next() {
            let complete = placed.peek().is_none_or(|(_, next, _)| *next > seq);
            if let Some(epoch) = epoch.filter(|_| complete) {
                self.told = Some(Cursor { epoch, seq });
            }
            self.tell(happening.into()).await?;
        }
        Ok(told_until)
    }

    /// What is committed from now on, and a sign of life where nothing is.
    async fn follow(
        &mut self,
        told_until: Seq,
        mut settled: Option<Instant>,
    ) -> Result<(), Status> {
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                news = self.live.news() => match news {
                    Ok(News::Changes(changes)) => {
                        if changes.iter().all(|change| change.log_seq > told_until) {
                            self.live_changes(&changes).await?;
                        }
                    }
                    Ok(News::Signal(signal)) => {
                        if let Some(happening) = signal.seen_by(self.caller.account) {
                            self.tell(happening.into()).await?;
                        }
                    }
                    Err(ended) => {
                        let cursor = self.told.map(|told| told.to_string());
                        return Err(errors::ended(ended, cursor, &self.context));
                    }
                },
                _ = heartbeat.tick() => {
                    self.context.is_in_use(self.caller);
                    self.head().await?;
                    self.tell(Kind::Heartbeat(Heartbeat {})).await?;
                    let overdue = settled.is_some_and(|settled| settled <= Instant::now());
                    if self.live.missed_signals() || overdue {
                        settled = None;
                        self.tell_presence(true).await?;
                    }
                }
            }
        }
    }

    /// Tells which of those who share a conversation with the viewer are there; and, where the device may
    /// think otherwise, which are not.
    async fn tell_presence(&mut self, absent_too: bool) -> Result<(), Status> {
        let (viewer, here) = (self.caller.account, self.signs.online());
        let read = self.context.read_as(self.caller, move |reader| {
            let Some(peers) = reader.presence(viewer, true)? else { return Ok(Ok(Vec::new())) };
            let (online, absent): (Vec<_>, Vec<_>) =
                peers.audience.accounts().iter().partition(|account| here.contains(account));
            let absent = absent.into_iter().take(if absent_too { ABSENT } else { 0 });
            let mut told = Vec::new();
            for (account, online) in
                online.into_iter().map(|account| (account, true)).chain(absent.map(|a| (a, false)))
            {
                told.extend(reader.name(account)?.map(|name| (name, online)));
            }
            Ok(Ok(told))
        });
        for (account, online) in read.await? {
            self.tell(Happening::Presence { account, online }.into()).await?;
        }
        Ok(())
    }

    /// What one entry changed. Its place is the cursor of the last event only: a device that was told of
    /// some of them resumes before all of them.
    async fn live_changes(&mut self, changes: &[Change]) -> Result<(), Status> {
        let Some(seq) = changes.first().map(|change| change.log_seq) else { return Ok(()) };
        if changes.iter().any(|change| touches(change, self.caller.session)) {
            self.head().await?;
        }
        let viewer = self.caller.account;
        let seen: Vec<Happening> =
            changes.iter().filter_map(|change| change.seen_by(viewer)).collect();
        let last = seen.len().saturating_sub(1);
        for (index, happening) in seen.into_iter().enumerate() {
            if index == last {
                // Not the epoch that the server stands in now: it may have lost the lead meanwhile.
                self.told = Some(Cursor { epoch: self.live.epoch(), seq });
            }
            self.tell(happening.into()).await?;
        }
        Ok(())
    }

    /// A device that went away ends the stream elsewhere; one that is there and takes nothing ends here,
    /// for it keeps another from its place.
    async fn tell(&self, kind: Kind) -> Result<(), Status> {
        let cursor = self.told.map(|told| told.to_string()).unwrap_or_default();
        let event = Event { cursor, kind: Some(kind) };
        match timeout(PATIENCE, self.outgoing.send(Box::new(Ok(event)))).await {
            Ok(_) => Ok(()),
            // The event was not told, so the cursor must not stand for it: the device has an older one.
            Err(_) => Err(errors::ended(Ended::TooSlow, None, &self.context)),
        }
    }
}

/// Whether the session ended or has another token.
fn touches(change: &Change, own: SessionId) -> bool {
    matches!(change.kind, ChangeKind::SessionChanged { session, .. } if session == own)
}
