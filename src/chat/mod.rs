//! What users can do, as data. Pure.
//!
//! It promises that a value of one of these types is well formed: names, bodies and ids are parsed
//! once, at the door, and never checked again. Every write is an [`Update`] that already holds what
//! applying must not draw itself (time, ids, salted hashes), so that every server makes the same rows
//! of it. Every answer is an [`Outcome`], a [`Refusal`] or a view from one viewer's side.
//!
//! It knows no clock, no chance, no database and no wire, and nothing of the replication: the log
//! carries an update as opaque bytes.

mod audience;
mod change;
mod command;
mod fingerprint;
mod id;
mod malformed;
mod mention;
mod merge;
mod name;
mod outcome;
mod search;
mod signal;
mod text;
mod view;

pub use audience::Audience;
pub use change::{Change, ChangeKind, Happening, Place, Posted, RoomState};
pub use command::{
    Call, ChangePassword, Command, CreateAccount, CreateRoom, Expire, Login, Proof, RequestKey,
    ResetPassword, SendMessage, TokenHash, Update, UpdateRoom,
};
pub use fingerprint::Fingerprint;
pub use id::{AccountId, MarkId, MessageId, MessageSeq, RequestId, RoomId, SessionId, Timestamp};
pub use malformed::Malformed;
pub use mention::{MAX_MENTIONS, mentionable};
pub use merge::{
    LostEpoch, Merge, MergeStep, MergedAccount, MergedConversation, MergedEdit, MergedMessage,
    MergedOutcome, MergedPassword, MergedRead, MergedRequest, MergedRoom, MergedSession,
    RequestScope, SeenEpoch,
};
pub use name::{AccountName, ConversationName, RoomName, Username};
pub use outcome::{Outcome, Refusal};
pub use search::{Phrase, SearchQuery, stands_alone, words};
pub use signal::{Signal, SignalKind};
pub use text::{Body, DeviceName, Glob, Password, Topic};
pub use view::{Account, AdministeredAccount, Conversation, Member, Message, Session};

/// How many ids a call may name.
pub const MAX_IDS: usize = 500;
