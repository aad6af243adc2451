//! Who is no server of this cluster: nothing is told and nothing is changed, on every call between servers.

use std::future::Future;

use chinwag::wire::cluster::{
    AcceptUpdatesRequest, Entry, Envelope, Epoch, EvictRequest, FetchLogRequest, HeartbeatRequest,
    Incarnation, PrepareRequest, RegisterFollowerRequest, ResignRequest, Updates,
    replication_service_client::ReplicationServiceClient,
};
use tonic::{
    Code, Request, Response, Status, Streaming, metadata::MetadataValue, transport::Channel,
};

use crate::harness::{Cluster, Options, User, all, bodies, contents_are_equal, within};

const SECRET: &str = "a-secret-of-at-least-16-characters";
const SOON: std::time::Duration = std::time::Duration::from_secs(5);

/// A stranger with an envelope and, perhaps, a secret.
struct Stranger {
    secret: Option<&'static str>,
    envelope: Envelope,
}

impl Stranger {
    fn asks<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(secret) = self.secret {
            let value = MetadataValue::from_static(secret);
            request.metadata_mut().insert("chinwag-cluster-secret", value);
        }
        request
    }

    /// Every call between servers once, each asking for something harmful.
    async fn every_call(&self, channel: Channel) -> Vec<(&'static str, Result<(), Status>)> {
        let mut service = ReplicationServiceClient::new(channel);
        let envelope = || Some(self.envelope.clone());
        let epoch = || Some(Epoch { number: 1_000, server: 1 });
        let register = RegisterFollowerRequest { envelope: envelope(), ..Default::default() };
        let entry = Entry { seq: 1, epoch: epoch(), kind: 1, ..Default::default() };
        let updates = Updates { epoch: epoch(), entries: vec![entry], ..Default::default() };
        let accept = AcceptUpdatesRequest { envelope: envelope(), updates: Some(updates) };
        let heartbeat = HeartbeatRequest { envelope: envelope(), report: None };
        let prepare = PrepareRequest { envelope: envelope(), epoch: epoch() };
        let evict = EvictRequest { envelope: envelope(), epoch: epoch() };
        let resign = ResignRequest { envelope: envelope(), epoch: epoch(), left: None };
        let fetch = FetchLogRequest {
            envelope: envelope(),
            epoch: epoch(),
            until: 1_000,
            ..Default::default()
        };
        vec![
            ("RegisterFollower", told(service.register_follower(self.asks(register))).await),
            (
                "AcceptUpdates",
                told(service.accept_updates(self.asks(tokio_stream::once(accept)))).await,
            ),
            ("Heartbeat", ended(service.heartbeat(self.asks(heartbeat))).await),
            ("Prepare", ended(service.prepare(self.asks(prepare))).await),
            ("Evict", ended(service.evict(self.asks(evict))).await),
            ("Resign", ended(service.resign(self.asks(resign))).await),
            ("FetchLog", told(service.fetch_log(self.asks(fetch))).await),
        ]
    }
}

/// How a call ended.
async fn ended<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<(), Status> {
    within("an answer for a stranger", SOON, call).await.map(drop)
}

/// How a stream ended; `Ok` if anything was told on it.
async fn told<T>(
    call: impl Future<Output = Result<Response<Streaming<T>>, Status>>,
) -> Result<(), Status> {
    let mut stream = within("an answer for a stranger", SOON, call).await?.into_inner();
    match within("an end for a stranger", SOON, stream.message()).await? {
        Some(_) => Ok(()),
        None => Err(Status::unknown("the stream ended without a word")),
    }
}

/// An envelope that looks right, but for the incarnation, which a stranger cannot know.
fn forged(from: u32, to: u32) -> Envelope {
    Envelope {
        cluster: "test".into(),
        from,
        to,
        incarnation: Some(Incarnation { starts: 1_000, bumps: 0, random: 7 }),
        receiver: None,
        nonce: 1,
        promised: Some(Epoch { number: 1_000, server: from }),
    }
}

#[tokio::test]
async fn without_the_secret_no_server_listens() {
    let options = Options { secret: Some(SECRET), ..Options::default() };
    let mut cluster = Cluster::start_with(options).await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    let leader = cluster.leader().await;
    let epoch = cluster.status(leader).await.expect("it leads").epoch;
    for id in all() {
        let other = if id == 1 { 2 } else { 1 };
        for secret in [None, Some("a-secret-of-at-least-16-characterz"), Some("")] {
            let stranger = Stranger { secret, envelope: forged(other, id) };
            for (call, end) in stranger.every_call(cluster.door(id).channel()).await {
                let status = end.expect_err(call);
                assert_eq!(status.code(), Code::Unauthenticated, "{call} of {id}: {status:?}");
            }
        }
    }
    alice.send("@alice", "and more").await;
    assert_eq!(cluster.in_sync(all()).await, leader);
    assert_eq!(cluster.status(leader).await.expect("it leads").epoch, epoch);
    assert_eq!(bodies(&alice.history("@alice").await), ["kept", "and more"]);
    contents_are_equal(&mut cluster).await;
}

/// On loopback without a secret the machine's users are trusted not to forge; but who speaks for another
/// cluster, for an unknown server, for the receiver itself or for nobody is still no peer.
#[tokio::test]
async fn without_any_secret_aliens_are_still_refused() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    let leader = cluster.leader().await;
    let epoch = cluster.status(leader).await.expect("it leads").epoch;
    for id in all() {
        let other = if id == 1 { 2 } else { 1 };
        let aliens = [
            ("another cluster", Envelope { cluster: "elsewhere".into(), ..forged(other, id) }),
            ("an unknown server", forged(99, id)),
            ("the receiver itself", forged(id, id)),
            ("a letter for another", forged(other, 99)),
            ("nobody", Envelope::default()),
        ];
        for (who, envelope) in aliens {
            let stranger = Stranger { secret: None, envelope };
            for (call, end) in stranger.every_call(cluster.door(id).channel()).await {
                assert!(end.is_err(), "server {id} told something to {who} at {call}");
            }
        }
    }
    alice.send("@alice", "and more").await;
    assert_eq!(cluster.in_sync(all()).await, leader);
    assert_eq!(cluster.status(leader).await.expect("it leads").epoch, epoch);
    assert_eq!(bodies(&alice.history("@alice").await), ["kept", "and more"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_server_with_another_secret_is_no_member() {
    let options = Options { secret: Some(SECRET), ..Options::default() };
    let mut cluster = Cluster::start_with(options).await;
    let alice = User::create(&cluster, "alice").await;
    let gone = cluster.another(cluster.leader().await);
    cluster.stop(gone).await;
    let right = std::fs::read(cluster.folder().join("secret")).expect("there");
    std::fs::write(cluster.folder().join("secret"), "another-secret-of-16-characters").expect("ok");
    cluster.start_server(gone).await;
    for number in 0..20 {
        alice.send("@alice", &number.to_string()).await;
    }
    let status = cluster.status(cluster.leader().await).await.expect("it leads");
    assert_eq!(status.copies, 2, "it does not count");
    cluster.stop(gone).await;
    std::fs::write(cluster.folder().join("secret"), right).expect("writable");
    cluster.start_server(gone).await;
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}
