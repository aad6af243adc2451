//! The protocol: who leads, what is committed, who is in sync. Pure.
//!
//! [`Core`] is a function from an event and the time to effects. It knows no clock, no chance, no
//! socket and no disk; the log carries opaque bytes. Ordered maps only, so that a run repeats itself.

mod blank;
mod candidate;
mod core;
mod epoch;
mod event;
mod follower;
mod heartbeat;
mod leader;
mod log;
mod log_index;
mod memory;
mod message;
mod mutant;
mod peer;
mod random;
mod reads;
mod status;
mod step_down;
mod stream;
mod succession;
mod trim;
mod work;

pub use self::core::Core;
#[doc(hidden)]
pub use mutant::Mutant;

pub use epoch::{Epoch, Incarnation, ServerId};
pub use event::{
    Boot, Effect, Event, LocalState, OpId, Operation, PeerStatus, Policy, ReadId, SendLog,
    Settings, Status, Time, Timing, WaiterId,
};
pub use log::{Boundary, Entry, Hash, LogSummary, Payload, Position, RECENT, Seq, View};
pub use message::{Body, KnownCommitted, Message, Mode, PeerMemory, Rejection, Report, Updates};
