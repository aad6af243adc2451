//! What one side of a partition did after the last entry that both have, as data that the other side
//! takes over.
//!
//! Every step says what there is, not what to do: it may come twice, late, or from two servers that lost
//! the same history, and is taken over as far as it is new. Rows are named by their 128-bit ids alone,
//! for log positions mean something else on the other side.
//!
//! # Accounts and sessions
//!
//! - A session that ended on one side has ended.
//! - A password that only one side changed is the account's; changed on both, the one of the side that takes
//!   over counts. The sessions that a change ended have ended, also where its password lost. With a password
//!   that is new to the side that takes over, all sessions there end but the one that changed it; where the
//!   own change counts, those end that the other side began meanwhile.
//! - An account that one side disabled or enabled is so; where both did, the one that did more often counts. A
//!   disabled account has no live session on either.
//! - An account that was deleted on one side is deleted. What it sent on the other side stands in the
//!   others' histories under its deleted name, and so does what others sent to it in their own; its rooms
//!   of either side are handed on as by the deletion itself; it is let into no room any more.

use std::fmt;

use super::{
    command::{Call, RequestKey, TokenHash},
    id::{AccountId, MessageId, MessageSeq, RoomId, SessionId, Timestamp},
    name::{RoomName, Username},
    outcome::Refusal,
    text::{Body, DeviceName, Topic},
};

/// One step of a merge. Its update carries the time of the update that it stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merge {
    /// What there is.
    pub step: MergeStep,
    /// The call that made it so, for its repeats.
    pub request: Option<MergedRequest>,
}

/// What there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MergeStep {
    /// These epochs wrote entries after `common` that the common history lacks.
    Diverged {
        /// The last entry that both sides have.
        common: u64,
        /// Which epochs.
        epochs: Vec<LostEpoch>,
    },
    /// An account with its first session.
    Account(Box<MergedAccount>),
    /// A session, begun, used, renewed or ended.
    Session(MergedSession),
    /// A message as it is by now.
    Message(Box<MergedMessage>),
    /// Messages that this account deleted: its own for everyone, others' from its own view.
    Deleted {
        /// Whose doing.
        account: AccountId,
        /// Which.
        messages: Vec<MessageId>,
    },
    /// Messages that this account received.
    Received {
        /// The recipient.
        account: AccountId,
        /// Which.
        messages: Vec<MessageId>,
    },
    /// How far an account has read a conversation.
    Read(MergedRead),
    /// A room as its side has it, and whose membership changed.
    Room(Box<MergedRoom>),
    /// A message was edited.
    Edited(MergedEdit),
    /// A password as it is by now, and the change that came to it.
    Password(MergedPassword),
    /// An account is gone.
    AccountDeleted(AccountId),
    /// How often an account was disabled or enabled again, by now: after an odd number it is disabled.
    Disabled {
        /// Which.
        account: AccountId,
        /// How often.
        changes: i64,
    },
    /// All sessions of an account were ended.
    SessionsEnded {
        /// Whose.
        account: AccountId,
        /// Sessions that began up to this log position were there.
        known: u64,
    },
    /// Nothing but the call's outcome.
    Request,
}

/// An epoch that wrote what the common history lacks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LostEpoch {
    /// Its number.
    pub number: u64,
    /// The server that led in it.
    pub server: u32,
}

/// How much of a lost epoch one side had. Two sides may have lost the same epoch, one more of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeenEpoch {
    /// Which.
    pub epoch: LostEpoch,
    /// Its messages with ids up to this log position.
    pub until: u64,
}

/// See [`MergeStep::Account`].
#[derive(Clone, PartialEq, Eq)]
pub struct MergedAccount {
    /// Its id.
    pub account: AccountId,
    /// Its name on its own side.
    pub username: Username,
    /// The names that earlier merges took from it.
    pub old_names: Vec<Username>,
    /// The Argon2id hash in PHC form.
    pub password_hash: String,
    /// Which of its passwords it is.
    pub password_version: i64,
    /// When it was created.
    pub create_time: Timestamp,
    /// Whether it is gone.
    pub deleted: bool,
    /// How often it was disabled or enabled again.
    pub disabled_changes: i64,
    /// The session that its creation began, unless that ended long ago.
    pub session: Option<MergedSession>,
}

