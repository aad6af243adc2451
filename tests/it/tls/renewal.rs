//! Certificates end, are renewed, and are broken by a slip of the hand, while servers run.

use std::{fs, time::Duration};

use tokio::time::Instant;

use super::{encrypted, logs};
use crate::harness::{
    Cluster, Exit, Forge, User, all, contents_are_equal, ends_in, expired, until,
};

/// Long enough to start a server on a busy machine.
const SHORT_LIFE: Duration = Duration::from_secs(15);
/// An end is awaited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

fn put(cluster: &Cluster, id: u32, (certificate, key): &(String, String)) {
    fs::write(cluster.certs(&format!("server-{id}.pem")), certificate).expect("writable");
    fs::write(cluster.certs(&format!("server-{id}.key")), key).expect("writable");
}

/// Waits until a server is believed no more by whoever calls it anew.
pub(super) async fn has_ended(cluster: &Cluster, id: u32) {
    until("the certificate's end", PATIENCE, || async {
        cluster.door(id).status().await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_whoever_comes_next_and_a_broken_one_never() {
    let mut cluster = Cluster::prepare(encrypted(3)).await;
    let forge = Forge::of(&cluster);
    let end = Instant::now() + SHORT_LIFE + Duration::from_secs(1);
    for id in all() {
        let names = ["127.0.0.1", &format!("chinwag:test/server/{id}")];
        put(&cluster, id, &forge.sign(&names, ends_in(SHORT_LIFE)));
    }
    for id in all() {
        cluster.start_server(id).await;
    }
    cluster.in_sync(all()).await;
    let alice = User::create(&cluster, "alice").await;
    for id in all() {
        logs(&cluster, id, "expires within a day").await;
    }
    cluster.renew_certificates();
    for id in all() {
        logs(&cluster, id, "took up changed certificates").await;
    }
    let key = fs::read_to_string(cluster.certs("server-2.key")).expect("it was made");
    fs::write(cluster.certs("server-2.key"), "a slip of the hand").expect("writable");
    logs(&cluster, 2, "server-2.key: holds no private key").await;
    logs(&cluster, 2, "those before stay in use").await;

    // The old certificates end. Whoever comes is believed and believes, all the time and afterwards.
    until("the end of the old certificates", PATIENCE, || async {
        for id in all() {
            assert!(cluster.door(id).status().await.is_some(), "server {id} is believed");
        }
        (Instant::now() > end).then_some(())
    })
    .await;
    let follower = cluster.another(cluster.leader().await);
    fs::write(cluster.certs("server-2.key"), key).expect("writable");
    cluster.kill(follower);
    cluster.start_server(follower).await;
    cluster.in_sync(all()).await;
    alice.send("@alice", "still here").await;
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_server_does_not_start_with_what_nobody_would_believe() {
    let cluster = Cluster::prepare(encrypted(1)).await;
    let forge = Forge::of(&cluster);
    let names = ["127.0.0.1", "chinwag:test/server/1"];
    let good = forge.sign(&names, |_| {});
    let wrong = [
        (forge.sign(&names, expired), "expired on 2020-01-02"),
        (Forge::another().sign(&names, |_| {}), "not signed by the authority in"),
        (forge.sign(&["box9", names[1]], |_| {}), "not for 127.0.0.1 but for box9"),
        (forge.sign(&names[..1], |_| {}), "chinwag:test/server/1 must be among its names"),
        ((good.0.clone(), forge.sign(&names, |_| {}).1), "is not the key of the certificate in"),
    ];
    for (pair, words) in wrong {
        put(&cluster, 1, &pair);
        for arguments in [&[][..], &["--check-config"]] {
            let log = format!("refused-{}.log", uuid::Uuid::now_v7());
            let Exit { status, log } =
                cluster.spawn(1, arguments, log).ended(Duration::from_secs(10)).await;
            assert_eq!(status.code(), Some(2), "{log}");
            assert!(log.contains(words) && log.contains("server-1."), "{words:?}: {log}");
        }
    }
    assert!(!cluster.data(1).exists(), "nothing was touched");
    put(&cluster, 1, &good);
    let checked = cluster.spawn(1, &["--check-config"], "good.log".into());
    let exit = { checked }.ended(Duration::from_secs(10)).await;
    assert!(exit.status.success() && exit.log.contains("server-1.pem is valid until"), "{exit:?}");
}
