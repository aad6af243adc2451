//! Who answered whom lately, as the world sees it: whoever answers is not silent, and must not be left out
//! for silence (I7). And what servers say of themselves when they ask.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use chinwag::cluster::{
    Body, Core, Entry, Epoch, Incarnation, Message, Mode, Payload, Policy, ServerId, Time,
};

use super::World;

/// One server's heartbeats, and the answers to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Contacts {
    /// The nonces of the heartbeats that are not too old for an answer to count, with their times.
    asked: VecDeque<(u64, Duration)>,
    /// When the newest answered heartbeat was sent, and which life answered.
    answered: BTreeMap<ServerId, (Incarnation, Duration)>,
    /// Which life of each other one it heard of last, and since when.
    known: BTreeMap<ServerId, (Incarnation, Duration)>,
    /// The newest view that it proposed as a leader.
    proposed: Option<(Epoch, BTreeSet<ServerId>)>,
}

impl World {
    pub(super) fn note_question(&mut self, id: ServerId, message: &Message) {
        let Body::Heartbeat(report) = &message.body else { return };
        // I5's neighbour: what a server says is committed, it holds.
        if let Some(known) = report.known_committed {
            let log = self.nodes[&id].disk.log.as_ref();
            if !log.is_some_and(|log| log.holds(known.seq, known.hash)) {
                let what =
                    format!("I2: {id} says that entry {} is committed, and lacks it", known.seq);
                self.violate(what);
            }
        }
        let (now, timeout) = (self.now, self.timing.failure_timeout);
        let asked = &mut self.node(id).contacts.asked;
        while asked.front().is_some_and(|(_, at)| *at + timeout <= now) {
            asked.pop_front();
        }
        asked.push_back((message.nonce, now));
    }

    pub(super) fn note_answer(&mut self, message: &Message) {
        let (from, to, life, now) = (message.from, message.to, message.incarnation, self.now);
        if self.core(from).map(Core::incarnation) != Some(life) {
            return;
        }
        let receives = message.receiver == self.core(to).map(Core::incarnation);
        let contacts = &mut self.node(to).contacts;
        let known = contacts.known.entry(from).or_insert((life, now));
        if life != known.0 {
            *known = (life, now);
        }
        let Body::HeartbeatReply(_) = message.body else { return };
        let at = contacts.asked.binary_search_by_key(&message.nonce, |(nonce, _)| *nonce);
        let Some(at) = at.ok().filter(|_| receives) else { return };
        let sent = contacts.asked[at].1;
        let newest = contacts.answered.entry(from).or_insert((life, sent));
        if life != newest.0 || sent > newest.1 {
            *newest = (life, sent);
        }
    }

    /// A leader proposes a view without somebody who lives, and answered lately.
    pub(super) fn note_left_out(&mut self, id: ServerId, entries: &[Entry]) {
        for entry in entries {
            let Payload::View(view) = &entry.payload else { continue };
            let proposed = self.nodes[&id].contacts.proposed.as_ref();
            let before = match proposed.filter(|(epoch, _)| *epoch == entry.epoch) {
                Some((_, members)) => members.clone(),
                None => {
                    self.newest_view(id).map(|(_, view)| view.members.clone()).unwrap_or_default()
                }
            };
            self.node(id).contacts.proposed = Some((entry.epoch, view.members.clone()));
            for member in before.difference(&view.members).copied().filter(|_| !view.forced) {
                let answers = self.has_answered_lately(id, member);
                if answers || !self.may_be_silent(id, member) {
                    self.left_out.insert((entry.hash, member), answers);
                } else if self.is_in_sync_life(member) || self.is_in_committed_view(member) {
                    // It is in sync, or may come to know late that it was.
                    self.wrongly_silent.insert((entry.hash, member));
                }
            }
        }
    }

    fn is_in_sync_life(&self, member: ServerId) -> bool {
        let life = self.core(member).map(Core::incarnation);
        life.is_some() && life == self.nodes[&member].in_sync_life
    }

    /// Whether the life of `member` that runs is known to `id` for so long that it can be silent.
    fn may_be_silent(&self, id: ServerId, member: ServerId) -> bool {
        let known = self.nodes[&id].contacts.known.get(&member);
        known.is_some_and(|(life, since)| {
            let lives = self.core(member).map(Core::incarnation) == Some(*life);
            lives && *since + self.timing.failure_timeout <= self.now
        })
    }

    /// In the eyes of `id`: the answers of one that it takes for a second process with that id are no contact,
    /// until the one that it knows has had the time to answer (P2).
    fn has_answered_lately(&self, id: ServerId, member: ServerId) -> bool {
        let status = self.core(id).map(|core| core.status(Time(self.now)));
        if status.is_some_and(|status| status.peers[&member].refused.is_some()) {
            return false;
        }
        let answered = self.nodes[&id].contacts.answered.get(&member);
        answered.is_some_and(|(life, sent)| {
            let lives = self.core(member).map(Core::incarnation) == Some(*life);
            lives && *sent + self.timing.failure_timeout > self.now
        })
    }

    /// Whether this server, in sync in its present life, was left out without evidence that a rule knows.
    /// One that the leader itself took in can only be silent, and that takes its time. One that follows an
    /// older leader may be unknown in its present life, but has not answered then; under `majority` a
    /// winner waits for nobody. One with an old disk is taken for its next life when a late word of the life
    /// before, with its greater number, comes.
    pub(super) fn is_wrongly_left_out(&self, view: &Entry, member: ServerId) -> bool {
        if self.nodes[&member].put_back {
            return false;
        }
        let Some(answers) = self.left_out.get(&(view.hash, member)) else { return false };
        match self.core(member).map(|core| core.mode()) {
            Some(Mode::Follower(epoch)) if epoch == view.epoch => true,
            Some(Mode::Follower(epoch)) if epoch < view.epoch => {
                *answers && self.policy == Policy::Available
            }
            _ => false,
        }
    }
}
