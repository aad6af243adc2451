//! Every write as data. What applying must not draw itself (time, ids, hashes) is already inside.

use std::fmt;

use super::{
    fingerprint::Fingerprint,
    id::{AccountId, MarkId, MessageId, MessageSeq, RequestId, RoomId, SessionId, Timestamp},
    merge::Merge,
    name::{ConversationName, RoomName, Username},
    text::{Body, DeviceName, Topic},
};

/// One update of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// When the leader took it; the only clock that applying knows.
    pub time: Timestamp,
    /// The caller's key; `None` for the server's own commands.
    pub request: Option<RequestKey>,
    /// The acting session; `None` for calls that begin one and for the server's own commands.
    pub session: Option<SessionId>,
    /// What to do.
    pub command: Command,
}

/// What makes a repeat known as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestKey {
    /// Chosen by the caller, or by the server where the caller left it empty.
    pub id: RequestId,
    /// Of the caller's fields: [`Command::fingerprint`].
    pub fingerprint: Fingerprint,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Creates an account with its first session.
    CreateAccount(CreateAccount),
    /// Begins a session for a caller whose password was verified.
    Login(Login),
    /// Ends the acting session.
    Logout,
    /// Ends a session of the acting account, perhaps the acting one.
    EndSession(SessionId),
    /// Changes the password; the account's other sessions end.
    ChangePassword(ChangePassword),
    /// Ends the acting account. The proof is absent when the password was not proved: then only a
    /// repeat is possible.
    DeleteAccount(Option<Proof>),
    /// Sends a message.
    SendMessage(SendMessage),
    /// Deletes messages, all or none: the author's for everyone, a received direct one from the own view.
    DeleteMessages(Vec<MessageId>),
    /// Marks direct messages as received, all or none.
    AcknowledgeMessages(Vec<MessageId>),
    /// Moves the read marker forward, at most to the newest message.
    MarkRead {
        /// Which conversation, from the caller's side.
        conversation: ConversationName,
        /// Up to here.
        seq: MessageSeq,
    },
    /// Changes the body of an own message.
    EditMessage {
        /// Which.
        message: MessageId,
        /// What it says from now on.
        body: Body,
    },
    /// Creates a room, which the caller owns.
    CreateRoom(CreateRoom),
    /// Enters a public room.
    JoinRoom(RoomName),
    /// Leaves a room; its owner does not.
    LeaveRoom(RoomName),
    /// Adds an account: anyone to a public room, the owner to a private one.
    AddMember {
        /// To which room.
        room: RoomName,
        /// Whom.
        username: Username,
    },
    /// The owner removes an account.
    RemoveMember {
        /// From which room.
        room: RoomName,
        /// Whom.
        username: Username,
    },
    /// The owner changes the room.
    UpdateRoom(UpdateRoom),
    /// The owner hands the room to another member.
    TransferRoom {
        /// Which room.
        room: RoomName,
        /// To whom.
        username: Username,
    },
    /// The owner closes the room for everybody.
    DeleteRoom(RoomName),
    /// Notes that a session is in use; the server's own, at most once an hour a session.
    TouchSession(SessionId),
    /// Removes what is older than its time to live; the server's own.
    Expire(Expire),
    /// Gives an account another password, and ends its sessions; an operator's.
    ResetPassword(ResetPassword),
    /// Lets nobody log in to an account, or lets its user in again; an operator's.
    SetDisabled {
        /// Which.
        account: AccountId,
        /// Whether it is disabled from now on.
        disabled: bool,
    },
    /// Ends all sessions of an account; an operator's.
    EndSessions(AccountId),
    /// Does nothing; a place in the log that is known by this name; the server's own.
    Mark(MarkId),
    /// Takes over a part of a history that the common one lacks; the server's own. Never refused.
    Merge(Box<Merge>),
}

/// See [`Command::CreateAccount`].
#[derive(Clone, PartialEq, Eq)]
pub struct CreateAccount {
    /// The wanted name.
    pub username: Username,
    /// The Argon2id hash in PHC form; empty when only a repeat is possible (see `proof`).
    pub password_hash: String,
    /// The new account's id.
    pub account: AccountId,
    /// The new session's id.
    pub session: SessionId,
    /// The hash of the new session's token.
    pub token: TokenHash,
    /// When an account of this name exists and the password was proved to be its own.
    pub proof: Option<Proof>,
}

/// See [`Command::Login`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Login {
    /// The name as the caller gave it, folded.
    pub username: Username,
    /// What was proved.
    pub proof: Proof,
    /// The new session's id.
    pub session: SessionId,
    /// The hash of the new session's token.
    pub token: TokenHash,
    /// What the device calls itself.
    pub device_name: DeviceName,
}

/// See [`Command::ChangePassword`].
#[derive(Clone, PartialEq, Eq)]
pub struct ChangePassword {
    /// Of the old password; absent when it was not proved: then only a repeat is possible, as after
    /// the first of two equal calls.
    pub proof: Option<Proof>,
    /// The Argon2id hash of the new password in PHC form; empty without a proof.
    pub password_hash: String,
}

/// See [`Command::ResetPassword`].
#[derive(Clone, PartialEq, Eq)]
pub struct ResetPassword {
    /// Whose.
    pub account: AccountId,
    /// The Argon2id hash of the new password in PHC form.
    pub password_hash: String,
}

/// A password was verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// Whose.
    pub account: AccountId,
    /// Which of the account's passwords; a later one makes the proof worthless.
    pub password_version: i64,
}

/// See [`Command::SendMessage`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendMessage {
    /// Where to, from the caller's side.
    pub conversation: ConversationName,
    /// The text.
    pub body: Body,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
}

