//! The loop of a server, as the driver's: what it takes in, what it does about it, in its order.

use std::time::Duration;

use chinwag::{
    cluster::{Effect, Hash, Time},
    node::{Action, Input},
    store::WriterCommand,
};

use crate::{
    door::Request,
    reconcile::Errand,
    server::{Incoming, Process},
    world::{Job, World},
};

impl World {
    pub(crate) fn process(&mut self, index: usize) -> &mut Process {
        self.servers[index].process.as_mut().expect("it is up")
    }

    /// Something for the desk; it waits while the process is busy or stands still.
    pub(crate) fn input(&mut self, index: usize, input: Input) {
        let Some(process) = &mut self.servers[index].process else { return };
        if process.is_free() {
            self.handle(index, input);
            self.batch(index);
        } else {
            process.inbox.push_back(Incoming::Input(input));
        }
    }

    pub(crate) fn handle(&mut self, index: usize, input: Input) {
        let now = Time(self.now);
        let process = self.process(index);
        let actions = process.desk.handle(input, now);
        process.tell_standing();
        self.act(index, actions);
    }

    pub(crate) fn batch(&mut self, index: usize) {
        let now = Time(self.now);
        let free = self.servers[index].process.as_ref().is_some_and(Process::is_free);
        if free {
            let actions = self.process(index).desk.batch(now);
            self.act(index, actions);
        }
    }

    /// Takes what the tasks of the server ask; whether there was anything.
    pub(crate) fn take_requests(&mut self, index: usize) -> bool {
        let mut any = false;
        while let Some(process) = &self.servers[index].process {
            if !process.is_free() || !process.desk.has_room() {
                break;
            }
            let Some(request) = process.door.requests.borrow_mut().pop_front() else { break };
            any = true;
            let process = self.process(index);
            process.next_id += 1;
            let id = process.next_id;
            match request {
                Request::Execute { payload, reply } => {
                    process.waiters.insert(id, reply);
                    self.handle(index, Input::Execute { waiter: id, payload });
                }
                Request::Read { reply } => {
                    process.reads.insert(id, reply);
                    self.handle(index, Input::Read(id));
                }
            }
        }
        if any {
            self.batch(index);
        }
        any
    }

    /// Carries out what is wanted, in its order, as far as that goes now.
    pub(crate) fn act(&mut self, index: usize, actions: Vec<Action>) {
        self.process(index).agenda.extend(actions);
        self.go_on(index);
    }

    fn go_on(&mut self, index: usize) {
        loop {
            let Some(process) = &mut self.servers[index].process else { return };
            if process.blocked {
                return;
            }
            let Some(action) = process.agenda.pop_front() else { break };
            self.carry_out(index, action);
        }
        self.check_lead(index);
        self.plan_tick(index);
    }

    /// The local store is written, or the process goes on after it stood still.
    pub(crate) fn unblock(&mut self, index: usize) {
        let process = self.process(index);
        process.blocked = false;
        if process.paused {
            return;
        }
        self.go_on(index);
        loop {
            let Some(process) = &mut self.servers[index].process else { return };
            if !process.is_free() {
                return;
            }
            let Some(incoming) = process.inbox.pop_front() else { break };
            match incoming {
                Incoming::Input(input) => self.handle(index, input),
                Incoming::Snapshot(message, bytes) => self.receive_snapshot(index, message, &bytes),
                Incoming::Call(call) => self.serve(index, call),
                Incoming::Part(part) => self.merge_part(index, part),
            }
        }
        self.batch(index);
    }

    fn plan_tick(&mut self, index: usize) {
        let now = self.now;
        let process = self.process(index);
        let Some(deadline) = process.desk.next_deadline() else { return };
        let at = deadline.0.max(now + Duration::from_micros(10));
        if process.tick_at.is_none_or(|planned| planned > at || planned <= now) {
            process.tick_at = Some(at);
            let life = process.life;
            self.at(at, Job::Tick(index, life));
        }
    }

