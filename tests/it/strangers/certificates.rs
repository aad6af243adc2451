//! Where servers have certificates, one that names a server is wanted beside the secret, and its holder speaks
//! for that server alone.

use std::time::Duration;

use chinwag::wire::cluster::ReconcileRequest;
use prost::Message as _;
use rcgen::ExtendedKeyUsagePurpose;
use tonic::Code;

use super::{
    calls::{End, call},
    outsiders::{forged, is_refused_everywhere},
    scene::{SECRET, Scene},
};
use crate::harness::{Cluster, Door, Forge, Options, all, until};

const PATIENCE: Duration = Duration::from_secs(10);

fn another(id: u32) -> u32 {
    if id == 1 { 2 } else { 1 }
}

fn door(scene: &Scene, id: u32, forge: &Forge, shown: Option<&(String, String)>) -> Door {
    Door::trusting(&scene.cluster.address(id), &forge.pem, shown)
}

/// Waits until a server has said why it refused somebody.
async fn logs(cluster: &Cluster, id: u32, words: &str) {
    until(format!("server {id} says: {words}"), PATIENCE, || {
        let told = cluster.log(id).contains(words);
        async move { told.then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn whoever_shows_no_server_s_certificate_calls_nothing_though_the_secret_is_right() {
    let scene = Scene::begin(Options { tls: true, ..Scene::options() }).await;
    let forge = Forge::of(&scene.cluster);
    let client = forge.sign(&["alice"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let elsewhere = forge.sign(&["127.0.0.1", "chinwag:other/server/2"], |_| {});
    let several = ["chinwag:test/server/1", "chinwag:test/server/2", "chinwag:test/server/3"];
    let several = forge.sign(&several, |_| {});
    let strangers = [
        ("nobody", None, "shows no certificate"),
        ("a client", Some(client), "is no server's"),
        ("a server of another cluster", Some(elsewhere), "certificate of chinwag:other/server/2"),
        ("a server of all names", Some(several), "names several servers"),
    ];
    for (who, shown, words) in strangers {
        for id in all() {
            let door = door(&scene, id, &forge, shown.as_ref());
            let envelope = forged(another(id), id);
            is_refused_everywhere(&door, id, Some(SECRET), &envelope, who).await;
            assert!(door.status().await.is_some(), "{who} may chat");
            logs(&scene.cluster, id, words).await;
        }
    }
    scene.nothing_changed().await;
}

#[tokio::test]
async fn a_server_s_certificate_speaks_for_that_server_and_needs_the_secret() {
    let cluster = Cluster::start_with(Options { tls: true, ..Scene::options() }).await;
    let leader = cluster.leader().await;
    let epoch = cluster.status(leader).await.expect("it leads").epoch;
    let forge = Forge::of(&cluster);
    let second = forge.sign(&["127.0.0.1", "chinwag:test/server/2"], |_| {});
    let door = Door::trusting(&cluster.address(1), &forge.pem, Some(&second));
    is_refused_everywhere(&door, 1, Some(SECRET), &forged(3, 1), "2 as 3").await;
    logs(&cluster, 1, "speaks as server 3 and shows the certificate of server 2").await;
    is_refused_everywhere(&door, 1, None, &forged(2, 1), "2 without the secret").await;
    logs(&cluster, 1, "does not show the cluster secret").await;
    is_refused_everywhere(&door, 1, Some(&SECRET[1..]), &forged(2, 1), "2 with another one").await;
    logs(&cluster, 1, "has another cluster secret").await;
    // With both it is listened to, and what it says is found to mean nothing.
    let nonsense = ReconcileRequest { envelope: Some(forged(2, 1)), ..Default::default() };
    let words = vec![nonsense.encode_to_vec().into()];
    let end = call(door.channel(), "Reconcile", Some(SECRET), words, PATIENCE).await;
    assert!(
        matches!(&end, End::Status(status) if status.code() == Code::InvalidArgument),
        "{end:?}"
    );
    assert_eq!(cluster.in_sync(all()).await, leader);
    assert_eq!(cluster.status(leader).await.expect("it leads").epoch, epoch);
}
