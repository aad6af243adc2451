//! Who uses the servers: a sender who never gives up, and a watcher whom no fault concerns.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chinwag::{
    client::{Client, Patience},
    tls::Dialing,
    wire::chat::GetStatusResponse,
};
use tokio_util::sync::CancellationToken;

use super::world::{Shared, addresses, connect};

const PASSWORD: &str = "correct horse battery";

/// The library, as every program uses it.
pub(super) fn library() -> Client {
    let patience = Patience { call: Duration::from_secs(60), ..Patience::default() };
    Client::over(Dialing::Plain(connect), &addresses(), patience).expect("good addresses")
}

/// Sends one message after the other to itself.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) name: &'static str,
    tried: Shared<BTreeSet<String>>,
    acknowledged: Shared<Vec<String>>,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Sender {
    pub(super) fn new(name: &'static str) -> Sender {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        Sender { name, tried: Shared::default(), acknowledged: Shared::default(), stop, ended }
    }

    pub(super) async fn send_all_the_time(self) -> turmoil::Result {
        let client = library();
        client.create_account(self.name, PASSWORD).await?;
        let myself = format!("@{}", self.name);
        for number in 0.. {
            if self.stop.is_cancelled() {
                break;
            }
            let body = format!("{} {number}", self.name);
            self.tried.lock().expect("no holder panics").insert(body.clone());
            client.send(&myself, &body).await?;
            self.acknowledged.lock().expect("no holder panics").push(body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.ended.cancel();
        Ok(())
    }

    /// How many messages were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.lock().expect("no holder panics").len()
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// What a server stores of this sender's is what was acknowledged, in that order.
    pub(super) fn compare(&self, id: u32, stored: &[String]) {
        let own = format!("{} ", self.name);
        let stored: Vec<&String> = stored.iter().filter(|body| body.starts_with(&own)).collect();
        let acknowledged = self.acknowledged.lock().expect("no holder panics");
        let wanted: Vec<&String> = acknowledged.iter().collect();
        assert_eq!(stored, wanted, "server {id}: what {} sent", self.name);
        let tried = self.tried.lock().expect("no holder panics");
        assert_eq!(tried.len(), wanted.len(), "every call of {} came to its end", self.name);
    }
}

/// Sends so many messages at once, and keeps nothing in mind.
pub(super) async fn crowd(messages: usize, done: CancellationToken) -> turmoil::Result {
    let client = library();
    client.create_account("crowd", PASSWORD).await?;
    for first in (0..messages).step_by(64) {
        let sends = (first..messages.min(first + 64)).map(|number| {
            let client = client.clone();
            async move { client.send("@crowd", &format!("crowd {number}")).await }
        });
        let sends: tokio::task::JoinSet<_> = sends.collect();
        for sent in sends.join_all().await {
            sent?;
        }
    }
    done.cancel();
    Ok(())
}

/// Asks every server all the time how it is.
#[derive(Clone, Default)]
pub(super) struct Watcher {
    seen: Shared<BTreeMap<u32, GetStatusResponse>>,
}

impl Watcher {
    pub(super) async fn look(self) -> turmoil::Result {
        let client = library();
        loop {
            let answers = client.status().await;
            let mut seen = BTreeMap::new();
            for answer in answers {
                if let Ok(status) = answer.status {
                    seen.insert(status.server_id.cast_unsigned(), status);
                }
            }
            *self.seen.lock().expect("no holder panics") = seen;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) fn seen(&self) -> BTreeMap<u32, GetStatusResponse> {
        self.seen.lock().expect("no holder panics").clone()
    }
}
