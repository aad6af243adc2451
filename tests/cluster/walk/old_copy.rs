//! Which disk may become what it was once.

use chinwag::cluster::{Policy, ServerId};

use crate::world::{Acknowledged, Disk, World};

impl World {
    /// Whether nothing is lost for sure if this server's disk becomes what it was once. An old disk is a lost one,
    /// and its owner does not know; with those who know better stopped too, nobody can. So every other server
    /// has all that was acknowledged and knows the greatest epoch that this one promised, or it remembers more of
    /// this one than the copy holds (P20); and, where one may lead alone, the copy knows that there are others.
    pub(crate) fn bears_the_old_copy(&self, id: ServerId) -> bool {
        let Some(copy) = &self.nodes[&id].copy else { return false };
        let view = copy.log.as_ref().and_then(|log| log.newest_view());
        let others = view.is_some_and(|(_, view)| view.members.len() > 1);
        if self.policy == Policy::Available && !others {
            return false;
        }
        let end = copy.log.as_ref().map_or(0, |log| log.last().seq);
        let own = copy.local.peers.get(&id).map_or(0, |own| own.starts);
        let remembers = |disk: &Disk| {
            let memory = disk.local.peers.get(&id);
            memory.is_some_and(|memory| memory.starts > own && memory.durable > end)
        };
        let promised = self.nodes[&id].disk.local.promised;
        let knows_all = |disk: &Disk| {
            let log = disk.log.as_ref();
            let holds = |one: &Acknowledged| log.is_some_and(|log| log.holds(one.seq, one.hash));
            disk.local.promised >= promised && self.acknowledged.iter().all(holds)
        };
        let mut others = self.nodes.iter().filter(|(other, _)| **other != id);
        others.all(|(_, node)| knows_all(&node.disk) || remembers(&node.disk))
    }
}
