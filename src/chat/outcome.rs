//! What becomes of an update.

use thiserror::Error;

use super::{
    id::{MarkId, MessageSeq, SessionId},
    malformed::Malformed,
    view::{Account, Conversation, Message},
};

/// An update was carried out, now or when its request id was first seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The account exists and is logged in.
    AccountCreated {
        /// The account.
        account: Account,
        /// Its first session; the token whose hash came with this very update proves it.
        session: SessionId,
    },
    /// The session began.
    LoggedIn {
        /// The account.
        account: Account,
        /// The session; the token whose hash came with this very update proves it.
        session: SessionId,
    },
    /// The session ended.
    LoggedOut,
    /// The named session has ended.
    SessionEnded,
    /// The password is another one, and the account's other sessions have ended.
    PasswordChanged,
    /// The account is gone.
    AccountDeleted,
    /// The message has its new body; from the author's side.
    MessageEdited(Box<Message>),
    /// The room was created, entered or updated, and stands so; from the caller's side.
    RoomStands(Box<Conversation>),
    /// The room's members or its owner are as wanted, or it is gone.
    RoomChanged,
    /// The message stands in the conversation; from the sender's side.
    MessageSent(Box<Message>),
    /// All of them are deleted.
    MessagesDeleted,
    /// All of them are marked as received.
    MessagesAcknowledged,
    /// The read marker is here.
    ReadMoved {
        /// Never less than it was.
        read_seq: MessageSeq,
    },
    /// The use of the session is noted.
    SessionTouched,
    /// What was too old is gone.
    Expired {
        /// Whether as much went as one command removes, so that another should follow.
        more: bool,
    },
    /// The account is as an operator wanted it.
    Administered,
    /// The mark stands in the log.
    Marked(MarkId),
    /// What was new in it is taken over.
    Merged,
}

/// An update was not carried out, and changed nothing. The words are for people and say what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Refusal {
    /// `NAME_TAKEN`.
    #[error("this name is taken; choose another one")]
    NameTaken,
    /// `NO_SUCH_ACCOUNT`.
    #[error("there is no such account; check the name")]
    NoSuchAccount,
    /// `NO_SUCH_ROOM`.
    #[error("there is no such room, or it is private; check the name, or ask its owner to add you")]
    NoSuchRoom,
    /// `NO_SUCH_MESSAGE`.
    #[error("there is no such message; check its id")]
    NoSuchMessage,
    /// `NO_SUCH_SESSION`: the account has no session of this id.
    #[error("you have no such session; check its id in the list of sessions")]
    NoSuchSession,
    /// `NOT_ALLOWED`.
    #[error("this is for the author, the owner or members only")]
    NotAllowed,
    /// `NOT_ALLOWED`: the owner wants to leave, or to remove the own account.
    #[error("the owner stays; hand the room on first (TransferRoom), or close it (DeleteRoom)")]
    OwnerStays,
    /// `NOT_ALLOWED`: a room is handed to somebody who is not in it.
    #[error("this account is no member of the room; add it first")]
    NoMember,
    /// `NO_SESSION`.
    #[error("there is no such session, or it has ended; log in")]
    NoSession,
    /// `BAD_CREDENTIALS`; never stored.
    #[error("the username or the password is wrong")]
    BadCredentials,
    /// `ACCOUNT_DISABLED`: the password is right; never stored.
    #[error("this account is disabled; ask whoever runs the servers")]
    AccountDisabled,
    /// `REQUEST_ID_REUSED`.
    #[error("this request id was used for another call; choose a new one for every call")]
    RequestIdReused,
    /// A field is not what it may be; met at the door, never in the log.
    #[error("{field} {malformed}")]
    BadField {
        /// The field's name.
        field: &'static str,
        /// What is allowed.
        malformed: Malformed,
    },
    /// Never leaves the server, never stored: a CreateAccount repeats one that succeeded, and its
    /// update holds no proof of the password. Whoever submitted it verifies the password against the
    /// account that exists now and submits again with the proof; a password that was already found
    /// wrong is `BAD_CREDENTIALS`.
    #[error("the account exists by now; prove its password")]
    ProofNeeded,
}

impl Refusal {
    /// Under which number it is stored; `None` for those that are never kept.
    pub fn number(self) -> Option<i32> {
        match self {
            Refusal::NameTaken => Some(1),
            Refusal::NoSuchAccount => Some(2),
            Refusal::NoSuchRoom => Some(3),
            Refusal::NoSuchMessage => Some(4),
            Refusal::NotAllowed => Some(5),
            Refusal::OwnerStays => Some(20),
            Refusal::NoMember => Some(21),
            Refusal::NoSuchSession => Some(22),
            Refusal::NoSession
            | Refusal::BadCredentials
            | Refusal::AccountDisabled
            | Refusal::RequestIdReused
            | Refusal::BadField { .. }
            | Refusal::ProofNeeded => None,
        }
    }

    /// Reads the stored number.
    pub fn from_number(number: i32) -> Option<Refusal> {
        Some(match number {
            1 => Refusal::NameTaken,
            2 => Refusal::NoSuchAccount,
            3 => Refusal::NoSuchRoom,
            4 => Refusal::NoSuchMessage,
            5 => Refusal::NotAllowed,
            20 => Refusal::OwnerStays,
            21 => Refusal::NoMember,
            22 => Refusal::NoSuchSession,
            _ => return None,
        })
    }
}
