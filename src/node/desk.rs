//! Who waits for what: the clients' side of the core, as synchronous code.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::{
    chat::{Change, Outcome, Refusal},
    cluster::{
        Boot, Core, Effect, Event, Mutant, OpId, Operation, Policy, ReadId, Seq, ServerId,
        Settings, Status, Time, WaiterId,
    },
    store::Completion,
};

/// A batch holds at most this many bytes of updates, well below gRPC's message limit …
const BATCH_BYTES: usize = 1024 * 1024;
/// … and at most this many updates.
const BATCH_UPDATES: usize = 2_048;

/// What became of an update.
#[derive(Clone, PartialEq, Debug)]
pub struct Executed {
    /// Its place in the log.
    pub seq: Seq,
    /// The outcome, or why it was refused.
    pub result: Result<Outcome, Refusal>,
}

/// Why the node did not serve a request.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Another server leads, or is about to.
    #[error("this server does not lead")]
    NotLeader(Option<ServerId>),
    /// Nobody leads yet.
    #[error("no server leads yet")]
    NoLeader,
    /// Too few servers are up for the policy.
    #[error("too few servers are up for policy majority")]
    NoQuorum,
    /// The update may or may not have been taken.
    #[error("the lead was lost while the update was under way")]
    OutcomeUnknown,
    /// The disk is full.
    #[error("this server's disk is full; make room in its data folder, reading goes on meanwhile")]
    StorageFull,
    /// The server is shutting down.
    #[error("this server is shutting down")]
    ShuttingDown,
    /// The store could not be read.
    #[error("the store could not be read: {0}")]
    Store(String),
}

/// What happens at the desk.
#[derive(Debug)]
pub enum Input {
    /// For the core.
    Event(Event),
    /// A client's update.
    Execute {
        /// Who waits.
        waiter: WaiterId,
        /// Opaque.
        payload: Bytes,
    },
    /// A client's read.
    Read(ReadId),
    /// The store ended an operation.
    Completed(Completion),
}

/// What the shell is to do, in this order.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives for one step; a box would cost more")]
pub enum Action {
    /// An effect of the core's that the desk has no part in.
    Effect(Effect),
    /// Tell a waiter what became of its update.
    Answer(WaiterId, Executed),
    /// Tell a waiter that its update is not taken, or its outcome unknown.
    Refuse(WaiterId, Refused),
    /// Let the reads up to this one look at the store.
    Serve(ReadId),
    /// Tell all waiting reads that there is nothing to see here.
    RefuseReads(Refused),
    /// Tell the subscribers.
    Publish(Vec<Change>),
    /// End all subscriptions.
    EndSubscriptions,
}

/// The desk; see the room's header.
pub struct Desk {
    core: Core,
    policy: Policy,
    servers: usize,
    queue: VecDeque<Operation>,
    /// Updates that have become entries.
    taken: BTreeMap<Seq, WaiterId>,
    /// What the store applies in the open transaction; what comes of anything older was rolled back.
    applying: BTreeSet<OpId>,
    outcomes: BTreeMap<Seq, Result<Outcome, Refusal>>,
    changes: VecDeque<Change>,
    reads: BTreeSet<ReadId>,
    /// What may wait for a batch; the shell takes no more requests until there is room.
    queue_limit: usize,
    stopping: bool,
}

impl Desk {
    /// The desk of a server that has just started, and what to do first.
    pub fn new(
        settings: Settings,
        boot: Boot,
        queue_limit: usize,
        now: Time,
    ) -> (Desk, Vec<Action>) {
        Desk::with_mutant(settings, boot, queue_limit, now, None)
    }

    /// The same over a core that lacks a rule, for the tests of the tests.
    #[doc(hidden)]
    pub fn with_mutant(
        settings: Settings,
        boot: Boot,
        queue_limit: usize,
        now: Time,
        mutant: Option<Mutant>,
    ) -> (Desk, Vec<Action>) {
        let (policy, servers) = (settings.policy, settings.servers.len());
        let (core, effects) = Core::with_mutant(settings, boot, now, mutant);
        let mut desk = Desk {
            core,
            policy,
            servers,
            queue: VecDeque::new(),
            taken: BTreeMap::new(),
            applying: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            changes: VecDeque::new(),
            reads: BTreeSet::new(),
            queue_limit,
            stopping: false,
        };
        let mut actions = Vec::new();
        desk.translate(effects, &mut actions);
        (desk, actions)
    }

