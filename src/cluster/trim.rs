//! P19: how much of the log is kept.

use super::{core::Core, event::Effect, log::Seq};

/// So many entries are always kept, for servers that come back soon; unless fewer may be kept at all.
const KEEP: Seq = 4_096;
/// Less than this is not worth a transaction.
const WORTH_IT: Seq = 1_024;

impl Core {
    /// Removes what every configured server is known to have; beyond the cap, what some lack too: those
    /// then need a snapshot.
    pub(super) fn turn_trim(&mut self) {
        let last = self.log.last_seq();
        let kept = (last + 1).saturating_sub(self.log.first());
        let keep = KEEP.min(self.settings.log_cap);
        let worth_it = WORTH_IT.min(keep);
        // The store trims between transactions.
        let in_transaction = self.leader.as_ref().is_some_and(|leader| leader.batch.is_some());
        if kept < keep + worth_it || in_transaction || self.work_is_under_way() {
            return;
        }
        let everywhere = self.peers.values().map(|peer| {
            let place = peer.report.as_ref().and_then(|report| report.last);
            place.filter(|place| self.log.contains(*place)).map_or(0, |place| place.seq)
        });
        let everywhere = everywhere.min().unwrap_or(last);
        let capped = last.saturating_sub(self.settings.log_cap);
        let until = everywhere
            .min(last.saturating_sub(keep))
            .max(capped)
            .min(self.committed_seq())
            .min(self.needed_by_followers());
        if until >= self.log.first() + worth_it {
            self.log.trim(until, self.committed_seq());
            self.effects.push(Effect::Trim { until });
        }
    }

    fn needed_by_followers(&self) -> Seq {
        let Some(leader) = &self.leader else { return Seq::MAX };
        let snapshots = leader.progress.values().filter(|progress| progress.awaits_snapshot());
        snapshots.map(super::progress::Progress::needs_after).min().unwrap_or(Seq::MAX)
    }
}
