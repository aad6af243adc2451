//! What is told to those who are there, and never stored.

use super::{
    audience::Audience,
    change::{Happening, Place},
    id::AccountId,
    name::AccountName,
};

/// A sign of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signal {
    /// Who is told; never the account itself.
    pub audience: Audience,
    /// Whose.
    pub account: AccountName,
    /// Of what.
    pub kind: SignalKind,
}

/// What an account does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignalKind {
    /// It is typing here.
    Typing(Place),
    /// It is there, or no longer.
    Presence {
        /// Whether it is there.
        online: bool,
    },
}

impl Signal {
    /// What this viewer is told; `None` for whoever is not in the audience.
    pub fn seen_by(&self, viewer: AccountId) -> Option<Happening> {
        self.audience.contains(viewer).then(|| match &self.kind {
            SignalKind::Typing(place) => Happening::Typing {
                conversation: place.seen_by(viewer),
                account: self.account.clone(),
            },
            SignalKind::Presence { online } => {
                Happening::Presence { account: self.account.clone(), online: *online }
            }
        })
    }
}