    pub(crate) fn carry_out(&mut self, index: usize, action: Action) {
        let process = self.process(index);
        match action {
            Action::Effect(effect) => self.effect(index, effect),
            Action::Answer(waiter, executed) => {
                let hash = process.hashes.get(&executed.seq).copied().unwrap_or(Hash([0; 32]));
                if let Some(reply) = process.waiters.remove(&waiter) {
                    reply.send(Ok((executed.clone(), hash)));
                }
                self.check_answer(index, executed.seq, hash);
                self.record.acknowledged.entry(executed.seq).or_default().insert(hash);
            }
            Action::Refuse(waiter, refused) => {
                if let Some(reply) = process.waiters.remove(&waiter) {
                    reply.send(Err(refused));
                }
            }
            Action::Serve(until) => {
                let later = process.reads.split_off(&(until + 1));
                for reply in std::mem::replace(&mut process.reads, later).into_values() {
                    reply.send(Ok(()));
                }
            }
            Action::RefuseReads(refused) => {
                for reply in std::mem::take(&mut process.reads).into_values() {
                    reply.send(Err(refused.clone()));
                }
            }
            Action::Publish(changes) => {
                process.door.sessions.learn(&changes);
                process.door.hub.publish(changes);
            }
            Action::EndSubscriptions => {
                process.door.hub.close();
                process.door.sessions.clear();
            }
        }
    }

    fn effect(&mut self, index: usize, effect: Effect) {
        let process = self.servers[index].process.as_mut().expect("it is up");
        match effect {
            Effect::Remember(state) => {
                process.unwritten = Some(state);
                let life = process.life;
                let after = self.micros(200, 30_000);
                self.after(after, Job::Remember(index, life));
            }
            Effect::Reconcile { op, leader, epoch, common, until } => {
                let errand = Errand { op, leader: leader.0 as usize - 1, epoch, common, until };
                self.reconcile(index, errand);
            }
            Effect::Persist(state) => {
                process.unwritten = None;
                if let Err(error) = process.store.persist_local(&state) {
                    self.violate(format!("{} cannot persist: {error}", index + 1));
                    return;
                }
                process.blocked = true;
                let life = process.life;
                let slow = if self.servers[index].slow { 80_000 } else { 1_200 };
                let after = self.micros(150, slow);
                self.after(after, Job::Unblock(index, life));
            }
            Effect::Send(message) => self.send(index, message, None),
            Effect::Probe { peer, begun } => {
                let (life, peer) = (process.life, peer.0 as usize - 1);
                let refused = self.refuses(index, peer);
                let after = self.micros(5_500, 8_000);
                self.after(after, Job::Probed { server: index, life, peer, begun, refused });
            }
            Effect::Apply { op, entries } => {
                process.learn(&entries);
                self.record.entries(self.now, &entries);
                self.work(index, WriterCommand::Apply { op, entries });
            }
            Effect::Commit { op } => self.work(index, WriterCommand::Commit { op }),
            Effect::Rollback => self.work(index, WriterCommand::Rollback),
            Effect::Store { op, entries, lineage } => {
                process.learn(&entries);
                self.record.entries(self.now, &entries);
                self.work(index, WriterCommand::Store { op, entries, lineage });
            }
            Effect::Install { op, nonce, aside } => {
                let staged = std::mem::take(&mut process.staged).remove(&nonce);
                let staged = staged.expect("a snapshot to be installed is there");
                self.work(index, WriterCommand::Install { op, staged, aside });
            }
            Effect::Trim { until } => self.work(index, WriterCommand::Trim { until }),
            Effect::SendLog(order) => self.send_log(index, order),
            Effect::SendSnapshot { to, nonce, epoch } => {
                self.send_snapshot(index, to, nonce, epoch);
            }
            Effect::Tell(words) => {
                self.record.trimmed |= words.contains("are no longer in the log");
                self.say(|| format!("{} says: {words}", index + 1));
            }
            Effect::Exit { failure } => self.exit(index, failure),
            Effect::Taken(_)
            | Effect::Answer { .. }
            | Effect::Publish { .. }
            | Effect::ServeReads { .. }
            | Effect::Abandon => unreachable!("the desk keeps these to itself"),
        }
    }

    fn exit(&mut self, index: usize, failure: Option<String>) {
        self.note("exits", &[index as u64 + 1, u64::from(failure.is_some())]);
        self.say(|| format!("{} exits: {failure:?}", index + 1));
        if let Some(reason) = failure.as_ref().filter(|_| !self.servers[index].may_fail) {
            self.violate(format!("{} halts: {reason}", index + 1));
        }
        self.end_process(index, failure.is_none(), false);
        let after = self.micros(100_000, 600_000);
        self.after(after, Job::Start(index));
    }
}
