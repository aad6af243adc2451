//! Links that wait, crawl or stutter.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    people::crowd,
    world::{ALL, World, generation, host, stored},
};

const BRIEFLY: Duration = Duration::from_millis(250);
/// Longer than `failure_timeout` and `ack_timeout`.
const LONG: Duration = Duration::from_millis(1_800);

/// The leader and its followers.
fn roles(world: &World) -> (u32, u32, u32) {
    let leader = world.leader().expect("somebody leads");
    let mut others = ALL.into_iter().filter(|id| *id != leader);
    (leader, others.next().expect("the first"), others.next().expect("the second"))
}

#[test]
fn three_servers_find_each_other_and_the_lowest_leads() {
    let mut world = World::forming(1, "available");
    world.until("all in sync", |world| world.in_sync(&ALL).is_some());
    world.add_sender("alice");
    world.until("some messages", |world| world.sender(0).acknowledged() >= 10);
    world.ends_well();
}

#[test]
fn a_pause_shorter_than_the_timeouts_changes_nothing_and_loses_nothing() {
    let mut world = World::new(2, "available");
    let (leader, follower, _) = roles(&world);
    world.hold(&host(leader), &host(follower));
    world.pass(BRIEFLY);
    world.release(&host(leader), &host(follower));
    world.until("all in sync", |world| world.in_sync(&ALL) == Some(leader));
    world.ends_well();
}

#[test]
fn a_follower_that_the_leader_cannot_reach_leaves_the_view_and_returns() {
    let mut world = World::new(3, "available");
    let (leader, follower, other) = roles(&world);
    world.hold(&host(leader), &host(follower));
    let mut rest = [leader, other];
    rest.sort_unstable();
    world.until("the rest goes on", |world| world.in_sync(&rest).is_some());
    let before = world.sender(0).acknowledged();
    world.until("sends go on", |world| world.sender(0).acknowledged() > before + 5);
    world.release(&host(leader), &host(follower));
    world.ends_well();
}

#[test]
fn a_slow_link_to_one_follower_slows_but_never_excludes_it() {
    let mut world = World::new(4, "available");
    let (leader, follower, _) = roles(&world);
    world.slow(&host(leader), &host(follower), Duration::from_millis(50));
    let before = world.sender(0).acknowledged();
    world.until("sends go on", |world| {
        assert!(world.in_sync(&ALL) == Some(leader), "nobody is left out");
        world.sender(0).acknowledged() > before + 10
    });
    world.ends_well();
}

#[test]
fn slow_links_everywhere_still_carry_a_fail_over() {
    let mut world = World::new(5, "available");
    let (leader, follower, other) = roles(&world);
    for (one, two) in [(leader, follower), (leader, other), (follower, other)] {
        world.slow(&host(one), &host(two), Duration::from_millis(50));
    }
    world.isolate(leader);
    world.until("another leads", |world| world.leader().is_some_and(|now| now != leader));
    let before = world.sender(0).acknowledged();
    world.until("sends go on", |world| world.sender(0).acknowledged() > before + 3);
    world.join(leader);
    world.ends_well();
}

/// Under TCP a lost packet is a pause: it is sent again after 200 ms at least.
#[test]
fn links_that_lose_packets_lose_no_message() {
    let mut world = World::new(6, "available");
    let hosts = ["s1", "s2", "s3", "alice"];
    for round in 0..8_usize {
        let (one, two) = (hosts[round % 4], hosts[(round * 3 + 1) % 4]);
        if one != two {
            world.hold(one, two);
            world.pass(BRIEFLY);
            world.release(one, two);
        }
        world.pass(Duration::from_millis(50));
    }
    world.ends_well();
}

#[test]
fn a_client_that_cannot_reach_the_leader_alone_waits_and_loses_nothing() {
    let mut world = World::new(7, "available");
    let (leader, _, _) = roles(&world);
    world.add_sender("bob");
    world.until("a message of bob's", |world| world.sender(1).acknowledged() > 0);
    world.hold("alice", &host(leader));
    let before = world.sender(1).acknowledged();
    world.pass(LONG);
    assert!(world.sender(1).acknowledged() > before, "others are served");
    assert_eq!(world.leader(), Some(leader), "one client's trouble is no reason to elect");
    world.release("alice", &host(leader));
    world.ends_well();
}

#[test]
fn a_newcomer_takes_a_snapshot_over_a_slow_link_while_the_others_serve() {
    // So long a log is not sent entry by entry.
    const MESSAGES: usize = 1_100;
    let mut world = World::waiting(8, "available");
    world.begin(1);
    world.begin(2);
    world.until("two in sync", |world| world.in_sync(&[1, 2]).is_some());
    let done = CancellationToken::new();
    world.client("crowd", crowd(MESSAGES, done.clone()));
    world.until("a long log", |_| done.is_cancelled());
    world.add_sender("alice");
    world.slow("s1", "s3", Duration::from_millis(50));
    world.slow("s2", "s3", Duration::from_millis(50));
    world.begin(3);
    world.until("all in sync", |world| world.in_sync(&ALL).is_some());
    assert_ne!(generation(&world, 3), generation(&world, 1), "it began anew from a snapshot");
    assert!(stored(&world, 3).len() >= MESSAGES, "it has what was said before it came");
    world.ends_well();
}
