//! Without the secret, or under a wrong name, no call is even looked at.

use std::time::Duration;

use bytes::Bytes;
use chinwag::wire::cluster::{Envelope, Epoch, Incarnation};
use tonic::Code;

use super::{
    calls::{End, Surface, call},
    nonsense::Nonsense,
    scene::{SECRET, Scene},
};
use crate::harness::{Cluster, Door, Options, User, all, contents_are_equal, reason};

const PATIENCE: Duration = Duration::from_secs(10);

/// An envelope that looks right, but for the incarnation, which a stranger cannot know.
pub(super) fn forged(from: u32, to: u32) -> Envelope {
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

/// Every call once, with this secret and envelope; each is refused in the documented way.
pub(super) async fn is_refused_everywhere(
    door: &Door,
    id: u32,
    secret: Option<&str>,
    envelope: &Envelope,
    who: &str,
) {
    let surface = Surface::read();
    let mut nonsense = Nonsense::decodable(&surface, u64::from(id));
    for method in &surface.methods {
        let name = &method.name;
        let message = nonsense.request(method, envelope);
        match call(door.channel(), name, secret, vec![message], PATIENCE).await {
            End::Status(status) => {
                assert_eq!(status.code(), Code::Unauthenticated, "{name} for {who}: {status:?}");
                assert_eq!(reason(&status), "NOT_A_MEMBER", "{name} for {who}: {status:?}");
            }
            other => panic!("server {id} answers {name} of {who}: {other:?}"),
        }
    }
}

/// Bytes that are no message, and too many of them: the secret is looked at before they are read.
async fn garbage_is_not_even_read(cluster: &Cluster, id: u32) {
    for method in &Surface::read().methods {
        for garbage in [Bytes::new(), vec![0xff; 100].into(), vec![0x7a; (4 << 20) + 1].into()] {
            let channel = cluster.door(id).channel();
            let end = call(channel, &method.name, None, vec![garbage], PATIENCE).await;
            let End::Status(status) = end else { panic!("{}: {end:?}", method.name) };
            assert_eq!(status.code(), Code::Unauthenticated, "{}: {status:?}", method.name);
        }
    }
}

/// Who names another cluster, an unknown server, the receiver itself or nobody.
fn aliens(id: u32) -> Vec<(&'static str, Envelope)> {
    let other = if id == 1 { 2 } else { 1 };
    vec![
        ("another cluster", Envelope { cluster: "elsewhere".into(), ..forged(other, id) }),
        ("an unknown server", forged(99, id)),
        ("the receiver itself", forged(id, id)),
        ("a letter for another", forged(other, 99)),
        ("a letter for an unknown life of nobody", forged(0, 0)),
        ("nobody", Envelope::default()),
    ]
}

#[test]
fn every_call_between_servers_says_first_who_speaks() {
    let surface = Surface::read();
    assert!(surface.methods.len() >= 7, "the descriptors name the calls");
    for method in &surface.methods {
        let request = &surface.types[&method.request];
        let first = request.field.first().expect("a request says something");
        assert_eq!(first.type_name(), ".chinwag.cluster.v1.Envelope", "{}", method.name);
    }
}

#[tokio::test]
async fn without_the_secret_no_server_listens() {
    let scene = Scene::begin(Scene::options()).await;
    let secrets = [None, Some("a-secret-of-at-least-16-characterz"), Some(""), Some(&SECRET[..33])];
    for id in all() {
        let other = if id == 1 { 2 } else { 1 };
        for secret in secrets {
            let who = format!("{secret:?}");
            is_refused_everywhere(&scene.cluster.door(id), id, secret, &forged(other, id), &who)
                .await;
        }
        garbage_is_not_even_read(&scene.cluster, id).await;
    }
    scene.nothing_changed().await;
}

#[tokio::test]
async fn a_holder_of_the_secret_under_a_wrong_name_is_refused() {
    let scene = Scene::begin(Scene::options()).await;
    for id in all() {
        for (who, envelope) in aliens(id) {
            is_refused_everywhere(&scene.cluster.door(id), id, Some(SECRET), &envelope, who).await;
        }
    }
    scene.nothing_changed().await;
}

/// On loopback without a secret the machine's users are trusted not to forge; but whoever speaks for
/// another cluster, for an unknown server, for the receiver itself or for nobody is still no peer.
#[tokio::test]
async fn without_any_secret_aliens_are_still_refused() {
    let scene = Scene::begin(Options { secret: None, ..Scene::options() }).await;
    for id in all() {
        for (who, envelope) in aliens(id) {
            is_refused_everywhere(&scene.cluster.door(id), id, None, &envelope, who).await;
        }
    }
    scene.nothing_changed().await;
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
    let told =
        "refuses this one: only the cluster's own servers may call this: the caller has another";
    assert!(cluster.log(gone).contains(told), "{}", cluster.log(gone));
    cluster.stop(gone).await;
    std::fs::write(cluster.folder().join("secret"), right).expect("writable");
    cluster.start_server(gone).await;
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}