    /// Takes one input and says what to do.
    pub fn handle(&mut self, input: Input, now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Event(event) => {
                self.stopping |= event == Event::Shutdown;
                self.step(event, now, &mut actions);
            }
            Input::Execute { waiter, payload } => match self.refusal(true) {
                Some(refused) => actions.push(Action::Refuse(waiter, refused)),
                None => self.queue.push_back(Operation { waiter, payload }),
            },
            Input::Read(read) => match self.refusal(false) {
                Some(refused) => actions.push(Action::RefuseReads(refused)),
                None => {
                    self.reads.insert(read);
                    self.step(Event::Read(read), now, &mut actions);
                }
            },
            Input::Completed(completion) => self.completed(completion, now, &mut actions),
        }
        actions
    }

    /// Makes a batch of what is queued, if the core takes one. Called when the inbox is drained, so that
    /// everything that came together travels together.
    pub fn batch(&mut self, now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.queue.is_empty() && self.core.takes_updates() {
            let mut bytes = 0;
            let mut operations = Vec::new();
            while let Some(next) = self.queue.front() {
                bytes += next.payload.len();
                if operations.len() == BATCH_UPDATES
                    || (bytes > BATCH_BYTES && !operations.is_empty())
                {
                    break;
                }
                operations.extend(self.queue.pop_front());
            }
            self.step(Event::Submit(operations), now, &mut actions);
        }
        actions
    }

    /// Who waits for what becomes of this entry.
    pub fn waiter(&self, seq: Seq) -> Option<WaiterId> {
        self.taken.get(&seq).copied()
    }

    /// Whether more updates may be queued.
    pub fn has_room(&self) -> bool {
        self.queue.len() < self.queue_limit
    }

    /// When to hand in the next tick.
    pub fn next_deadline(&self) -> Option<Time> {
        self.core.next_deadline()
    }

    /// How the protocol stands.
    pub fn status(&self, now: Time) -> Status {
        self.core.status(now)
    }

    /// The core, for what the shell shows of it.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Why this server takes no request now.
    fn refusal(&self, writes: bool) -> Option<Refused> {
        if self.stopping {
            return Some(Refused::ShuttingDown);
        }
        if !self.core.serving() {
            return Some(match self.core.leader() {
                Some(leader) => Refused::NotLeader(Some(leader)),
                None if self.policy == Policy::Majority
                    && self.core.reachable() <= self.servers / 2 =>
                {
                    Refused::NoQuorum
                }
                None => Refused::NoLeader,
            });
        }
        (writes && self.core.writes_refused_for_disk()).then_some(Refused::StorageFull)
    }

    fn completed(&mut self, completion: Completion, now: Time, actions: &mut Vec<Action>) {
        let event = match completion {
            Completion::Applied { op, applied } => {
                if self.applying.remove(&op) {
                    self.outcomes.extend(applied.results);
                    self.changes.extend(applied.changes);
                }
                Event::Applied { op, digest: applied.digest }
            }
            Completion::Committed { op } => Event::Committed { op },
            Completion::Stored { op, digest } => Event::Stored { op, digest },
            Completion::Installed { op, log } => Event::Installed { op, log },
            Completion::Failed { reason } => Event::StoreFailed { reason },
        };
        self.step(event, now, actions);
    }

    fn step(&mut self, event: Event, now: Time, actions: &mut Vec<Action>) {
        let effects = self.core.step(event, now);
        self.translate(effects, actions);
        // No batch is made of these before the disk has room again, which may be never.
        if self.core.writes_refused_for_disk() {
            for operation in self.queue.drain(..) {
                actions.push(Action::Refuse(operation.waiter, Refused::StorageFull));
            }
        }
    }

    fn translate(&mut self, effects: Vec<Effect>, actions: &mut Vec<Action>) {
        for effect in effects {
            match effect {
                Effect::Taken(taken) => {
                    self.taken.extend(taken.into_iter().map(|(waiter, seq)| (seq, waiter)));
                }
                Effect::Answer { until } => self.answer(until, actions),
                Effect::Publish { until } => self.publish(until, actions),
                Effect::ServeReads { until, .. } => {
                    self.reads = self.reads.split_off(&(until + 1));
                    actions.push(Action::Serve(until));
                }
                Effect::Abandon => self.abandon(actions),
                effect => {
                    match &effect {
                        Effect::Apply { op, .. } => {
                            self.applying.insert(*op);
                        }
                        Effect::Rollback => self.forget_applied(),
                        _ => {}
                    }
                    actions.push(Action::Effect(effect));
                }
            }
        }
    }

    fn answer(&mut self, until: Seq, actions: &mut Vec<Action>) {
        let later = self.outcomes.split_off(&(until + 1));
        for (seq, result) in std::mem::replace(&mut self.outcomes, later) {
            if let Some(waiter) = self.taken.remove(&seq) {
                actions.push(Action::Answer(waiter, Executed { seq, result }));
            }
        }
    }

    fn publish(&mut self, until: Seq, actions: &mut Vec<Action>) {
        let committed = self.changes.partition_point(|change| change.log_seq <= until);
        if committed > 0 {
            actions.push(Action::Publish(self.changes.drain(..committed).collect()));
        }
    }

    fn forget_applied(&mut self) {
        self.applying.clear();
        self.outcomes.clear();
        self.changes.clear();
    }

    /// An entry that was sent may live on with another leader; what is only queued was never seen.
    fn abandon(&mut self, actions: &mut Vec<Action>) {
        for waiter in std::mem::take(&mut self.taken).into_values() {
            actions.push(Action::Refuse(waiter, Refused::OutcomeUnknown));
        }
        let refused = if self.stopping {
            Refused::ShuttingDown
        } else {
            Refused::NotLeader(self.core.leader())
        };
        for operation in self.queue.drain(..) {
            actions.push(Action::Refuse(operation.waiter, refused.clone()));
        }
        self.forget_applied();
        self.reads.clear();
        actions.push(Action::RefuseReads(refused));
        actions.push(Action::EndSubscriptions);
    }
}
