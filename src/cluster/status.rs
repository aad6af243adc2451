//! What an operator sees.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    core::{Core, Standing},
    epoch::{Epoch, ServerId},
    event::{PeerStatus, Policy, Status, Time},
    message::Mode,
};

impl Core {
    /// The leader that this server is, or has live contact with.
    pub fn leader(&self) -> Option<ServerId> {
        if self.serving() {
            return Some(self.me());
        }
        self.live_leader().map(|(leader, _)| leader)
    }

    /// How this server is.
    pub fn status(&self, now: Time) -> Status {
        Status {
            mode: self.mode(),
            serving: self.serving(),
            leader: self.leader(),
            epoch: self.epoch(),
            last: self.log.last(),
            in_sync: self.shown_members(),
            waiting_for: self.waiting_for(),
            note: self.note(),
            read_only: self.writes_refused_for_disk(),
            forced: self.log.forced(),
            peers: self.shown_peers(now),
        }
    }

    /// How many servers hold every acknowledged update, this one included; 0 while it does not serve.
    pub fn copies(&self) -> usize {
        if self.serving() { self.log.members().len() } else { 0 }
    }

    /// How many configured servers answer, this one included.
    pub fn reachable(&self) -> usize {
        1 + self.peers.keys().filter(|id| self.is_live(**id)).count()
    }

    /// The epoch that is served, followed or asked for; otherwise the greatest promised one.
    pub fn epoch(&self) -> Epoch {
        match self.mode() {
            Mode::Leader(epoch) | Mode::Follower(epoch) | Mode::Candidate(epoch) => epoch,
            Mode::Blank | Mode::Recovering | Mode::Reconciling => self.local.promised,
        }
    }

    fn shown_members(&self) -> BTreeSet<ServerId> {
        let leader = self.live_leader().map(|(leader, _)| leader).filter(|_| !self.serving());
        let report = leader.and_then(|leader| self.peers[&leader].report.as_ref());
        let view = report.and_then(|report| report.view.as_ref());
        view.map_or_else(|| self.log.members(), |(_, view)| &view.members).clone()
    }

    fn waiting_for(&self) -> BTreeSet<ServerId> {
        let idle = self.leader.is_none() && self.live_leader().is_none();
        if !idle || self.standing == Standing::Blank {
            return BTreeSet::new();
        }
        match self.settings.policy {
            Policy::Available if self.has_authority() => BTreeSet::new(),
            Policy::Available => self.awaited(),
            Policy::Majority => {
                let servers = self.settings.servers.iter().copied();
                let (near, far): (BTreeSet<ServerId>, BTreeSet<ServerId>) =
                    servers.partition(|id| self.is_reachable_voter(*id));
                if near.len() >= self.majority() { BTreeSet::new() } else { far }
            }
        }
    }

    fn note(&self) -> String {
        if self.serving() {
            return if self.disk_low {
                "the disk is nearly full: writes are refused".to_owned()
            } else {
                String::new()
            };
        }
        if let Some((leader, _)) = self.live_leader() {
            return match self.standing {
                Standing::Follower(_) => String::new(),
                Standing::Recovering if self.reconciling.is_some() => {
                    format!("merges what it stored alone into the history of server {leader}")
                }
                _ => format!("catching up with server {leader}"),
            };
        }
        let waiting = self.waiting_for();
        if !waiting.is_empty() {
            let names: Vec<String> = waiting.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            return match self.settings.policy {
                Policy::Available => {
                    format!("waits for {names}, which may hold newer entries; start them")
                }
                Policy::Majority => format!("waits for a majority; out of reach: {names}"),
            };
        }
        let refused = self.peers.iter().find_map(|(id, peer)| {
            peer.refused.as_ref().map(|why| format!("server {id} is refused: {why}"))
        });
        if let Some(refused) = refused {
            return refused;
        }
        match self.standing {
            Standing::Blank => "holds no data; waits for a leader or a new cluster".to_owned(),
            Standing::Recovering => "waits for a leader".to_owned(),
            Standing::Follower(_) => "its leader is gone; an election is under way".to_owned(),
        }
    }

    fn shown_peers(&self, now: Time) -> BTreeMap<ServerId, PeerStatus> {
        let fed = self.leader.as_ref().map(|leader| &leader.progress);
        let shown = self.peers.iter().map(|(id, peer)| {
            let report = peer.report.as_ref();
            let status = PeerStatus {
                mode: report.map(|report| report.mode),
                serving: report.is_some_and(|report| report.serving) && self.is_live(*id),
                last: report.and_then(|report| report.last).map(|last| last.seq),
                acked: fed.and_then(|fed| fed.get(id)).map(|progress| progress.acked),
                schema_version: report.map(|report| report.schema_version),
                last_contact: peer.contact().map(|at| now.0.saturating_sub(at.0)),
                refused: peer.refused.clone(),
            };
            (*id, status)
        });
        shown.collect()
    }
}
