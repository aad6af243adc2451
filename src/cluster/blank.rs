//! P20: how a cluster begins, and what a server without a log may do.
//!
//! The first entry is one View, stored by one server alone; everything after it goes the way of any
//! other election. When all configured servers are reachable, blank ones promise too, to a candidate that
//! wins them all: so a beginning that was interrupted is taken up again.

use std::collections::BTreeSet;

use super::{
    core::Core,
    epoch::{Epoch, ServerId},
    event::{Effect, Policy},
    log::{Entry, Payload, View},
    log_index::Chunk,
    message::{Mode, Report},
    work::{Work, WorkKind},
};

impl Core {
    pub(super) fn turn_blank(&mut self) {
        if self.is_distrusted_or_blank() {
            self.learn_promise();
        }
        if !self.is_blank() || self.log.last().is_some() || self.work_is_under_way() {
            return;
        }
        if self.shutting_down.is_some() || self.disk_low || self.live_leader().is_some() {
            return;
        }
        if self.peers.keys().all(|id| self.is_reachable_blank(*id)) {
            if self.settings.servers.first() == Some(&self.me()) {
                self.write_genesis(self.settings.servers.clone());
            }
            return;
        }
        let waited = self.now.0 >= self.started.0 + self.settings.timing.boot_timeout;
        if self.settings.policy == Policy::Available && waited && self.may_begin_alone() {
            self.write_genesis(BTreeSet::from([self.me()]));
        }
    }

    fn is_reachable_blank(&self, id: ServerId) -> bool {
        let report = self.peers[&id].report.as_ref();
        self.is_live(id) && report.is_some_and(|report| report.last.is_none())
    }

    /// No server with a log is reachable or was heard of in this life (it may just be starting again), none
    /// is writing its first entry either, and of the reachable ones without a log this is the lowest.
    fn may_begin_alone(&self) -> bool {
        let nobody_has_data = self.peers.iter().all(|(id, peer)| {
            // Whoever begins has a lineage before its first entry is stored.
            let blank = |report: &Report| report.last.is_none() && report.lineage.is_none();
            peer.report.as_ref().is_none_or(blank) || !self.is_live(*id)
        });
        let may = |id: &ServerId| {
            let report = self.peers[id].report.as_ref();
            self.is_live(*id) && report.is_some_and(|report| !report.belonged)
        };
        let lower = self.peers.keys().filter(|id| **id < self.me()).any(may);
        let never_belonged = self.local.belonged.is_none() && !self.is_distrusted();
        nobody_has_data && !self.heard_of_data && !lower && never_belonged
    }

    fn write_genesis(&mut self, members: BTreeSet<ServerId>) {
        let epoch = Epoch { number: self.greatest_number + 1, server: self.me() };
        let lineage = self.fresh_lineage;
        self.greatest_number = epoch.number;
        self.local.promised = self.local.promised.max(epoch);
        self.local.belonged = Some(lineage);
        self.persist();
        self.log.set_lineage(lineage);
        let names: Vec<String> = members.iter().map(ToString::to_string).collect();
        self.tell(format!("a new cluster begins with the servers {}", names.join(", ")));
        let view = Payload::View(View { members, forced: false });
        let entries = std::sync::Arc::new(vec![Entry::after(lineage, 1, epoch, view)]);
        let op = self.new_op();
        self.effects.push(Effect::Store { op, entries: entries.clone(), lineage });
        let chunk = Chunk { prev_hash: lineage, entries };
        self.work = Some(Work { op, since: self.now, kind: WorkKind::Keep { chunk } });
    }

    /// `majority`: a server that may have forgotten its promise learns the greatest one from so many
    /// others that whoever it could have promised is among them or below it. Where an operator forced the
    /// lead, so many may be empty that nobody could ever join: then he has said that nobody else counts,
    /// and the promise of that leader is enough.
    fn learn_promise(&mut self) {
        if self.promise_learned || !self.is_majority_policy() {
            return;
        }
        let promises = self.peers.iter().filter_map(|(id, peer)| {
            let report = peer.report.as_ref()?;
            (self.is_live(*id) && report.mode != Mode::Blank).then_some(peer.promised)
        });
        let promises: Vec<Epoch> = promises.collect();
        let needed = self.majority().min(self.peers.len());
        if promises.len() < needed && !self.is_led_by_force() {
            return;
        }
        self.promise_learned = true;
        let greatest = promises.into_iter().max().unwrap_or(Epoch::ZERO);
        if greatest > self.local.promised {
            self.greatest_number = self.greatest_number.max(greatest.number);
            self.local.promised = greatest;
            self.persist();
        }
    }

    /// Whether the leader in reach leads because an operator said so, and has taken nobody in yet.
    fn is_led_by_force(&self) -> bool {
        let Some((leader, _)) = self.any_live_leader() else { return false };
        let report = self.peers[&leader].report.as_ref();
        report.and_then(|report| report.view.as_ref()).is_some_and(|(_, view)| view.forced)
    }

    /// Whether this server may take updates of that epoch.
    pub(super) fn may_take_from(&self, epoch: Epoch) -> bool {
        let forgetful = self.is_majority_policy() && self.is_distrusted_or_blank();
        !forgetful
            || self.promise_learned
            || self.local.promised == epoch
            || self.mutant == Some(super::mutant::Mutant::ForgetsPromise)
    }

    pub(super) fn is_distrusted_or_blank(&self) -> bool {
        self.is_blank() || self.is_distrusted()
    }
}
