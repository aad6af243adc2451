//! What each fault does when it begins and when it ends, and the end of all faults.

use std::time::Duration;

use chinwag::{
    cluster::{Event, Policy, ServerId},
    node::Input,
    store::WriterCommand,
};

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

    fn release(&mut self, target: usize) {
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

    fn pause(&mut self, target: usize, asleep: bool) -> bool {
        let Some(process) = &mut self.servers[target].process else { return false };
        if process.paused {
            return false;
        }
        process.paused = true;
        process.asleep = asleep;
        true
    }

    fn resume(&mut self, target: usize) {
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

    fn cut(&mut self, one: usize, other: usize, both: bool, cut: bool) {
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

    // --- disks ---

    /// Whether another disk holds everything that was acknowledged.
    fn is_copied(&self, target: usize) -> bool {
        self.others_hold_everything(target).any(|holds| holds)
    }

    /// Whether nothing is lost for sure if this server's disk becomes what it was once. Its owner does not know
    /// that; and where it could lead together with a server that lacks something, while the one that has
    /// everything is stopped for a moment, nobody who runs would know.
    fn bears_the_old_copy(&self, target: usize) -> bool {
        let available = self.plan.policy == Policy::Available;
        self.is_copied(target)
            && (available || self.others_hold_everything(target).all(|holds| holds))
    }

    fn others_hold_everything(&self, target: usize) -> impl Iterator<Item = bool> {
        let newest = self.record.acknowledged.last_key_value();
        let others = (0..self.servers.len()).filter(move |index| *index != target);
        others.map(move |index| {
            newest.is_some_and(|(seq, hashes)| {
                let hash = self.servers[index].durable.get(seq);
                hash.is_some_and(|hash| hashes.contains(hash))
            })
        })
    }

    fn lose_disk(&mut self, target: usize, kind: Kind) -> bool {
        if !self.is_copied(target) || self.record.lost {
            return false;
        }
        self.stop(target, false);
        self.servers[target].held = self.servers[target].held.max(1);
        self.mark_lost(target);
        let folder = self.servers[target].folder.clone();
        match kind {
            Kind::Wipe => {
                let _ = std::fs::remove_dir_all(&folder);
            }
            Kind::Reset => {
                let mut uuid = [5; 16];
                uuid[..8].copy_from_slice(&self.chance.number().to_be_bytes());
                let _ = chinwag::store::reset(&folder, uuid);
            }
            _ => {
                let what = disk::damage(&folder, &mut self.chance);
                self.say(|| format!("damage: {what}"));
            }
        }
        true
    }

    fn mark_lost(&mut self, target: usize) {
        self.record.lost = true;
        self.servers[target].lost = true;
        self.servers[target].durable.clear();
    }

    fn keep_a_copy(&mut self, target: usize) -> bool {
        self.next += 1;
        let to = self.root.join(format!("old-{target}-{}", self.next));
        let from = self.servers[target].folder.clone();
        if self.record.lost || disk::wal(&from).is_none() || disk::copy(&from, &to).is_err() {
            return false;
        }
        self.servers[target].old_copy = Some(to);
        true
    }

    fn bring_the_copy_back(&mut self, target: usize) {
        let Some(copy) = self.servers[target].old_copy.take() else { return };
        if !self.bears_the_old_copy(target) || self.record.lost {
            return;
        }
        let held = self.stop(target, false);
        self.mark_lost(target);
        self.note("an old copy", &[target as u64 + 1]);
        let old = std::mem::replace(&mut self.servers[target].folder, copy);
        let _ = std::fs::remove_dir_all(old);
        if held {
            self.release(target);
        }
    }

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
