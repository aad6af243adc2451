//! Whose token is whose, in memory: what the hot path asks instead of the database.
//!
//! It is a hint: apply and every read look at the session itself. It changes by committed entries only,
//! and is empty after the lead was lost. A look-up in the store that began before an entry was committed
//! must not bring back what that entry took away, so whoever remembers says since when it has looked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::chat::{AccountId, Change, ChangeKind, SessionId, Timestamp, TokenHash};

/// More tokens than this, and all are forgotten: the store knows them still.
const LIMIT: usize = 16_384;

/// Whose token it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenOwner {
    /// The account.
    pub account: AccountId,
    /// The session.
    pub session: SessionId,
    /// When its use was last noted, or is being noted.
    pub last_used: Timestamp,
}

/// A point in time of the memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment(u64);

#[derive(Default)]
struct Known {
    forgotten: u64,
    by_token: HashMap<TokenHash, TokenOwner>,
}

/// The memory; clones share it.
#[derive(Clone, Default)]
pub struct Sessions {
    known: Arc<Mutex<Known>>,
}

impl Sessions {
    /// The token's owner, or since when to look.
    pub fn owner(&self, token: &TokenHash) -> Result<TokenOwner, Moment> {
        let known = self.lock();
        known.by_token.get(token).copied().ok_or(Moment(known.forgotten))
    }

    /// Remembers what was looked up, unless something was forgotten meanwhile.
    pub fn remember(&self, since: Moment, token: TokenHash, owner: TokenOwner) {
        let mut known = self.lock();
        if known.forgotten == since.0 {
            if known.by_token.len() >= LIMIT {
                known.by_token.clear();
            }
            known.by_token.insert(token, owner);
        }
    }

    /// The use of this token's session is being noted; nothing, if it is not remembered.
    pub fn note_use(&self, token: &TokenHash, at: Timestamp) {
        if let Some(owner) = self.lock().by_token.get_mut(token) {
            owner.last_used = at;
        }
    }

    /// Forgets the sessions that committed changes touched.
    pub fn learn(&self, changes: &[Change]) {
        for change in changes {
            if let ChangeKind::SessionChanged { session, .. } = &change.kind {
                let mut known = self.lock();
                known.forgotten += 1;
                known.by_token.retain(|_, owner| owner.session != *session);
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut known = self.lock();
        known.forgotten += 1;
        known.by_token.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: TokenHash = TokenHash([7; 32]);
    const OWNER: TokenOwner = TokenOwner {
        account: AccountId([1; 16]),
        session: SessionId([2; 16]),
        last_used: Timestamp(3),
    };

    fn changed() -> Change {
        let kind = ChangeKind::SessionChanged { session: OWNER.session, ended: true };
        Change { log_seq: 1, audience: vec![OWNER.account].into(), kind }
    }

    #[test]
    fn a_changed_session_is_forgotten() {
        let sessions = Sessions::default();
        let since = sessions.owner(&TOKEN).expect_err("nobody knows it yet");
        sessions.remember(since, TOKEN, OWNER);
        assert_eq!(sessions.owner(&TOKEN), Ok(OWNER));
        sessions.learn(&[changed()]);
        assert!(sessions.owner(&TOKEN).is_err());
    }

    #[test]
    fn the_use_of_a_known_session_is_noted() {
        let sessions = Sessions::default();
        sessions.note_use(&TOKEN, Timestamp(4));
        let since = sessions.owner(&TOKEN).expect_err("noting a use makes nobody known");
        sessions.remember(since, TOKEN, OWNER);
        sessions.note_use(&TOKEN, Timestamp(5));
        assert_eq!(sessions.owner(&TOKEN).map(|owner| owner.last_used), Ok(Timestamp(5)));
    }

    #[test]
    fn what_was_looked_up_before_a_change_is_not_remembered_after_it() {
        let sessions = Sessions::default();
        let since = sessions.owner(&TOKEN).expect_err("nobody knows it yet");
        sessions.learn(&[changed()]);
        sessions.remember(since, TOKEN, OWNER);
        assert!(sessions.owner(&TOKEN).is_err());
    }
}
