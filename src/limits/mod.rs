//! How much of this server one caller may take: connections, calls, guesses.
//!
//! **Promises.** Whatever strangers do, a number bounds it: connections in all and from one address
//! ([`Places`]), how long one may be idle and how often ping ([`Guarded`]), calls a second ([`Buckets`]), calls under way
//! ([`UnderWay`]), wrong passwords ([`Guesses`]). What is kept about callers is bounded too: when a memory is
//! full, somebody is forgotten, and forgetting is always to the caller's advantage.
//!
//! **May not** know what a call means or what it is answered: `rpc` asks here and finds the words. Nothing
//! here is replicated or written down; a new leader begins with a clean slate.
//!
//! **Why this way.** A bucket is one point in time for each caller (the "generic cell rate algorithm" of
//! ATM networks): so little arithmetic that a crate for it would bring more code than it saves, and this
//! one takes the time as an argument, gives back what was charged too early, and has a bound. All of
//! it is plain code under a mutex that is held for less than a microsecond.

mod buckets;
mod familiar;
mod frames;
mod guarded;
mod guesses;
mod origin;
mod places;
mod under_way;

pub use self::{
    buckets::Buckets,
    familiar::Familiar,
    guarded::{Guarded, Held, Introduction, Patience},
    guesses::{Guess, Guesses},
    origin::{Caller, Origin},
    places::{Full, Place, Places},
    under_way::{Share, UnderWay},
};