/// See [`Command::CreateRoom`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateRoom {
    /// The wanted name.
    pub room: RoomName,
    /// What it is about.
    pub topic: Topic,
    /// Whether it is by invitation only.
    pub private: bool,
    /// The new room's id.
    pub id: RoomId,
}

/// See [`Command::UpdateRoom`]; what is absent stays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpdateRoom {
    /// Which room.
    pub room: RoomName,
    /// The new topic.
    pub topic: Option<Topic>,
    /// Whether it is by invitation only.
    pub private: Option<bool>,
}

/// See [`Command::Expire`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expire {
    /// Outcomes of calls before this time go.
    pub requests_before: Timestamp,
    /// Archived bodies of messages deleted before this time go.
    pub deleted_before: Timestamp,
    /// Sessions that were used last before this time end.
    pub idle_before: Timestamp,
}

/// The SHA-256 of a session token (256 random bits, so a fast hash does).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// The password hash is not for logs.
impl fmt::Debug for CreateAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateAccount")
            .field("username", &self.username)
            .field("account", &self.account)
            .field("session", &self.session)
            .field("proof", &self.proof)
            .finish_non_exhaustive()
    }
}

/// The password hash is not for logs.
impl fmt::Debug for ChangePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangePassword").field("proof", &self.proof).finish_non_exhaustive()
    }
}

/// The password hash is not for logs.
impl fmt::Debug for ResetPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResetPassword").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Which call an update came from; a request id counts per call. The numbers are stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Call {
    /// `AccountService.CreateAccount`.
    CreateAccount = 1,
    /// `SessionService.Login`.
    Login = 2,
    /// `SessionService.Logout`.
    Logout = 3,
    /// `MessageService.SendMessage`, and its stream.
    SendMessage = 4,
    /// `MessageService.DeleteMessages`.
    DeleteMessages = 5,
    /// `MessageService.AcknowledgeMessages`.
    AcknowledgeMessages = 6,
    /// `ConversationService.MarkRead`.
    MarkRead = 7,
    /// `ConversationService.CreateRoom`.
    CreateRoom = 20,
    /// `ConversationService.JoinRoom`.
    JoinRoom = 21,
    /// `ConversationService.LeaveRoom`.
    LeaveRoom = 22,
    /// `ConversationService.AddMember`.
    AddMember = 23,
    /// `ConversationService.RemoveMember`.
    RemoveMember = 24,
    /// `ConversationService.UpdateRoom`.
    UpdateRoom = 25,
    /// `ConversationService.TransferRoom`.
    TransferRoom = 26,
    /// `ConversationService.DeleteRoom`.
    DeleteRoom = 27,
    /// `MessageService.EditMessage`.
    EditMessage = 28,
    /// `SessionService.EndSession`.
    EndSession = 29,
    /// `AccountService.ChangePassword`.
    ChangePassword = 30,
    /// `AccountService.DeleteAccount`.
    DeleteAccount = 31,
}

impl Call {
    /// Reads the stored number.
    pub fn from_number(number: i64) -> Option<Call> {
        const ALL: [Call; 19] = [
            Call::CreateAccount,
            Call::Login,
            Call::Logout,
            Call::SendMessage,
            Call::DeleteMessages,
            Call::AcknowledgeMessages,
            Call::MarkRead,
            Call::CreateRoom,
            Call::JoinRoom,
            Call::LeaveRoom,
            Call::AddMember,
            Call::RemoveMember,
            Call::UpdateRoom,
            Call::TransferRoom,
            Call::DeleteRoom,
            Call::EditMessage,
            Call::EndSession,
            Call::ChangePassword,
            Call::DeleteAccount,
        ];
        ALL.into_iter().find(|call| *call as i64 == number)
    }

    /// Whether it begins a session: its request ids are told apart by the name that it gave.
    pub fn begins_session(self) -> bool {
        matches!(self, Call::CreateAccount | Call::Login)
    }
}

impl Command {
    /// The call that it came from; `None` for the server's own commands.
    pub fn call(&self) -> Option<Call> {
        match self {
            Command::CreateAccount(_) => Some(Call::CreateAccount),
            Command::Login(_) => Some(Call::Login),
            Command::Logout => Some(Call::Logout),
            Command::EndSession(_) => Some(Call::EndSession),
            Command::ChangePassword(_) => Some(Call::ChangePassword),
            Command::DeleteAccount(_) => Some(Call::DeleteAccount),
            Command::SendMessage(_) => Some(Call::SendMessage),
            Command::DeleteMessages(_) => Some(Call::DeleteMessages),
            Command::AcknowledgeMessages(_) => Some(Call::AcknowledgeMessages),
            Command::MarkRead { .. } => Some(Call::MarkRead),
            Command::EditMessage { .. } => Some(Call::EditMessage),
            Command::CreateRoom(_) => Some(Call::CreateRoom),
            Command::JoinRoom(_) => Some(Call::JoinRoom),
            Command::LeaveRoom(_) => Some(Call::LeaveRoom),
            Command::AddMember { .. } => Some(Call::AddMember),
            Command::RemoveMember { .. } => Some(Call::RemoveMember),
            Command::UpdateRoom(_) => Some(Call::UpdateRoom),
            Command::TransferRoom { .. } => Some(Call::TransferRoom),
            Command::DeleteRoom(_) => Some(Call::DeleteRoom),
            Command::TouchSession(_)
            | Command::Expire(_)
            | Command::ResetPassword(_)
            | Command::SetDisabled { .. }
            | Command::EndSessions(_)
            | Command::Mark(_)
            | Command::Merge(_) => None,
        }
    }
}
