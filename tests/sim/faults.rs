//! What each fault does when it begins and when it ends, and the end of all faults.

use std::time::Duration;

use chinwag::{cluster::Event, node::Input, store::WriterCommand};

use crate::{
    disk,
    plan::{Kind, Who},
    tasks::Owner,
    world::{Job, World},
};

impl World {
    pub(crate) fn fault_begins(&mut self, index: usize) {
        if self.healed {
            return;
        }
        let fault = self.plan.faults[index];
        let leader = self.leaders().first().copied();
        let target = match fault.who {
            Who::Leader => leader.unwrap_or(fault.detail as usize % self.servers.len()),
            Who::Server(server) => server,
        };
        self.note("fault", &[index as u64, target as u64 + 1]);
        self.say(|| format!("{fault}"));
        if self.fault_hits(fault.kind, target, fault.detail) {
            self.targets.insert(index, target);
        }
    }

    /// Whether there is something to end.
    fn fault_hits(&mut self, kind: Kind, target: usize, detail: u64) -> bool {
        let other = self.other(target, detail);
        match kind {
            Kind::Crash => return self.stop(target, false),
            Kind::Restart => {
                if self.stop(target, false) {
                    self.release(target);
                }
                return false;
            }
            Kind::PowerLoss => {
                self.servers[target].dark = !detail.is_multiple_of(4);
                return self.stop(target, true);
            }
            Kind::Shutdown => {
                self.input(target, Input::Event(Event::Shutdown));
                return false;
            }
            Kind::Pause | Kind::Suspend => return self.pause(target, kind == Kind::Suspend),
            Kind::WallClock => {
                let seconds = detail as i64 * 40 - 20_000;
                self.servers[target].wall.set(seconds * 1_000_000);
                return false;
            }
            Kind::DiskError => self.servers[target].fails = Some(detail.is_multiple_of(2)),
            Kind::DiskFull => {
                self.servers[target].low = true;
                self.input(target, Input::Event(Event::DiskLow(true)));
            }
            Kind::SlowDisk => {
                self.servers[target].slow = true;
                self.servers[target].may_fail = true;
            }
            Kind::OldCopy => return self.keep_a_copy(target),
            Kind::Double => {
                let prepared = self.prepare_double(target, detail);
                let after = self.micros(0, 1_500_000);
                if prepared {
                    self.after(after, Job::Double);
                }
                return prepared;
            }
            Kind::Wipe | Kind::Reset | Kind::Damage => return self.lose_disk(target, kind),
            Kind::Isolate => self.isolate(target, true),
            Kind::Cut => self.cut(target, other, true, true),
            Kind::OneWay => self.cut(target, other, false, true),
            Kind::ClientsCut => self.cut_clients(target, true),
            Kind::Mute => {
                self.network.mute.insert(target);
            }
            Kind::Stuck => {
                self.network.stuck.insert((target, other));
            }
            Kind::Break => {
                self.break_connections(target);
                return false;
            }
            Kind::Loss => self.network.loss = 1 + detail as usize % 15,
            Kind::Twice => self.network.twice = 20,
            Kind::Reorder => self.network.reorder = 30,
            Kind::Delay => self.network.delay_ms = 1 + detail as usize % 300,
            Kind::SnapshotCut => self.network.cuts_snapshots = true,
            Kind::MergeCut => {
                self.network.merge_cut = Some(detail);
                return false;
            }
        }
        true
    }

