//! The driver: where the protocol meets the disk, the network and the clients.
//!
//! **Promises.** Effects of the core are carried out in their order; what must be durable before it is
//! sent is ([`crate::cluster::Effect`] says which). A client's update is answered once, with its outcome
//! after the commit, or with an error that says whether the outcome is unknown. Subscribers hear of
//! committed changes only. A sign of life is answered by the loop itself, never behind disk work.
//!
//! **May not** know gRPC's status codes or the meaning of an update, and holds no lock across a wait.
//!
//! **Why this way.** [`Desk`] holds every decision as synchronous code over the core: which waiter belongs
//! to which entry, what is refused, what is published. `driver` is the thin shell around it: the only
//! loop, the only clock. A simulator can run the desk without the shell. The one thing the loop waits for
//! is the local store's promise (a sync of a tiny database, at changes of view only): nothing that comes
//! after may overtake it, and a server that changes its view has nothing better to do.

mod backup;
mod clock;
mod desk;
mod disk;
mod driver;
mod effects;
mod handle;
mod hub;
mod parts;
mod points;
mod reconcile;
mod role;
mod sessions;
#[cfg(test)]
mod tests;
mod transfer;

pub use backup::{Pieces, SoundSnapshot};
pub use clock::boot_clock;
pub use desk::{Action, Desk, Executed, Input, Refused};
pub use driver::{Running, start};
pub use handle::{NodeHandle, Standing, Underway};
pub use hub::{Changes, Ended, Hub, News, Subscription};
pub use parts::{LinkSettings, Parts};
pub use role::Role;
pub use sessions::{Moment, Sessions, TokenOwner};
