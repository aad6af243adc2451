//! Who leads when: server ids, epochs, and the lives of a server.

use std::{cmp::Ordering, fmt};

/// A configured server. Lower ids are preferred as leaders.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServerId(pub u32);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One attempt to lead. The greater number is greater; on a tie the *smaller* server id is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Epoch {
    /// Greater is later.
    pub number: u64,
    /// Who attempts.
    pub server: ServerId,
}

impl Epoch {
    /// Less than every epoch that anybody can open.
    pub const ZERO: Epoch = Epoch { number: 0, server: ServerId(u32::MAX) };
}

impl Ord for Epoch {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number).then_with(|| other.server.cmp(&self.server))
    }
}

impl PartialOrd for Epoch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.server)
    }
}

/// One life of a server. It changes with every start and with every consented eviction, own pause,
/// stall or shutdown; what is addressed to another life is dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Incarnation {
    /// How often the server was started; durable before anything is sent.
    pub starts: u64,
    /// How often it gave up its standing since then.
    pub bumps: u64,
    /// Drawn by the driver at the start, so that two processes under one id are told apart.
    pub random: u64,
}

impl Incarnation {
    /// Whether this life began after `other` of the same server (the random part does not count).
    pub fn is_newer_than(&self, other: &Incarnation) -> bool {
        (self.starts, self.bumps) > (other.starts, other.bumps)
    }
}
