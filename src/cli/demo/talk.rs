//! The demo's conversation, and the count at its end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{DemoError, call};
use crate::{
    client::{Client, Delivery, Page, Patience},
    wire::chat::{Message, event::Kind},
};

const LINES: [&str; 6] = [
    "morning! is the new chat up?",
    "since five minutes. three boxes, one binary",
    "and when one of them dies?",
    "then the lowest live one takes over. watch",
    "did you notice anything?",
    "a blink, maybe",
];

/// Alice and Bob.
pub(super) struct Talk {
    alice: Client,
    bob: Client,
    ledger: Arc<Ledger>,
    listening: Listening,
}

/// What was acknowledged and what Bob saw.
#[derive(Default)]
struct Ledger {
    entries: Mutex<Entries>,
    news: Notify,
}

#[derive(Default)]
struct Entries {
    /// When each message was acknowledged.
    acknowledged: Vec<(String, Instant)>,
    /// How often Bob's device was told of each message.
    seen: HashMap<String, usize>,
    said: usize,
}

/// The result of the count.
pub(super) struct Audit {
    pub(super) acknowledged: usize,
    pub(super) stored: usize,
    pub(super) missing: usize,
    pub(super) duplicated: usize,
    pub(super) unseen: usize,
    pub(super) seen_twice: usize,
}

/// The task that is Bob's device.
struct Listening {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Talk {
    pub(super) async fn begin(
        alice: Client,
        servers: &[String],
        patience: Patience,
    ) -> Result<Talk, DemoError> {
        let bob = Client::new(servers, patience).map_err(call("connecting"))?;
        let password = Client::new_request_id();
        alice.create_account("alice", &password).await.map_err(call("creating alice"))?;
        bob.create_account("bob", &password).await.map_err(call("creating bob"))?;
        let ledger = Arc::new(Ledger::default());
        let listening = Listening::start(bob.clone(), ledger.clone()).await?;
        Ok(Talk { alice, bob, ledger, listening })
    }

    /// Some lines in turn, each shown when it is acknowledged.
    pub(super) async fn say_something(
        &self,
        lines: usize,
        mut show: impl FnMut(String) -> Result<(), DemoError>,
    ) -> Result<(), DemoError> {
        for _ in 0..lines {
            let turn = self.ledger.next_line();
            let (name, speaker, other) = self.speaker(turn);
            let line = LINES[turn % LINES.len()];
            let message = speaker.send(other, line).await.map_err(call("sending"))?;
            self.ledger.acknowledge(&message);
            show(format!("     {name}: {line}"))?;
        }
        Ok(())
    }

    fn speaker(&self, turn: usize) -> (&'static str, &Client, &'static str) {
        if turn.is_multiple_of(2) {
            ("alice", &self.alice, "@bob")
        } else {
            ("bob", &self.bob, "@alice")
        }
    }

    /// Alice goes on, message after message, until she is stopped.
    pub(super) fn keep_talking(self) -> Talking {
        let stop = CancellationToken::new();
        let (alice, ledger, stopping) = (self.alice.clone(), self.ledger.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut count = 0;
            while !stopping.is_cancelled() {
                count += 1;
                let message = alice.send("@bob", &format!("message {count}")).await?;
                ledger.acknowledge(&message);
            }
            Ok(())
        });
        Talking { talk: self, stop, task }
    }

    /// Compares what was acknowledged with what the cluster holds and what Bob saw.
    pub(super) async fn audit(self) -> Result<Audit, DemoError> {
        let stored = all_messages(&self.bob).await?;
        self.ledger
            .wait(Duration::from_secs(10), |entries| {
                entries.acknowledged.iter().all(|(id, _)| entries.seen.contains_key(id))
            })
            .await;
        self.listening.stop().await;
        let mut copies: HashMap<(&str, &str), usize> = HashMap::new();
        let mut ids: HashMap<&str, usize> = HashMap::new();
        for message in &stored {
            *ids.entry(&message.message_id).or_default() += 1;
            if message.body.starts_with("message ") {
                *copies.entry((&message.sender, &message.body)).or_default() += 1;
            }
        }
        let entries = self.ledger.lock();
        let acknowledged = || entries.acknowledged.iter().map(|(id, _)| id.as_str());
        Ok(Audit {
            acknowledged: entries.acknowledged.len(),
            stored: stored.len(),
            missing: acknowledged().filter(|id| !ids.contains_key(id)).count(),
            duplicated: copies.values().chain(ids.values()).filter(|count| **count > 1).count(),
            unseen: acknowledged().filter(|id| !entries.seen.contains_key(*id)).count(),
            seen_twice: entries.seen.values().filter(|count| **count > 1).count(),
        })
    }
}

