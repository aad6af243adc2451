//! What a walk demands at its end: when the faults stop, everybody gets there, with the same log.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use chinwag::cluster::{Event, Mode, Policy, ServerId};

use crate::world::{Log, World};

/// I10 and the liveness goals: after the faults everybody gets there, with the same log.
pub(crate) fn heal_and_demand(world: &mut World, wiped: bool) {
    world.note(|| "everything heals".to_owned());
    world.cut.clear();
    for id in world.ids() {
        world.node(id).paused = false;
        if !world.is_up(id) {
            world.start(id);
        }
        world.step(id, Event::DiskLow(false));
    }
    for _ in 0..40 {
        world.run_for(Duration::from_millis(500));
        // A shutdown that was under way ended.
        for id in world.ids() {
            if !world.is_up(id) {
                world.start(id);
            }
        }
        if world.failed.is_some() || agree(world) {
            break;
        }
    }
    // The only disk of the only member of a view is lost: an operator must decide.
    if wiped && world.policy == Policy::Available && world.leaders().is_empty() {
        return;
    }
    if world.failed.is_none() && !agree(world) {
        let state: Vec<String> = world.ids().map(|id| describe(world, id)).collect();
        world.violate(format!("I10: no agreement after healing: {}", state.join("; ")));
        return;
    }
    demand_everything_acknowledged(world, wiped);
    let leader = world.leaders()[0];
    let update = world.submit(leader);
    world.run_for(Duration::from_millis(200));
    let done = world.acknowledged.last().map(|one| one.waiter);
    if world.failed.is_none() && (update.is_none() || done != update) {
        world.violate("L2: a healed cluster does not take updates".to_owned());
    }
}

/// P21: under `available` what either side of a split acknowledged is there in the end. What cannot be merged any
/// more, for the log was trimmed, is kept aside; what went with a wiped disk is gone.
fn demand_everything_acknowledged(world: &mut World, wiped: bool) {
    if wiped || world.failed.is_some() || (world.forced && world.policy == Policy::Majority) {
        return;
    }
    let there = world.nodes[&world.leaders()[0]].updates();
    let trimmed = world.log_cap < 100_000;
    let aside = world.nodes.values().flat_map(|node| &node.disk.aside);
    let kept: BTreeSet<Bytes> = aside.filter(|_| trimmed).flat_map(Log::updates).collect();
    let lost = world
        .acknowledged
        .iter()
        .find(|one| !there.contains(&one.payload) && !kept.contains(&one.payload));
    if let Some(waiter) = lost.map(|one| one.waiter) {
        world.violate(format!("I10: update {waiter} was acknowledged and is gone after healing"));
    }
}

/// One server serves, all are in sync with it, and all logs are the same.
fn agree(world: &World) -> bool {
    let leaders = world.leaders();
    let [leader] = leaders[..] else { return false };
    let Some(core) = world.core(leader) else { return false };
    let status = core.status(chinwag::cluster::Time(world.now));
    let same = |id: &ServerId| {
        let log = world.nodes[id].disk.log.as_ref().map(|log| log.last());
        let mode = world.core(*id).map(|core| core.mode());
        log == status.last
            && matches!(mode, Some(Mode::Follower(_) | Mode::Leader(_)))
            && status.in_sync.contains(id)
    };
    world.ids().all(|id| same(&id))
}

fn describe(world: &World, id: ServerId) -> String {
    let Some(core) = world.core(id) else { return format!("{id} down") };
    let status = core.status(chinwag::cluster::Time(world.now));
    let last = status.last.map_or(0, |last| last.seq);
    format!("{id} {:?} ends {last} in sync {:?} '{}'", status.mode, status.in_sync, status.note)
}
