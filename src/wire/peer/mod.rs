//! Messages between servers, to and from their protobuf form.
//!
//! The core's messages are one-way; on the wire a question is an RPC's request and an answer one of its
//! responses. [`Question`] and the `*_response` functions hold that mapping, `parts` the small types.

mod answers;
mod parts;
mod questions;
#[cfg(test)]
mod tests;

pub use answers::{
    RegisterPart, SnapshotParts, accept_response, evict_response, fetch_response,
    heartbeat_response, message_of_accept, message_of_evict, message_of_fetch,
    message_of_heartbeat, message_of_prepare, message_of_register, prepare_response,
    register_response,
};
pub use parts::{epoch_of, epoch_to, hash_bytes, parse_hash, position_of, position_to};
pub use questions::Question;

use crate::{cluster::Message, wire::cluster as proto};

/// The envelope of a message in the named cluster.
pub fn envelope(message: &Message, cluster: &str) -> proto::Envelope {
    proto::Envelope {
        cluster: cluster.to_owned(),
        from: message.from.0,
        to: message.to.0,
        incarnation: Some(parts::incarnation_to(&message.incarnation)),
        receiver: message.receiver.as_ref().map(parts::incarnation_to),
        nonce: message.nonce,
        promised: Some(parts::epoch_to(message.promised)),
    }
}
