//! Live subscribers: who is told of what.
//!
//! Every subscription has a bounded queue. One that is full ends the subscription, so that a slow device
//! costs bounded memory and nothing is dropped silently: it resumes at its cursor. What one entry of the
//! log changed stays together, for a cursor may stand before or after it and never within.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::sync::mpsc;

use crate::{
    chat::{AccountId, Change},
    cluster::Epoch,
};

/// Why a subscription ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// This server leads no more.
    NotLeader,
    /// The subscriber did not keep up.
    TooSlow,
}

/// What one entry of the log changed, for all who are told of any of it.
pub type Changes = Arc<[Change]>;

/// A live subscription of one device.
#[derive(Debug)]
pub struct Subscription {
    epoch: Epoch,
    changes: mpsc::Receiver<Changes>,
    ended: Arc<OnceLock<Ended>>,
}

impl Subscription {
    /// The epoch that commits everything this subscription tells: it ends with that epoch's lead.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The changes of the next entry that concerns the account, or why there will be none.
    pub async fn next(&mut self) -> Result<Changes, Ended> {
        match self.changes.recv().await {
            Some(change) => Ok(change),
            None => Err(self.ended()),
        }
    }

    fn ended(&self) -> Ended {
        self.ended.get().copied().unwrap_or(Ended::NotLeader)
    }
}

struct Subscriber {
    changes: mpsc::Sender<Changes>,
    ended: Arc<OnceLock<Ended>>,
}

#[derive(Default)]
struct Subscribers {
    /// In which epoch this server serves.
    open: Option<Epoch>,
    /// Ordered, so that a run repeats itself.
    by_account: BTreeMap<AccountId, Vec<Subscriber>>,
}

/// All live subscriptions of this server.
#[derive(Clone)]
pub struct Hub {
    subscribers: Arc<Mutex<Subscribers>>,
    buffer: usize,
}

impl Hub {
    /// A hub that is closed; so many changes may wait for one subscriber.
    pub fn new(buffer: usize) -> Hub {
        Hub { subscribers: Arc::default(), buffer }
    }

    /// Takes a subscription; `None` while this server does not serve.
    pub fn subscribe(&self, account: AccountId) -> Option<Subscription> {
        let mut subscribers = self.lock();
        let epoch = subscribers.open?;
        let (sender, changes) = mpsc::channel(self.buffer);
        let ended = Arc::new(OnceLock::new());
        let devices = subscribers.by_account.entry(account).or_default();
        devices.retain(|device| !device.changes.is_closed());
        devices.push(Subscriber { changes: sender, ended: ended.clone() });
        Some(Subscription { epoch, changes, ended })
    }

    /// Takes subscriptions from now on, in this epoch.
    pub fn open(&self, epoch: Epoch) {
        self.lock().open = Some(epoch);
    }

    /// Ends all subscriptions and takes no more.
    pub fn close(&self) {
        let mut subscribers = self.lock();
        subscribers.open = None;
        for device in std::mem::take(&mut subscribers.by_account).into_values().flatten() {
            let _ = device.ended.set(Ended::NotLeader);
        }
    }

    /// Tells everybody whom the changes concern; all changes of an entry come in one call.
    pub fn publish(&self, changes: &[Change]) {
        let mut subscribers = self.lock();
        for changes in changes.chunk_by(|one, next| one.log_seq == next.log_seq) {
            let audience: BTreeSet<_> =
                changes.iter().flat_map(|change| &change.audience).collect();
            let changes = Changes::from(changes);
            for account in audience {
                let Some(devices) = subscribers.by_account.get_mut(account) else { continue };
                devices.retain(|device| deliver(device, &changes));
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
fn deliver(device: &Subscriber, changes: &Changes) -> bool {
    match device.changes.try_send(changes.clone()) {
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
        hub.open(Epoch::ZERO);
        hub
    }

    #[tokio::test]
    async fn only_those_whom_it_concerns_are_told() {
        let hub = open_hub(4);
        let mut alice = hub.subscribe(ALICE).expect("open");
        let mut bob = hub.subscribe(BOB).expect("open");
        hub.publish(&[change(1, vec![BOB]), change(2, vec![ALICE, BOB])]);
        assert_eq!(alice.next().await.expect("told")[0].log_seq, 2);
        assert_eq!(bob.next().await.expect("told")[0].log_seq, 1);
    }

    #[tokio::test]
    async fn what_one_entry_changed_is_told_together_and_once() {
        let hub = open_hub(4);
        let mut alice = hub.subscribe(ALICE).expect("open");
        hub.publish(&[
            change(1, vec![ALICE, ALICE]),
            change(1, vec![BOB]),
            change(1, vec![ALICE, BOB]),
            change(2, vec![ALICE]),
        ]);
        let seqs =
            |changes: Changes| changes.iter().map(|change| change.log_seq).collect::<Vec<_>>();
        assert_eq!(seqs(alice.next().await.expect("told")), [1, 1, 1]);
        assert_eq!(seqs(alice.next().await.expect("told")), [2]);
    }

    #[tokio::test]
    async fn a_subscription_keeps_the_epoch_in_which_it_was_taken() {
        let hub = open_hub(4);
        let alice = hub.subscribe(ALICE).expect("open");
        hub.close();
        hub.open(Epoch { number: 8, server: crate::cluster::ServerId(1) });
        assert_eq!(alice.epoch(), Epoch::ZERO);
        assert_eq!(hub.subscribe(ALICE).expect("open").epoch().number, 8);
    }

    #[tokio::test]
    async fn a_slow_subscriber_gets_what_fitted_and_then_the_reason_for_the_end() {
        let hub = open_hub(2);
        let mut alice = hub.subscribe(ALICE).expect("open");
        hub.publish(&(1..=5).map(|seq| change(seq, vec![ALICE])).collect::<Vec<_>>());
        assert_eq!(alice.next().await.expect("told")[0].log_seq, 1);
        assert_eq!(alice.next().await.expect("told")[0].log_seq, 2);
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
