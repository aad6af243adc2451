//! A device that listens, and goes on at its cursor whenever its stream ends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chinwag::wire::chat::{Message, event::Kind};
use tokio::task::JoinHandle;

use super::{door::is_unknown_outcome, seat::User, wait::until};

/// Listens until it is dropped.
pub(crate) struct Receiver {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    messages: Vec<Message>,
    /// Where each message stands, by its id: what this device shows. A later place replaces an earlier.
    places: BTreeMap<String, i64>,
    resets: usize,
    streams: usize,
}

impl Receiver {
    /// Begins to listen; returns when everything that is sent from now on will be heard.
    pub(crate) async fn listen(user: &Arc<User>) -> Receiver {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let task = tokio::spawn(follow(user.clone(), heard.clone()));
        let receiver = Receiver { heard, task };
        receiver.when("the first stream", |heard| (heard.streams > 0).then_some(())).await;
        receiver
    }

    /// Waits until so many messages were heard; returns all that were, in the order of their arrival.
    pub(crate) async fn messages(&self, count: usize) -> Vec<Message> {
        self.when(&format!("{count} live messages"), |heard| {
            (heard.messages.len() >= count).then(|| heard.messages.clone())
        })
        .await
    }

    /// How often the server could not go on at the cursor.
    pub(crate) fn resets(&self) -> usize {
        self.heard.lock().expect("no holder panics").resets
    }

    /// Where each message stands, by its id, as far as this device knows.
    pub(crate) fn places(&self) -> BTreeMap<String, i64> {
        self.heard.lock().expect("no holder panics").places.clone()
    }

    async fn when<T>(&self, what: &str, look: impl Fn(&Heard) -> Option<T>) -> T {
        until(what, Duration::from_secs(30), || {
            let found = look(&self.heard.lock().expect("no holder panics"));
            async move { found }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(user: Arc<User>, heard: Arc<Mutex<Heard>>) {
    let mut cursor = String::new();
    loop {
        let mut events = user.subscribe(&cursor).await;
        loop {
            match events.message().await {
                Ok(Some(event)) => {
                    assert!(!event.cursor.is_empty(), "every event has a cursor: {event:?}");
                    cursor = event.cursor;
                    let is_reset = matches!(event.kind, Some(Kind::Reset(_)));
                    note(&mut heard.lock().expect("no holder panics"), event.kind);
                    if is_reset {
                        let again = user.everything().await;
                        let mut heard = heard.lock().expect("no holder panics");
                        again.iter().for_each(|message| place(&mut heard, message));
                    }
                }
                Ok(None) => break,
                Err(status) => {
                    let behind = status.code() == tonic::Code::ResourceExhausted;
                    assert!(
                        behind || is_unknown_outcome(&status),
                        "the stream ended with {status:?}"
                    );
                    break;
                }
            }
        }
    }
}

fn note(heard: &mut Heard, kind: Option<Kind>) {
    match kind {
        Some(Kind::MessageCreated(message)) => {
            place(heard, &message);
            heard.messages.push(message);
        }
        Some(Kind::CaughtUp(_)) => heard.streams += 1,
        Some(Kind::Reset(_)) => heard.resets += 1,
        _ => {}
    }
}

fn place(heard: &mut Heard, message: &Message) {
    let place = heard.places.entry(message.message_id.clone()).or_default();
    *place = message.seq.max(*place);
}
