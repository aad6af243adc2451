//! Calls of other servers that wait for the core's answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::mpsc;

use crate::{
    cluster::{Body, Message, ServerId},
    wire::cluster::RegisterFollowerResponse,
};

/// One of the RPCs between servers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rpc {
    /// `RegisterFollower`
    Register,
    /// `AcceptUpdates`
    Accept,
    /// `Heartbeat`
    Heartbeat,
    /// `Prepare`
    Prepare,
    /// `FetchLog`
    Fetch,
    /// `Evict`
    Evict,
}

impl Rpc {
    /// The RPC that this message answers; `None` for questions.
    fn answered_by(body: &Body) -> Option<Rpc> {
        match body {
            Body::HeartbeatReply(_) => Some(Rpc::Heartbeat),
            Body::Welcome { .. }
            | Body::Suffix(_)
            | Body::Snapshot { .. }
            | Body::Diverged { .. }
            | Body::RegisterRefused { .. } => Some(Rpc::Register),
            Body::Accepted { .. } | Body::Rejected { .. } => Some(Rpc::Accept),
            Body::Promise(_) | Body::PrepareRefused { .. } => Some(Rpc::Prepare),
            Body::Fetched(_) => Some(Rpc::Fetch),
            Body::Evicted { .. } => Some(Rpc::Evict),
            Body::Heartbeat(_)
            | Body::Register { .. }
            | Body::Accept(_)
            | Body::Prepare { .. }
            | Body::Fetch { .. }
            | Body::Evict { .. }
            | Body::Resign { .. } => None,
        }
    }
}

/// What goes back to a waiting call.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// A message of the core.
    Message(Message),
    /// A part of a snapshot's stream.
    Part(RegisterFollowerResponse),
    /// Nothing follows.
    End,
}

type Key = (ServerId, Rpc, u64);
type Slots = Arc<Mutex<HashMap<Key, Vec<mpsc::Sender<Answer>>>>>;

/// The calls that wait, by who asked, what, and the question's nonce. A stream of updates waits under
/// nonce 0 for as long as it lives, for its acknowledgements may come in any order. Where several wait
/// under one key, all hear the answer: an old question that is said again takes no answer from anybody.
#[derive(Clone, Default)]
pub struct Calls {
    slots: Slots,
}

impl Calls {
    /// Lets a call wait; it ends waiting when the guard is dropped.
    pub fn wait(
        &self,
        peer: ServerId,
        rpc: Rpc,
        nonce: u64,
        answers: mpsc::Sender<Answer>,
    ) -> Waiting {
        let key = key(peer, rpc, nonce);
        self.lock().entry(key).or_default().push(answers.clone());
        Waiting { slots: self.slots.clone(), key, answers }
    }

    /// Hands an answer to the call that waits for it. Returns the message if it is a question.
    pub fn answer(&self, message: Message) -> Option<Message> {
        let Some(rpc) = Rpc::answered_by(&message.body) else { return Some(message) };
        for answers in self.lock().get(&key(message.to, rpc, message.nonce)).into_iter().flatten() {
            // A full or closed channel means that the asker went away or is slow: it asks again.
            let _ = answers.try_send(Answer::Message(message.clone()));
        }
        None
    }

    /// Where to stream a long answer: to the newest call; `None` when nobody waits any more.
    pub fn sender(&self, peer: ServerId, rpc: Rpc, nonce: u64) -> Option<mpsc::Sender<Answer>> {
        self.lock().get(&key(peer, rpc, nonce))?.last().cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Vec<mpsc::Sender<Answer>>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits; dropping it ends the waiting.
pub struct Waiting {
    slots: Slots,
    key: Key,
    answers: mpsc::Sender<Answer>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = slots.get_mut(&self.key) {
            waiting.retain(|answers| !answers.same_channel(&self.answers));
            if waiting.is_empty() {
                slots.remove(&self.key);
            }
        }
    }
}

fn key(peer: ServerId, rpc: Rpc, nonce: u64) -> Key {
    (peer, rpc, if rpc == Rpc::Accept { 0 } else { nonce })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Epoch, Incarnation};

    fn message(to: u32, nonce: u64, body: Body) -> Message {
        let incarnation = Incarnation { starts: 1, bumps: 0, random: 7 };
        let (from, to) = (ServerId(1), ServerId(to));
        Message { from, to, incarnation, receiver: None, nonce, promised: Epoch::ZERO, body }
    }

    fn refusal() -> Body {
        Body::PrepareRefused { epoch: Epoch::ZERO, reason: "no", renounces: false }
    }

    #[test]
    fn an_answer_reaches_the_call_that_asked_and_no_other() {
        let calls = Calls::default();
        let (asked, mut asked_answers) = mpsc::channel(1);
        let (other, mut other_answers) = mpsc::channel(1);
        let _asked = calls.wait(ServerId(2), Rpc::Prepare, 5, asked);
        let _other = calls.wait(ServerId(2), Rpc::Heartbeat, 5, other);
        assert_eq!(calls.answer(message(2, 5, refusal())), None, "it is an answer");
        assert!(asked_answers.try_recv().is_ok());
        assert!(other_answers.try_recv().is_err());
    }

    #[test]
    fn a_question_is_handed_back() {
        let calls = Calls::default();
        let question = message(2, 5, Body::Evict { epoch: Epoch::ZERO, tables: None });
        assert_eq!(calls.answer(question.clone()), Some(question));
    }

    #[test]
    fn the_end_of_an_old_stream_leaves_the_new_one_waiting() {
        let calls = Calls::default();
        let (old, _old_answers) = mpsc::channel(1);
        let (new, _new_answers) = mpsc::channel(1);
        let first = calls.wait(ServerId(2), Rpc::Accept, 1, old);
        let _second = calls.wait(ServerId(2), Rpc::Accept, 2, new);
        drop(first);
        assert!(calls.sender(ServerId(2), Rpc::Accept, 9).is_some());
    }

    #[test]
    fn a_stream_that_says_old_things_again_takes_no_acknowledgement_from_the_living_one() {
        let calls = Calls::default();
        let (living, mut living_answers) = mpsc::channel(2);
        let (again, _again_answers) = mpsc::channel(1);
        let _living = calls.wait(ServerId(2), Rpc::Accept, 1, living);
        let replay = calls.wait(ServerId(2), Rpc::Accept, 2, again);
        let hash = crate::cluster::Hash([1; 32]);
        let accepted = Body::Accepted { epoch: Epoch::ZERO, seq: 1, hash, digest: hash };
        calls.answer(message(2, 7, accepted.clone()));
        assert!(living_answers.try_recv().is_ok());
        drop(replay);
        calls.answer(message(2, 8, accepted));
        assert!(living_answers.try_recv().is_ok());
    }
}
