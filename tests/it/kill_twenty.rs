//! kill -9 of the leader under load, again and again: what was acknowledged is on every server, once.
//!
//! `cargo test` kills four times. The full run is
//! `CHINWAG_KILLS=20 cargo test --release --test it kill_twenty -- --nocapture`; it prints how long the
//! cluster was without an acknowledged send after each kill.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use crate::harness::{Cluster, User, all, request_id, stored_messages, until};

const SENDERS: usize = 16;
const FEW_KILLS: usize = 4;
/// So many sends are acknowledged between a join and the next kill.
const BETWEEN: usize = 200;
/// The goals of the full run, which has an optimised build.
const MEDIAN: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_millis(500);
/// No run may ever take longer: the machine may be busy with other tests.
const EVER: Duration = Duration::from_secs(5);

/// An acknowledged send.
#[derive(Clone, Debug)]
struct Acknowledged {
    at: Instant,
    body: String,
    message_id: String,
    seq: i64,
}

/// Everything that was acknowledged so far.
type Acknowledgements = Arc<Mutex<Vec<Acknowledged>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_sends_survive_kill_9_of_the_leader_under_load() {
    let kills = env::var("CHINWAG_KILLS").ok().map(|text| text.parse().expect("a number of kills"));
    let mut cluster = Cluster::start().await;
    User::create(&cluster, "sink").await;
    let acknowledged = Acknowledgements::default();
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let user = User::create(&cluster, &format!("sender-{sender}")).await;
        senders.spawn(send_on(user, sender, acknowledged.clone(), stop.clone()));
    }

    let mut pauses = Vec::new();
    for _ in 0..kills.unwrap_or(FEW_KILLS) {
        let leader = cluster.in_sync(all()).await;
        more_sends(&acknowledged, BETWEEN).await;
        let killed = Instant::now();
        cluster.kill(leader);
        pauses.push(next_send(&acknowledged, killed).await - killed);
        cluster.start_server(leader).await;
    }
    cluster.in_sync(all()).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(sender) = senders.join_next().await {
        sender.expect("no sender met a wrong answer");
    }
    let acknowledged = acknowledged.lock().expect("no holder panics").clone();
    report(&mut pauses, acknowledged.len(), kills.is_some());
    compare(&mut cluster, &acknowledged).await;
}

/// Sends one message after the other; each is repeated until it is acknowledged.
async fn send_on(user: User, sender: usize, acknowledged: Acknowledgements, stop: Arc<AtomicBool>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let body = format!("{sender}/{number}");
        let sent = user.try_send(&request_id(), "@sink", &body).await;
        let sent = sent.unwrap_or_else(|status| panic!("{body}: {status:?}"));
        assert_eq!(sent.body, body, "the answer is of this send");
        let (message_id, seq) = (sent.message_id, sent.seq);
        let at = Instant::now();
        let mut all = acknowledged.lock().expect("no holder panics");
        all.push(Acknowledged { at, body, message_id, seq });
        number += 1;
    }
}

/// Waits until so many more sends were acknowledged.
async fn more_sends(acknowledged: &Acknowledgements, more: usize) {
    let count = || acknowledged.lock().expect("no holder panics").len();
    let wanted = count() + more;
    until("more acknowledged sends", Duration::from_secs(60), || {
        let enough = count() >= wanted;
        async move { enough.then_some(()) }
    })
    .await;
}

/// When the first send was acknowledged that was answered after the kill by somebody else. An answer
/// that the killed server had sent may still arrive a moment later, and does not count: only the second
/// of one sender's answers shows a new leader for certain.
async fn next_send(acknowledged: &Acknowledgements, killed: Instant) -> Instant {
    until("the next acknowledged send", Duration::from_secs(30), || {
        let all = acknowledged.lock().expect("no holder panics");
        let mut seen = BTreeSet::new();
        let mut after: Vec<&Acknowledged> =
            all.iter().rev().take_while(|a| a.at > killed).collect();
        after.reverse();
        let sender = |a: &Acknowledged| a.body.split('/').next().map(str::to_owned);
        let second = after.iter().find(|a| !seen.insert(sender(a))).map(|a| a.at);
        async move { second }
    })
    .await
}

fn report(pauses: &mut [Duration], acknowledged: usize, full: bool) {
    pauses.sort_unstable();
    let (least, median, most) = (pauses[0], pauses[pauses.len() / 2], pauses[pauses.len() - 1]);
    println!(
        "{} kills of the leader under {SENDERS} senders, {acknowledged} sends acknowledged; \
         from the kill to the next acknowledged send: min {} ms, median {} ms, max {} ms",
        pauses.len(),
        least.as_millis(),
        median.as_millis(),
        most.as_millis(),
    );
    assert!(most < EVER, "one fail-over took {most:?}");
    if full && !cfg!(debug_assertions) {
        assert!(median <= MEDIAN, "the median fail-over took {median:?}, more than {MEDIAN:?}");
        assert!(most <= LONGEST, "the longest fail-over took {most:?}, more than {LONGEST:?}");
    }
}

/// Every acknowledged send is on every server, under the id and seq that were answered, and no body is
/// anywhere twice.
async fn compare(cluster: &mut Cluster, acknowledged: &[Acknowledged]) {
    cluster.stop_all().await;
    for id in all() {
        let mut stored: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
        for message in stored_messages(cluster, id) {
            stored.entry(message.body).or_default().push((message.message_id, message.seq));
        }
        let missing = acknowledged
            .iter()
            .filter(|sent| {
                let found = stored.get(&sent.body).map(Vec::as_slice).unwrap_or_default();
                !found.contains(&(sent.message_id.clone(), sent.seq))
            })
            .collect::<Vec<_>>();
        let twice = stored.iter().filter(|(_, found)| found.len() > 1).collect::<Vec<_>>();
        assert!(
            missing.is_empty() && twice.is_empty(),
            "server {id}: of {} acknowledged sends {} are missing: {:?}; {} are there twice: {:?}",
            acknowledged.len(),
            missing.len(),
            &missing[..missing.len().min(5)],
            twice.len(),
            &twice[..twice.len().min(5)],
        );
        assert!(stored.len() >= acknowledged.len());
    }
}