/// A conversation that goes on by itself.
pub(super) struct Talking {
    talk: Talk,
    stop: CancellationToken,
    task: JoinHandle<Result<(), crate::client::Error>>,
}

impl Talking {
    /// Waits until so many more messages were acknowledged.
    pub(super) async fn acknowledged(&self, more: usize) -> Result<(), DemoError> {
        let goal = self.talk.ledger.lock().acknowledged.len() + more;
        let waited = self
            .talk
            .ledger
            .wait(Duration::from_secs(30), |entries| entries.acknowledged.len() >= goal);
        if waited.await {
            Ok(())
        } else {
            Err(DemoError::Late("nothing is acknowledged any more".into()))
        }
    }

    /// How long after this moment the next message was acknowledged.
    pub(super) async fn first_acknowledged_after(
        &self,
        moment: Instant,
    ) -> Result<Duration, DemoError> {
        let first = |entries: &Entries| {
            entries.acknowledged.iter().map(|(_, at)| *at).find(|at| *at > moment)
        };
        self.talk.ledger.wait(Duration::from_secs(30), |entries| first(entries).is_some()).await;
        let at = first(&self.talk.ledger.lock());
        at.map(|at| at - moment).ok_or_else(|| {
            DemoError::Late("nobody acknowledged a message for 30 s after the kill".into())
        })
    }

    pub(super) async fn stop(self) -> Result<Talk, DemoError> {
        self.stop.cancel();
        match self.task.await {
            Ok(Ok(())) => Ok(self.talk),
            Ok(Err(error)) => Err(call("sending")(error)),
            Err(error) => Err(DemoError::Late(format!("alice broke off: {error}"))),
        }
    }
}

impl Listening {
    /// Returns once Bob's device is subscribed.
    async fn start(bob: Client, ledger: Arc<Ledger>) -> Result<Listening, DemoError> {
        let stop = CancellationToken::new();
        let mut subscription = bob.subscribe("");
        loop {
            let delivery = subscription.next().await.map_err(call("subscribing"))?;
            if let Delivery::Event(event) = delivery
                && matches!(event.kind, Some(Kind::CaughtUp(_)))
            {
                break;
            }
        }
        let stopping = stop.clone();
        let task = tokio::spawn(async move {
            while let Some(delivery) = stopping.run_until_cancelled(subscription.next()).await {
                if let Ok(Delivery::Event(event)) = delivery
                    && let Some(Kind::MessageCreated(message)) = event.kind
                {
                    ledger.see(message);
                }
            }
        });
        Ok(Listening { stop, task })
    }

    async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_line(&self) -> usize {
        let mut entries = self.lock();
        entries.said += 1;
        entries.said - 1
    }

    fn acknowledge(&self, message: &Message) {
        self.lock().acknowledged.push((message.message_id.clone(), Instant::now()));
        self.news.notify_waiters();
    }

    fn see(&self, message: Message) {
        *self.lock().seen.entry(message.message_id).or_default() += 1;
        self.news.notify_waiters();
    }

    /// Whether it came true in time.
    async fn wait(&self, patience: Duration, true_now: impl Fn(&Entries) -> bool) -> bool {
        let waiting = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if true_now(&self.lock()) {
                    return;
                }
                news.await;
            }
        };
        timeout(patience, waiting).await.is_ok()
    }
}

async fn all_messages(client: &Client) -> Result<Vec<Message>, DemoError> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = client.list_messages("@alice", Page::After(after), 200).await;
        let page = page.map_err(call("listing"))?;
        after = page.messages.last().map_or(after, |message| message.seq);
        let more = page.has_more;
        all.extend(page.messages);
        if !more {
            return Ok(all);
        }
    }
}
