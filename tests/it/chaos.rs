//! Faults at random, one after the other, while people talk: what was acknowledged stays, once, in order.
//!
//! `cargo test` does this for a few seconds under each policy. `CHINWAG_CHAOS_SECONDS=600 cargo test
//! --test it chaos -- --nocapture` does it for longer; `CHINWAG_SEED=…` repeats the faults of a run, but
//! not their timing. Under `available` nothing is frozen: a server that is silent for too long may be
//! taken for dead there, by design, and its history is then merged and not the same.

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use crate::harness::{Cluster, Options, User, all, request_id, stored_messages};

const SENDERS: usize = 6;
const USUAL: Duration = Duration::from_secs(8);

/// What a server is going through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Running,
    Frozen,
    Gone,
}

/// Draws faults from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn draw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_at_random_lose_nothing_under_majority() {
    run("majority", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_at_random_lose_nothing_under_available() {
    run("available", false).await;
}

async fn run(policy: &'static str, freezes: bool) {
    let number = |name| env::var(name).ok().map(|text: String| text.parse().expect("a number"));
    let seed = number("CHINWAG_SEED").unwrap_or_else(|| getrandom::u64().expect("chance"));
    let duration = number("CHINWAG_CHAOS_SECONDS").map_or(USUAL, Duration::from_secs);
    println!("CHINWAG_SEED={seed}");
    let mut cluster = Cluster::start_with(Options { policy, ..Options::default() }).await;
    User::create(&cluster, "sink").await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let user = User::create(&cluster, &format!("sender-{sender}")).await;
        senders.spawn(send_on(user.patient(), sender, stop.clone()));
    }
    let mut dice = Dice(seed);
    let mut states = BTreeMap::from_iter(all().map(|id| (id, State::Running)));
    let end = Instant::now() + duration;
    while Instant::now() < end {
        fault(&mut cluster, &mut dice, &mut states, freezes).await;
        // The faults' own rhythm: some meet a cluster that has recovered, others one that has not.
        tokio::time::sleep(Duration::from_millis(dice.draw(1_200))).await;
    }
    for (id, state) in states {
        match state {
            State::Running => {}
            State::Frozen => cluster.thaw(id),
            State::Gone => cluster.start_server(id).await,
        }
    }
    cluster.in_sync(all()).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    while let Some(sender) = senders.join_next().await {
        acknowledged.extend(sender.expect("no sender met a wrong answer"));
    }
    compare(&mut cluster, acknowledged).await;
}

/// One fault or one recovery. Two servers may be away at the same time, and sometimes all three.
async fn fault(
    cluster: &mut Cluster,
    dice: &mut Dice,
    states: &mut BTreeMap<u32, State>,
    freezes: bool,
) {
    let id = u32::try_from(dice.draw(3)).expect("small") + 1;
    let next = match (states[&id], dice.draw(10)) {
        (State::Running, 0..=4) => {
            cluster.kill(id);
            State::Gone
        }
        (State::Running, 5..=7) if freezes => {
            cluster.freeze(id);
            State::Frozen
        }
        (State::Running, 8) => {
            cluster.stop(id).await;
            State::Gone
        }
        (State::Frozen, 0..=1) => {
            cluster.kill(id);
            State::Gone
        }
        (State::Frozen, _) => {
            cluster.thaw(id);
            State::Running
        }
        (State::Gone, 0..=7) => {
            cluster.start_server(id).await;
            State::Running
        }
        (state, _) => state,
    };
    states.insert(id, next);
}

/// Sends one message after the other; returns those that were acknowledged, with their id and seq.
async fn send_on(user: User, sender: usize, stop: Arc<AtomicBool>) -> Vec<(String, String, i64)> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let body = format!("{sender}/{}", acknowledged.len());
        let sent = user.try_send(&request_id(), "@sink", &body).await;
        let sent = sent.unwrap_or_else(|status| panic!("{body}: {status:?}"));
        acknowledged.push((body, sent.message_id, sent.seq));
    }
    acknowledged
}

/// Every server holds what was acknowledged, under the id and seq that were answered, each body once;
/// and every sender's messages stand in the order in which they were sent.
async fn compare(cluster: &mut Cluster, acknowledged: Vec<(String, String, i64)>) {
    cluster.stop_all().await;
    println!("{} sends acknowledged", acknowledged.len());
    let first = stored_messages(cluster, 1);
    for id in all() {
        let stored = stored_messages(cluster, id);
        assert_eq!(stored, first, "server {id} and server 1");
        let mut by_body: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for message in &stored {
            by_body.entry(&message.body).or_default().push((&message.message_id, message.seq));
        }
        for (body, message_id, seq) in &acknowledged {
            let found = by_body.get(body.as_str()).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(found, [(message_id, *seq)], "server {id}: {body}");
        }
        for pair in acknowledged.windows(2) {
            let sender = |body: &str| body.split('/').next().map(str::to_owned);
            if sender(&pair[0].0) == sender(&pair[1].0) {
                assert!(pair[0].2 < pair[1].2, "{} before {}", pair[0].0, pair[1].0);
            }
        }
    }
}
