//! The loop of a server, as the driver's: what it takes in, what it does about it, in its order.

use std::{sync::Arc, time::Duration};

use chinwag::{
    cluster::{
        Body, Effect, Entry, Event, Hash, Message, Mode, Policy, SendLog, Seq, ServerId, Time, View,
    },
    node::{Action, Input},
    store::{Completion, WriterCommand, verify_snapshot},
};

use crate::{
    door::Request,
    network::{Flight, is_bulk},
    reconcile::Errand,
    server::{Incoming, Process},
    world::{Job, World},
};

/// Small, so that a suffix has several parts.
const PART_BYTES: usize = 2_048;

impl World {
    fn process(&mut self, index: usize) -> &mut Process {
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

    fn handle(&mut self, index: usize, input: Input) {
        let now = Time(self.now);
        let process = self.process(index);
        let actions = process.desk.handle(input, now);
        process.tell_standing();
        self.act(index, actions);
    }

    fn batch(&mut self, index: usize) {
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

    fn carry_out(&mut self, index: usize, action: Action) {
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

    // --- the disk ---

    fn work(&mut self, index: usize, command: WriterCommand) {
        self.process(index).work.push_back(command);
        self.begin_work(index);
    }

    fn begin_work(&mut self, index: usize) {
        let slow = self.servers[index].slow;
        let process = self.process(index);
        if process.working || process.work.is_empty() {
            return;
        }
        process.working = true;
        let life = process.life;
        let after = if slow { self.micros(20_000, 400_000) } else { self.micros(100, 900) };
        self.after(after, Job::Disk(index, life));
    }

    pub(crate) fn disk_done(&mut self, index: usize) {
        let fails = self.servers[index].fails;
        let process = self.process(index);
        if process.paused {
            process.done_while_paused = true;
            return;
        }
        process.working = false;
        let Some(command) = process.work.pop_front() else { return };
        let name = name_of(&command);
        let fails = fails.filter(|_| {
            matches!(command, WriterCommand::Commit { .. } | WriterCommand::Store { .. })
        });
        if let Some(durable) = fails {
            self.servers[index].fails = None;
            self.servers[index].may_fail = true;
            self.note("disk fails", &[index as u64 + 1, u64::from(durable)]);
            if durable {
                let _ = self.run_command(index, command);
            }
            let reason = "the disk failed".to_owned();
            self.input(index, Input::Completed(Completion::Failed { reason }));
            return;
        }
        self.note(name, &[index as u64 + 1]);
        match self.run_command(index, command) {
            Ok(Some(completion)) => self.input(index, Input::Completed(completion)),
            Ok(None) => {}
            Err(reason) => {
                self.violate(format!("the writer of {} failed: {reason}", index + 1));
            }
        }
        if self.servers[index].process.is_some() {
            self.begin_work(index);
        }
    }

    /// Runs it for real, and notes what is durable now.
    pub(crate) fn run_command(
        &mut self,
        index: usize,
        command: WriterCommand,
    ) -> Result<Option<Completion>, String> {
        let entries = match &command {
            WriterCommand::Apply { entries, .. } | WriterCommand::Store { entries, .. } => {
                Some(entries.clone())
            }
            _ => None,
        };
        let commits = matches!(command, WriterCommand::Commit { .. });
        let stores = matches!(command, WriterCommand::Store { .. });
        if matches!(command, WriterCommand::Rollback) {
            self.process(index).open.clear();
        }
        let done = self.process(index).writer.carry_out(command);
        let done = done.map_err(|error| error.to_string())?;
        let last = entries.as_ref().and_then(|entries| entries.last()).map(|last| last.hash);
        match (&done, last) {
            (Some(Completion::Applied { applied, .. }), Some(last)) => {
                self.record.digest(self.now, last, applied.digest);
            }
            (Some(Completion::Stored { digest, .. }), Some(last)) => {
                self.record.digest(self.now, last, *digest);
            }
            (Some(Completion::Installed { log, .. }), _) => {
                let server = &mut self.servers[index];
                let recent = log.recent.iter().copied().collect();
                server.replaced.extend(std::mem::replace(&mut server.durable, recent));
                self.process(index).views = log.views.iter().cloned().collect();
                self.process(index).hashes = log.recent.iter().copied().collect();
            }
            _ => {}
        }
        let places = entries.iter().flat_map(|entries| entries.iter());
        let places: Vec<(Seq, Hash)> = places.map(|entry| (entry.seq, entry.hash)).collect();
        if stores {
            self.servers[index].durable.extend(places);
        } else if commits {
            let open = std::mem::take(&mut self.process(index).open);
            self.servers[index].durable.extend(open.iter().copied());
            self.check_commit(index, &open);
        } else {
            self.process(index).open.extend(places);
        }
        Ok(done)
    }

    // --- the network ---

    /// Whether connecting there is refused.
    pub(crate) fn refuses(&self, from: usize, to: usize) -> bool {
        self.servers[to].process.is_none()
            && !self.servers[to].dark
            && !self.network.is_cut(from, to)
            && !self.network.is_cut(to, from)
    }

    pub(crate) fn send(&mut self, from: usize, message: Message, snapshot: Option<Arc<Vec<u8>>>) {
        let to = message.to.0 as usize - 1;
        let flight = Flight { from, to, message, snapshot };
        let bulk = is_bulk(&flight.message.body);
        if self.network.is_cut(from, to) || self.chance.percent(self.network.loss) {
            return;
        }
        if bulk && self.network.stuck.contains(&(from, to)) {
            self.network.held.push(flight);
            return;
        }
        if flight.snapshot.is_some() && self.network.cuts_snapshots {
            self.note("a snapshot is cut", &[from as u64 + 1, to as u64 + 1]);
            return;
        }
        let chunks = flight.snapshot.as_ref().map_or(0, |bytes| bytes.len() / 16_384);
        let twice = self.chance.percent(self.network.twice);
        for _ in 0..=usize::from(twice) {
            let at = self.network.arrival(self.now, (from, to, bulk), &mut self.chance);
            let at = at + Duration::from_micros(300) * chunks as u32;
            self.at(at, Job::Deliver(Box::new(flight.clone())));
        }
    }

    pub(crate) fn deliver(&mut self, flight: Flight) {
        let (from, to) = (flight.from, flight.to);
        let up = self.servers[to].process.as_ref().is_some_and(|process| !process.asleep);
        if self.network.is_cut(from, to) || !up {
            return;
        }
        let nonce = flight.message.nonce;
        self.note(body_name(&flight.message.body), &[from as u64 + 1, to as u64 + 1, nonce]);
        match flight.snapshot {
            None => self.input(to, Input::Event(Event::Message(flight.message))),
            Some(bytes) if self.process(to).is_free() => {
                self.receive_snapshot(to, flight.message, &bytes);
                self.batch(to);
            }
            Some(bytes) => {
                let waiting = Incoming::Snapshot(flight.message, bytes);
                self.process(to).inbox.push_back(waiting);
            }
        }
    }

    /// It is written, looked into, and goes to the core when it is sound. It comes as the answer to a call of
    /// this process: another one with its id is not given it.
    fn receive_snapshot(&mut self, index: usize, message: Message, bytes: &[u8]) {
        let Body::Snapshot { position, .. } = message.body else { return };
        let life = self.process(index).desk.core().incarnation();
        if message.receiver.is_none_or(|receiver| receiver.random != life.random) {
            return;
        }
        self.next += 1;
        let name = format!("incoming-{}", self.next);
        let path = self.process(index).store.staging_path(&name).expect("a folder");
        std::fs::write(&path, bytes).expect("room on the disk");
        match verify_snapshot(&path) {
            Ok(found) if found == position => {
                let process = self.process(index);
                process.staged.insert(message.nonce, path);
                if process.staged.len() > 2 {
                    process.staged.pop_first();
                }
                self.handle(index, Input::Event(Event::Message(message)));
            }
            other => self.violate(format!("a snapshot for {} is not sound: {other:?}", index + 1)),
        }
    }

    fn send_log(&mut self, index: usize, order: SendLog) {
        let SendLog { mut template, until, known_committed } = order;
        loop {
            let (Body::Suffix(updates) | Body::Fetched(updates)) = &mut template.body else {
                unreachable!("only entries are sent this way")
            };
            let first = updates.prev_seq + 1;
            let store = self.servers[index].process.as_ref().expect("it is up").store.clone();
            let read = store.read_now(|reader| reader.entries(first, until, PART_BYTES));
            let entries: Vec<Entry> = match read {
                Ok(entries) => entries,
                Err(error) => {
                    self.violate(format!("{} cannot read its log: {error}", index + 1));
                    return;
                }
            };
            let Some(last) = entries.last().map(Entry::position) else { return };
            updates.entries = Arc::new(entries);
            updates.known_committed = known_committed;
            let message = template.clone();
            self.send(index, message, None);
            if last.seq >= until {
                return;
            }
            let (Body::Suffix(updates) | Body::Fetched(updates)) = &mut template.body else {
                unreachable!("only entries are sent this way")
            };
            (updates.prev_seq, updates.prev_hash) = (last.seq, last.hash);
        }
    }

    fn send_snapshot(
        &mut self,
        index: usize,
        to: ServerId,
        nonce: u64,
        epoch: chinwag::cluster::Epoch,
    ) {
        self.next += 1;
        let name = format!("outgoing-{}", self.next);
        let process = self.servers[index].process.as_ref().expect("it is up");
        let path = process.store.staging_path(&name).expect("a folder");
        // An empty log has no place that a snapshot could stand at.
        let Ok(position) = process.store.snapshot_to(&path) else { return };
        let bytes = std::fs::read(&path).expect("just written");
        let _ = std::fs::remove_file(&path);
        let body = Body::Snapshot { epoch, position };
        let message = process.desk.core().message(to, nonce, body);
        self.note("sends a snapshot", &[index as u64 + 1, u64::from(to.0), position.seq]);
        self.send(index, message, Some(Arc::new(bytes)));
    }

    // --- invariants ---

    /// I1 and I3: whoever serves is alone in its epoch, and has everything that was acknowledged.
    fn check_lead(&mut self, index: usize) {
        let Some(process) = &self.servers[index].process else { return };
        let core = process.desk.core();
        let Mode::Leader(epoch) = core.mode() else { return };
        if !core.serving() {
            return;
        }
        let life = core.incarnation();
        match self.record.served.insert(epoch, life) {
            Some(before) if before == life => return,
            Some(_) => self.violate(format!("I1: epoch {epoch} is served twice")),
            None => {}
        }
        self.note("serves", &[index as u64 + 1, epoch.number]);
        if self.record.split && self.plan.policy == Policy::Available {
            return;
        }
        let durable = &self.servers[index].durable;
        let Some((first, _)) = durable.first_key_value() else { return };
        let lacks = |(seq, hashes): (&Seq, &std::collections::BTreeSet<Hash>)| {
            let has = durable.get(seq).is_some_and(|hash| hashes.contains(hash));
            (!has).then_some(*seq)
        };
        let missing = self.record.acknowledged.range(first..).find_map(lacks);
        if let Some(seq) = missing {
            // What another process said in the name of a server counted as its word.
            let doubled = self.record.doubled;
            let hashes = &self.record.acknowledged[&seq];
            let kept = (0..self.servers.len())
                .filter(|other| Some(*other) != doubled)
                .any(|other| hashes.iter().any(|hash| self.is_durable(other, seq, *hash)));
            let gone = self.record.lost || doubled.is_some();
            if kept || !gone {
                let what = format!("I3: {} leads without the acknowledged entry {seq}", index + 1);
                self.violate(what);
            }
        }
    }

    /// I3: what is answered is committed here, or on the disks of two others (P5b).
    fn check_answer(&mut self, index: usize, seq: Seq, hash: Hash) {
        let others = (0..self.servers.len()).filter(|other| *other != index);
        let copies = others.filter(|other| self.is_durable(*other, seq, hash)).count();
        if copies < 2 && !self.is_durable(index, seq, hash) && !self.record.lost {
            self.violate(format!("I3: {} answers for entry {seq} too early", index + 1));
        }
    }

    /// I4: what the leader commits is on the disk of every member; and whether one that lives was left
    /// out.
    fn check_commit(&mut self, index: usize, committed: &[(Seq, Hash)]) {
        let Some((last, hash)) = committed.last().copied() else { return };
        let views = &self.servers[index].process.as_ref().expect("it is up").views;
        let newest: Option<(Seq, View)> =
            views.range(..=last).next_back().map(|(seq, view)| (*seq, view.clone()));
        let Some((seq, view)) = newest else { return };
        for other in 0..self.servers.len() {
            let member = view.members.contains(&ServerId(other as u32 + 1));
            // Who acknowledged it and then had it merged into a greater history has a snapshot of that.
            let merged = self.plan.policy == Policy::Available
                && self.servers[other].replaced.contains(&(last, hash));
            let has = merged || self.is_durable(other, last, hash);
            if member && !has && !self.servers[other].lost {
                let what = format!("I4: {} commits {last} before {} has it", index + 1, other + 1);
                self.violate(what);
            }
            let in_sync = self.servers[other].process.as_ref().is_some_and(|process| {
                matches!(process.desk.core().mode(), Mode::Follower(_) | Mode::Leader(_))
            });
            let new_view = committed.iter().any(|(place, _)| *place == seq);
            if new_view && !member && in_sync {
                self.record.split = true;
                self.note("leaves a living one out", &[index as u64 + 1, other as u64 + 1]);
            }
        }
    }

    /// Whether a process of this id has it on its disk.
    fn is_durable(&self, server: usize, seq: Seq, hash: Hash) -> bool {
        let both = [Some(&self.servers[server]), self.double_of(server)];
        both.into_iter().flatten().any(|one| one.durable.get(&seq) == Some(&hash))
    }
}

fn name_of(command: &WriterCommand) -> &'static str {
    match command {
        WriterCommand::Apply { .. } => "applies",
        WriterCommand::Commit { .. } => "commits",
        WriterCommand::Rollback => "rolls back",
        WriterCommand::Store { .. } => "stores",
        WriterCommand::Install { .. } => "installs",
        WriterCommand::Trim { .. } => "trims",
        WriterCommand::Close => "closes",
    }
}

fn body_name(body: &Body) -> &'static str {
    match body {
        Body::Heartbeat(_) => "heartbeat",
        Body::HeartbeatReply(_) => "heartbeat reply",
        Body::Register { .. } => "register",
        Body::Welcome { .. } => "welcome",
        Body::Suffix(_) => "suffix",
        Body::Snapshot { .. } => "snapshot",
        Body::Diverged { .. } => "diverged",
        Body::RegisterRefused { .. } => "register refused",
        Body::Accept(_) => "accept",
        Body::Accepted { .. } => "accepted",
        Body::Rejected { .. } => "rejected",
        Body::Prepare { .. } => "prepare",
        Body::Promise(_) => "promise",
        Body::PrepareRefused { .. } => "prepare refused",
        Body::Fetch { .. } => "fetch",
        Body::Fetched(_) => "fetched",
        Body::Evict { .. } => "evict",
        Body::Evicted { .. } => "evicted",
        Body::Resign { .. } => "resign",
    }
}
