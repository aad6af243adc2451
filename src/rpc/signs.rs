//! Signs that are not stored: who is typing, and who is there.
//!
//! They live in the leader's memory alone, bounded: a fail-over forgets them, and those who are there say
//! so again. A stream that was resumed therefore tells at once who is there, and only when everybody had
//! the time to say so who is not.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    chat::{AccountId, ConversationName, SessionId, Signal},
    node::NodeHandle,
};

/// A session that said nothing for so long is not there any more.
pub(super) const LEASE: Duration = Duration::from_secs(45);
/// How often it is looked at; with the lease this stays below a minute.
const LOOK: Duration = Duration::from_secs(5);
/// So many sessions may be there.
const SESSIONS: usize = 16_384;
/// So many of one account are kept, the newest ones.
const SESSIONS_OF_ONE: usize = 16;
/// Somebody who types says so at every key; it is passed on no more often than this.
const TYPING: Duration = Duration::from_secs(1);
/// So many who type are remembered.
const TYPISTS: usize = 4_096;

/// Who is there, and who said lately that they type; clones share it.
#[derive(Clone, Default)]
pub(super) struct Signs(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    here: Here,
    typing: HashMap<(AccountId, ConversationName), Instant>,
}

/// Who is there, and until when: pure, the time is an argument.
#[derive(Default)]
struct Here {
    sessions: usize,
    by_account: BTreeMap<AccountId, BTreeMap<SessionId, Instant>>,
}

/// As many are there as are remembered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Signs {
    /// A session says that it is there, or is no longer. Returns whether that changes its account's state.
    pub(super) fn say(
        &self,
        account: AccountId,
        session: SessionId,
        online: bool,
    ) -> Result<bool, Full> {
        let here = &mut self.lock().here;
        if online {
            here.come(account, session, Instant::now() + LEASE)
        } else {
            Ok(here.go(account, session))
        }
    }

    /// Whether somebody who types there is to be passed on now.
    pub(super) fn types(&self, account: AccountId, conversation: &ConversationName) -> bool {
        let known = self.lock();
        let last = known.typing.get(&(account, conversation.clone()));
        last.is_none_or(|last| last.elapsed() >= TYPING)
    }

    /// Remembers that it was passed on.
    pub(super) fn typed(&self, account: AccountId, conversation: ConversationName) {
        let typing = &mut self.lock().typing;
        if typing.len() >= TYPISTS {
            typing.retain(|_, last| last.elapsed() < TYPING);
            if typing.len() >= TYPISTS {
                typing.clear();
            }
        }
        typing.insert((account, conversation), Instant::now());
    }

    /// Who is there.
    pub(super) fn online(&self) -> BTreeSet<AccountId> {
        self.lock().here.by_account.keys().copied().collect()
    }

    /// Tells of an account's state, unless that is another one by now.
    pub(super) fn announce(
        &self,
        node: &NodeHandle,
        account: AccountId,
        online: bool,
        signal: Signal,
    ) {
        let known = self.lock();
        if known.here.by_account.contains_key(&account) == online {
            node.signal(signal);
        }
    }

    /// Tells who is not there any more, until the server stops.
    pub(super) async fn watch(self, node: NodeHandle, stop: CancellationToken) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(look.tick()).await.is_some() {
            if !node.standing().serving {
                self.lock().here = Here::default();
                continue;
            }
            let gone = self.lock().here.expire(Instant::now());
            for account in gone {
                if let Ok(Some(signal)) =
                    node.peek(move |reader| reader.presence(account, false)).await
                {
                    self.announce(&node, account, false, signal);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Here {
    /// Whether the account was not there before.
    fn come(
        &mut self,
        account: AccountId,
        session: SessionId,
        until: Instant,
    ) -> Result<bool, Full> {
        let known = self.by_account.get(&account).is_some_and(|all| all.contains_key(&session));
        if !known && self.sessions >= SESSIONS {
            return Err(Full);
        }
        let sessions = self.by_account.entry(account).or_default();
        let comes = sessions.is_empty();
        sessions.insert(session, until);
        self.sessions += usize::from(!known);
        if sessions.len() > SESSIONS_OF_ONE {
            let oldest = sessions.iter().min_by_key(|(_, until)| **until).map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                sessions.remove(&oldest);
                self.sessions -= 1;
            }
        }
        Ok(comes)
    }

    /// Whether the account was there before, and is not now.
    fn go(&mut self, account: AccountId, session: SessionId) -> bool {
        let Some(sessions) = self.by_account.get_mut(&account) else { return false };
        self.sessions -= usize::from(sessions.remove(&session).is_some());
        let gone = sessions.is_empty();
        if gone {
            self.by_account.remove(&account);
        }
        gone
    }

    /// Forgets sessions whose time is over; returns the accounts that have none left.
    fn expire(&mut self, now: Instant) -> Vec<AccountId> {
        let mut gone = Vec::new();
        let mut left = 0;
        self.by_account.retain(|account, sessions| {
            sessions.retain(|_, until| *until > now);
            left += sessions.len();
            if sessions.is_empty() {
                gone.push(*account);
            }
            !sessions.is_empty()
        });
        self.sessions = left;
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u8) -> AccountId {
        AccountId([id; 16])
    }

    fn session(id: u16) -> SessionId {
        SessionId((u128::from(id) << 64).to_be_bytes())
    }

    #[test]
    fn an_account_is_there_while_one_of_its_sessions_is() {
        let (mut here, now) = (Here::default(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(here.come(account(1), session(1), later(45)), Ok(true));
        assert_eq!(here.come(account(1), session(1), later(50)), Ok(false), "said again");
        assert_eq!(here.come(account(1), session(2), later(60)), Ok(false), "on another device");
        assert!(!here.go(account(1), session(2)), "the first is still there");
        assert!(!here.go(account(1), session(9)) && !here.go(account(7), session(1)));
        assert_eq!(here.expire(later(49)), []);
        assert_eq!(here.expire(later(50)), [account(1)]);
        assert_eq!((here.sessions, here.by_account.len()), (0, 0));
        assert_eq!(here.come(account(1), session(1), later(99)), Ok(true));
        assert!(here.go(account(1), session(1)), "it says so itself");
        assert!(LEASE + LOOK < Duration::from_secs(60));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut here, now) = (Here::default(), Instant::now());
        for id in 0..100 {
            here.come(account(1), session(id), now + Duration::from_secs(id.into())).expect("room");
        }
        assert_eq!((here.sessions, here.by_account[&account(1)].len()), (16, 16));
        assert!(here.by_account[&account(1)].contains_key(&session(99)), "the newest are kept");
        for id in 0..SESSIONS - 16 {
            let many = AccountId((id as u128).to_be_bytes());
            here.come(many, session(0), now + LEASE).expect("room");
        }
        assert_eq!(here.come(account(2), session(1), now + LEASE), Err(Full));
        assert_eq!(
            here.come(account(1), session(99), now + LEASE),
            Ok(false),
            "who is there stays"
        );
        let signs = Signs::default();
        let name = |id: usize| ConversationName::parse(&format!("#r{id}")).expect("a room");
        assert!(signs.types(account(1), &name(0)));
        for id in 0..2 * TYPISTS {
            signs.typed(account(1), name(id));
        }
        assert!(signs.lock().typing.len() <= TYPISTS);
        assert!(!signs.types(account(1), &name(2 * TYPISTS - 1)), "not at every key");
    }
}
