//! P18: the same entries must bring every server to the same tables. Where they did not, what most
//! members have is right, and whoever has something else ends. One against one nobody can tell: then the
//! leader ends and says so. No batch is answered meanwhile.

use super::{
    core::Core,
    epoch::ServerId,
    event::Time,
    log::{Hash, Seq},
    message::Body,
};

/// What the members' tables say about each other after the batch in flight.
enum Finding {
    /// Nothing is known against anybody.
    Equal,
    /// Some differ, and those that have not told theirs yet may turn the scale.
    Open,
    /// These differ from what most have, the leader among them.
    Odd(Vec<ServerId>),
    /// The leader's are not what most have.
    OwnOdd,
}

impl Core {
    /// Whether the batch in flight may be committed as far as the tables are concerned.
    pub(super) fn tables_agree(&self) -> bool {
        matches!(self.find_odd_tables(), Finding::Equal)
    }

    /// Who has other tables than most ends.
    pub(super) fn compare_tables(&mut self) {
        match self.find_odd_tables() {
            Finding::Equal | Finding::Open => {}
            Finding::Odd(odd) => self.expel(odd),
            Finding::OwnOdd => {
                let end = self.leader.as_ref().and_then(|leader| leader.batch.as_ref());
                let end = end.map_or(0, |batch| batch.last().seq);
                self.fail(differ(end));
            }
        }
    }

    fn find_odd_tables(&self) -> Finding {
        let Some(leader) = &self.leader else { return Finding::Equal };
        let Some(batch) = &leader.batch else { return Finding::Equal };
        let Some(own) = batch.digest else { return Finding::Equal };
        let end = batch.last().seq;
        let told = |id: &ServerId| {
            let digest = leader.progress.get(id)?.digest;
            digest.filter(|(seq, _)| *seq == end).map(|(_, digest)| digest)
        };
        let odd: Vec<(ServerId, Hash)> = leader
            .progress
            .keys()
            .filter_map(|id| Some((*id, told(id)?)))
            .filter(|(_, digest)| *digest != own)
            .collect();
        if odd.is_empty() {
            return Finding::Equal;
        }
        // Newcomers have no say.
        let newest = self.newest_members();
        let voters = || self.log.members().iter().filter(|id| newest.contains(id));
        let votes = |digest: Hash| voters().filter(|id| told(id) == Some(digest)).count();
        let with_own = 1 + votes(own);
        let against = odd.iter().map(|(_, digest)| votes(*digest)).max().unwrap_or(0);
        let open = voters()
            .filter(|id| **id != self.me())
            .filter(|id| leader.progress.get(id).is_none_or(|progress| progress.acked < end))
            .count();
        if with_own > against + open {
            Finding::Odd(odd.into_iter().map(|(id, _)| id).collect())
        } else if against > with_own + open || open == 0 {
            Finding::OwnOdd
        } else {
            Finding::Open
        }
    }

    fn expel(&mut self, odd: Vec<ServerId>) {
        let again = Time(self.now.0 + self.settings.timing.heartbeat_interval);
        let Some(leader) = self.leader.as_mut() else { return };
        let Some(batch) = &leader.batch else { return };
        let Some(digest) = batch.digest else { return };
        if self.now < leader.next_expel {
            return;
        }
        leader.next_expel = again;
        let (epoch, at) = (leader.epoch, batch.last().seq);
        for id in odd {
            let nonce = self.new_nonce();
            self.send(id, nonce, Body::Evict { epoch, tables: Some((at, digest)) });
        }
    }

    /// Whether the own tables are not what the leader says that most have.
    pub(super) fn has_odd_tables(&self, most: Option<(Seq, Hash)>) -> bool {
        let here = most.filter(|(at, _)| *at == self.log.last_seq());
        here.is_some_and(|(_, most)| self.digest.is_some_and(|own| own != most))
    }
}

/// What an operator is told.
pub(super) fn differ(end: Seq) -> String {
    format!(
        "the tables of this server differ from those of the others at entry {end}: its disk, memory or \
         binary is not to be trusted. Keep a copy of the data folder; `--reset` copies the others' data"
    )
}
