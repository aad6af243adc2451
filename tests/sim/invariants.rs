//! What must hold whenever a server begins to lead, answers or commits.

use chinwag::cluster::{Hash, Mode, Policy, Seq, ServerId, View};

use crate::world::World;

impl World {
    /// I1 and I3: whoever serves is alone in its epoch, and has everything that was acknowledged.
    pub(crate) fn check_lead(&mut self, index: usize) {
        let Some(process) = &self.servers[index].process else { return };
        let core = process.desk.core();
        let Mode::Leader(epoch) = core.mode() else { return };
        if !core.serving() {
            return;
        }
        let life = core.incarnation();
        match self.record.served.insert(epoch, life) {
            Some(before) if before == life => return,
            Some(_) => self.violate(format!("I1: epoch {epoch} is served twice")),
            None => {}
        }
        self.note("serves", &[index as u64 + 1, epoch.number]);
        if self.record.split && self.plan.policy == Policy::Available {
            return;
        }
        let durable = &self.servers[index].durable;
        let Some((first, _)) = durable.first_key_value() else { return };
        // A greater epoch may have served already, while the own disk took its time for the first view: this
        // one can acknowledge nothing any more, and what it answers is looked at with all answers.
        let lacks = |(seq, hashes): (&Seq, &std::collections::BTreeSet<Hash>)| {
            let has = durable.get(seq).is_some_and(|hash| hashes.contains(hash));
            let before = self.record.entries[seq]
                .iter()
                .any(|entry| entry.epoch < epoch && hashes.contains(&entry.hash));
            (!has && before).then_some(*seq)
        };
        let missing = self.record.acknowledged.range(first..).find_map(lacks);
        if let Some(seq) = missing {
            // Its disk is an old one, on which it was the last one left, and nobody runs who knows that: both
            // histories are merged later (P21).
            if self.plan.policy == Policy::Available
                && self.servers[index].lost
                && self.nobody_else_runs(index)
            {
                self.record.split = true;
                return;
            }
            // What another process said in the name of a server counted as its word.
            let doubled = self.record.doubled;
            let hashes = &self.record.acknowledged[&seq];
            let kept = (0..self.servers.len())
                .filter(|other| Some(*other) != doubled)
                .any(|other| hashes.iter().any(|hash| self.is_durable(other, seq, *hash)));
            let gone = self.record.lost || doubled.is_some();
            if kept || !gone {
                let what = format!("I3: {} leads without the acknowledged entry {seq}", index + 1);
                self.violate(what);
            }
        }
    }

    /// I3: what is answered is committed here, or on the disks of two others (P5b).
    pub(crate) fn check_answer(&mut self, index: usize, seq: Seq, hash: Hash) {
        let others = (0..self.servers.len()).filter(|other| *other != index);
        let copies = others.filter(|other| self.is_durable(*other, seq, hash)).count();
        if copies < 2 && !self.is_durable(index, seq, hash) && !self.record.lost {
            self.violate(format!("I3: {} answers for entry {seq} too early", index + 1));
        }
    }

    /// I4: what the leader commits is on the disk of every member; and whether one that lives was left
    /// out.
    pub(crate) fn check_commit(&mut self, index: usize, committed: &[(Seq, Hash)]) {
        let Some((last, hash)) = committed.last().copied() else { return };
        let views = &self.servers[index].process.as_ref().expect("it is up").views;
        let newest: Option<(Seq, View)> =
            views.range(..=last).next_back().map(|(seq, view)| (*seq, view.clone()));
        let Some((seq, view)) = newest else { return };
        for other in 0..self.servers.len() {
            let member = view.members.contains(&ServerId(other as u32 + 1));
            // Who acknowledged it and then had it merged into a greater history has a snapshot of that.
            let merged = self.plan.policy == Policy::Available
                && self.servers[other].replaced.contains(&(last, hash));
            let has = merged || self.is_durable(other, last, hash);
            if member && !has && !self.servers[other].lost {
                let what = format!("I4: {} commits {last} before {} has it", index + 1, other + 1);
                self.violate(what);
            }
            let in_sync = self.servers[other].process.as_ref().is_some_and(|process| {
                matches!(process.desk.core().mode(), Mode::Follower(_) | Mode::Leader(_))
            });
            let new_view = committed.iter().any(|(place, _)| *place == seq);
            if new_view && !member && in_sync {
                self.record.split = true;
                self.note("leaves a living one out", &[index as u64 + 1, other as u64 + 1]);
            }
        }
    }

    /// Whether no other server can be met.
    fn nobody_else_runs(&self, index: usize) -> bool {
        let mut others = (0..self.servers.len()).filter(|other| *other != index);
        others.all(|other| {
            let runs = self.servers[other].process.as_ref().is_some_and(|process| !process.paused);
            !runs || self.is_apart(index, other)
        })
    }

    /// Whether a process of this id has it on its disk.
    fn is_durable(&self, server: usize, seq: Seq, hash: Hash) -> bool {
        let both = [Some(&self.servers[server]), self.double_of(server)];
        both.into_iter().flatten().any(|one| one.durable.get(&seq) == Some(&hash))
    }
}
