//! Live subscribers: who is told of what.
//!
//! Every subscription has a bounded queue. One that is full ends the subscription, so that a slow device
//! costs bounded memory and nothing is dropped silently: it resumes at its cursor.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::sync::mpsc;

use crate::chat::{AccountId, Change};

/// Why a subscription ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// This server leads no more.
    NotLeader,
    /// The subscriber did not keep up.
    TooSlow,
}

/// A live subscription of one device.
#[derive(Debug)]
pub struct Subscription {
    changes: mpsc::Receiver<Arc<Change>>,
    ended: Arc<OnceLock<Ended>>,
}

impl Subscription {
    /// The next committed change that concerns the account, or why there will be none.
    pub async fn next(&mut self) -> Result<Arc<Change>, Ended> {
        match self.changes.recv().await {
            Some(change) => Ok(change),
            None => Err(self.ended.get().copied().unwrap_or(Ended::NotLeader)),
        }
    }
}

struct Subscriber {
    changes: mpsc::Sender<Arc<Change>>,
    ended: Arc<OnceLock<Ended>>,
}

#[derive(Default)]
struct Subscribers {
    open: bool,
    by_account: HashMap<AccountId, Vec<Subscriber>>,
}

/// All live subscriptions of this server.
#[derive(Clone)]
pub(super) struct Hub {
    subscribers: Arc<Mutex<Subscribers>>,
    buffer: usize,
}

impl Hub {
    pub(super) fn new(buffer: usize) -> Hub {
        Hub { subscribers: Arc::default(), buffer }
    }

    /// Takes a subscription; `None` while this server does not serve.
    pub(super) fn subscribe(&self, account: AccountId) -> Option<Subscription> {
        let mut subscribers = self.lock();
        if !subscribers.open {
            return None;
        }
        let (sender, changes) = mpsc::channel(self.buffer);
        let ended = Arc::new(OnceLock::new());
        let devices = subscribers.by_account.entry(account).or_default();
        devices.retain(|device| !device.changes.is_closed());
        devices.push(Subscriber { changes: sender, ended: ended.clone() });
        Some(Subscription { changes, ended })
    }

    /// Takes subscriptions from now on.
    pub(super) fn open(&self) {
        self.lock().open = true;
    }

    /// Ends all subscriptions and takes no more.
    pub(super) fn close(&self) {
        let mut subscribers = self.lock();
        subscribers.open = false;
        for device in subscribers.by_account.drain().flat_map(|(_, devices)| devices) {
            let _ = device.ended.set(Ended::NotLeader);
        }
    }

    /// Tells everybody whom the changes concern.
    pub(super) fn publish(&self, changes: Vec<Change>) {
        let mut subscribers = self.lock();
        for change in changes {
            let change = Arc::new(change);
            for account in &change.audience {
                let Some(devices) = subscribers.by_account.get_mut(account) else { continue };
                devices.retain(|device| deliver(device, &change));
                if devices.is_empty() {
                    subscribers.by_account.remove(account);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the device goes on.
fn deliver(device: &Subscriber, change: &Arc<Change>) -> bool {
    match device.changes.try_send(change.clone()) {
        Ok(()) => true,
        Err(mpsc::error::TrySendError::Closed(_)) => false,
        Err(mpsc::error::TrySendError::Full(_)) => {
            let _ = device.ended.set(Ended::TooSlow);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChangeKind, SessionId};

    const ALICE: AccountId = AccountId([1; 16]);
    const BOB: AccountId = AccountId([2; 16]);

    fn change(log_seq: u64, audience: Vec<AccountId>) -> Change {
        let kind = ChangeKind::SessionChanged { session: SessionId([9; 16]), ended: false };
        Change { log_seq, audience, kind }
    }

    fn open_hub(buffer: usize) -> Hub {
        let hub = Hub::new(buffer);
        hub.open();
        hub
    }

    #[tokio::test]
    async fn only_those_whom_it_concerns_are_told() {
        let hub = open_hub(4);
        let mut alice = hub.subscribe(ALICE).expect("open");
        let mut bob = hub.subscribe(BOB).expect("open");
        hub.publish(vec![change(1, vec![BOB]), change(2, vec![ALICE, BOB])]);
        assert_eq!(alice.next().await.expect("told").log_seq, 2);
        assert_eq!(bob.next().await.expect("told").log_seq, 1);
    }

    #[tokio::test]
    async fn a_slow_subscriber_gets_what_fitted_and_then_the_reason_for_the_end() {
        let hub = open_hub(2);
        let mut alice = hub.subscribe(ALICE).expect("open");
        hub.publish((1..=5).map(|seq| change(seq, vec![ALICE])).collect());
        assert_eq!(alice.next().await.expect("told").log_seq, 1);
        assert_eq!(alice.next().await.expect("told").log_seq, 2);
        assert_eq!(alice.next().await.expect_err("ended"), Ended::TooSlow);
    }

    #[tokio::test]
    async fn the_loss_of_the_lead_ends_everything_and_lets_nobody_in() {
        let hub = open_hub(2);
        let mut alice = hub.subscribe(ALICE).expect("open");
        hub.close();
        assert_eq!(alice.next().await.expect_err("ended"), Ended::NotLeader);
        assert!(hub.subscribe(ALICE).is_none());
    }
}
