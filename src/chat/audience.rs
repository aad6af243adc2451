//! Who is told of a change. A room may have a thousand members and a message every moment, so one list
//! is shared by all changes of a room, and whether an account is on it is a search by halves.

use std::sync::Arc;

use super::id::AccountId;

/// The accounts that are told; cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audience(Arc<[AccountId]>);

impl Audience {
    /// Whether this account is told.
    pub fn contains(&self, account: AccountId) -> bool {
        self.0.binary_search(&account).is_ok()
    }

    /// All of them, in the order of their ids, each once.
    pub fn accounts(&self) -> &[AccountId] {
        &self.0
    }

    /// The same with one more.
    pub fn with(&self, account: AccountId) -> Audience {
        match self.0.binary_search(&account) {
            Ok(_) => self.clone(),
            Err(place) => {
                let (before, after) = self.0.split_at(place);
                Audience([before, &[account], after].concat().into())
            }
        }
    }

    /// The same with one less.
    pub fn without(&self, account: AccountId) -> Audience {
        match self.0.binary_search(&account) {
            Ok(place) => Audience([&self.0[..place], &self.0[place + 1..]].concat().into()),
            Err(_) => self.clone(),
        }
    }
}

impl From<Vec<AccountId>> for Audience {
    fn from(mut accounts: Vec<AccountId>) -> Audience {
        accounts.sort_unstable();
        accounts.dedup();
        Audience(accounts.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u8) -> AccountId {
        AccountId([id; 16])
    }

    #[test]
    fn an_audience_finds_its_accounts_in_whatever_order_they_came() {
        let audience = Audience::from(vec![account(3), account(1), account(3)]);
        assert_eq!(audience.accounts(), [account(1), account(3)]);
        assert!(audience.contains(account(3)) && !audience.contains(account(2)));
        let more = audience.with(account(2)).with(account(2)).with(account(9));
        assert_eq!(more.accounts(), [account(1), account(2), account(3), account(9)]);
        assert!(more.contains(account(2)) && more.contains(account(9)));
        let less = more.without(account(1)).without(account(1)).without(account(9));
        assert_eq!(less.accounts(), [account(2), account(3)]);
    }
}
