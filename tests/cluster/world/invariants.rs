//! What must hold, checked whenever something becomes durable, is answered, or a server leads.

use chinwag::cluster::{
    Core, Entry, Epoch, Hash, Mode, Payload, Policy, Position, Seq, ServerId, View,
};

use super::{Acknowledged, Node, World};

impl World {
    /// I2: an (epoch, seq) names one entry.
    pub(super) fn record(&mut self, entries: &[Entry]) {
        for entry in entries {
            let known = *self.entries.entry((entry.epoch, entry.seq)).or_insert(entry.hash);
            if known != entry.hash {
                self.violate(format!("I2: two entries at {} {}", entry.epoch, entry.seq));
            }
        }
    }

    /// I3's first half: an acknowledged update is on the disk of every member of the view; the leader's own commit
    /// may be under way.
    pub(super) fn acknowledge(&mut self, id: ServerId, until: Seq) {
        let node = self.node(id);
        let (done, rest): (Vec<_>, Vec<_>) =
            node.taken.drain(..).partition(|(_, seq)| *seq <= until);
        node.taken = rest;
        for (waiter, seq) in done {
            let node = &self.nodes[&id];
            let log = node.disk.log.as_ref().expect("a leader has a log");
            let committed = log.entries.get(seq as usize - 1);
            let under_way = || node.open.iter().find(|entry| entry.seq == seq);
            let entry = committed.or_else(under_way).expect("what is answered was applied");
            let Payload::Update(payload) = &entry.payload else {
                unreachable!("waiters have updates")
            };
            let (hash, payload, epoch) = (entry.hash, payload.clone(), entry.epoch);
            if committed.is_none() {
                self.check_early_answer(id, seq, hash);
            }
            self.acknowledged.push(Acknowledged { waiter, seq, hash, payload, epoch });
        }
    }

    /// P5b: every other member has it.
    fn check_early_answer(&mut self, id: ServerId, seq: Seq, hash: Hash) {
        let node = &self.nodes[&id];
        let committed = node.disk.log.iter().flat_map(|log| log.entries.iter().rev());
        let mut newest_first = node.open.iter().rev().chain(committed);
        let view = newest_first.find_map(|entry| match &entry.payload {
            Payload::View(view) => Some(view),
            _ => None,
        });
        let members = &view.expect("a log has a view").members;
        let lacks = |member: &ServerId| {
            let node = &self.nodes[member];
            let mut logs = node.disk.log.iter().chain(&node.disk.aside);
            *member != id && !node.wiped && !logs.any(|log| log.holds(seq, hash))
        };
        if let Some(member) = members.iter().find(|member| lacks(member)) {
            self.violate(format!("I3: {id} answers for entry {seq} before {member} has it"));
        }
    }

    /// P16: nothing that was answered is rolled back.
    pub(super) fn check_rollback(&mut self, id: ServerId) {
        let open = &self.nodes[&id].open;
        let answered = |entry: &&Entry| self.acknowledged.iter().any(|one| one.hash == entry.hash);
        if let Some(entry) = open.iter().find(answered) {
            let seq = entry.seq;
            self.violate(format!("P16: {id} rolls entry {seq} back, for which it has answered"));
        }
    }

    /// Subscribers are told of nothing that is not on the leader's own disk.
    pub(super) fn check_publish(&mut self, id: ServerId, until: Seq) {
        let durable = self.nodes[&id].disk.log.as_ref().map_or(0, |log| log.last().seq);
        if until > durable {
            self.violate(format!("P22: {id} publishes entry {until}, which it has not committed"));
        }
    }

    pub(super) fn serve_reads(&mut self, id: ServerId, until: u64, seq: Seq) {
        let node = self.node(id);
        let later = node.reads.split_off(&(until + 1));
        let served = std::mem::replace(&mut node.reads, later);
        let durable = node.disk.log.as_ref().map_or(0, |log| log.entries.len() as Seq);
        if seq > durable {
            self.violate(format!("P15: {id} shall read entry {seq}, which it has not committed"));
        }
        self.served_reads.extend(served.keys());
        let Some(count) = served.into_values().max() else { return };
        if let Some(lost) = self.missing(id, self.acknowledged[..count].iter()) {
            self.violate(format!(
                "I9: a read at {id} misses update {lost}, acknowledged before it"
            ));
        }
    }

