//! What surrounds every call: it is counted and timed, and its answer gets trailers.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::{RpcError, errors, trailers};
use crate::{
    metrics::{self, Method},
    node::NodeHandle,
    wire::DESCRIPTORS,
};

/// What becomes of the calls of every method that is served; nothing yet.
///
/// # Errors
/// The descriptors are damaged.
pub fn calls() -> Result<metrics::Calls, RpcError> {
    let mut methods = Vec::new();
    let others = [
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    for descriptors in [DESCRIPTORS].into_iter().chain(others) {
        for file in FileDescriptorSet::decode(descriptors)?.file {
            for service in &file.service {
                methods.extend(service.method.iter().map(|method| Method {
                    path: format!("/{}.{}/{}", file.package(), service.name(), method.name()),
                    is_unary: !method.client_streaming() && !method.server_streaming(),
                }));
            }
        }
    }
    // What an operator calls goes over a socket of its own, where nobody counts.
    methods.retain(|method| !method.path.starts_with("/chinwag.admin."));
    Ok(metrics::Calls::new(methods).with_reasons(errors::REASONS))
}

/// Puts [`Measured`] around the services.
#[derive(Clone)]
pub struct Measure(Arc<NodeHandle>);

impl Measure {
    pub(super) fn new(node: NodeHandle) -> Measure {
        Measure(Arc::new(node))
    }
}

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, node: self.0.clone() }
    }
}

/// The services, measured.
#[derive(Clone)]
pub struct Measured<S> {
    inner: S,
    node: Arc<NodeHandle>,
}

impl<S> Service<Request<Body>> for Measured<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = Call::begin(self.node.clone(), request.uri().path());
        let answering = self.inner.call(request);
        Box::pin(async move { Ok(call.answered(answering.await?)) })
    }
}

/// A call under way. One that is dropped was left by its caller.
struct Call {
    node: Arc<NodeHandle>,
    place: Option<usize>,
    begun: Instant,
    ended: bool,
}

impl Call {
    fn begin(node: Arc<NodeHandle>, path: &str) -> Call {
        let place = node.metrics().calls.place(path);
        Call { node, place, begun: Instant::now(), ended: false }
    }

    /// Adds the trailers at the time when the answer is complete, and looks how the call ended.
    fn answered(mut self, answer: Response<Body>) -> Response<Body> {
        let (mut head, body) = answer.into_parts();
        // An answer without a body has its status, and so its trailers, in the head.
        if head.headers.contains_key(Status::GRPC_STATUS) {
            self.complete(&mut head.headers);
            return Response::from_parts(head, body);
        }
        let body = body.map_frame(move |mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                self.complete(trailers);
            }
            frame
        });
        Response::from_parts(head, Body::new(body))
    }

    fn complete(&mut self, trailers: &mut HeaderMap) {
        trailers::write(trailers, &self.node);
        let status = trailers.get(Status::GRPC_STATUS);
        let code = status.map_or(Code::Unknown, |status| Code::from_bytes(status.as_bytes()));
        if code != Code::Ok {
            let reason = Status::from_header_map(trailers).as_ref().map(errors::reason);
            self.node.metrics().calls.refused(&reason.unwrap_or_default());
        }
        self.end(code);
    }

    fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.ended, true) {
            self.node.metrics().calls.ended(self.place, code as usize, self.begun.elapsed());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_that_is_served_is_known() {
        let calls = calls().expect("sound descriptors");
        for (path, is_unary) in [
            ("/chinwag.chat.v1.MessageService/SendMessage", true),
            ("/chinwag.chat.v1.MessageService/SendMessages", false),
            ("/chinwag.chat.v1.EventService/Subscribe", false),
            ("/chinwag.cluster.v1.ReplicationService/AcceptUpdates", false),
            ("/chinwag.cluster.v1.ReplicationService/Heartbeat", true),
            ("/grpc.health.v1.Health/Check", true),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", false),
        ] {
            let place = calls.place(path);
            assert!(place.is_some(), "{path}");
            assert_eq!(calls.is_unary(place), is_unary, "{path}");
        }
        assert_eq!(calls.place("/chinwag.chat.v1.MessageService/Nothing"), None);
        assert_eq!(calls.place("/chinwag.admin.v1.AdminService/Backup"), None);
    }
}
