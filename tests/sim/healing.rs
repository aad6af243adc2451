//! The end of all faults, and whether the servers agree then.

use std::time::Duration;

use chinwag::{
    cluster::{Event, ServerId},
    node::Input,
};

use crate::world::{Job, World};

impl World {
    /// All faults end.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.note("everything heals", &[]);
        self.stop_double();
        self.targets.clear();
        for flight in self.network.heal() {
            self.after(Duration::from_millis(1), Job::Deliver(Box::new(flight)));
        }
        // A connection that lost something breaks in the end.
        let dead: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.dead).map(|(id, _)| *id).collect();
        for call in dead {
            let after = self.micros(1_000, 300_000);
            self.after(after, Job::CallLost(call));
        }
        for index in 0..self.servers.len() {
            let server = &mut self.servers[index];
            (server.slow, server.fails, server.held) = (false, None, 0);
            server.low = false;
            self.input(index, Input::Event(Event::DiskLow(false)));
            self.resume(index);
            if self.servers[index].process.is_none() {
                self.after(Duration::from_millis(5), Job::Start(index));
            }
        }
    }

    /// One server serves, all are in sync with it, and all logs end alike.
    pub(crate) fn agree(&self) -> bool {
        let leaders = self.leaders();
        let [leader] = leaders[..] else { return false };
        let last = |index: usize| {
            let durable = &self.servers[index].durable;
            durable.last_key_value().map(|(seq, hash)| (*seq, *hash))
        };
        let all = 0..self.servers.len();
        if !all.clone().all(|index| self.servers[index].runs() && last(index) == last(leader)) {
            return false;
        }
        let core = self.servers[leader].process.as_ref().expect("it serves").desk.core();
        let in_sync = core.status(chinwag::cluster::Time(self.now)).in_sync;
        all.clone().all(|index| in_sync.contains(&ServerId(index as u32 + 1)))
            && all.into_iter().all(|index| {
                let process = self.servers[index].process.as_ref().expect("it runs");
                process.blocked
                    || matches!(
                        process.desk.core().mode(),
                        chinwag::cluster::Mode::Follower(_) | chinwag::cluster::Mode::Leader(_)
                    )
            })
    }

    pub(crate) fn describe(&self) -> String {
        let one = |index: usize| match &self.servers[index].process {
            None => format!("{} down", index + 1),
            Some(process) => {
                let status = process.desk.status(chinwag::cluster::Time(self.now));
                let last = status.last.map_or(0, |last| last.seq);
                format!(
                    "{} {:?} ends {last} in sync {:?} waits for {:?} '{}'",
                    index + 1,
                    status.mode,
                    status.in_sync,
                    status.waiting_for,
                    status.note
                )
            }
        };
        (0..self.servers.len()).map(one).collect::<Vec<_>>().join("; ")
    }
}
