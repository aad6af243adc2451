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

/// A probe of a peer: one at a time. One that does not end is given up for the next, and its result with it.
#[derive(Clone, Copy, Debug)]
enum Probe {
    Idle,
    /// Under way, and nothing was heard since.
    Running(Time),
    /// Under way, and its result proves nothing any more.
    Void(Time),
}

/// What this server knows of another one.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The newest life that was heard of.
    pub(super) incarnation: Option<Incarnation>,
    /// The life in whose place one with a lower number answered; what it said and comes late is over.
    pub(super) over: Option<u64>,
    /// What it said last.
    pub(super) report: Option<Report>,
    /// The greatest nonce among its heartbeats.
    newest_heartbeat: Option<u64>,
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
    probe: Probe,
    /// When the newest probe was begun.
    probed: Option<Time>,
    /// Since when there is reason to think that it died: it is probed until that is settled.
    suspected: Option<Time>,
    /// The epoch that it gave up.
    pub(super) resigned: Option<Epoch>,
    /// Why its messages are refused.
    pub(super) refused: Option<String>,
}

impl Peer {
    pub(super) fn new() -> Peer {
        Peer {
            incarnation: None,
            over: None,
            report: None,
            newest_heartbeat: None,
            promised: Epoch::ZERO,
            outstanding: VecDeque::new(),
            contact: None,
            answered: None,
            dead: None,
            probe: Probe::Idle,
            probed: None,
            suspected: None,
            resigned: None,
            refused: None,
        }
    }

    /// Another life begins: what was seen of the last one proves nothing about it.
    pub(super) fn new_life(&mut self, incarnation: Incarnation) {
        self.void_probe();
        let Peer { over, promised, probe, probed, .. } = *self;
        let incarnation = Some(incarnation);
        *self = Peer { incarnation, over, promised, probe, probed, ..Peer::new() };
    }

    fn void_probe(&mut self) {
        if let Probe::Running(since) = self.probe {
            self.probe = Probe::Void(since);
        }
    }

    /// A message came: whatever was believed, it lives. But it may have been under way for long, and the
    /// sender dead by now.
    pub(super) fn heard(&mut self, now: Time) {
        if self.dead.take().is_some() {
            (self.suspected, self.probed) = (Some(now), None);
        } else if matches!(self.probe, Probe::Running(_)) {
            self.suspected = Some(now);
        }
        self.void_probe();
    }

    /// Whether a heartbeat with this nonce is newer than all that came before: one that was overtaken, or is
    /// said again, tells how its sender was and not how it is.
    pub(super) fn is_news(&mut self, nonce: u64) -> bool {
        let news = self.newest_heartbeat.is_none_or(|newest| newest < nonce);
        if news {
            self.newest_heartbeat = Some(nonce);
        }
        news
    }

    pub(super) fn asked(&mut self, nonce: u64, now: Time) {
        if self.outstanding.len() == OUTSTANDING {
            self.outstanding.remove(1);
        }
        self.outstanding.push_back((nonce, now));
    }

    /// Whether this heartbeat went to the known life, and is not answered.
    pub(super) fn awaits(&self, nonce: u64) -> bool {
        self.outstanding.iter().any(|(asked, _)| *asked == nonce)
    }

    /// It answered this heartbeat. An answer of a server that may have forgotten its promises is a contact,
    /// and proves nothing for reads.
    pub(super) fn answer(
        &mut self,
        nonce: u64,
        incarnation: Incarnation,
        promised: Epoch,
        remembers: bool,
    ) {
        let Some(index) = self.outstanding.iter().position(|(asked, _)| *asked == nonce) else {
            return;
        };
        let sent = self.outstanding[index].1;
        self.contact = Some(sent);
        if self.suspected.is_some_and(|since| since < sent) {
            self.suspected = None;
        }
        self.outstanding.drain(..=index);
        if remembers {
            self.answered = Some((nonce, incarnation, promised));
        }
    }

    /// Own time was lost: unanswered heartbeats prove nothing.
    pub(super) fn forget_unanswered(&mut self) {
        self.outstanding.clear();
        self.void_dead();
        self.suspected = None;
    }

    /// Two connects were refused, or its last words were that this life is over.
    pub(super) fn found_dead(&mut self, now: Time) {
        self.dead = Some(now);
        self.suspected = None;
    }

    /// It was taken into a view: what was found before is about another life.
    pub(super) fn void_dead(&mut self) {
        self.dead = None;
        self.void_probe();
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

    /// There is reason to think that it died.
    pub(super) fn suspect(&mut self, now: Time) {
        self.suspected.get_or_insert(now);
    }

    /// Whether it is to be probed until it is known whether it died; a silent one is given up.
    pub(super) fn is_suspected(&self, now: Time, timeout: Duration) -> bool {
        self.suspected.is_some_and(|since| now.0 < since.0 + timeout)
    }

    /// When a probe may begin that keeps this distance from the last one.
    pub(super) fn next_probe(&self, apart: Duration, lost_after: Duration) -> Time {
        let next = self.probed.map_or(Time(Duration::ZERO), |at| Time(at.0 + apart));
        match self.probe {
            Probe::Idle => next,
            Probe::Running(since) | Probe::Void(since) => next.max(Time(since.0 + lost_after)),
        }
    }

    pub(super) fn begin_probe(&mut self, now: Time) {
        self.probe = Probe::Running(now);
        self.probed = Some(now);
    }

    /// The probe that was begun then ended; counts only if nothing was heard meanwhile. Otherwise a refusal
    /// is a reason for another one, at once.
    pub(super) fn end_probe(&mut self, begun: Time, refused: bool, now: Time) {
        match self.probe {
            Probe::Running(since) | Probe::Void(since) if since != begun => return,
            Probe::Running(_) if refused => self.found_dead(now),
            Probe::Void(_) if refused => self.probed = None,
            _ => {}
        }
        self.probe = Probe::Idle;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_probe_found_that_was_given_up_counts_no_more() {
        let at = |millis| Time(Duration::from_millis(millis));
        let (lasts, mut peer) = (Duration::from_secs(1), Peer::new());
        peer.begin_probe(at(100));
        // It comes back meanwhile.
        peer.new_life(Incarnation { starts: 2, bumps: 0, random: 7 });
        peer.begin_probe(at(1_200));
        peer.end_probe(at(100), true, at(1_201));
        assert!(!peer.is_dead(at(1_201), lasts), "that was its life before");
        peer.end_probe(at(1_200), true, at(1_210));
        assert!(peer.is_dead(at(1_210), lasts));
    }
}
