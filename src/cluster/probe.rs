//! When peers are probed (P9). A probe is two connects; the end of a stream proves nothing, and neither does
//! one probe that was accepted: a process that is being killed closes its streams one by one.

use std::time::Duration;

use super::{
    core::Core,
    epoch::ServerId,
    event::{Effect, Time},
};

impl Core {
    /// This peer may have died just now: probes it until it is found dead or answers a heartbeat that
    /// was sent later. One that is not live anyway is probed once.
    pub(super) fn suspect(&mut self, id: ServerId) {
        let now = self.now;
        if self.peers.contains_key(&id) && self.is_live(id) {
            self.peers.get_mut(&id).expect("a configured server").suspect(now);
        }
        // News is looked at soon, whenever the last probe was.
        self.probe(id, self.suspect_every() / 5);
    }

    /// How often a suspected peer is probed.
    fn suspect_every(&self) -> Duration {
        self.settings.timing.heartbeat_interval / 4
    }

    fn probe(&mut self, id: ServerId, apart: Duration) {
        let lost_after = self.settings.timing.failure_timeout;
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if self.settings.trust_refused && now >= peer.next_probe(apart, lost_after) {
            peer.begin_probe(now);
            self.effects.push(Effect::Probe { peer: id, begun: now });
        }
    }

    /// Whoever finds the leader dead tells the others at once; they look for themselves.
    pub(super) fn on_probed(&mut self, id: ServerId, begun: Time, refused: bool) {
        let now = self.now;
        let followed = self.live_leader().is_some_and(|(leader, _)| leader == id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.end_probe(begun, refused, now);
        if followed && self.is_dead(id) {
            self.send_heartbeats();
        }
    }

    pub(super) fn turn_probes(&mut self) {
        let timeout = self.settings.timing.failure_timeout;
        let suspected: Vec<ServerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.is_suspected(self.now, timeout))
            .map(|(id, _)| *id)
            .collect();
        for id in suspected {
            self.probe(id, self.suspect_every());
        }
    }

    /// When the next suspected peer is due.
    pub(super) fn probe_deadline(&self) -> Option<Time> {
        if !self.settings.trust_refused {
            return None;
        }
        let timeout = self.settings.timing.failure_timeout;
        let suspected = self.peers.values().filter(|peer| peer.is_suspected(self.now, timeout));
        suspected.map(|peer| peer.next_probe(self.suspect_every(), timeout)).min()
    }

    /// With every heartbeat: who does not answer any more is probed.
    pub(super) fn probe_the_quiet(&mut self) {
        let interval = self.settings.timing.heartbeat_interval;
        let now = self.now;
        for id in self.others() {
            let since = self.peers[&id].unanswered_since();
            if since.is_some_and(|since| now.0 >= since.0 + interval * 2) {
                self.probe(id, interval * 2);
            }
        }
    }
}
