//! Names of accounts, rooms and conversations. Case is folded here, once.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{
    id::{AccountId, RoomId},
    malformed::Malformed,
};

const NAME: Malformed = Malformed::must_be(
    "1 to 32 of the characters a-z 0-9 _ . - and start with a letter or a digit",
);
const CONVERSATION: Malformed =
    Malformed::must_be("@ and a username, # and a room, or @~ and a deleted account's id");

const MAX_NAME: usize = 32;
/// A merge makes `name~xyz` of a name that both histories gave away.
const MAX_MERGED_NAME: usize = 36;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Box<str>);

        impl $name {
            /// Reads a name that may exist already, one that a merge made included; folds its case.
            pub fn parse(text: &str) -> Result<$name, Malformed> {
                fold(text, true).map($name)
            }

            /// Reads a name that somebody wants to have; folds its case.
            pub fn parse_new(text: &str) -> Result<$name, Malformed> {
                fold(text, false).map($name)
            }

            /// The folded name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// An account's name, folded.
    Username
}
name! {
    /// A room's name, folded, without its `#`.
    RoomName
}

impl Username {
    /// The name of an account whose own one belongs to another account since two histories were merged:
    /// `name~xyz`, drawn from the account's id. The next attempt is for when that is taken as well.
    pub fn marked(&self, account: AccountId, attempt: u32) -> Username {
        Username(marked(&self.0, account.0, attempt))
    }
}

impl RoomName {
    /// The same for a room whose name another room has, drawn from its id.
    pub fn marked(&self, room: RoomId, attempt: u32) -> RoomName {
        RoomName(marked(&self.0, room.0, attempt))
    }
}

fn marked(name: &str, id: [u8; 16], attempt: u32) -> Box<str> {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut hasher = Sha256::new();
    hasher.update(id);
    hasher.update(attempt.to_be_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    let own = name.split_once('~').map_or(name, |(own, _)| own);
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    let mark: String = digest.iter().take(3).map(letter).collect();
    format!("{own}~{mark}").into()
}

/// How an account is called: by its name, or, once it is deleted, by its id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AccountName {
    /// It lives.
    Named(Username),
    /// It is deleted; shown as `~` and the id.
    Deleted(AccountId),
}

impl AccountName {
    /// Reads `bob` or `~` and 32 hex digits.
    pub fn parse(text: &str) -> Result<AccountName, Malformed> {
        match text.strip_prefix('~') {
            Some(id) => AccountId::parse(id).map(AccountName::Deleted),
            None => Username::parse(text).map(AccountName::Named),
        }
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccountName::Named(name) => name.fmt(f),
            AccountName::Deleted(id) => write!(f, "~{id}"),
        }
    }
}

/// A conversation from the viewer's side: `@bob`, `@~<account id>` or `#general`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConversationName {
    /// The direct conversation with this account.
    Direct(AccountName),
    /// A room.
    Room(RoomName),
}

impl ConversationName {
    /// Reads an address; folds its case.
    pub fn parse(text: &str) -> Result<ConversationName, Malformed> {
        if let Some(account) = text.strip_prefix('@') {
            AccountName::parse(account).map(ConversationName::Direct).map_err(|_| CONVERSATION)
        } else if let Some(room) = text.strip_prefix('#') {
            RoomName::parse(room).map(ConversationName::Room).map_err(|_| CONVERSATION)
        } else {
            Err(CONVERSATION)
        }
    }
}

impl fmt::Display for ConversationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConversationName::Direct(account) => write!(f, "@{account}"),
            ConversationName::Room(room) => write!(f, "#{room}"),
        }
    }
}

fn fold(text: &str, merged: bool) -> Result<Box<str>, Malformed> {
    let limit = if merged { MAX_MERGED_NAME } else { MAX_NAME };
    if text.is_empty() || text.len() > limit {
        return Err(NAME);
    }
    let folded = text.to_ascii_lowercase();
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-');
    let (own, mark) = match folded.split_once('~') {
        Some((own, mark)) if merged => (own, Some(mark)),
        _ => (folded.as_str(), None),
    };
    let mark_is_good = mark.is_none_or(|mark| !mark.is_empty() && mark.chars().all(allowed));
    let starts_well = own.starts_with(|c: char| c.is_ascii_alphanumeric());
    if own.len() <= MAX_NAME && starts_well && own.chars().all(allowed) && mark_is_good {
        Ok(folded.into_boxed_str())
    } else {
        Err(NAME)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_is_folded() {
        assert_eq!(Username::parse_new("Bob.Smith-2_x").unwrap().as_str(), "bob.smith-2_x");
        assert_eq!(ConversationName::parse("@BOB").unwrap().to_string(), "@bob");
        assert_eq!(ConversationName::parse("#General").unwrap().to_string(), "#general");
    }

    #[test]
    fn bad_names_are_refused() {
        let long = "a".repeat(33);
        for text in
            ["", "-bob", ".bob", "_bob", "bo b", "bob\n", "\nbob", "bob\0", "böb", "@bob", &long]
        {
            assert!(Username::parse_new(text).is_err(), "{text:?}");
            assert!(RoomName::parse_new(text).is_err(), "{text:?}");
        }
        assert!(Username::parse_new(&"a".repeat(32)).is_ok());
        assert!(Username::parse_new(&"a".repeat(200_000)).is_err());
    }

    #[test]
    fn a_tilde_occurs_only_in_names_that_a_merge_made() {
        assert!(Username::parse_new("bob~a1z").is_err());
        assert!(Username::parse("bob~a1z").is_ok());
        assert!(Username::parse(&format!("{}~abc", "a".repeat(32))).is_ok());
        for text in ["bob~", "~abc", "bob~a~b", "bob~a b"] {
            assert!(Username::parse(text).is_err(), "{text:?}");
        }
        assert!(Username::parse(&"a".repeat(33)).is_err());
    }

    #[test]
    fn a_marked_name_is_one_that_a_merge_made_and_is_drawn_from_the_account() {
        let (one, other) = (AccountId([1; 16]), AccountId([2; 16]));
        let name = Username::parse_new(&"a".repeat(32)).unwrap();
        let marked = name.marked(one, 0);
        assert_eq!(Username::parse(marked.as_str()), Ok(marked.clone()));
        assert!(Username::parse_new(marked.as_str()).is_err());
        assert_eq!(name.marked(one, 0), marked);
        assert_ne!(name.marked(one, 1), marked);
        assert_ne!(name.marked(other, 0), marked);
        assert_eq!(marked.marked(other, 0), name.marked(other, 0), "no mark upon a mark");
    }

    #[test]
    fn a_deleted_accounts_conversation_is_named_by_its_id() {
        let id = AccountId([0xab; 16]);
        let name = ConversationName::Direct(AccountName::Deleted(id));
        assert_eq!(ConversationName::parse(&name.to_string()), Ok(name));
    }

    #[test]
    fn an_address_needs_its_sign() {
        for text in ["", "bob", "@", "#", "@@bob", "#@bob", "@~12", "! bob"] {
            assert!(ConversationName::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_name_parses_to_itself(text in "\\PC{0,40}") {
            if let Ok(name) = Username::parse(&text) {
                prop_assert_eq!(Username::parse(name.as_str()), Ok(name.clone()));
                prop_assert!(name.as_str().len() <= 36);
            }
            if let Ok(name) = ConversationName::parse(&text) {
                prop_assert_eq!(ConversationName::parse(&name.to_string()), Ok(name));
            }
        }
    }
}
