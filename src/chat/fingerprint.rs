//! The fingerprint of a call: what tells a repeat from another call under the same request id.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::command::{Call, Command};

/// The SHA-256 over a caller's fields. No password, token or hash of one goes in. Two are equal when their
/// first bytes are: it tells a caller's mistake, not an attack, and the store keeps no more.
#[derive(Clone, Copy)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// What is stored and compared.
    pub fn kept(&self) -> &[u8] {
        &self.0[..8]
    }

    /// What was stored; the rest is zero.
    pub fn of_kept(kept: &[u8]) -> Option<Fingerprint> {
        let mut all = [0; 32];
        all[..8].copy_from_slice(kept.get(..8)?);
        Some(Fingerprint(all))
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Fingerprint) -> bool {
        self.kept() == other.kept()
    }
}

impl Eq for Fingerprint {}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}{:02x}", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

impl Command {
    /// The fingerprint of the fields that the caller gave, drawn ids and hashes aside; the server's own
    /// commands have none.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let call = self.call()?;
        let fields = Fields::of(call);
        let fields = match self {
            Command::CreateAccount(create) => fields.with(create.username.as_str()),
            Command::Login(login) => {
                fields.with(login.username.as_str()).with(login.device_name.as_str())
            }
            Command::Logout
            | Command::ChangePassword(_)
            | Command::DeleteAccount(_)
            | Command::TouchSession(_)
            | Command::Expire(_)
            | Command::ResetPassword(_)
            | Command::SetDisabled { .. }
            | Command::EndSessions(_)
            | Command::Mark(_)
            | Command::Merge(_) => fields,
            Command::EndSession(session) => fields.with(session.0),
            Command::SendMessage(send) => fields
                .with(send.conversation.to_string())
                .with(send.body.as_str())
                .with(send.reply_to.map(|id| id.0.to_vec()).unwrap_or_default()),
            Command::DeleteMessages(ids) | Command::AcknowledgeMessages(ids) => {
                ids.iter().fold(fields, |fields, id| fields.with(id.0))
            }
            Command::MarkRead { conversation, seq } => {
                fields.with(conversation.to_string()).with(seq.to_be_bytes())
            }
            Command::EditMessage { message, body } => fields.with(message.0).with(body.as_str()),
            Command::CreateRoom(create) => fields
                .with(create.room.as_str())
                .with(create.topic.as_str())
                .with([u8::from(create.private)]),
            Command::JoinRoom(room) | Command::LeaveRoom(room) | Command::DeleteRoom(room) => {
                fields.with(room.as_str())
            }
            Command::AddMember { room, username }
            | Command::RemoveMember { room, username }
            | Command::TransferRoom { room, username } => {
                fields.with(room.as_str()).with(username.as_str())
            }
            Command::UpdateRoom(update) => fields
                .with(update.room.as_str())
                .with(update.topic.as_ref().map_or(String::new(), |t| format!("={}", t.as_str())))
                .with(update.private.map_or([2], |private| [u8::from(private)])),
        };
        Some(fields.finish())
    }
}

/// Fields with their lengths, so that no two lists of fields read the same.
struct Fields(Sha256);

impl Fields {
    fn of(call: Call) -> Fields {
        let mut hasher = Sha256::new();
        hasher.update([call as u8]);
        Fields(hasher)
    }

    fn with(mut self, field: impl AsRef<[u8]>) -> Fields {
        let field = field.as_ref();
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
        self
    }

    fn finish(self) -> Fingerprint {
        Fingerprint(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{
        AccountId, Body, ConversationName, CreateAccount, MessageId, RoomName, SendMessage,
        SessionId, TokenHash, Topic, UpdateRoom, Username,
    };

    fn send(to: &str, body: &str) -> Command {
        Command::SendMessage(SendMessage {
            conversation: ConversationName::parse(to).unwrap(),
            body: Body::parse(body).unwrap(),
            reply_to: None,
        })
    }

    fn create(salt: u8) -> Command {
        Command::CreateAccount(CreateAccount {
            username: Username::parse("alice").unwrap(),
            password_hash: format!("hash with salt {salt}"),
            account: AccountId([salt; 16]),
            session: SessionId([salt; 16]),
            token: TokenHash([salt; 32]),
            proof: None,
        })
    }

    #[test]
    fn what_the_server_draws_does_not_count() {
        assert_eq!(create(1).fingerprint(), create(2).fingerprint());
    }

    #[test]
    fn every_field_of_the_caller_counts() {
        let base = send("@bob", "hi").fingerprint();
        assert_eq!(base, send("@BOB", "hi").fingerprint());
        assert_ne!(base, send("@bob", "ho").fingerprint());
        assert_ne!(base, send("@bo", "bhi").fingerprint());
        let one = Command::DeleteMessages(vec![MessageId([1; 16])]);
        let other = Command::AcknowledgeMessages(vec![MessageId([1; 16])]);
        assert_ne!(one.fingerprint(), other.fingerprint());
        let update = |topic: Option<&str>, private| {
            let room = RoomName::parse("room").unwrap();
            let topic = topic.map(|topic| Topic::parse(topic).unwrap());
            Command::UpdateRoom(UpdateRoom { room, topic, private }).fingerprint()
        };
        let all = [update(None, None), update(Some(""), None), update(None, Some(false))];
        assert!(all[0] != all[1] && all[0] != all[2], "what is absent is not what is empty");
    }
}
