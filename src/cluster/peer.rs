//! Another server as this one sees it, and the evidence about it (P2, P9). Evidence is this server's own
//! observation, never hearsay; any later answer voids it, and so does the peer's next life.

use std::{collections::VecDeque, time::Duration};

use super::{
    epoch::{Epoch, Incarnation},
    event::Time,
    message::Report,
};

/// How many unanswered heartbeats are remembered; the oldest one, which decides, is always kept.
const OUTSTANDING: usize = 64;

/// What this server knows of another one.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The newest life that was heard of.
    pub(super) incarnation: Option<Incarnation>,
    /// What it said last.
    pub(super) report: Option<Report>,
    /// The greatest epoch that it said it promised, in this life or an earlier one.
    pub(super) promised: Epoch,
    /// Heartbeats sent after the last contact and not answered.
    outstanding: VecDeque<(u64, Time)>,
    /// When the newest answered heartbeat was sent.
    contact: Option<Time>,
    /// The nonce of that heartbeat, with the life and the promise that answered it.
    pub(super) answered: Option<(u64, Incarnation, Epoch)>,
    /// When it was found dead.
    dead: Option<Time>,
    /// A probe is under way and nothing was heard since.
    probing: bool,
    next_probe: Time,
    /// The epoch that it gave up.
    pub(super) resigned: Option<Epoch>,
    /// Why its messages are refused.
    pub(super) refused: Option<String>,
}

impl Peer {
    pub(super) fn new() -> Peer {
        Peer {
            incarnation: None,
            report: None,
            promised: Epoch::ZERO,
            outstanding: VecDeque::new(),
            contact: None,
            answered: None,
            dead: None,
            probing: false,
            next_probe: Time(Duration::ZERO),
            resigned: None,
            refused: None,
        }
    }

    /// Another life begins: what was seen of the last one proves nothing about it.
    pub(super) fn new_life(&mut self, incarnation: Incarnation) {
        let promised = self.promised;
        *self = Peer { incarnation: Some(incarnation), promised, ..Peer::new() };
    }

    /// A message came: whatever was believed, it lives.
    pub(super) fn heard(&mut self) {
        self.dead = None;
        self.probing = false;
    }

    pub(super) fn asked(&mut self, nonce: u64, now: Time) {
        if self.outstanding.len() == OUTSTANDING {
            self.outstanding.remove(1);
        }
        self.outstanding.push_back((nonce, now));
    }

    /// It answered this heartbeat; returns whether it was not answered before.
    pub(super) fn answer(&mut self, nonce: u64, incarnation: Incarnation, promised: Epoch) -> bool {
        let Some(index) = self.outstanding.iter().position(|(asked, _)| *asked == nonce) else {
            return false;
        };
        self.contact = Some(self.outstanding[index].1);
        self.outstanding.drain(..=index);
        self.answered = Some((nonce, incarnation, promised));
        true
    }

    /// Own time was lost: unanswered heartbeats prove nothing.
    pub(super) fn forget_unanswered(&mut self) {
        self.outstanding.clear();
        self.dead = None;
        self.probing = false;
    }

    /// Two connects were refused, or its last words were that this life is over.
    pub(super) fn found_dead(&mut self, now: Time) {
        self.dead = Some(now);
    }

    /// It was taken into a view: what was found before is about another life.
    pub(super) fn void_dead(&mut self) {
        self.dead = None;
        self.probing = false;
    }

    /// DEAD evidence that is not too old.
    pub(super) fn is_dead(&self, now: Time, lasts: Duration) -> bool {
        self.dead.is_some_and(|since| now.0 <= since.0 + lasts)
    }

    /// Since when a heartbeat is unanswered.
    pub(super) fn unanswered_since(&self) -> Option<Time> {
        self.outstanding.front().map(|(_, at)| *at)
    }

    /// SILENT evidence.
    pub(super) fn is_silent(&self, now: Time, timeout: Duration) -> bool {
        self.unanswered_since().is_some_and(|since| now.0 >= since.0 + timeout)
    }

    /// Whether it answered and neither kind of evidence stands against it.
    pub(super) fn is_live(&self, now: Time, timeout: Duration) -> bool {
        self.contact.is_some() && !self.is_dead(now, timeout) && !self.is_silent(now, timeout)
    }

    /// When the heartbeat was sent that it answered last.
    pub(super) fn contact(&self) -> Option<Time> {
        self.contact
    }

    /// Whether a probe is due; notes that it is under way.
    pub(super) fn begin_probe(&mut self, now: Time, again_after: Duration) -> bool {
        if now < self.next_probe {
            return false;
        }
        self.probing = true;
        self.next_probe = Time(now.0 + again_after);
        true
    }

    /// The probe ended; counts only if nothing was heard meanwhile.
    pub(super) fn end_probe(&mut self, refused: bool, now: Time) {
        if self.probing && refused {
            self.found_dead(now);
        }
        self.probing = false;
    }
}
