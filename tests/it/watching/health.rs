//! What orchestrators ask: alive, ready, leader; over HTTP and over gRPC.

use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{SOON, Watched};
use crate::harness::{Options, all, until};

/// What `grpc.health.v1` says of readiness.
async fn is_ready(watched: &Watched, id: u32) -> bool {
    let request = HealthCheckRequest { service: "ready".into() };
    let mut client = HealthClient::new(watched.cluster.door(id).channel());
    let answer = client.check(request).await.expect("every server says how it is");
    answer.into_inner().status() == ServingStatus::Serving
}

#[tokio::test]
async fn all_are_alive_and_ready_and_one_leads() {
    let mut watched = Watched::start().await;
    let first = watched.cluster.leader().await;
    for id in all() {
        let alive = watched.get(id, "/healthz").await;
        assert_eq!((alive.status, alive.body.as_str()), (200, "alive\n"));
        let ready = watched.get(id, "/readyz").await;
        let word = if id == first { "leader\n" } else { "follower\n" };
        assert_eq!((ready.status, ready.body.as_str()), (200, word));
        assert!(is_ready(&watched, id).await, "server {id}");
        let leader = watched.get(id, "/leader").await;
        let status = if id == first { 200 } else { 503 };
        assert_eq!((leader.status, leader.body), (status, format!("{first}\n")));
    }
    watched.cluster.kill(first);
    let second = watched.cluster.leader().await;
    assert_eq!(watched.get(second, "/leader").await.status, 200);
}

#[tokio::test]
async fn a_server_that_waits_is_alive_and_not_ready() {
    let options = Options { policy: "majority", ..Options::default() };
    let mut watched = Watched::prepare(options).await;
    watched.cluster.start_server(1).await;
    assert_eq!(watched.get(1, "/healthz").await.status, 200);
    let ready = watched.get(1, "/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "blank\n"));
    assert!(!is_ready(&watched, 1).await);
    let leader = watched.get(1, "/leader").await;
    assert_eq!((leader.status, leader.body.as_str()), (503, "nobody\n"));

    for id in [2, 3] {
        watched.cluster.start_server(id).await;
    }
    until("all are ready", SOON, || async {
        for id in all() {
            if !is_ready(&watched, id).await || watched.get(id, "/readyz").await.status != 200 {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_looks_elsewhere_or_wants_to_change_something_is_told() {
    let watched = Watched::start_with(Options { servers: 1, ..Options::default() }).await;
    let page = watched.get(1, "/metrics").await;
    assert!(page.head.contains("content-type: text/plain; version=0.0.4"), "{}", page.head);
    let head = watched.ask(1, "HEAD", "/metrics").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let elsewhere = watched.get(1, "/").await;
    assert_eq!(elsewhere.status, 404);
    assert!(elsewhere.body.contains("/metrics"));
    let post = watched.ask(1, "POST", "/metrics").await;
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get, head"), "{}", post.head);
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_from_looking_for_long() {
    let watched = Watched::start_with(Options { servers: 1, ..Options::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(watched.connect(1).await);
    }
    assert_eq!(watched.get(1, "/healthz").await.status, 200);
    drop(silent);
}
