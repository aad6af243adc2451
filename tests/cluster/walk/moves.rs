//! Moves of several steps that chance alone makes too rarely: each brings servers to the edge of a rule.

use std::time::Duration;

use chinwag::cluster::{Event, ServerId};

use super::Walk;

impl Walk<'_> {
    /// A leader with a proposal under way dies right after some of it arrived.
    pub(super) fn crash_at_a_bad_moment(&mut self) {
        let Some(id) = self.world.leaders().first().copied() else { return };
        self.world.submit(id);
        for _ in 0..self.chance.below(6) {
            self.handle_message();
            self.work();
        }
        let victim = if self.chance.percent(70) { id } else { self.some_server() };
        self.crash(victim);
    }

    /// An operator wants another server to lead, whether it can or not.
    pub(super) fn ask_to_hand_over(&mut self) {
        let Some(chance) = &mut self.hand_overs else { return };
        if !chance.percent(6) {
            return;
        }
        let to = ServerId(1 + chance.below(self.world.nodes.len()) as u32);
        for id in self.world.leaders() {
            self.world.step(id, Event::HandOver { to });
        }
    }

    /// A server that has stored its join, and may not know yet whether it is committed, is cut off; the
    /// others go on without it and die.
    pub(super) fn cut_off_a_joiner(&mut self) {
        let joins = |id: &ServerId| self.world.runs(*id) && self.world.is_joining(*id);
        let joiner = self.world.ids().find(joins);
        if let Some(joiner) = joiner {
            self.go_on_without(joiner);
        }
    }

    /// A server that was just restarted is cut off before it knows what became of its membership.
    pub(super) fn cut_off_a_newcomer(&mut self, id: ServerId) {
        if !self.world.is_up(id) || self.world.leaders().first() == Some(&id) {
            return;
        }
        self.world.crash(id);
        self.world.start(id);
        for _ in 0..self.chance.below(30) {
            self.handle_message();
            self.work();
        }
        self.go_on_without(id);
    }

    fn go_on_without(&mut self, joiner: ServerId) {
        let ids: Vec<ServerId> = self.world.ids().collect();
        for other in &ids {
            self.world.cut.extend([(joiner, *other), (*other, joiner)]);
        }
        self.world.run_for(Duration::from_millis(400));
        self.ask();
        self.world.run_for(Duration::from_millis(20));
        for other in ids.into_iter().filter(|id| *id != joiner) {
            if self.world.is_up(other) && self.chance.percent(80) {
                self.world.crash(other);
            }
        }
        self.world.cut.clear();
        self.world.run_for(Duration::from_millis(300));
    }

    /// A leader with a slow disk proposes to go on without one that it does not hear, and dies. That one asks
    /// for the lead; who promises dies before its answer arrives. The candidate goes on alone, and dies when
    /// the others return.
    pub(super) fn die_after_a_promise(&mut self) {
        let Some(leader) = self.world.leaders().first().copied() else { return };
        let (candidate, promiser) = (self.some_server(), self.some_server());
        let up = |id| self.world.runs(id);
        if candidate == leader || promiser == leader || candidate == promiser {
            return;
        }
        if !up(candidate) || !up(promiser) {
            return;
        }
        self.world.node(leader).stalled = self.chance.percent(70);
        self.world.cut.extend([(leader, candidate), (candidate, leader)]);
        self.world.run_for(Duration::from_millis(420));
        self.world.cut.clear();
        if self.world.is_up(leader) {
            self.world.crash(leader);
        }
        for _ in 0..120 {
            self.handle_message();
            self.work();
            if self.world.nodes[&promiser].disk.local.promised_to.contains(&candidate) {
                break;
            }
        }
        if self.world.is_up(promiser) {
            self.world.crash(promiser);
        }
        self.world.network.clear();
        self.world.run_for(Duration::from_millis(200));
        self.ask();
        self.world.run_for(Duration::from_millis(20));
        if self.world.is_up(candidate) {
            self.world.crash(candidate);
        }
        for id in self.world.ids().filter(|id| *id != candidate) {
            if !self.world.is_up(id) {
                self.world.start(id);
            }
        }
        self.world.run_for(Duration::from_millis(300));
    }
}
