//! People who talk by the client library while an operator works.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chinwag::client::{Client, Patience};
use tokio::{task::JoinSet, time::Instant};

use crate::harness::{Cluster, PASSWORD, until};

/// People with the client library, each of whom sends one message after the other.
pub(super) struct Talk {
    over: Arc<AtomicBool>,
    answered: Arc<Mutex<Vec<Answered>>>,
    people: JoinSet<Result<(), chinwag::client::Error>>,
}

/// A send that was acknowledged.
#[derive(Clone, Copy)]
pub(super) struct Answered {
    begun: Instant,
    at: Instant,
}

impl Talk {
    pub(super) async fn begin(cluster: &Cluster, people: usize) -> Talk {
        let servers: Vec<String> = cluster.addresses().collect();
        let mut talk =
            Talk { over: Arc::default(), answered: Arc::default(), people: JoinSet::new() };
        for person in 0..people {
            let client = Client::new(&servers, Patience::default()).expect("addresses");
            let name = format!("person-{person}");
            client.create_account(&name, PASSWORD).await.expect("the name is free");
            let (over, answered) = (talk.over.clone(), talk.answered.clone());
            talk.people.spawn(async move {
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let begun = Instant::now();
                    client.send(&format!("@{name}"), &format!("{person}/{number}")).await?;
                    let at = Instant::now();
                    answered.lock().expect("no holder panics").push(Answered { begun, at });
                }
                Ok(())
            });
        }
        talk
    }

    fn count(&self) -> usize {
        self.answered.lock().expect("no holder panics").len()
    }

    pub(super) async fn more(&self, more: usize) {
        let wanted = self.count() + more;
        until("more answers", Duration::from_secs(60), || async {
            (self.count() >= wanted).then_some(())
        })
        .await;
    }

    /// Ends it; how many calls failed, and what was answered.
    pub(super) async fn end(mut self) -> (Vec<chinwag::client::Error>, Vec<Answered>) {
        self.over.store(true, Ordering::Relaxed);
        let mut failed = Vec::new();
        while let Some(ended) = self.people.join_next().await {
            failed.extend(ended.expect("no panic").err());
        }
        let mut answered = std::mem::take(&mut *self.answered.lock().expect("no holder panics"));
        answered.sort_by_key(|one| one.at);
        (failed, answered)
    }
}

/// The longest time without an answer to anybody, and the longest call.
pub(super) fn pauses(answered: &[Answered]) -> (Duration, Duration) {
    let gap = answered.windows(2).map(|pair| pair[1].at - pair[0].at).max();
    let call = answered.iter().map(|one| one.at - one.begun).max();
    (gap.unwrap_or_default(), call.unwrap_or_default())
}