    pub(crate) fn fault_ends(&mut self, index: usize) {
        let Some(target) = self.targets.remove(&index) else { return };
        if self.healed {
            return;
        }
        let fault = self.plan.faults[index];
        self.note("fault ends", &[index as u64]);
        let other = self.other(target, fault.detail);
        match fault.kind {
            Kind::Crash | Kind::PowerLoss | Kind::Wipe | Kind::Reset | Kind::Damage => {
                self.release(target);
            }
            Kind::Pause | Kind::Suspend => self.resume(target),
            Kind::DiskError => self.servers[target].fails = None,
            Kind::DiskFull => {
                self.servers[target].low = false;
                self.input(target, Input::Event(Event::DiskLow(false)));
            }
            Kind::SlowDisk => self.servers[target].slow = false,
            Kind::OldCopy => self.bring_the_copy_back(target),
            Kind::Double => self.stop_double(),
            Kind::Isolate => self.isolate(target, false),
            Kind::Cut => self.cut(target, other, true, false),
            Kind::OneWay => self.cut(target, other, false, false),
            Kind::ClientsCut => self.cut_clients(target, false),
            Kind::Mute => {
                self.network.mute.remove(&target);
            }
            Kind::Stuck => {
                self.network.stuck.remove(&(target, other));
                self.let_go(fault.detail.is_multiple_of(2));
            }
            Kind::Loss => self.network.loss = 0,
            Kind::Twice => self.network.twice = 0,
            Kind::Reorder => self.network.reorder = 0,
            Kind::Delay => self.network.delay_ms = 0,
            Kind::SnapshotCut => self.network.cuts_snapshots = false,
            Kind::Restart | Kind::Shutdown | Kind::WallClock | Kind::Break | Kind::MergeCut => {}
        }
    }

    fn other(&self, target: usize, detail: u64) -> usize {
        let count = self.servers.len();
        (target + 1 + detail as usize % (count - 1)) % count
    }

    /// kill -9, or the power goes; it stays down until it is released.
    pub(crate) fn stop(&mut self, target: usize, power: bool) -> bool {
        if self.servers[target].process.is_none() {
            return false;
        }
        self.servers[target].held += 1;
        if power {
            self.tear(target);
        } else {
            self.end_process(target, false, self.servers[target].dark);
        }
        true
    }

    pub(crate) fn release(&mut self, target: usize) {
        self.servers[target].held = self.servers[target].held.saturating_sub(1);
        let after = self.micros(1_000, 40_000);
        self.after(after, Job::Start(target));
    }

    /// The power goes while something is being synced: the log of the database ends somewhere in it.
    fn tear(&mut self, target: usize) {
        let folder = self.servers[target].folder.clone();
        let wal = disk::wal(&folder);
        let before = wal.as_deref().map_or(0, disk::length);
        let process = self.servers[target].process.as_mut().expect("it is up");
        let syncs = |command: &WriterCommand| {
            matches!(command, WriterCommand::Commit { .. } | WriterCommand::Store { .. })
        };
        let command = process.work.pop_front().filter(syncs);
        if let Some(command) = command {
            let durable = self.servers[target].durable.clone();
            let _ = self.run_command(target, command);
            self.servers[target].durable = durable;
        }
        let after = wal.as_deref().map_or(0, disk::length);
        let dark = self.servers[target].dark;
        self.end_process(target, false, dark);
        if let Some(wal) = disk::wal(&self.servers[target].folder).filter(|_| after > before) {
            let kept = before + self.chance.below((after - before) as usize + 1) as u64;
            self.note("torn", &[target as u64 + 1, before, kept, after]);
            disk::cut(&wal, kept);
        }
    }

    /// The process is gone. Killed, its files stay as they are; `silent`, no connection tells of it.
    pub(crate) fn end_process(&mut self, index: usize, clean: bool, silent: bool) {
        let Some(process) = self.servers[index].process.take() else { return };
        self.note("is gone", &[index as u64 + 1, u64::from(clean)]);
        let life = process.life;
        if clean {
            // What is still to be written is written: the commands before the close.
            let mut process = process;
            while let Some(command) = process.work.pop_front() {
                let _ = process.writer.carry_out(command);
            }
            if let Some(state) = process.unwritten.take() {
                let _ = process.store.persist_local(&state);
            }
            self.tasks.end(Owner::Server { server: index, life });
            let _ = process.writer.close();
        } else {
            self.next += 1;
            let to = self.root.join(format!("server-{index}-{}", self.next));
            let from = std::mem::replace(&mut self.servers[index].folder, to.clone());
            disk::copy(&from, &to).expect("room for a copy");
            self.tasks.end(Owner::Server { server: index, life });
            drop(process);
            let _ = std::fs::remove_dir_all(from);
        }
        if silent {
            self.kill_calls(index, life);
        } else {
            self.tell_of_the_end(index, Some(life));
        }
    }

