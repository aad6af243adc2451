//! P2: who is admitted, what servers say of themselves, and when a contact counts.

use super::{
    core::{Core, Standing},
    epoch::{Epoch, Incarnation, ServerId},
    event::Policy,
    message::{Body, Message, Mode, Rejection, Report},
    mutant::Mutant,
};

/// The version of the log's format that this server reads and writes.
const LOG_FORMAT: u32 = 1;

impl Core {
    /// Whether the message comes from a current life of a configured server to this life of ours.
    pub(super) fn admit(&mut self, message: &Message) -> bool {
        if message.to != self.me() || !self.peers.contains_key(&message.from) {
            return false;
        }
        if !self.knows_life(message) {
            return false;
        }
        let report = matches!(message.body, Body::Heartbeat(_) | Body::HeartbeatReply(_));
        let now = self.now;
        let peer = self.peers.get_mut(&message.from).expect("checked above");
        if self.mutant != Some(Mutant::StaleEvidence) {
            peer.heard(now);
        }
        if peer.refused.is_some() && !report {
            return false;
        }
        self.is_meant(message)
    }

    /// Whether the sender has another configuration, format or history: only its next report is heard, and
    /// neither its promise nor its lead concerns this cluster.
    pub(super) fn comes_from_refused(&self, message: &Message) -> bool {
        match &message.body {
            Body::Heartbeat(report) | Body::HeartbeatReply(report) => {
                self.why_refused(report).is_some()
            }
            _ => false,
        }
    }

    /// A new life of another process is introduced by its report, for only that names the data folder.
    fn knows_life(&mut self, message: &Message) -> bool {
        let from = message.from;
        let known = self.peers[&from].incarnation;
        if known == Some(message.incarnation) {
            return true;
        }
        // What an earlier life of ours was answered is old news.
        let reply = matches!(message.body, Body::HeartbeatReply(_))
            && message.receiver == Some(self.incarnation);
        // It answers what the known life was asked and did not answer. Then it lives later than that one, whatever
        // its number: only a data folder that is older than itself looks like this.
        let answers = reply && self.peers[&from].awaits(message.nonce);
        let late = self.peers[&from].over == Some(message.incarnation.random);
        if late && !(answers && self.is_quiet(from)) {
            return false;
        }
        let replaced = match &message.body {
            Body::Heartbeat(report) | Body::HeartbeatReply(report) => {
                let other = |memory: &super::PeerMemory| memory.uuid != report.uuid;
                self.local.peers.get(&from).is_some_and(other)
            }
            _ => false,
        };
        let introduced = reply
            || matches!(message.body, Body::Heartbeat(_))
            || known.is_some_and(|known| known.random == message.incarnation.random);
        let newer = known.is_none_or(|known| message.incarnation.is_newer_than(&known));
        if replaced && self.is_live(from) && !(answers && self.is_quiet(from)) {
            let sentence = format!("two servers use the id {from}; stop one of them");
            self.peers.get_mut(&from).expect("a configured server").refused = Some(sentence);
            return false;
        }
        if !introduced || !(newer || replaced || answers) {
            return false;
        }
        if !newer && !replaced {
            self.remember_more_than(from, message.incarnation);
            let peer = self.peers.get_mut(&from).expect("a configured server");
            peer.over = known.map(|known| known.random);
        }
        self.begin_life(from, message.incarnation);
        true
    }

    /// Whether the known life had the time for an answer, and gave none.
    fn is_quiet(&self, id: ServerId) -> bool {
        let patience = self.settings.timing.heartbeat_interval * 2;
        self.peers[&id].is_silent(self.now, patience)
    }

    fn begin_life(&mut self, id: ServerId, incarnation: Incarnation) {
        let now = self.now;
        let dead = self.mutant == Some(Mutant::StaleEvidence) && self.is_dead(id);
        let peer = self.peers.get_mut(&id).expect("a configured server");
        peer.new_life(incarnation);
        if dead {
            peer.found_dead(now);
        }
    }

    fn is_meant(&mut self, message: &Message) -> bool {
        if message.receiver == Some(self.incarnation) {
            return true;
        }
        match &message.body {
            Body::Heartbeat(_) | Body::Prepare { .. } => true,
            Body::Accept(updates) | Body::Suffix(updates) => {
                if self.mutant == Some(Mutant::TakesOthersUpdates) {
                    return true;
                }
                let epoch = updates.epoch;
                let last = self.log.last();
                let reason = Rejection::WrongIncarnation;
                self.answer(message, Body::Rejected { epoch, reason, last });
                false
            }
            _ => false,
        }
    }

    pub(super) fn send_heartbeats(&mut self) {
        for id in self.others() {
            let nonce = self.new_nonce();
            let report = self.report(id);
            let now = self.now;
            self.peers.get_mut(&id).expect("a configured server").asked(nonce, now);
            self.send(id, nonce, Body::Heartbeat(Box::new(report)));
        }
    }