/// The password hash is not for logs.
impl fmt::Debug for MergedAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergedAccount")
            .field("account", &self.account)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// See [`MergeStep::Session`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergedSession {
    /// Its id.
    pub session: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// The hashes of the tokens that prove it.
    pub tokens: Vec<TokenHash>,
    /// The hashes of those that a renewal ended.
    pub ended_tokens: Vec<TokenHash>,
    /// What the device called itself.
    pub device_name: DeviceName,
    /// When it began.
    pub create_time: Timestamp,
    /// When it was last used.
    pub last_used: Timestamp,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// The last entry that both sides have,
    pub common: u64,
    /// and whether the session began before it: then whoever does not know it has removed it.
    pub began_before: bool,
}

/// See [`MergeStep::Password`].
#[derive(Clone, PartialEq, Eq)]
pub struct MergedPassword {
    /// Whose it is.
    pub account: AccountId,
    /// The Argon2id hash in PHC form.
    pub password_hash: String,
    /// Which of the account's passwords it is.
    pub password_version: i64,
    /// The session that changed it, which did not end; none if an operator did.
    pub spared: Option<SessionId>,
    /// Sessions that began up to this log position were there when it was changed,
    pub known: u64,
    /// and this is the last entry that both sides have.
    pub common: u64,
}

/// The password hash is not for logs.
impl fmt::Debug for MergedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergedPassword")
            .field("account", &self.account)
            .field("spared", &self.spared)
            .finish_non_exhaustive()
    }
}

/// A conversation that both sides know by the same name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MergedConversation {
    /// The direct one of these two, who may be the same.
    Direct(AccountId, AccountId),
    /// The room of this id.
    Room(RoomId),
}

/// See [`MergeStep::Room`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergedRoom {
    /// Its id.
    pub room: RoomId,
    /// Its name on its own side.
    pub name: RoomName,
    /// What it is about.
    pub topic: Topic,
    /// Whether it is by invitation only.
    pub private: bool,
    /// Who owns it.
    pub owner: AccountId,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it was closed.
    pub delete_time: Option<Timestamp>,
    /// Whether topic, privacy or owner changed on its side after the divergence.
    pub changed: bool,
    /// Who came or went, and whether that account is a member by now.
    pub membership: Option<(AccountId, bool)>,
    /// The last entry that both sides have.
    pub common: u64,
}

/// See [`MergeStep::Edited`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergedEdit {
    /// Which message.
    pub message: MessageId,
    /// What it says by now.
    pub body: Body,
    /// When it was edited last.
    pub time: Timestamp,
    /// The last entry that both sides have.
    pub common: u64,
}

/// See [`MergeStep::Message`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergedMessage {
    /// Its id, which stays.
    pub message: MessageId,
    /// Where it stands.
    pub conversation: MergedConversation,
    /// Its author.
    pub sender: AccountId,
    /// Its text, that of a deleted one included; `None` once that is purged.
    pub body: Option<Body>,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// When it was sent.
    pub create_time: Timestamp,
    /// When it was last edited.
    pub edit_time: Option<Timestamp>,
    /// When it reached a device of its recipient.
    pub received_time: Option<Timestamp>,
    /// Who deleted it, and when.
    pub deletion: Option<(AccountId, Timestamp)>,
}

/// See [`MergeStep::Read`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergedRead {
    /// Who reads.
    pub account: AccountId,
    /// What.
    pub conversation: MergedConversation,
    /// The last message that was read.
    pub message: MessageId,
    /// The reader's side has all messages up to this log position,
    pub common: u64,
    /// and those of these epochs, as far as it had them. Others were never before the reader's eyes.
    pub epochs: Vec<SeenEpoch>,
}

/// A call with its outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergedRequest {
    /// The caller's key.
    pub key: RequestKey,
    /// Which call.
    pub call: Call,
    /// Whose.
    pub scope: RequestScope,
    /// What became of it.
    pub outcome: MergedOutcome,
}

/// Whose request ids are told apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RequestScope {
    /// For calls that begin a session: the name that they gave.
    Username(Username),
    /// For all others: the acting account.
    Account(AccountId),
}

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MergedOutcome {
    /// It is done.
    Done,
    /// It began this session.
    Session(SessionId),
    /// It sent this message.
    Message(MessageId),
    /// It made this room so.
    Room(RoomId),
    /// It moved a read marker up to here.
    ReadSeq(MessageSeq),
    /// It was refused.
    Refused(Refusal),
}
