//! P21 as the driver does it: what a server stored alone is read from its own store in parts, and each is
//! brought to the leader by a call that may be cut, lost or late; the leader executes it like any client's
//! updates, in order, and answers when all are committed.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use bytes::Bytes;
use chinwag::{
    cluster::{Epoch, Event, OpId, Seq},
    node::Input,
    wire::update,
};

use crate::{
    door::{Door, Request},
    server::{Incoming, Process},
    tasks::{Owner, Sender, channel},
    world::{Job, World},
};

/// Small, so that there are several.
const PART_BYTES: usize = 700;
/// The driver's patience with one part.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the core wants to have brought to whom.
#[derive(Clone, Copy)]
pub(crate) struct Errand {
    pub(crate) op: OpId,
    pub(crate) leader: usize,
    pub(crate) epoch: Epoch,
    pub(crate) common: Seq,
    pub(crate) until: Seq,
}

/// What the tasks of a server leave for the world in this matter.
#[derive(Default)]
pub(crate) struct Merging {
    /// Parts on their way out.
    outgoing: RefCell<VecDeque<Outgoing>>,
    /// Parts that this server stored, or did not.
    answers: RefCell<VecDeque<(u64, bool)>>,
    /// Errands that ended.
    over: RefCell<VecDeque<(OpId, bool)>>,
}

struct Outgoing {
    leader: usize,
    epoch: Epoch,
    updates: Vec<Bytes>,
    reply: Sender<bool>,
}

/// A part between its first byte and its answer.
pub(crate) struct Part {
    from: usize,
    to: usize,
    epoch: Epoch,
    updates: Vec<Bytes>,
    reply: Sender<bool>,
    /// The leader's life that took it.
    life: Option<u64>,
    /// The answer will not arrive.
    deaf: bool,
    /// Nothing arrives any more, and nobody is told.
    dead: bool,
}

impl Door {
    /// Brings everything, part by part.
    async fn bring(self: Rc<Door>, errand: Errand) {
        let done = self.bring_parts(errand).await.is_some();
        self.merging.over.borrow_mut().push_back((errand.op, done));
    }

    async fn bring_parts(&self, errand: Errand) -> Option<()> {
        let Errand { leader, epoch, common, until, .. } = errand;
        let mut after = common;
        while after < until {
            let read = |reader: &mut chinwag::store::Reader| {
                reader.merges(after, until, common, PART_BYTES)
            };
            let part = self.store.read_now(read).ok()?;
            after = part.until;
            if part.updates.is_empty() {
                continue;
            }
            let (reply, answer) = channel();
            let outgoing = Outgoing { leader, epoch, updates: part.updates, reply };
            self.merging.outgoing.borrow_mut().push_back(outgoing);
            let stored = self.clock.within(PATIENCE, answer.recv()).await??;
            stored.then_some(())?;
        }
        Some(())
    }

    /// The leader's side.
    async fn merge(self: Rc<Door>, part: u64, epoch: Epoch, updates: Vec<Bytes>) {
        let stored = self.execute_all(epoch, updates).await;
        self.merging.answers.borrow_mut().push_back((part, stored));
    }

    async fn execute_all(&self, epoch: Epoch, updates: Vec<Bytes>) -> bool {
        let now = *self.standing.borrow();
        if !now.serving || now.epoch != epoch || !updates.iter().all(|one| update::is_merge(one)) {
            return false;
        }
        let mut answers = Vec::new();
        for payload in updates {
            let (reply, answer) = channel();
            self.requests.borrow_mut().push_back(Request::Execute { payload, reply });
            answers.push(answer);
        }
        for answer in answers {
            if !matches!(answer.recv().await, Some(Ok(_))) {
                return false;
            }
        }
        true
    }
}

impl World {
    pub(crate) fn reconcile(&mut self, index: usize, errand: Errand) {
        self.record.merges += 1;
        self.note("merges", &[index as u64 + 1, errand.common, errand.until]);
        let process = self.servers[index].process.as_ref().expect("it is up");
        let owner = Owner::Server { server: index, life: process.life };
        self.tasks.spawn(owner, process.door.clone().bring(errand));
    }

    /// Takes what the tasks of the server left; whether there was anything.
    pub(crate) fn take_merging(&mut self, index: usize) -> bool {
        let Some(process) = self.servers[index].process.as_ref().filter(|one| one.is_free()) else {
            return false;
        };
        let merging = &process.door.merging;
        let outgoing = std::mem::take(&mut *merging.outgoing.borrow_mut());
        let answers = std::mem::take(&mut *merging.answers.borrow_mut());
        let over = std::mem::take(&mut *merging.over.borrow_mut());
        let any = !(outgoing.is_empty() && answers.is_empty() && over.is_empty());
        for outgoing in outgoing {
            self.send_part(index, outgoing);
        }
        for (part, stored) in answers {
            self.answer_part(part, stored);
        }
        for (op, done) in over {
            self.note("merged", &[index as u64 + 1, u64::from(done)]);
            self.input(index, Input::Event(Event::Reconciled { op, done }));
        }
        any
    }

