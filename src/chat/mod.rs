//! What users can do, as data. Pure.
//!
//! It promises that a value of one of these types is well formed: names, bodies and ids are parsed
//! once, at the door, and never checked again. Every write is an [`Update`] that already holds what
//! applying must not draw itself (time, ids, salted hashes), so that every server makes the same rows
//! of it. Every answer is an [`Outcome`], a [`Refusal`] or a view from one viewer's side.
//!
//! It knows no clock, no chance, no database and no wire, and nothing of the replication: the log
//! carries an update as opaque bytes.

mod change;
mod command;
mod fingerprint;
mod id;
mod malformed;
mod merge;
mod name;
mod outcome;
mod text;
mod view;

pub use change::{Change, ChangeKind, Happening, Place, Posted};
pub use command::{
    Call, Command, CreateAccount, Expire, Login, Proof, RequestKey, SendMessage, TokenHash, Update,
};
pub use fingerprint::Fingerprint;
pub use id::{AccountId, MessageId, MessageSeq, RequestId, SessionId, Timestamp};
pub use malformed::Malformed;
pub use merge::{
    LostEpoch, Merge, MergeStep, MergedAccount, MergedConversation, MergedMessage, MergedOutcome,
    MergedRead, MergedRequest, MergedSession, RequestScope,
};
pub use name::{AccountName, ConversationName, RoomName, Username};
pub use outcome::{Outcome, Refusal};
pub use text::{Body, DeviceName, Glob, Password};
pub use view::{Account, Conversation, Message, Session};

/// How many ids a call may name.
pub const MAX_IDS: usize = 500;