    pub(super) fn on_report(&mut self, message: Message) {
        let from = message.from;
        let question = matches!(message.body, Body::Heartbeat(_));
        // A heartbeat introduces its sender to every life, but what is committed it tells one alone: another
        // one would take the membership of its predecessor for its own.
        let meant = message.receiver == Some(self.incarnation);
        let (Body::Heartbeat(report) | Body::HeartbeatReply(report)) = message.body else {
            return;
        };
        if question {
            let own = self.report(from);
            self.send(from, message.nonce, Body::HeartbeatReply(Box::new(own)));
            let peer = self.peers.get_mut(&from).expect("a configured server");
            if !peer.is_news(message.nonce) {
                return;
            }
        }
        let refused = self.why_refused(&report);
        let peer = self.peers.get_mut(&from).expect("a configured server");
        let news = refused.is_some() && peer.refused != refused;
        peer.refused.clone_from(&refused);
        if !question {
            let remembers = report.mode != Mode::Blank;
            peer.answer(message.nonce, message.incarnation, message.promised, remembers);
        }
        if let Some(why) = refused {
            peer.report = None;
            if news {
                self.tell(format!("server {from} is refused: {why}"));
            }
            return;
        }
        self.remember(from, message.incarnation, &report);
        self.compare_with_memory(&report);
        if report.serving
            && meant
            && let Mode::Leader(epoch) = report.mode
        {
            self.hear_committed(from, epoch, report.known_committed);
        }
        self.suspect_lost_leader(from, &report);
        self.heard_of_data |= report.last.is_some();
        self.peers.get_mut(&from).expect("a configured server").report = Some(*report);
    }

    /// Another follower of the own leader has just lost it.
    fn suspect_lost_leader(&mut self, from: ServerId, report: &Report) {
        let Mode::Follower(epoch) = report.mode else { return };
        let before = self.peers[&from].report.as_ref();
        let had = before.is_some_and(|before| before.leader_contact.is_some());
        if had
            && report.leader_contact.is_none()
            && self.live_leader() == Some((epoch.server, epoch))
        {
            self.suspect(epoch.server);
        }
    }

    /// Another database schema is no reason: a migration only adds, so that servers are upgraded one after
    /// another while all of them serve. What an older one could not read, the room above does not write.
    fn why_refused(&self, report: &Report) -> Option<String> {
        let settings = &self.settings;
        if report.config_hash != settings.config_hash {
            return Some("it has another list of servers, policy or timing".to_owned());
        }
        if report.log_format != LOG_FORMAT {
            return Some(format!("its log format is {}, ours is {LOG_FORMAT}", report.log_format));
        }
        match (self.log.lineage(), report.lineage) {
            (Some(own), Some(theirs)) if own != theirs => {
                Some("it belongs to another cluster's history; both keep their files".to_owned())
            }
            _ => None,
        }
    }

    /// What this server says of itself to that one.
    fn report(&self, to: ServerId) -> Report {
        Report {
            uuid: self.local.uuid,
            mode: self.mode(),
            serving: self.serving(),
            last: self.log.last(),
            view: self.log.newest_view().cloned(),
            known_committed: self.known_for(to),
            leader_contact: self.leader_contact(),
            oldest_work: self.oldest_work(),
            config_hash: self.settings.config_hash,
            schema_version: self.settings.schema_version,
            log_format: LOG_FORMAT,
            lineage: self.log.lineage(),
            belonged: self.local.belonged.is_some(),
            remembered: self.local.peers.get(&to).copied(),
        }
    }

    fn leader_contact(&self) -> Option<std::time::Duration> {
        let (leader, _) = self.live_leader()?;
        let contact = self.peers[&leader].contact()?;
        Some(self.now.0.saturating_sub(contact.0))
    }

    /// The serving leader of an epoch that is not below the promise, if there is live contact with it.
    pub(super) fn live_leader(&self) -> Option<(ServerId, Epoch)> {
        self.any_live_leader().filter(|(_, epoch)| *epoch >= self.local.promised)
    }

    /// The serving leader of the greatest epoch with which there is live contact.
    pub(super) fn any_live_leader(&self) -> Option<(ServerId, Epoch)> {
        let leads = self.peers.iter().filter_map(|(id, peer)| {
            let report = peer.report.as_ref()?;
            let Mode::Leader(epoch) = report.mode else { return None };
            let current = report.serving && peer.resigned.is_none_or(|resigned| resigned < epoch);
            (current && self.is_live(*id)).then_some((*id, epoch))
        });
        leads.max_by_key(|(_, epoch)| *epoch)
    }

    /// Whether that server can be asked for its promise now.
    pub(super) fn is_reachable_voter(&self, id: ServerId) -> bool {
        if id == self.me() {
            return true;
        }
        let report = self.peers.get(&id).and_then(|peer| peer.report.as_ref());
        let votes = |report: &Report| report.mode != Mode::Blank || self.everyone_is_reachable();
        self.is_live(id) && report.is_some_and(votes)
    }

    /// All configured servers are reachable and none serves. Then whatever any disk still holds is within
    /// reach, and blank servers may promise too (P20); the candidate must then win them all.
    pub(super) fn everyone_is_reachable(&self) -> bool {
        self.peers.iter().all(|(id, peer)| {
            self.is_live(*id) && peer.report.as_ref().is_some_and(|report| !report.serving)
        })
    }

    pub(super) fn is_majority_policy(&self) -> bool {
        self.settings.policy == Policy::Majority
    }

    pub(super) fn is_blank(&self) -> bool {
        self.standing == Standing::Blank
    }
}
