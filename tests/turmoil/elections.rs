//! Who leads when links are cut, and who must not.

use std::time::Duration;

use chinwag::{
    client::Delivery,
    wire::chat::{Role, event::Kind},
};

use super::{
    people::library,
    world::{ALL, Shared, World, host},
};

/// Longer than `failure_timeout` and an election.
const LONG: Duration = Duration::from_millis(2_500);

/// The leader hears nobody and nobody hears it.
fn the_leader_falls_silent(seed: u64, policy: &str) {
    let mut world = World::new(seed, policy);
    let first = world.leader().expect("somebody leads");
    world.isolate(first);
    world.until("another leads", |world| world.leader().is_some_and(|now| now != first));
    let before = world.sender(0).acknowledged();
    world.until("sends go on", |world| world.sender(0).acknowledged() > before + 5);
    world.join(first);
    world.ends_well();
}

#[test]
fn when_the_leader_falls_silent_another_leads_and_the_client_follows() {
    the_leader_falls_silent(21, "available");
}

#[test]
fn under_the_majority_policy_too_a_silent_leader_is_followed() {
    the_leader_falls_silent(22, "majority");
}

#[test]
fn a_minority_neither_acknowledges_nor_answers_reads() {
    let mut world = World::new(23, "majority");
    let first = world.leader().expect("somebody leads");
    let reads = Shared::<Vec<bool>>::default();
    let told = reads.clone();
    // Bob stays with the first leader on its side of the cut.
    world.add_sender("bob");
    world.until("a message of bob's", |world| world.sender(1).acknowledged() > 0);
    world.client("carol", async move {
        let client = library();
        client.create_account("carol", "correct horse battery").await?;
        told.lock().expect("no holder panics").push(true);
        Ok(())
    });
    for other in ALL.into_iter().filter(|id| *id != first) {
        world.hold(&host(first), &host(other));
        world.hold("bob", &host(other));
        world.hold("carol", &host(other));
    }
    world.until("another leads", |world| {
        world.leader().is_some_and(|now| now != first)
            && world.seen().get(&first).is_some_and(|status| status.role() != Role::Leader)
    });
    let (alice, bob) = (world.sender(0).acknowledged(), world.sender(1).acknowledged());
    world.pass(LONG);
    assert!(world.sender(0).acknowledged() > alice, "the majority serves");
    assert_eq!(world.sender(1).acknowledged(), bob, "the minority acknowledges nothing");
    assert!(reads.lock().expect("no holder panics").is_empty(), "nor does it serve anybody");
    for other in ALL.into_iter().filter(|id| *id != first) {
        world.release(&host(first), &host(other));
        world.release("bob", &host(other));
        world.release("carol", &host(other));
    }
    world.until("carol is served", |_| !reads.lock().expect("no holder panics").is_empty());
    world.ends_well();
}

#[test]
fn a_candidate_that_is_cut_off_in_the_middle_leaves_the_lead_to_the_other() {
    let mut world = World::new(24, "majority");
    let first = world.leader().expect("somebody leads");
    let mut rest = ALL.into_iter().filter(|id| *id != first);
    let (second, third) = (rest.next().expect("one"), rest.next().expect("another"));
    world.isolate(first);
    world.until("the next in line asks", |world| {
        let asks = |id| world.seen().get(&id).is_some_and(|s| s.role() == Role::Electing);
        asks(second) || asks(third) || world.leader().is_some_and(|now| now != first)
    });
    world.isolate(second);
    world.pass(Duration::from_millis(600));
    world.join(first);
    world.hold(&host(first), &host(second));
    world.until("two of them go on", |world| {
        world.leader().is_some_and(|now| now != second) && world.sender(0).acknowledged() > 0
    });
    world.join(second);
    world.ends_well();
}

#[test]
fn a_subscriber_hears_everything_once_across_a_fail_over() {
    let mut world = World::new(25, "available");
    let heard = Shared::<Vec<String>>::default();
    let told = heard.clone();
    world.client("listener", async move {
        let client = library();
        client.login("alice", "correct horse battery", "test").await?;
        let mut events = client.subscribe("");
        while told.lock().expect("no holder panics").len() < 40 {
            let Ok(Delivery::Event(event)) = events.next().await else { continue };
            if let Some(Kind::MessageCreated(message)) = event.kind {
                told.lock().expect("no holder panics").push(message.body);
            }
        }
        Ok(())
    });
    let count = |heard: &Shared<Vec<String>>| heard.lock().expect("no holder panics").len();
    world.until("something is heard", |_| count(&heard) >= 5);
    let first = world.leader().expect("somebody leads");
    world.isolate(first);
    world.hold("listener", &host(first));
    world.until("all is heard", |_| count(&heard) >= 40);
    world.release("listener", &host(first));
    world.join(first);
    let heard = heard.lock().expect("no holder panics").clone();
    let number = |body: &String| body.rsplit(' ').next().and_then(|n| n.parse::<usize>().ok());
    let numbers: Vec<usize> = heard.iter().filter_map(number).collect();
    let wanted: Vec<usize> = (numbers[0]..numbers[0] + numbers.len()).collect();
    assert_eq!(numbers, wanted, "each message once, in order");
    world.ends_well();
}

#[test]
fn a_lead_that_changes_again_and_again_loses_nothing() {
    let mut world = World::new(26, "majority");
    for _ in 0..3 {
        let first = world.leader().expect("somebody leads");
        world.isolate(first);
        world.until("another leads", |world| world.leader().is_some_and(|now| now != first));
        world.join(first);
        world.until("all in sync", |world| world.in_sync(&ALL).is_some());
    }
    world.ends_well();
}