    fn kill_calls(&mut self, index: usize, life: u64) {
        for call in self.calls.values_mut() {
            if call.server == index && call.life == Some(life) {
                call.dead = true;
            }
        }
    }

    /// The other ends of its connections notice, servers and clients, unless they are cut off.
    fn tell_of_the_end(&mut self, index: usize, life: Option<u64>) {
        for other in 0..self.servers.len() {
            let Some(process) = &self.servers[other].process else { continue };
            let peer = process.life;
            if other != index && !self.network.is_cut(index, other) {
                let after = self.micros(300, 2_000);
                let job = Job::StreamEnded { server: other, life: peer, peer: index };
                self.after(after, job);
            }
        }
        self.break_parts(index, life);
        let servers = self.servers.len();
        let broken: Vec<(u64, usize)> = self
            .calls
            .iter()
            .filter(|(_, call)| call.server == index && call.life.is_some() && !call.dead)
            .filter(|(_, call)| life.is_none() || call.life == life)
            .map(|(id, call)| (*id, call.client))
            .collect();
        for (id, client) in broken {
            if self.network.is_cut(index, servers + client) {
                self.kill_call(id);
            } else {
                let after = self.micros(300, 2_000);
                self.after(after, Job::CallLost(id));
            }
        }
    }

    fn break_connections(&mut self, target: usize) {
        let Some(process) = &self.servers[target].process else { return };
        let life = process.life;
        self.tell_of_the_end(target, None);
        for peer in (0..self.servers.len()).filter(|peer| *peer != target) {
            self.after(Duration::from_millis(1), Job::StreamEnded { server: target, life, peer });
        }
    }

    pub(crate) fn pause(&mut self, target: usize, asleep: bool) -> bool {
        let Some(process) = &mut self.servers[target].process else { return false };
        if process.paused {
            return false;
        }
        process.paused = true;
        process.asleep = asleep;
        true
    }

    pub(crate) fn resume(&mut self, target: usize) {
        let Some(process) = &mut self.servers[target].process else { return };
        if !process.paused {
            return;
        }
        process.paused = false;
        process.asleep = false;
        let life = process.life;
        if std::mem::take(&mut process.done_while_paused) {
            self.after(Duration::from_micros(50), Job::Disk(target, life));
        }
        let process = self.servers[target].process.as_mut().expect("it is up");
        process.tick_at = None;
        if process.blocked {
            self.after(Duration::from_micros(50), Job::Unblock(target, life));
        } else {
            self.unblock(target);
            self.input(target, Input::Event(Event::Tick));
        }
    }

    fn isolate(&mut self, target: usize, cut: bool) {
        let places = self.servers.len() + self.plan.clients;
        let with_clients = self.plan.seed.is_multiple_of(2);
        for other in (0..places).filter(|other| *other != target) {
            if other < self.servers.len() || with_clients {
                self.cut(target, other, true, cut);
            }
        }
    }

    pub(crate) fn cut(&mut self, one: usize, other: usize, both: bool, cut: bool) {
        self.network.set_cut(one, other, cut);
        if both {
            self.network.set_cut(other, one, cut);
        }
    }

    fn cut_clients(&mut self, target: usize, cut: bool) {
        for client in 0..self.plan.clients {
            self.cut(target, self.servers.len() + client, true, cut);
        }
    }

    /// What was stuck comes after all, or breaks.
    fn let_go(&mut self, deliver: bool) {
        let held = std::mem::take(&mut self.network.held);
        for flight in held {
            if self.network.stuck.contains(&(flight.from, flight.to)) {
                self.network.held.push(flight);
            } else if deliver {
                let after = self.micros(100, 5_000);
                self.after(after, Job::Deliver(Box::new(flight)));
            }
        }
    }
}
