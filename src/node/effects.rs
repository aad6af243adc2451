//! Carrying out what the desk wants, in its order.

use std::path::PathBuf;

use super::{
    desk::{Action, Executed, Refused},
    driver::Driver,
    points,
    reconcile::{self, ReconcileOrder},
    transfer::{self, SnapshotOrder},
};
use crate::{
    cluster::{Body, Effect, Epoch, LocalState, Message, Seq, ServerId, WaiterId},
    failpoint::{self, Point},
    store::WriterCommand,
    telemetry::trace::TraceId,
    wire::{cluster::Envelope, peer},
};

impl Driver {
    /// In their order. A failure ends it there: what comes after may rest on what was not done.
    pub(super) async fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            if self.exit.is_some() {
                return;
            }
            self.act(action).await;
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Effect(effect) => self.effect(effect).await,
            Action::Answer(waiter, executed) => {
                failpoint::reach(Point::AnswerBefore);
                self.reply(waiter, Ok(executed));
                failpoint::reach(Point::AnswerSent);
            }
            Action::Refuse(waiter, refused) => self.reply(waiter, Err(refused)),
            Action::Serve(until) => {
                failpoint::reach(Point::ReadBefore);
                let later = self.reads.split_off(&(until + 1));
                for waiting in std::mem::replace(&mut self.reads, later).into_values() {
                    self.metrics.node.read_barrier.time(waiting.since.elapsed());
                    let _ = waiting.reply.send(Ok(()));
                }
                failpoint::reach(Point::ReadServed);
            }
            Action::RefuseReads(refused) => {
                for waiting in std::mem::take(&mut self.reads).into_values() {
                    let _ = waiting.reply.send(Err(refused.clone()));
                }
            }
            Action::Publish(changes) => {
                failpoint::reach(Point::PublishBefore);
                self.sessions.learn(&changes);
                self.hub.publish(changes);
                failpoint::reach(Point::PublishSent);
            }
            Action::EndSubscriptions => {
                self.hub.close();
                self.sessions.clear();
            }
        }
    }

    /// A caller that went away is no error.
    fn reply(&mut self, waiter: WaiterId, result: Result<Executed, Refused>) {
        if let Some(waiting) = self.waiters.remove(&waiter) {
            if result.is_ok() {
                self.metrics.node.acknowledgement.time(waiting.since.elapsed());
            }
            let _ = waiting.reply.send(result);
        }
    }

    async fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(state) => self.persist(state).await,
            Effect::Remember(state) => self.remember(state, self.disk_reserve),
            Effect::Send(message) => self.send(message),
            Effect::Probe { peer, begun } => self.peers.probe(peer, begun),
            Effect::Apply { op, entries } => {
                self.writer.send(WriterCommand::Apply { op, entries });
            }
            Effect::Commit { op } => self.writer.send(WriterCommand::Commit { op }),
            Effect::Rollback => self.writer.send(WriterCommand::Rollback),
            Effect::Store { op, entries, lineage } => {
                if let Some(last) = entries.last() {
                    self.storing.insert(op, last.seq);
                }
                self.writer.send(WriterCommand::Store { op, entries, lineage });
            }
            Effect::Install { op, nonce, aside } => match self.take_staged(nonce) {
                Some(staged) => self.writer.send(WriterCommand::Install { op, staged, aside }),
                None => self.fail("a snapshot to be installed is not there".into()),
            },
            Effect::Trim { until } => self.writer.send(WriterCommand::Trim { until }),
            Effect::SendLog(order) => {
                self.spawn(transfer::send_log(self.store.clone(), self.calls.clone(), order));
            }
            Effect::SendSnapshot { to, nonce, epoch } => {
                let answer = self.desk.core().message(to, nonce, Body::Welcome { epoch });
                let envelope = peer::envelope(&answer, &self.cluster);
                let (copies, reserve) = (self.copies.clone(), self.disk_reserve);
                let order = SnapshotOrder { to, nonce, epoch, envelope, copies, reserve };
                self.send_snapshot(order);
            }
            Effect::Reconcile { op, leader, epoch, common, until } => {
                let envelope = self.envelope(leader, epoch);
                let order = ReconcileOrder { op, epoch, common, until, envelope };
                let merger = self.peers.merger(leader).expect("a leader is another server");
                let (store, heard) = (self.store.clone(), self.heard.clone());
                self.spawn(reconcile::reconcile(store, merger, order, heard));
            }
            Effect::Tell(sentence) => tracing::info!("{sentence}"),
            Effect::Exit { failure } => self.exit = Some(failure),
            Effect::Taken(_)
            | Effect::Answer { .. }
            | Effect::Publish { .. }
            | Effect::ServeReads { .. }
            | Effect::Abandon => {
                unreachable!("the desk keeps the clients' effects to itself")
            }
        }
    }

    /// For what travels beside the core's messages: only who speaks to whom counts.
    fn envelope(&self, to: ServerId, epoch: Epoch) -> Envelope {
        peer::envelope(&self.desk.core().message(to, 0, Body::Welcome { epoch }), &self.cluster)
    }

    fn send(&mut self, message: Message) {
        let [before, sent] = points::of(&message.body);
        failpoint::reach(before);
        if let Some(question) = self.calls.answer(message) {
            let traces = self.traces(&question);
            self.peers.send(question, traces);
        }
        failpoint::reach(sent);
    }

    /// The traces of the calls that wait for these entries.
    fn traces(&self, question: &Message) -> Vec<(Seq, TraceId)> {
        let Body::Accept(updates) = &question.body else { return Vec::new() };
        let traced = updates.entries.iter().filter_map(|entry| {
            let waiting = self.waiters.get(&self.desk.waiter(entry.seq)?)?;
            Some((entry.seq, waiting.trace?))
        });
        traced.collect()
    }

    fn send_snapshot(&mut self, order: SnapshotOrder) {
        self.next_id += 1;
        let name = format!("outgoing-{}-{}", order.to, self.next_id);
        let (store, calls, making) = (self.store.clone(), self.calls.clone(), self.making.clone());
        self.spawn(transfer::send_snapshot(store, calls, order, name, making));
    }

    /// The received file; whatever else is staged was asked for earlier and is not wanted any more.
    fn take_staged(&mut self, nonce: u64) -> Option<PathBuf> {
        std::mem::take(&mut self.staged).remove(&nonce)?.keep().ok()
    }

    /// Nothing that follows a promise may overtake it, so the loop waits.
    async fn persist(&mut self, state: LocalState) {
        self.remember(state, 0);
        let written = self.persisting.take().expect("it was just begun").await;
        if let Err(reason) = written.unwrap_or_else(|error| Err(error.to_string())) {
            self.fail(format!("the local store could not be written: {reason}"));
        }
    }

    /// Beside the loop, after whatever was to be written before: a slow disk must not look like a server
    /// that was stopped. An error shows at the next promise at the latest. With less free disk than the
    /// reserve nothing is written: what may get lost must not fail, and so end a server that has time until
    /// there is room again.
    fn remember(&mut self, state: LocalState, reserve: u64) {
        let (store, before) = (self.store.clone(), self.persisting.take());
        self.persisting = Some(tokio::spawn(async move {
            if let Some(before) = before {
                before.await.map_err(|error| error.to_string())??;
            }
            let writing = tokio::task::spawn_blocking(move || {
                if reserve > 0 && store.free_space()? < reserve {
                    return Ok(());
                }
                store.persist_local(&state)
            });
            let written = writing.await.map_err(|error| error.to_string())?;
            written.map_err(|error| error.to_string())
        }));
    }

    /// What is not durable must not be followed by anything that rests on it: end here.
    fn fail(&mut self, reason: String) {
        self.exit = Some(Some(reason));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        time::Duration,
    };

    use tokio::{
        sync::{mpsc, oneshot},
        time::Instant,
    };

    use super::*;
    use crate::{
        chat::Outcome,
        cluster::{Boot, Hash, Policy, ServerId, Settings, Timing},
        node::{
            LinkSettings, Parts,
            driver::{Waiting, assemble},
        },
        store::{OpenOptions, Store, WriterHandle},
        tls::Dialing,
    };

    fn driver(folder: &std::path::Path, disk_reserve: u64) -> (Driver, LocalState) {
        let id = ServerId(1);
        let opened = Store::open(OpenOptions::new(folder, [1; 16])).expect("opened");
        let local = opened.local.clone();
        let (completed, completions) = mpsc::channel(8);
        let tell = Box::new(move |completion| drop(completed.blocking_send(completion)));
        let parts = Parts {
            settings: Settings {
                id,
                servers: BTreeSet::from([id]),
                policy: Policy::Available,
                config_hash: 1,
                schema_version: 1,
                timing: Timing::default(),
                trust_refused: true,
                log_cap: 1_000,
            },
            boot: Boot {
                local: opened.local,
                log: opened.log,
                random: 7,
                fresh_lineage: Hash([7; 32]),
            },
            store: opened.store,
            writer: WriterHandle::spawn(opened.writer, tell).expect("a thread"),
            completions,
            links: LinkSettings {
                cluster: "demo".into(),
                secret: String::new(),
                addresses: BTreeMap::new(),
                call_timeout: Duration::from_secs(1),
                staging: folder.join("staged"),
                dialing: Dialing::Plain(tonic::transport::Endpoint::connect_lazy),
            },
            disk_reserve,
            queued_updates: 4,
            subscriber_buffer: 4,
            force_lead: false,
            metrics: Default::default(),
            clock: crate::node::boot_clock,
        };
        let (_, stopped) = oneshot::channel();
        (assemble(parts, stopped).1, local)
    }

    #[tokio::test]
    async fn nothing_follows_a_promise_that_could_not_be_stored() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut driver, local) = driver(folder.path(), 0);
        let (reply, mut answer) = oneshot::channel();
        driver.waiters.insert(3, Waiting { reply, since: Instant::now(), trace: None });
        // The local store takes no count of starts that falls.
        let state = LocalState { starts: 0, ..local };
        let executed = Executed { seq: 1, result: Ok(Outcome::LoggedOut) };
        let actions = vec![Action::Effect(Effect::Persist(state)), Action::Answer(3, executed)];
        driver.carry_out(actions).await;
        assert!(driver.exit.as_ref().is_some_and(Option::is_some), "the server ends with a reason");
        assert!(answer.try_recv().is_err(), "what came after the promise was not done");
    }

    #[tokio::test]
    async fn on_a_full_disk_only_promises_are_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut driver, local) = driver(folder.path(), u64::MAX);
        // It would fail if it were written.
        let state = LocalState { starts: 0, ..local.clone() };
        driver.carry_out(vec![Action::Effect(Effect::Remember(state))]).await;
        driver.carry_out(vec![Action::Effect(Effect::Persist(local))]).await;
        assert_eq!(driver.exit, None, "the server goes on, and has promised");
    }
}
