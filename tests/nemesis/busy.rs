//! No fault at all, and no time for anybody: while every core spins, nobody may take a server for dead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::harness::{Cluster, Load, Options, People, all};

const EVERY: Duration = Duration::from_secs(1);
/// Enough that a batch is always in flight, few enough that half an hour of it can be accounted for.
const SENDERS: usize = 2;

/// Threads that do nothing, as fast as they can, until this is dropped.
struct Spinners(Arc<AtomicBool>);

impl Spinners {
    fn one_a_core() -> Spinners {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let stop = stop.clone();
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Spinners(stop)
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Panics when the leader or the in-sync set changed, or anything acknowledged is not there.
pub(crate) async fn endure(policy: &'static str, duration: Duration) {
    let mut cluster = Cluster::start_with(Options { policy, ..Options::default() }).await;
    let leader = cluster.in_sync(all()).await;
    let state = async |cluster: &Cluster| {
        let status = cluster.status(leader).await.expect("the leader answers");
        let in_sync: Vec<bool> = status.servers.iter().map(|server| server.in_sync).collect();
        (status.role, status.epoch, in_sync)
    };
    let before = state(&cluster).await;
    let people = People { listeners: 2, senders: SENDERS, scouts: false, histories: false };
    let mut load = Load::begin(&cluster, people).await;
    let spinners = Spinners::one_a_core();
    let end = Instant::now() + duration;
    while Instant::now() < end {
        sleep(EVERY).await;
        let left = end.saturating_duration_since(Instant::now());
        assert_eq!(
            state(&cluster).await,
            before,
            "a change without a fault, {left:?} before the end"
        );
    }
    drop(spinners);
    load.end().await;
    let account = load.account(&cluster).await;
    cluster.stop_all().await;
    let words = account.unwrap_or_else(|trouble| panic!("{policy}: {trouble}"));
    println!(
        "{policy}: {duration:.0?} with every core busy, and epoch {} throughout; {words}",
        before.1
    );
}
