//! What surrounds every call: it is counted and timed, and its answer gets trailers.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
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
    sparing::Sparing,
    telemetry::trace::{self, TRACEPARENT, TraceId},
    wire::DESCRIPTORS,
};

/// A call that takes longer is told of.
const SLOW: Duration = Duration::from_secs(1);

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
pub struct Measure(Arc<Shared>);

/// What all calls share.
struct Shared {
    node: NodeHandle,
    /// Anybody can make calls that fail or take long.
    lines: Sparing,
}

impl Measure {
    pub(super) fn new(node: NodeHandle) -> Measure {
        Measure(Arc::new(Shared { node, lines: Sparing::default() }))
    }
}

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, shared: self.0.clone() }
    }
}

/// The services, measured.
#[derive(Clone)]
pub struct Measured<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request<Body>> for Measured<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = Call::begin(self.shared.clone(), &request);
        let answering = trace::within(call.trace, self.inner.call(request));
        Box::pin(async move { Ok(call.answered(answering.await?)) })
    }
}

/// A call under way. One that is dropped was left by its caller.
struct Call {
    shared: Arc<Shared>,
    place: Option<usize>,
    begun: Instant,
    trace: Option<TraceId>,
    ended: bool,
}

impl Call {
    fn begin(shared: Arc<Shared>, request: &Request<Body>) -> Call {
        let place = shared.node.metrics().calls.place(request.uri().path());
        let trace = request.headers().get(TRACEPARENT).and_then(|header| header.to_str().ok());
        let trace = trace.and_then(TraceId::of_header);
        Call { shared, place, begun: Instant::now(), trace, ended: false }
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
        trailers::write(trailers, &self.shared.node);
        let status = trailers.get(Status::GRPC_STATUS);
        let code = status.map_or(Code::Unknown, |status| Code::from_bytes(status.as_bytes()));
        let mut reason = String::new();
        if code != Code::Ok {
            reason =
                Status::from_header_map(trailers).as_ref().map(errors::reason).unwrap_or_default();
            self.shared.node.metrics().calls.refused(&reason);
        }
        self.end(code, &reason);
    }

    fn end(&mut self, code: Code, reason: &str) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.begun.elapsed();
        self.shared.node.metrics().calls.ended(self.place, code as usize, took);
        self.tell(code, reason, took);
    }

    /// A line about a call that failed or took long; for whoever wants to know more, also about one that was
    /// refused, and about every one that has a trace.
    fn tell(&self, code: Code, reason: &str, took: Duration) {
        let calls = &self.shared.node.metrics().calls;
        let (method, name) = (calls.path(self.place), metrics::Calls::name(code as usize));
        let (trace, took_ms) = (self.trace.map(tracing::field::display), took.as_millis() as u64);
        let has_failed = matches!(code, Code::Unknown | Code::Internal | Code::DataLoss);
        let is_slow = took >= SLOW && calls.is_unary(self.place);
        if has_failed || is_slow {
            let words = if has_failed { "failed" } else { "took long" };
            if let Some(left_out) = self.shared.lines.permit(&format!("{method} {words}")) {
                tracing::warn!(
                    trace,
                    method,
                    code = name,
                    reason,
                    took_ms,
                    left_out,
                    "a call {words}"
                );
                return;
            }
        }
        if code != Code::Ok || self.trace.is_some() {
            tracing::debug!(trace, method, code = name, reason, took_ms, "a call ended");
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled, "");
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
