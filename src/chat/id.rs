//! The 128-bit ids that are sent, logged and stored, and the time that travels as data.

use std::fmt;

use uuid::Uuid;

use super::malformed::Malformed;

/// The place of a message in its conversation: dense, from 1.
pub type MessageSeq = i64;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// Reads 32 hex digits, or any other spelling of a UUID.
            pub fn parse(text: &str) -> Result<$name, Malformed> {
                parse_uuid(text).map($name)
            }

            /// Reads the stored and logged form; `None` unless it has 16 bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<$name> {
                bytes.try_into().ok().map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(Uuid::from_bytes(self.0).as_simple(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id! {
    /// Names an account for ever; its username may change or go.
    AccountId
}
id! {
    /// Names a session; it is no secret, its token is.
    SessionId
}
id! {
    /// Names a room for ever; its name may change or go to another room.
    RoomId
}
id! {
    /// Names a message for ever: the epoch and the log position that created it, so it is never reused.
    MessageId
}
id! {
    /// A caller's idempotency key: a UUID that is kept until the call has an answer.
    RequestId
}

id! {
    /// Names a mark in the log.
    MarkId
}

impl MessageId {
    /// The id of the message that the entry at `log_seq`, written in this epoch, creates.
    ///
    /// # Panics
    /// When the epoch does not fit: that many elections do not happen.
    pub fn natural(epoch_number: u64, epoch_server: u32, log_seq: u64) -> MessageId {
        assert!(epoch_number < 1 << 48, "epoch {epoch_number} does not fit a message id");
        assert!(epoch_server < 1 << 16, "server {epoch_server} does not fit a message id");
        let high = epoch_number << 16 | u64::from(epoch_server);
        MessageId((u128::from(high) << 64 | u128::from(log_seq)).to_be_bytes())
    }

    /// The epoch that created the message: its number and its server.
    pub fn epoch(&self) -> (u64, u32) {
        let high = (u128::from_be_bytes(self.0) >> 64) as u64;
        (high >> 16, u32::from(high as u16))
    }

    /// The log position that created the message.
    pub fn log_seq(&self) -> u64 {
        u128::from_be_bytes(self.0) as u64
    }
}

fn parse_uuid(text: &str) -> Result<[u8; 16], Malformed> {
    Uuid::try_parse(text)
        .map(Uuid::into_bytes)
        .map_err(|_| Malformed::must_be("a UUID or 32 hexadecimal digits"))
}

/// Microseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_any_spelling_of_a_uuid_and_shown_in_one() {
        let spellings = [
            "0192f0a1b2c37d4e8f90a1b2c3d4e5f6",
            "0192F0A1-B2C3-7D4E-8F90-A1B2C3D4E5F6",
            "{0192f0a1-b2c3-7d4e-8f90-a1b2c3d4e5f6}",
            "urn:uuid:0192f0a1-b2c3-7d4e-8f90-a1b2c3d4e5f6",
        ];
        for spelling in spellings {
            let id = RequestId::parse(spelling).unwrap();
            assert_eq!(id.to_string(), spellings[0], "{spelling}");
        }
    }

    #[test]
    fn what_is_no_uuid_is_no_id() {
        for text in ["", "1", "0192f0a1b2c37d4e8f90a1b2c3d4e5f", "zz92f0a1b2c37d4e8f90a1b2c3d4e5f6"]
        {
            assert!(MessageId::parse(text).is_err(), "{text}");
        }
        assert!(SessionId::from_slice(&[1; 15]).is_none());
    }

    #[test]
    fn a_message_id_tells_its_log_position_and_differs_by_epoch() {
        let id = MessageId::natural(7, 3, 123_456);
        assert_eq!(id.log_seq(), 123_456);
        assert_eq!(id.epoch(), (7, 3));
        assert_ne!(id, MessageId::natural(7, 2, 123_456));
        assert_ne!(id, MessageId::natural(8, 3, 123_456));
        assert_eq!(id.to_string(), "0000000000070003000000000001e240");
    }
}