    /// The first of these acknowledged updates that this server's log lacks.
    fn missing<'a>(
        &self,
        id: ServerId,
        mut demanded: impl Iterator<Item = &'a Acknowledged>,
    ) -> Option<u64> {
        if self.forced || (self.split && self.policy == Policy::Available) {
            return None;
        }
        let log = self.nodes[&id].disk.log.as_ref()?;
        let missing = demanded.find(|one| !log.holds(one.seq, one.hash))?;
        // What no disk holds any more went with the disks, not by a rule.
        let kept = |node: &Node| {
            let logs = node.disk.log.iter().chain(&node.disk.aside);
            logs.into_iter().any(|log| log.holds(missing.seq, missing.hash))
        };
        self.nodes.values().any(kept).then_some(missing.waiter)
    }

    /// I1, I3 and I7: whoever serves is alone in its epoch and has everything acknowledged.
    pub(super) fn check_lead(&mut self, id: ServerId) {
        let Some(core) = &self.nodes[&id].core else { return };
        let mode = core.mode();
        if matches!(mode, Mode::Follower(_) | Mode::Leader(_)) {
            let life = core.incarnation();
            let serving = core.serving();
            if self.nodes[&id].in_sync_life != Some(life) && self.is_in_committed_view(id) {
                self.node(id).in_sync_life = Some(life);
            }
            let Mode::Leader(epoch) = mode else { return };
            if !serving {
                return;
            }
            match self.served.insert(epoch, life) {
                Some(before) if before == life => return,
                Some(_) => {
                    self.violate(format!("I1: epoch {epoch} is served twice"));
                }
                None => self.split |= self.is_excluded_somewhere(id, epoch),
            }
            self.note(|| format!("{id} serves epoch {epoch}"));
            // A greater epoch may have served already, while the own disk took its time for the first view: this
            // one can acknowledge nothing any more, and reads are looked at where they are served.
            let before = self.acknowledged.iter().filter(|one| one.epoch < epoch);
            if let Some(lost) = self.missing(id, before) {
                self.violate(format!("I3: {id} leads without the acknowledged update {lost}"));
            }
        }
    }

    /// Whether another disk ends with a view without this server, proposed for its silence and not
    /// committed, of which that disk's owner could not tell this one, and for which it will not wait: it never
    /// promised it anything, or the view's epoch is greater. The silence was wrong, for this one serves; the
    /// two histories begin here.
    fn is_excluded_somewhere(&self, id: ServerId, epoch: Epoch) -> bool {
        self.nodes.iter().any(|(other, node)| {
            let Some((place, view)) = self.newest_view(*other) else { return false };
            let committed = self.committed_views.contains(&place.hash);
            let excluded = !view.members.contains(&id) && !committed;
            excluded && (!node.disk.local.promised_to.contains(&id) || place.epoch > epoch)
        })
    }

    /// The same in the other order: the first disk comes to hold such a view, under way for long, after the one that
    /// it leaves out has served a greater epoch.
    pub(super) fn note_late_exclusion(&mut self, id: ServerId, entries: &[Entry]) {
        self.split |= entries.iter().any(|entry| {
            let left_out = |member: &ServerId| {
                let late =
                    self.served.keys().any(|epoch| epoch.server == *member && *epoch > entry.epoch);
                late && self.wrongly_silent.contains(&(entry.hash, *member))
            };
            let promised_to = &self.nodes[&id].disk.local.promised_to;
            let splits =
                self.nodes.keys().any(|member| left_out(member) && !promised_to.contains(member));
            splits && !self.is_held_elsewhere(id, entry)
        });
    }

    fn is_held_elsewhere(&self, id: ServerId, entry: &Entry) -> bool {
        let others = self.nodes.iter().filter(|(other, _)| **other != id);
        let mut logs = others.filter_map(|(_, node)| node.disk.log.as_ref());
        logs.any(|log| log.holds(entry.seq, entry.hash))
    }

    /// Whether the newest view of its log was committed and holds this server.
    pub(super) fn is_in_committed_view(&self, id: ServerId) -> bool {
        self.newest_view(id).is_some_and(|(place, view)| {
            view.members.contains(&id) && self.committed_views.contains(&place.hash)
        })
    }

    /// Whether it is in the newest view of its log, which is not committed yet.
    pub(crate) fn is_joining(&self, id: ServerId) -> bool {
        self.newest_view(id).is_some_and(|(place, view)| {
            view.members.contains(&id) && !self.committed_views.contains(&place.hash)
        })
    }

    pub(super) fn newest_view(&self, id: ServerId) -> Option<(Position, &View)> {
        self.nodes[&id].disk.log.as_ref()?.newest_view()
    }

    /// I4, and whether a member that lived was left out.
    pub(super) fn check_commit(&mut self, id: ServerId, entries: &[Entry]) {
        let log = self.nodes[&id].disk.log.as_ref().expect("just committed");
        let last = log.last();
        let view = |entry: &Entry| match &entry.payload {
            Payload::View(view) => Some(view.clone()),
            _ => None,
        };
        let newest: View = log.entries.iter().rev().find_map(view).expect("a log has a view");
        for (member, node) in &self.nodes {
            // Who acknowledged it and then had it merged into a greater history kept the old one, and so did who
            // met a lead that an operator had forced.
            let merged = self.policy == Policy::Available || self.forced;
            let kept = node.disk.aside.iter().filter(|_| merged);
            let mut logs = node.disk.log.iter().chain(kept);
            let has = logs.any(|log| log.holds(last.seq, last.hash));
            if newest.members.contains(member) && !has && !node.wiped {
                let what = format!("I4: {id} commits entry {} before {member} has it", last.seq);
                self.violate(what);
                return;
            }
        }
        let views: Vec<Hash> =
            entries.iter().filter(|entry| view(entry).is_some()).map(|entry| entry.hash).collect();
        // Its life may be over by now.
        self.split |= self.wrongly_silent.iter().any(|(view, _)| views.contains(view));
        if !views.is_empty() {
            let left_out = self.nodes.iter().find(|(member, node)| {
                let life = node.core.as_ref().map(Core::incarnation);
                **member != id
                    && !newest.members.contains(member)
                    && life.is_some()
                    && life == node.in_sync_life
            });
            if let Some(member) = left_out.map(|(member, _)| *member) {
                self.split = true;
                let mut views = entries.iter().filter(|entry| view(entry).is_some());
                if views.any(|entry| self.is_wrongly_left_out(entry, member)) {
                    self.violate(format!("I7: {id} leaves {member} out, which answers"));
                }
                if !self.loses && self.policy == Policy::Available {
                    self.violate(format!("I7: {id} leaves {member} out, which lives and answers"));
                }
            }
        }
        self.committed_views.extend(views);
        for member in newest.members {
            if self.nodes[&member]
                .disk
                .log
                .as_ref()
                .is_some_and(|log| log.holds(last.seq, last.hash))
            {
                self.node(member).wiped = false;
            }
        }
    }
}
