//! Live subscribers: who is told of what.
//!
//! Every subscription has a bounded queue. One that is full ends the subscription, so that a slow device
//! costs bounded memory and nothing is dropped silently: it resumes at its cursor. What one entry of the
//! log changed stays together, for a cursor may stand before or after it and never within.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::mpsc;

use crate::{
    chat::{AccountId, Change, Signal},
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

/// Signs waiting for one device. What does not fit is dropped, for signs are worth no message; the
/// subscription says that something was.
const SIGNALS: usize = 64;

/// What a subscription tells next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// Committed changes.
    Changes(Changes),
    /// A sign that is not stored.
    Signal(Arc<Signal>),
}

/// A live subscription of one device.
#[derive(Debug)]
pub struct Subscription {
    epoch: Epoch,
    changes: mpsc::Receiver<Changes>,
    signals: mpsc::Receiver<Arc<Signal>>,
    missed: Arc<AtomicBool>,
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

impl Subscription {
    /// The same, and signs as they come; changes go first.
    pub async fn news(&mut self) -> Result<News, Ended> {
        tokio::select! {
            biased;
            changes = self.changes.recv() => match changes {
                Some(changes) => Ok(News::Changes(changes)),
                None => Err(self.ended()),
            },
            Some(signal) = self.signals.recv() => Ok(News::Signal(signal)),
        }
    }

    /// Whether signs were dropped since this was asked last.
    pub fn missed_signals(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed)
    }
}

struct Subscriber {
    changes: mpsc::Sender<Changes>,
    signals: mpsc::Sender<Arc<Signal>>,
    missed: Arc<AtomicBool>,
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
        let (signalling, signals) = mpsc::channel(SIGNALS);
        let (ended, missed) = (Arc::new(OnceLock::new()), Arc::new(AtomicBool::new(false)));
        let devices = subscribers.by_account.entry(account).or_default();
        devices.retain(|device| !device.changes.is_closed());
        devices.push(Subscriber {
            changes: sender,
            signals: signalling,
            missed: missed.clone(),
            ended: ended.clone(),
        });
        Some(Subscription { epoch, changes, signals, missed, ended })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let subscribers = self.lock();
        let devices = subscribers.by_account.values().flatten();
        devices.filter(|device| !device.changes.is_closed()).count()
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
    pub fn publish(&self, changes: Vec<Change>) {
        let mut subscribers = self.lock();
        let mut changes = changes.into_iter().peekable();
        while let Some(first) = changes.next() {
            let seq = first.log_seq;
            let others = std::iter::from_fn(|| changes.next_if(|next| next.log_seq == seq));
            let told: Changes = std::iter::once(first).chain(others).collect();
            let changes = &told[..];
            let concerned: usize = changes.iter().map(|c| c.audience.accounts().len()).sum();
            // A room may have a thousand members of whom three are here, or the other way round.
            if concerned > subscribers.by_account.len() {
                subscribers.by_account.retain(|account, devices| {
                    if changes.iter().any(|change| change.audience.contains(*account)) {
                        devices.retain(|device| deliver(device, &told));
                    }
                    !devices.is_empty()
                });
                continue;
            }
            let audience: BTreeSet<_> =
                changes.iter().flat_map(|change| change.audience.accounts()).collect();
            for account in audience {
                let Some(devices) = subscribers.by_account.get_mut(account) else { continue };
                devices.retain(|device| deliver(device, &told));
                if devices.is_empty() {
                    subscribers.by_account.remove(account);
                }
            }
        }
    }

    /// Tells the signal's audience, as far as it is there and keeps up.
    pub(super) fn signal(&self, signal: Signal) {
        let (subscribers, signal) = (self.lock(), Arc::new(signal));
        let here = subscribers.by_account.iter();
        for (_, devices) in here.filter(|(account, _)| signal.audience.contains(**account)) {
            for device in devices {
                if device.signals.try_send(signal.clone()).is_err() {
                    device.missed.store(true, Ordering::Relaxed);
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
    use crate::chat::{AccountName, ChangeKind, SessionId, SignalKind};

    const ALICE: AccountId = AccountId([1; 16]);
    const BOB: AccountId = AccountId([2; 16]);

    fn change(log_seq: u64, audience: Vec<AccountId>) -> Change {
        let kind = ChangeKind::SessionChanged { session: SessionId([9; 16]), ended: false };
        Change { log_seq, audience: audience.into(), kind }
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
        hub.publish(vec![change(1, vec![BOB]), change(2, vec![ALICE, BOB])]);
        assert_eq!(alice.next().await.expect("told")[0].log_seq, 2);
        assert_eq!(bob.next().await.expect("told")[0].log_seq, 1);
    }

    #[tokio::test]
    async fn what_one_entry_changed_is_told_together_and_once() {
        let hub = open_hub(4);
        let mut alice = hub.subscribe(ALICE).expect("open");
        hub.publish(vec![
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
    async fn a_crowd_is_told_like_a_few() {
        let hub = open_hub(4);
        let mut bob = hub.subscribe(BOB).expect("open");
        let mut alice = hub.subscribe(ALICE).expect("open");
        let crowd = (3..200).map(|id| AccountId([id; 16])).chain([BOB]).collect();
        hub.publish(vec![change(1, crowd), change(2, vec![ALICE])]);
        assert_eq!(bob.next().await.expect("told")[0].log_seq, 1);
        assert_eq!(alice.next().await.expect("told")[0].log_seq, 2);
    }

    #[tokio::test]
    async fn signs_reach_their_audience_and_never_push_a_change_aside() {
        let hub = open_hub(2);
        let (mut alice, mut bob) =
            (hub.subscribe(ALICE).expect("open"), hub.subscribe(BOB).expect("open"));
        let signal = |online| Signal {
            audience: vec![BOB].into(),
            account: AccountName::Deleted(ALICE),
            kind: SignalKind::Presence { online },
        };
        for _ in 0..SIGNALS {
            hub.signal(signal(true));
        }
        assert!(!bob.missed_signals());
        hub.signal(signal(false));
        assert!(bob.missed_signals() && !bob.missed_signals(), "said once");
        hub.publish(vec![change(1, vec![ALICE, BOB])]);
        assert!(matches!(bob.news().await, Ok(News::Changes(_))), "changes go first");
        for _ in 0..SIGNALS {
            let news = bob.news().await.expect("told");
            assert_eq!(news, News::Signal(Arc::new(signal(true))));
        }
        assert!(matches!(alice.news().await, Ok(News::Changes(_))));
        hub.close();
        assert_eq!(alice.news().await, Err(Ended::NotLeader), "no sign for her");
    }

    #[tokio::test]
    async fn a_slow_subscriber_gets_what_fitted_and_then_the_reason_for_the_end() {
        let hub = open_hub(2);
        let mut alice = hub.subscribe(ALICE).expect("open");
        hub.publish((1..=5).map(|seq| change(seq, vec![ALICE])).collect());
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
