//! Every answer says in its trailers which epoch answered and how many servers hold what it says.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::node::NodeHandle;

/// The trailer with the epoch, as `number.server`.
const EPOCH: HeaderName = HeaderName::from_static("chinwag-epoch");
/// The trailer with the number of servers that hold every acknowledged update.
const COPIES: HeaderName = HeaderName::from_static("chinwag-copies");

/// Adds the trailers, as they are now.
pub(super) fn write(trailers: &mut HeaderMap, node: &NodeHandle) {
    let standing = node.standing();
    if let Ok(epoch) = HeaderValue::from_str(&standing.epoch.to_string()) {
        trailers.insert(EPOCH, epoch);
    }
    trailers.insert(COPIES, standing.copies.into());
}
