//! What a test compares.

use chinwag::wire::chat::Message;

/// The bodies, in order.
pub(crate) fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}
