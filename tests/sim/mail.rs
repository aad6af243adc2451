//! Messages between servers, and the pieces of a log or of a database that they carry.

use std::{sync::Arc, time::Duration};

use chinwag::{
    cluster::{Body, Entry, Event, Message, SendLog, ServerId},
    node::Input,
    store::{Made, verify_snapshot},
};

use crate::{
    network::{Flight, is_bulk},
    server::Incoming,
    world::{Job, World},
};

/// Small, so that a suffix has several parts.
const PART_BYTES: usize = 2_048;

impl World {
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
    pub(crate) fn receive_snapshot(&mut self, index: usize, message: Message, bytes: &[u8]) {
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

    pub(crate) fn send_log(&mut self, index: usize, order: SendLog) {
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

    pub(crate) fn send_snapshot(
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
        let Ok(Made { position, .. }) = process.store.snapshot_to(&path) else { return };
        let bytes = std::fs::read(&path).expect("just written");
        let _ = std::fs::remove_file(&path);
        let body = Body::Snapshot { epoch, position };
        let message = process.desk.core().message(to, nonce, body);
        self.note("sends a snapshot", &[index as u64 + 1, u64::from(to.0), position.seq]);
        self.send(index, message, Some(Arc::new(bytes)));
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
