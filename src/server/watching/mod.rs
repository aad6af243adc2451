//! Where others look at this server over HTTP: Prometheus at `/metrics`, orchestrators at `/healthz`,
//! `/readyz` and `/leader`.
//!
//! A listener of its own, for none of it is guarded: who may look is the firewall's matter, and a look says
//! nothing about users. Looking costs little and is bounded: few connections, each with a deadline, one page
//! made at a time. The server never waits for anybody who looks.

mod lag;
mod page;
mod process;

use std::{convert::Infallible, net, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::ServerError;
use crate::{
    cluster::ServerId,
    config::{Address, Config},
    metrics::Page,
    node::{NodeHandle, Role},
};
use lag::Past;

/// Connections at a time; more wait in the kernel.
const CONNECTIONS: usize = 16;
/// How long a caller may take to say what it wants.
const HEADER: Duration = Duration::from_secs(5);
/// How long a connection may last; whoever looks again connects again.
const LONGEST: Duration = Duration::from_secs(300);

type Answer = Response<Full<Bytes>>;

/// Binds where this server is looked at; `None` if nowhere.
///
/// # Errors
/// The port is in use.
pub(super) fn bind(address: Option<&Address>) -> Result<Option<TcpListener>, ServerError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |error| ServerError::Listen { address: address.to_string(), error };
    let listener = net::TcpListener::bind(address.as_str()).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    if address.is_loopback() {
        tracing::info!(%address, "metrics are read here");
    } else {
        tracing::warn!(%address, "metrics are read here by everybody whom the firewall lets through");
    }
    Ok(Some(listener))
}

/// What there is to look at.
pub(super) struct View {
    node: NodeHandle,
    id: ServerId,
    config: Config,
    past: Past,
    /// One page is made at a time.
    making: Mutex<()>,
}

impl View {
    pub(super) fn new(node: NodeHandle, id: ServerId, config: Config) -> View {
        View { node, id, config, past: Past::default(), making: Mutex::default() }
    }
}

/// Answers until `stop`.
pub(super) async fn run(listener: TcpListener, view: View, stop: CancellationToken) {
    let (view, tasks) = (Arc::new(view), TaskTracker::new());
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let serving = async {
        loop {
            let permit = room.clone().acquire_owned().await.expect("it is never closed");
            let stream = accept(&listener).await;
            let (view, stop) = (view.clone(), stop.clone());
            tasks.spawn(async move {
                let answering = timeout(LONGEST, answer_all(stream, view));
                stop.run_until_cancelled(answering).await;
                drop(permit);
            });
        }
    };
    tokio::select! {
        () = serving => {}
        () = view.past.follow(view.node.store()) => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // One that is gone already, or too many open files: the next one may find better times.
            Err(error) => {
                tracing::debug!(%error, "somebody who looks could not be let in");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer_all(stream: TcpStream, view: Arc<View>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let view = view.clone();
        async move { Ok::<_, Infallible>(answer(&view, request.method(), request.uri().path()).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER).max_buf_size(16 * 1024);
    // Whoever sends no HTTP is told so by hyper; nobody else needs to know.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(view: &View, method: &Method, path: &str) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = say(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let standing = view.node.standing();
    match path {
        "/metrics" => metrics(view).await,
        "/healthz" => say(StatusCode::OK, "alive\n"),
        "/readyz" => say(ready(standing.is_ready()), &format!("{}\n", standing.role.name())),
        "/leader" => {
            let leader = standing.leader.map_or_else(|| "nobody".into(), |id| id.to_string());
            say(ready(standing.role == Role::Leader), &format!("{leader}\n"))
        }
        _ => say(StatusCode::NOT_FOUND, "look at /metrics, /healthz, /readyz or /leader\n"),
    }
}

async fn metrics(view: &View) -> Answer {
    let _making = view.making.lock().await;
    let mut answer = say(StatusCode::OK, &page::write(view).await);
    let kind = header::HeaderValue::from_static(Page::CONTENT_TYPE);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn ready(is_ready: bool) -> StatusCode {
    if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn say(status: StatusCode, words: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(words.to_owned())));
    *answer.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
