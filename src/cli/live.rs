//! What happens while a session is open: the events of its user, and the word back to their authors
//! that messages were received.

use std::{future, time::Duration};

use tokio::{sync::mpsc, time};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    client::{Client, Delivery, Error},
    wire::chat::{Event, Message, event::Kind},
};

/// Events that may wait to be shown; while it is full the stream waits, and the server ends it when it
/// has to, to be resumed later.
const WAITING: usize = 256;
/// Most ids of one acknowledgement.
const AT_ONCE: usize = 500;
/// How long the last acknowledgements may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Something for the user of a session.
#[derive(Debug)]
pub(super) enum Happening {
    /// The stream is live: whatever is sent from now on arrives.
    CaughtUp,
    /// A message of somebody, perhaps of the user's own other device.
    Message(Message),
    /// Something else that is to be told.
    Other(Box<Event>),
    /// The stream could not be resumed where it was.
    Reset,
    /// The stream has ended for good.
    Ended(Error),
}

/// The stream of a session, and its acknowledgements.
#[derive(Debug)]
pub(super) struct Live {
    happenings: mpsc::Receiver<Happening>,
    received: mpsc::Sender<String>,
    _follower: AbortOnDropHandle<()>,
    acknowledger: AbortOnDropHandle<()>,
}

impl Live {
    /// Follows the events of the client's user from now on.
    pub(super) fn begin(client: &Client) -> Live {
        let (happened, happenings) = mpsc::channel(WAITING);
        let (received, to_acknowledge) = mpsc::channel(WAITING);
        let follower = tokio::spawn(follow(client.clone(), happened));
        let acknowledger = tokio::spawn(acknowledge(client.clone(), to_acknowledge));
        Live {
            happenings,
            received,
            _follower: AbortOnDropHandle::new(follower),
            acknowledger: AbortOnDropHandle::new(acknowledger),
        }
    }

    /// Waits for the next thing; `None` after the end.
    pub(super) async fn next(&mut self) -> Option<Happening> {
        self.happenings.recv().await
    }

    /// The next thing, if there is one now.
    pub(super) fn ready(&mut self) -> Option<Happening> {
        self.happenings.try_recv().ok()
    }

    /// The user saw these messages of others: tells the authors of the direct ones.
    pub(super) fn shown<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        for message in messages {
            let direct = message.conversation.starts_with('@');
            if direct && !message.deleted && message.received_time.is_none() {
                // When so many wait already, the author learns it from the next device.
                let _ = self.received.try_send(message.message_id.clone());
            }
        }
    }

    /// Ends it, after the last acknowledgements.
    pub(super) async fn end(self) {
        drop(self.received);
        let _ = time::timeout(FAREWELL, self.acknowledger).await;
    }
}

/// Waits for the next thing of a session; for ever if there is none.
pub(super) async fn next_of(live: &mut Option<Live>) -> Happening {
    if let Some(open) = live {
        if let Some(happening) = open.next().await {
            return happening;
        }
        *live = None;
    }
    future::pending().await
}

async fn follow(client: Client, happened: mpsc::Sender<Happening>) {
    let mut subscription = client.subscribe("");
    loop {
        let happening = match subscription.next().await {
            Ok(Delivery::Event(event)) => match happening(event) {
                Some(happening) => happening,
                None => continue,
            },
            // The client's notices tell of them.
            Ok(Delivery::Interrupted { .. } | Delivery::Resumed { .. }) => continue,
            Err(Error::NoLeader { .. } | Error::NoServer { .. }) => continue,
            Err(error) => {
                let _ = happened.send(Happening::Ended(error)).await;
                return;
            }
        };
        if happened.send(happening).await.is_err() {
            return;
        }
    }
}

/// What an event is to the user; `None` for those that are nothing to tell.
fn happening(event: Box<Event>) -> Option<Happening> {
    match event.kind {
        Some(Kind::MessageCreated(message)) => Some(Happening::Message(message)),
        Some(Kind::CaughtUp(_)) => Some(Happening::CaughtUp),
        Some(Kind::Reset(_)) => Some(Happening::Reset),
        None | Some(Kind::Heartbeat(_)) => None,
        Some(_) => Some(Happening::Other(event)),
    }
}

async fn acknowledge(client: Client, mut received: mpsc::Receiver<String>) {
    let mut ids = Vec::new();
    while received.recv_many(&mut ids, AT_ONCE).await > 0 {
        if let Err(error) = client.acknowledge(std::mem::take(&mut ids)).await {
            tracing::debug!(%error, "messages stay unacknowledged until another device shows them");
        }
    }
}
