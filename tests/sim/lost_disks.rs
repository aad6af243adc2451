//! Disks that are lost or become older ones, and how much of that a cluster must bear.

use chinwag::cluster::Policy;

use crate::{disk, plan::Kind, world::World};

impl World {
    /// Whether another disk holds everything that was acknowledged.
    fn is_copied(&self, target: usize) -> bool {
        self.others_hold_everything(target).any(|holds| holds)
    }

    /// Whether nothing is lost for sure if this server's disk becomes what it was once. Its owner does not know
    /// that; and where it could lead together with a server that lacks something, while the one that has
    /// everything is stopped for a moment, nobody who runs would know.
    fn bears_the_old_copy(&self, target: usize) -> bool {
        let available = self.plan.policy == Policy::Available;
        self.is_copied(target)
            && (available || self.others_hold_everything(target).all(|holds| holds))
    }

    fn others_hold_everything(&self, target: usize) -> impl Iterator<Item = bool> {
        let newest = self.record.acknowledged.last_key_value();
        let others = (0..self.servers.len()).filter(move |index| *index != target);
        others.map(move |index| {
            newest.is_some_and(|(seq, hashes)| {
                let hash = self.servers[index].durable.get(seq);
                hash.is_some_and(|hash| hashes.contains(hash))
            })
        })
    }

    pub(crate) fn lose_disk(&mut self, target: usize, kind: Kind) -> bool {
        if !self.is_copied(target)
            || self.record.lost
            || (kind == Kind::Wipe && self.meets_nobody(target))
        {
            return false;
        }
        self.stop(target, false);
        self.servers[target].held = self.servers[target].held.max(1);
        self.mark_lost(target);
        let folder = self.servers[target].folder.clone();
        match kind {
            Kind::Wipe => {
                let _ = std::fs::remove_dir_all(&folder);
            }
            Kind::Reset => {
                let mut uuid = [5; 16];
                uuid[..8].copy_from_slice(&self.chance.number().to_be_bytes());
                let _ = chinwag::store::reset(&folder, uuid);
            }
            _ => {
                let what = disk::damage(&folder, &mut self.chance);
                self.say(|| format!("damage: {what}"));
            }
        }
        true
    }

    /// Who knows nothing and meets nobody for long begins a cluster of its own under `available` (P20), and an
    /// operator must say which of the two is meant.
    fn meets_nobody(&self, target: usize) -> bool {
        let mut others = (0..self.servers.len()).filter(|other| *other != target);
        others.all(|other| self.is_apart(target, other))
    }

    pub(crate) fn is_apart(&self, one: usize, other: usize) -> bool {
        self.network.is_cut(one, other) || self.network.is_cut(other, one)
    }

    fn mark_lost(&mut self, target: usize) {
        self.record.lost = true;
        self.servers[target].lost = true;
        self.servers[target].durable.clear();
    }

    pub(crate) fn keep_a_copy(&mut self, target: usize) -> bool {
        self.next += 1;
        let to = self.root.join(format!("old-{target}-{}", self.next));
        let from = self.servers[target].folder.clone();
        if self.record.lost || disk::wal(&from).is_none() || disk::copy(&from, &to).is_err() {
            return false;
        }
        self.servers[target].old_copy = Some(to);
        true
    }

    pub(crate) fn bring_the_copy_back(&mut self, target: usize) {
        let Some(copy) = self.servers[target].old_copy.take() else { return };
        if !self.bears_the_old_copy(target) || self.record.lost {
            return;
        }
        let held = self.stop(target, false);
        self.mark_lost(target);
        self.note("an old copy", &[target as u64 + 1]);
        let old = std::mem::replace(&mut self.servers[target].folder, copy);
        let _ = std::fs::remove_dir_all(old);
        if held {
            self.release(target);
        }
    }
}
