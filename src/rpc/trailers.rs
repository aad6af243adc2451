//! Every answer says in its trailers which epoch answered and how many servers hold what it says.

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::BodyExt as _;
use tonic::body::Body;

use crate::node::NodeHandle;

/// The trailer with the epoch, as `number.server`.
const EPOCH: HeaderName = HeaderName::from_static("chinwag-epoch");
/// The trailer with the number of servers that hold every acknowledged update.
const COPIES: HeaderName = HeaderName::from_static("chinwag-copies");

/// Adds the trailers to an answer, at the time when it is complete.
pub(super) fn add(response: Response<Body>, node: NodeHandle) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    // An answer without a body has its status, and so its trailers, in the head.
    if head.headers.contains_key("grpc-status") {
        write(&mut head.headers, &node);
        return Response::from_parts(head, body);
    }
    let body = body.map_frame(move |mut frame| {
        if let Some(trailers) = frame.trailers_mut() {
            write(trailers, &node);
        }
        frame
    });
    Response::from_parts(head, Body::new(body))
}

fn write(trailers: &mut HeaderMap, node: &NodeHandle) {
    let standing = node.standing();
    if let Ok(epoch) = HeaderValue::from_str(&standing.epoch.to_string()) {
        trailers.insert(EPOCH, epoch);
    }
    trailers.insert(COPIES, standing.copies.into());
}
