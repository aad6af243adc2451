//! Certificates end, are renewed, and are broken by a slip of the hand, while servers run.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use tokio::time::Instant;

use super::{encrypted, logs};
use crate::harness::{
    Cluster, Door, Exit, Forge, User, all, contents_are_equal, ends_in, expired, until,
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
        let key = cluster.certs(&format!("server-{id}.key"));
        fs::set_permissions(key, Permissions::from_mode(0o644)).expect("our own file");
    }
    for id in all() {
        cluster.start_server(id).await;
    }
    cluster.in_sync(all()).await;
    let alice = User::create(&cluster, "alice").await;
    for id in all() {
        logs(&cluster, id, "expires within a day").await;
        logs(&cluster, id, "every user of this machine can read the certificate's key").await;
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
async fn the_authority_itself_is_replaced_while_everybody_talks() {
    let mut cluster = Cluster::start_with(encrypted(3)).await;
    let alice = User::create(&cluster, "alice").await;
    let (old, new) = (Forge::of(&cluster), Forge::another());
    let authority = |text: &str| fs::write(cluster.certs("ca.pem"), text).expect("writable");
    authority(&format!("{}{}", old.pem, new.pem));
    all_took_up(&cluster, 1).await;
    for id in all() {
        put(&cluster, id, &new.sign(&["127.0.0.1", &format!("chinwag:test/server/{id}")], |_| {}));
    }
    all_took_up(&cluster, 2).await;
    authority(&new.pem);
    all_took_up(&cluster, 3).await;
    alice.send("@alice", "over the connection of before").await;
    for id in all() {
        let address = cluster.address(id);
        assert!(Door::trusting(&address, &new.pem, None).status().await.is_some(), "server {id}");
        assert!(Door::trusting(&address, &old.pem, None).status().await.is_none(), "server {id}");
    }
    // A stolen key of the old authority makes no server any more.
    let stolen = old.sign(&["127.0.0.1", "chinwag:test/server/2"], |_| {});
    let thief = Door::trusting(&cluster.address(1), &new.pem, Some(&stolen));
    assert!(thief.status().await.is_none(), "it is not even let in");
    cluster.know(&new.pem);
    let follower = cluster.another(cluster.leader().await);
    cluster.kill(follower);
    cluster.start_server(follower).await;
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}

/// Waits until every server has taken up changed files so many times.
async fn all_took_up(cluster: &Cluster, times: usize) {
    for id in all() {
        until(format!("server {id} takes up change {times}"), PATIENCE, || {
            let seen = cluster.log(id).matches("took up changed certificates").count();
            async move { (seen >= times).then_some(()) }
        })
        .await;
    }
}

/// Two servers run, and the third with another configuration: the first says `here` of it, and it says `there`.
async fn do_without_the_third(
    mut cluster: Cluster,
    config: impl FnOnce(&str) -> String,
    here: &str,
    there: &str,
) {
    let strange = cluster.folder().join("strange.yaml");
    let text = fs::read_to_string(cluster.config()).expect("it was made");
    fs::write(&strange, config(&text)).expect("writable");
    for id in [1, 2] {
        cluster.start_server(id).await;
    }
    let stranger = cluster.spawn_with(3, &strange, &[], "stranger.log".into(), "");
    cluster.in_sync([1, 2]).await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "two are enough").await;
    logs(&cluster, 1, &format!("{} {here}", cluster.address(3))).await;
    let told = format!("{} {there}", cluster.address(1));
    until(format!("the stranger says: {told}"), PATIENCE, || {
        let told = stranger.log().contains(&told);
        async move { told.then_some(()) }
    })
    .await;
    let status = cluster.status(cluster.leader().await).await.expect("it leads");
    assert_eq!(status.copies, 2);
}

#[tokio::test]
async fn a_server_of_another_authority_is_left_out_and_both_say_why() {
    let cluster = Cluster::prepare(encrypted(3)).await;
    let another = Forge::another();
    put(&cluster, 3, &another.sign(&["127.0.0.1", "chinwag:test/server/3"], |_| {}));
    fs::write(cluster.certs("another.pem"), &another.pem).expect("writable");
    let wrong = "shows a certificate that was not signed by the authority in";
    let (here, there) = (cluster.certs("ca.pem"), cluster.certs("another.pem"));
    let here = format!("{wrong} {}", here.display());
    let there = format!("{wrong} {}", there.display());
    let config = |text: &str| text.replace("ca.pem", "another.pem");
    do_without_the_third(cluster, config, &here, &there).await;
}

#[tokio::test]
async fn a_server_that_does_not_encrypt_is_left_out_and_both_say_why() {
    let cluster = Cluster::prepare(encrypted(3)).await;
    let config = |text: &str| text.replace("tls: {", "tls: {} #");
    let (here, there) = ("does not speak TLS", "takes encrypted connections only");
    do_without_the_third(cluster, config, here, there).await;
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
