//! Which server to ask: what all calls of a client have learned together.
//!
//! Pure: time is an argument. A server that answered nothing is *suspect* for a while: a frozen leader
//! is still named by the others until they notice, and following that hint would cost a whole timeout
//! again.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::failure::Failure;

/// A server in [`Route`]'s list.
pub type ServerIndex = usize;

/// How long a silent server is passed over.
const SUSPICION: Duration = Duration::from_secs(2);
/// An outage is told to people when it has lasted so long; shorter ones are told afterwards.
pub(super) const TELL_AFTER: Duration = Duration::from_millis(300);
/// Hints may add servers to the list, but not without end.
const MOST_SERVERS: usize = 64;

/// Something about the cluster that people want to know while they wait or work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Nobody answers as the leader; the calls under way go on trying.
    Waiting {
        /// What went wrong last.
        detail: String,
    },
    /// The leader's disk is full, so that it takes no writes; the calls under way go on trying.
    DiskFull {
        /// Where it is.
        address: String,
    },
    /// The leader's search index is behind; the searches under way go on trying.
    SearchNotReady,
    /// The leader is back where it was.
    Back {
        /// Where it is.
        address: String,
        /// How long nobody answered.
        outage: Duration,
    },
    /// Another server leads than before.
    Moved {
        /// Where it is.
        address: String,
        /// The IDs of the server that led before and of this one, if both are known.
        ids: Option<(i32, i32)>,
        /// How long nobody answered.
        outage: Duration,
    },
    /// How many servers hold every acknowledged message has changed from or to one.
    Copies(u32),
}

/// The servers, and which one led last.
#[derive(Debug)]
pub struct Route {
    servers: Vec<Server>,
    preferred: ServerIndex,
    leader: Option<ServerIndex>,
    outage: Option<Outage>,
    copies: Option<u32>,
}

#[derive(Debug)]
struct Server {
    address: String,
    id: Option<i32>,
    suspect_until: Option<Instant>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    told: bool,
}

impl Route {
    /// Knows these servers; asks the first one first. There must be one.
    pub fn new(addresses: &[String]) -> Route {
        assert!(!addresses.is_empty(), "a client needs a server");
        let mut route =
            Route { servers: Vec::new(), preferred: 0, leader: None, outage: None, copies: None };
        for address in addresses {
            route.find_or_learn(address);
        }
        route
    }

    /// Where a server is.
    pub fn address(&self, server: ServerIndex) -> &str {
        &self.servers[server].address
    }

    /// Where all known servers are.
    pub fn addresses(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.address.clone()).collect()
    }

    /// How many servers are known.
    pub(super) fn count(&self) -> usize {
        self.servers.len()
    }

    /// Whether no server has served yet.
    pub(super) fn is_new(&self) -> bool {
        self.leader.is_none()
    }

    /// Asks this server first from now on.
    pub fn prefer(&mut self, address: &str) {
        if let Some(server) = self.find_or_learn(address) {
            self.preferred = server;
        }
    }

    /// The server that an address means; a new one is added while there is room.
    pub fn find_or_learn(&mut self, address: &str) -> Option<ServerIndex> {
        if let Some(known) = self.servers.iter().position(|server| server.address == address) {
            return Some(known);
        }
        if self.servers.len() >= MOST_SERVERS || !super::is_address(address) {
            return None;
        }
        self.servers.push(Server { address: address.into(), id: None, suspect_until: None });
        Some(self.servers.len() - 1)
    }

    /// The ID of the server at an address, if it is a known one.
    pub(super) fn learn_id(&mut self, address: &str, id: i32) {
        if let Some(server) = self.servers.iter_mut().find(|server| server.address == address) {
            server.id = Some(id);
        }
    }

    /// The server to ask next: the hinted one, else the preferred one, else the one after it, without
    /// those that were tried or are suspect. `None` when none is left.
    pub fn next(
        &self,
        hint: Option<ServerIndex>,
        tried: &BTreeSet<ServerIndex>,
        now: Instant,
    ) -> Option<ServerIndex> {
        let count = self.servers.len();
        let rotation = (0..count).map(|step| (self.preferred + step) % count);
        hint.into_iter()
            .chain(rotation)
            .find(|server| !tried.contains(server) && !self.is_suspect(*server, now))
    }

    /// The server to ask at the start of a round: as [`Route::next`], or the preferred one when all are
    /// suspect.
    pub fn first(&self, hint: Option<ServerIndex>, now: Instant) -> ServerIndex {
        self.next(hint, &BTreeSet::new(), now).unwrap_or(self.preferred)
    }

    fn is_suspect(&self, server: ServerIndex, now: Instant) -> bool {
        self.servers[server].suspect_until.is_some_and(|until| now < until)
    }

    /// A server did what only a leader does.
    pub fn served(&mut self, server: ServerIndex, now: Instant) -> Option<Notice> {
        self.servers[server].suspect_until = None;
        self.preferred = server;
        let before = self.leader.replace(server);
        let outage = self.outage.take();
        let lasted =
            outage.as_ref().map_or(Duration::ZERO, |o| now.saturating_duration_since(o.since));
        let address = self.address(server).to_owned();
        if let Some(before) = before.filter(|before| *before != server) {
            let ids = self.servers[before].id.zip(self.servers[server].id);
            return Some(Notice::Moved { address, ids, outage: lasted });
        }
        outage.filter(|o| o.told).map(|_| Notice::Back { address, outage: lasted })
    }

    /// A server did not do it.
    pub fn failed(
        &mut self,
        server: ServerIndex,
        failure: &Failure,
        now: Instant,
    ) -> Option<Notice> {
        if matches!(failure, Failure::Silent | Failure::NoAnswerToConnect(_)) {
            self.servers[server].suspect_until = Some(now + SUSPICION);
        }
        if self.preferred == server {
            self.preferred = (server + 1) % self.servers.len();
        }
        let outage = self.outage.get_or_insert(Outage { since: now, told: false });
        let overdue = now.saturating_duration_since(outage.since) >= TELL_AFTER;
        if outage.told || !overdue {
            return None;
        }
        outage.told = true;
        Some(Notice::Waiting { detail: failure.detail() })
    }

    /// A leader said how many servers hold what it acknowledges.
    pub fn copies(&mut self, copies: u32) -> Option<Notice> {
        let before = self.copies.replace(copies);
        let changed = copies == 1 && before != Some(1) || copies > 1 && before == Some(1);
        changed.then_some(Notice::Copies(copies))
    }
}
