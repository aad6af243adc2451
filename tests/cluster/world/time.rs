//! What happens when nobody acts: messages arrive, disks and probes end, timers run.

use std::time::Duration;

use chinwag::cluster::{Core, Event, ServerId};

use super::{Flight, World};

impl World {
    pub(crate) fn has_probe(&self, id: ServerId) -> bool {
        self.runs(id) && self.next_probe(id).is_some()
    }

    pub(crate) fn next_probe(&self, id: ServerId) -> Option<ServerId> {
        self.nodes[&id].probes.front().map(|(peer, ..)| *peer)
    }

    pub(crate) fn end_probe(&mut self, id: ServerId) {
        if let Some((peer, begun, refused)) = self.node(id).probes.pop_front() {
            self.note(|| format!("{id} probed {peer}, refused: {refused}"));
            self.step(id, Event::Probed { peer, begun, refused });
        }
    }

    pub(crate) fn deliver(&mut self, flight: Flight) {
        let message = flight.message;
        let (from, to) = (message.from, message.to);
        if self.is_cut(from, to) || !self.is_up(to) {
            return;
        }
        if self.nodes[&to].paused {
            self.network.push_back(Flight { message, snapshot: flight.snapshot });
            return;
        }
        self.note_answer(&message);
        if let Some(log) = flight.snapshot {
            self.node(to).snapshots.insert(message.nonce, log);
        }
        self.step(to, Event::Message(*message));
    }

    /// Ticks every server whose deadline has come.
    pub(crate) fn tick(&mut self) {
        for id in self.ids() {
            let due =
                self.core(id).and_then(Core::next_deadline).is_some_and(|at| at.0 <= self.now);
            if due {
                self.step(id, Event::Tick);
            }
        }
    }

    /// The next moment at which a server wants to act.
    pub(crate) fn next_moment(&self) -> Option<Duration> {
        let running = self.nodes.values().filter(|node| !node.paused);
        let deadlines = running.filter_map(|node| node.core.as_ref()?.next_deadline());
        deadlines.map(|at| at.0).min()
    }

    /// Everything that is under way happens, in order, without faults.
    pub(crate) fn settle(&mut self) {
        for _ in 0..200 {
            let flights = std::mem::take(&mut self.network);
            let mut idle = true;
            for flight in flights {
                idle &= self.nodes[&flight.message.to].paused;
                self.deliver(flight);
            }
            for id in self.ids() {
                while self.has_store_work(id) {
                    self.run_store(id);
                    idle = false;
                }
                if self.has_merge(id) && self.run_merge(id) {
                    idle = false;
                }
                while self.has_probe(id) {
                    self.end_probe(id);
                    idle = false;
                }
            }
            if idle || self.failed.is_some() {
                return;
            }
        }
        self.violate("the servers never come to rest".to_owned());
    }

    /// Time goes by without faults.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end && self.failed.is_none() {
            let next = self.next_moment().unwrap_or(end);
            self.now = next.clamp(self.now + Duration::from_millis(1), end.max(self.now));
            self.tick();
            self.settle();
        }
    }
}
