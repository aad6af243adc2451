//! What a server does, in one word.

use crate::{cluster::Mode, metrics::ROLES};

/// What a server does in its cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Serves clients.
    Leader,
    /// In sync: holds everything that was acknowledged.
    Follower,
    /// Asks to lead, or is about to serve.
    Electing,
    /// Copies what it lacks from the leader.
    Joining,
    /// Holds no data, and nobody leads.
    Blank,
    /// Holds data, may lack something, and nobody leads.
    Recovering,
    /// Brings what it alone has stored to the leader.
    Reconciling,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; ROLES] = [
        Role::Leader,
        Role::Follower,
        Role::Electing,
        Role::Joining,
        Role::Blank,
        Role::Recovering,
        Role::Reconciling,
    ];

    /// What a server does, in a cluster that is led or not.
    pub fn of(mode: Mode, serving: bool, led: bool) -> Role {
        match mode {
            Mode::Blank | Mode::Recovering if led => Role::Joining,
            Mode::Leader(_) if serving => Role::Leader,
            Mode::Leader(_) | Mode::Candidate(_) => Role::Electing,
            Mode::Follower(_) => Role::Follower,
            Mode::Blank => Role::Blank,
            Mode::Recovering => Role::Recovering,
            Mode::Reconciling => Role::Reconciling,
        }
    }

    /// The word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Electing => "electing",
            Role::Joining => "joining",
            Role::Blank => "blank",
            Role::Recovering => "recovering",
            Role::Reconciling => "reconciling",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Epoch;

    #[test]
    fn whoever_is_not_in_sync_joins_where_somebody_leads_and_waits_where_nobody_does() {
        for mode in [Mode::Blank, Mode::Recovering] {
            assert_eq!(Role::of(mode, false, true), Role::Joining);
        }
        assert_eq!(Role::of(Mode::Blank, false, false), Role::Blank);
        assert_eq!(Role::of(Mode::Recovering, false, false), Role::Recovering);
        assert_eq!(Role::of(Mode::Follower(Epoch::ZERO), false, true), Role::Follower);
    }

    #[test]
    fn a_leader_leads_once_it_serves() {
        assert_eq!(Role::of(Mode::Leader(Epoch::ZERO), true, true), Role::Leader);
        assert_eq!(Role::of(Mode::Leader(Epoch::ZERO), false, false), Role::Electing);
    }

    #[test]
    fn every_role_stands_at_its_own_place() {
        for (place, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role as usize, place);
        }
    }
}