    fn send_part(&mut self, from: usize, outgoing: Outgoing) {
        self.next += 1;
        let (id, to) = (self.next, outgoing.leader);
        self.note("part", &[id, from as u64 + 1, to as u64 + 1, outgoing.updates.len() as u64]);
        let Outgoing { epoch, updates, reply, .. } = outgoing;
        let (life, deaf, dead) = (None, false, false);
        let part = Part { from, to, epoch, updates, reply, life, deaf, dead };
        self.parts.insert(id, part);
        let at = self.network.arrival(self.now, (from, to, true), &mut self.chance);
        self.at(at, Job::PartArrives(id));
    }

    pub(crate) fn part_arrives(&mut self, id: u64) {
        let Some(part) = self.parts.get_mut(&id).filter(|part| !part.dead) else { return };
        let (from, to) = (part.from, part.to);
        let mut broken = false;
        if let Some(left) = self.network.merge_cut {
            // The strength counts down: some parts pass, then one is cut before or after it is stored.
            self.network.merge_cut = left.checked_sub(300);
            if left < 300 {
                part.deaf = left.is_multiple_of(2);
                broken = !part.deaf;
            }
        }
        let lost = self.network.is_cut(from, to) || self.chance.percent(self.network.loss);
        let dark = self.servers[to].dark;
        match &mut self.servers[to].process {
            _ if lost => self.kill_part(id),
            _ if broken => self.fail_part(id),
            None if dark => self.kill_part(id),
            None => self.fail_part(id),
            Some(process) if process.asleep => self.kill_part(id),
            Some(process) if !process.is_free() => {
                part.life = Some(process.life);
                process.inbox.push_back(Incoming::Part(id));
            }
            Some(_) => self.merge_part(to, id),
        }
    }

    pub(crate) fn merge_part(&mut self, index: usize, id: u64) {
        let Some(part) = self.parts.get_mut(&id).filter(|part| !part.dead) else { return };
        let process: &Process = self.servers[index].process.as_ref().expect("it is up");
        part.life = Some(process.life);
        let owner = Owner::Server { server: index, life: process.life };
        let updates = std::mem::take(&mut part.updates);
        self.tasks.spawn(owner, process.door.clone().merge(id, part.epoch, updates));
    }

    fn answer_part(&mut self, id: u64, stored: bool) {
        let Some(part) = self.parts.get(&id).filter(|part| !part.dead) else { return };
        let (from, to, deaf) = (part.from, part.to, part.deaf);
        let at = self.network.arrival(self.now, (to, from, true), &mut self.chance);
        self.at(at, Job::PartAnswered(id, stored && !deaf));
    }

    pub(crate) fn part_answered(&mut self, id: u64, stored: bool) {
        let Some(part) = self.parts.get(&id).filter(|part| !part.dead) else { return };
        let (from, to) = (part.from, part.to);
        let lost = self.network.is_cut(to, from)
            || self.network.mute.contains(&to)
            || self.chance.percent(self.network.loss);
        if lost {
            self.kill_part(id);
            return;
        }
        self.note("part is answered", &[id, u64::from(stored)]);
        if let Some(part) = self.parts.remove(&id) {
            part.reply.send(stored);
        }
    }

    fn kill_part(&mut self, id: u64) {
        if let Some(part) = self.parts.get_mut(&id) {
            part.dead = true;
        }
    }

    fn fail_part(&mut self, id: u64) {
        let after = self.micros(300, 2_000);
        self.after(after, Job::PartAnswered(id, false));
    }

    /// The connections of a server break, or those of one life of it.
    pub(crate) fn break_parts(&mut self, index: usize, life: Option<u64>) {
        let concerns = |part: &Part| {
            let taken = part.to == index && part.life.is_some();
            taken && (life.is_none() || part.life == life)
        };
        let broken: Vec<u64> =
            self.parts.iter().filter(|(_, part)| concerns(part)).map(|(id, _)| *id).collect();
        for id in broken {
            self.fail_part(id);
        }
    }

    pub(crate) fn write_down(&mut self, index: usize) {
        let process = self.servers[index].process.as_mut().expect("it is up");
        if let Some(state) = process.unwritten.take()
            && let Err(error) = process.store.persist_local(&state)
        {
            self.violate(format!("{} cannot persist: {error}", index + 1));
        }
    }
}
