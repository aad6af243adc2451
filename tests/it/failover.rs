//! Servers die, stop, come back, come back empty: nothing acknowledged is missing, nothing is there twice.

use std::{sync::Arc, time::Duration};

use chinwag::wire::chat::Role;
use rustix::process::Signal;
use tokio::time::Instant;

use crate::harness::{Cluster, Receiver, User, all, bodies, contents_are_equal, until, within};

/// A hand-over that is asked for takes no longer than this to the next acknowledged send.
const HAND_OVER: Duration = Duration::from_secs(1);
/// Longer than the time after which empty servers stop to wait for one that has data (3 s).
const LONG_BEFORE: Duration = Duration::from_millis(4_500);

#[tokio::test]
async fn every_line_arrives_once_and_in_order_while_the_leaders_die() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = Arc::new(User::create(&cluster, "bob").await);
    let receiver = Receiver::listen(&bob).await;
    let line = |number: usize| format!("line {number}");

    for number in 0..150 {
        if number == 50 || number == 100 {
            let leader = cluster.leader().await;
            cluster.kill(leader);
        }
        alice.send("@bob", &line(number)).await;
    }
    let lines: Vec<String> = (0..150).map(line).collect();
    let heard = receiver.messages(lines.len()).await;
    assert_eq!(bodies(&heard), lines, "live, in order, each once");
    assert_eq!(receiver.resets(), 0);
    assert_eq!(bodies(&bob.history("@alice").await), lines, "in the history of the last server");

    let last = cluster.leader().await;
    let back = Instant::now();
    for id in all().filter(|id| *id != last) {
        cluster.start_server(id).await;
    }
    cluster.in_sync(all()).await;
    assert!(back.elapsed() < Duration::from_secs(10), "in sync after {:?}", back.elapsed());
    assert_eq!(bodies(&bob.history("@alice").await), lines);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn all_servers_killed_at_once_and_started_in_any_order_lose_nothing() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let mut lines = Vec::new();
    for order in [[3, 2, 1], [2, 1, 3], [1, 3, 2]] {
        for number in 0..20 {
            let line = format!("{number} before {order:?}");
            alice.send("@bob", &line).await;
            lines.push(line);
        }
        for id in all() {
            cluster.kill(id);
        }
        for (started, id) in order.into_iter().enumerate() {
            cluster.start_server(id).await;
            if started < 2 {
                let missing: Vec<i32> = order[started + 1..].iter().map(|id| *id as i32).collect();
                cluster
                    .status_when(id, "says whom it waits for", |status| {
                        let mut waiting = status.waiting_for.clone();
                        waiting.sort_unstable();
                        let mut missing = missing.clone();
                        missing.sort_unstable();
                        waiting == missing && status.role() == Role::Recovering
                    })
                    .await;
            }
        }
        cluster.in_sync(all()).await;
        assert_eq!(bodies(&bob.history("@alice").await), lines);
    }
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_server_that_was_left_behind_waits_for_those_who_know_more() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    alice.send("@bob", "with three").await;
    cluster.kill(1);
    alice.send("@bob", "with two").await;
    cluster.kill(2);
    alice.send("@bob", "with one").await;
    cluster.kill(3);

    cluster.start_server(1).await;
    cluster.start_server(2).await;
    for id in [1, 2] {
        cluster
            .status_when(id, "waits for server 3", |status| status.waiting_for.contains(&3))
            .await;
    }
    cluster.start_server(3).await;
    cluster.in_sync(all()).await;
    assert_eq!(bodies(&bob.history("@alice").await), ["with three", "with two", "with one"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn servers_that_were_stopped_come_back_with_everything() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    alice.send("@bob", "before").await;
    cluster.stop_all().await;
    for id in [3, 1, 2] {
        cluster.start_server(id).await;
    }
    cluster.in_sync(all()).await;
    alice.send("@bob", "after").await;
    assert_eq!(bodies(&bob.history("@alice").await), ["before", "after"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_follower_that_was_reset_copies_everything() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    for number in 0..50 {
        alice.send("@bob", &number.to_string()).await;
    }
    let follower = cluster.another(cluster.leader().await);
    cluster.stop(follower).await;
    cluster.start_server_with(follower, &["--reset", "--yes"]).await;
    cluster.in_sync(all()).await;
    assert_eq!(bob.history("@alice").await.len(), 50);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn the_lowest_id_that_was_reset_never_empties_the_cluster() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    alice.send("@bob", "first").await;

    cluster.stop(1).await;
    cluster.start_server_with(1, &["--reset", "--yes"]).await;
    cluster.in_sync(all()).await;
    alice.send("@bob", "second").await;

    for id in all() {
        cluster.kill(id);
    }
    cluster.start_server_with(1, &["--reset", "--yes"]).await;
    never_leads(&cluster, 1, LONG_BEFORE).await;
    cluster.start_server(2).await;
    cluster.start_server(3).await;
    cluster.in_sync(all()).await;
    alice.send("@bob", "third").await;
    assert_eq!(bodies(&bob.history("@alice").await), ["first", "second", "third"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_wiped_disk_is_filled_from_the_others() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    alice.send("@bob", "kept").await;
    for id in all() {
        cluster.kill(id);
    }
    std::fs::remove_dir_all(cluster.data(1)).expect("its folder");
    cluster.start_server(1).await;
    cluster.start_server(2).await;
    cluster.start_server(3).await;
    cluster.in_sync(all()).await;
    assert_eq!(bodies(&bob.history("@alice").await), ["kept"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_server_is_forced_to_lead_by_a_typed_word_only_and_says_so_for_ever() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "with three").await;
    for id in all() {
        cluster.kill(id);
    }
    let force = ["--force-lead"];
    let refused = cluster.spawn_with(2, &cluster.config(), &force, "refused.log".into(), "y\n");
    let exit = { refused }.ended(Duration::from_secs(5)).await;
    assert_eq!(exit.status.code(), Some(2), "{}", exit.log);
    cluster.start_server_told(2, &force, "test\n").await;
    assert_eq!(cluster.leader().await, 2);
    alice.send("@alice", "forced").await;
    cluster.start_server(1).await;
    cluster.start_server(3).await;
    cluster.in_sync(all()).await;
    for id in all() {
        let status = cluster.status(id).await.expect("it answers");
        assert_eq!(status.forced_epochs.len(), 1, "server {id}: {status:?}");
    }
    assert_eq!(bodies(&alice.history("@alice").await), ["with three", "forced"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_leader_that_is_asked_to_end_hands_over_at_once() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = Arc::new(User::create(&cluster, "bob").await);
    // An open stream must not keep a server from ending.
    let receiver = Receiver::listen(&bob).await;
    alice.send("@bob", "before").await;

    let leader = cluster.leader().await;
    cluster.process(leader).signal(Signal::TERM);
    let asked = Instant::now();
    alice.send("@bob", "after").await;
    let pause = asked.elapsed();
    assert!(pause < HAND_OVER, "the next send was acknowledged after {pause:?}");
    let exit = cluster.process(leader).ended(Duration::from_secs(5)).await;
    assert_eq!(exit.status.code(), Some(0), "{}", exit.log);
    assert_eq!(bodies(&receiver.messages(2).await), ["before", "after"]);
}

#[tokio::test]
async fn a_second_signal_ends_a_server_at_once() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    // A stream that its device does not read keeps a server draining for a moment.
    let bob = User::create(&cluster, "bob").await;
    let _events = bob.subscribe("").await;
    cluster.process(leader).signal(Signal::TERM);
    let door = cluster.door(leader);
    until("the end of the lead", Duration::from_secs(5), || async {
        let status = door.status().await;
        status.is_none_or(|status| status.role() != Role::Leader).then_some(())
    })
    .await;
    if cluster.process(leader).is_running() {
        cluster.process(leader).signal(Signal::TERM);
    }
    cluster.process(leader).ended(Duration::from_millis(500)).await;
}

#[tokio::test]
async fn a_returning_lower_id_does_not_take_the_lead_back() {
    let mut cluster = Cluster::start().await;
    assert_eq!(cluster.in_sync(all()).await, 1);
    cluster.kill(1);
    assert_eq!(cluster.leader().await, 2, "the lowest live one");
    cluster.start_server(1).await;
    assert_eq!(cluster.in_sync(all()).await, 2, "and it stays");
}

#[tokio::test]
async fn followers_point_to_the_leader() {
    let cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    for id in all() {
        let status = cluster
            .status_when(id, "knows the leader", |status| status.leader_id as u32 == leader)
            .await;
        assert_eq!(status.leader_address, cluster.address(leader));
        assert_eq!(status.server_id as u32, id);
        assert_eq!(status.policy, "available");
        assert_eq!(status.servers.len(), 3);
        let role = if id == leader { Role::Leader } else { Role::Follower };
        assert_eq!(status.role(), role);
    }
    let status = cluster.status(leader).await.expect("it leads");
    assert_eq!((status.copies, status.degraded, status.read_only), (3, false, false));
}

#[tokio::test]
async fn losing_a_server_shows_in_the_status() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let lost = cluster.another(leader);
    cluster.kill(lost);
    cluster.status_when(leader, "two copies", |status| status.copies == 2 && status.degraded).await;
    cluster.start_server(lost).await;
    cluster
        .status_when(leader, "three copies", |status| status.copies == 3 && !status.degraded)
        .await;
}

/// Watches a server for a while: a lead would be a mistake at any moment of it.
async fn never_leads(cluster: &Cluster, id: u32, watch: Duration) {
    let end = Instant::now() + watch;
    let door = cluster.door(id);
    within("the watch", watch * 2, async {
        until("the end of the watch", watch * 2, || async {
            let status = door.status().await.expect("it answers");
            assert_ne!(status.role(), Role::Leader, "an emptied server leads");
            (Instant::now() >= end).then_some(())
        })
        .await;
    })
    .await;
}
