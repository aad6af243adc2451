//! Who answered whom lately, as the world sees it: whoever answers is not silent, and must not be left out
//! for silence (I7). And what servers say of themselves when they ask.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use chinwag::cluster::{Body, Core, Entry, Epoch, Incarnation, Message, Mode, Payload, ServerId};

use super::World;

/// One server's heartbeats, and the answers to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Contacts {
    /// The nonces of the heartbeats that are not too old for an answer to count, with their times.
    asked: VecDeque<(u64, Duration)>,
    /// When the newest answered heartbeat was sent, and which life answered.
    answered: BTreeMap<ServerId, (Incarnation, Duration)>,
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
        let (from, to) = (message.from, message.to);
        let Body::HeartbeatReply(_) = message.body else { return };
        if message.receiver != self.core(to).map(Core::incarnation) {
            return;
        }
        let contacts = &mut self.node(to).contacts;
        let at = contacts.asked.binary_search_by_key(&message.nonce, |(nonce, _)| *nonce);
        let Ok(at) = at else { return };
        let (life, sent) = (message.incarnation, contacts.asked[at].1);
        let newest = contacts.answered.entry(from).or_insert((life, sent));
        if life.is_newer_than(&newest.0) || (life == newest.0 && sent > newest.1) {
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
            for member in before.difference(&view.members).copied() {
                if self.has_answered_lately(id, member) {
                    self.left_out_live.insert((entry.hash, member));
                }
            }
        }
    }

    fn has_answered_lately(&self, id: ServerId, member: ServerId) -> bool {
        let answered = self.nodes[&id].contacts.answered.get(&member);
        answered.is_some_and(|(life, sent)| {
            let lives = self.core(member).map(Core::incarnation) == Some(*life);
            lives && *sent + self.timing.failure_timeout > self.now
        })
    }

    /// Whether this server follows the leader that leaves it out, in the life that the leader hears.
    pub(super) fn is_left_out_live(&self, view: &Entry, member: ServerId) -> bool {
        let follows = self.core(member).map(|core| core.mode()) == Some(Mode::Follower(view.epoch));
        follows && self.left_out_live.contains(&(view.hash, member))
    }
}
