//! How a message's id is stored.
//!
//! That of a message which stands at its natural place is most of the row beside the body, and says what the
//! row's key says again: only its epoch is kept, without leading zeros. One that a merge moved is kept whole, and
//! whole ones were kept everywhere once.

use crate::chat::MessageId;

/// The upper half of an id.
const EPOCH_BYTES: usize = 8;

/// The whole id of the message in `m`, in hex, for whoever asks in SQL.
pub const IN_SQL: &str = "iif(length(m.message_id) > 8, hex(m.message_id),
    substr('0000000000000000' || hex(m.message_id), -16) || printf('%016X', m.id))";

/// What is stored for the message with this key.
pub(super) fn stored(id: &MessageId, key: i64) -> &[u8] {
    if id.log_seq() != key as u64 {
        return &id.0;
    }
    let (epoch, _) = id.0.split_at(EPOCH_BYTES);
    let zeros = epoch.iter().take_while(|byte| **byte == 0).count();
    &epoch[zeros..]
}

/// The id of the message with this key; `None` if that is none.
pub(super) fn read(stored: &[u8], key: i64) -> Option<MessageId> {
    if stored.len() > EPOCH_BYTES {
        return MessageId::from_slice(stored);
    }
    let mut id = [0; 16];
    id[EPOCH_BYTES - stored.len()..EPOCH_BYTES].copy_from_slice(stored);
    id[EPOCH_BYTES..].copy_from_slice(&key.to_be_bytes());
    Some(MessageId(id))
}
