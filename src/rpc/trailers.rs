//! Every answer says in its trailers which epoch answered and how many servers hold what it says.

use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt as _;
use tonic::body::Body;

use crate::node::NodeHandle;

/// The trailer with the epoch, as `number.server`.
const EPOCH: &str = "chinwag-epoch";
/// The trailer with the number of servers that hold every acknowledged update.
const COPIES: &str = "chinwag-copies";

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
    let values = [(EPOCH, standing.epoch.to_string()), (COPIES, standing.copies.to_string())];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            trailers.insert(name, value);
        }
    }
}
