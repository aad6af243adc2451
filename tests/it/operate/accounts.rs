//! An operator looks after accounts, at any server, and the change outlives the leader.

use std::time::Duration;

use chinwag::wire::chat::{ChangePasswordRequest, GetAccountRequest, LoginRequest};
use tonic::{Code, Status};

use super::{client, object, server};
use crate::{
    bad_input::assert_refused,
    harness::{Cluster, PASSWORD, User, all, bodies, contents_are_equal, reason, request_id},
};

const NEW: &str = "a new password";

async fn admin(cluster: &Cluster, at: u32, arguments: &[&str], input: &str) -> crate::cli::Said {
    let at = at.to_string();
    server(cluster, &[&["admin", "--json", "--id", &at], arguments].concat(), input).await
}

/// What a login comes to.
async fn log_in(cluster: &Cluster, password: &str) -> Result<(), Status> {
    let request = LoginRequest {
        request_id: request_id(),
        username: "alice".into(),
        password: password.into(),
        device_name: "test".into(),
    };
    let somebody = User::nobody(cluster);
    let answer = somebody.call(|door| {
        let request = request.clone();
        async move { door.sessions().login(request).await }
    });
    answer.await.map(drop)
}

async fn is_logged_out(user: &User) {
    let call =
        user.call(|door| async move { door.accounts().get_account(GetAccountRequest {}).await });
    let refused = call.await.expect_err("its session has ended");
    assert_refused(&refused, Code::Unauthenticated, "NO_SESSION");
}

#[tokio::test]
async fn a_password_is_reset_at_a_follower_and_outlives_the_leader() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    alice.send("@bob", "before").await;
    let mut live = alice.subscribe("").await;
    let leader = cluster.leader().await;
    let follower = cluster.another(leader);
    let reset = ["reset-password", "Alice", "--password-stdin"];
    let said = admin(&cluster, follower, &reset, &format!("{NEW}\n")).await;
    said.exits_with(0);
    let told = object(&said);
    assert_eq!((&told["type"], &told["username"]), (&"password_reset".into(), &"alice".into()));

    is_logged_out(&alice).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        while live.message().await?.is_some() {}
        Ok::<_, Status>(())
    });
    let ended = ended.await.expect("in time").expect_err("whoever listened is gone");
    assert_eq!(reason(&ended), "NO_SESSION", "{ended:?}");
    cluster.kill(leader);
    let old = log_in(&cluster, PASSWORD).await.expect_err("the old one is gone");
    assert_refused(&old, Code::Unauthenticated, "BAD_CREDENTIALS");
    log_in(&cluster, NEW).await.expect("the new one is right");
    assert_eq!(bodies(&bob.history("@alice").await), ["before"]);
    cluster.start_server(leader).await;
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_disabled_account_is_told_so_and_comes_back_when_it_is_enabled() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let phone = User::log_in(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    alice.send("@bob", "still here").await;
    let listed = admin(&cluster, 1, &["list", "a*"], "").await;
    listed.exits_with(0);
    let listed = object(&listed);
    assert_eq!((&listed["username"], &listed["sessions"]), (&"alice".into(), &2.into()));
    assert_eq!(listed["disabled"], false);

    admin(&cluster, 2, &["disable", "alice"], "").await.exits_with(0);
    is_logged_out(&alice).await;
    is_logged_out(&phone).await;
    let refused = log_in(&cluster, PASSWORD).await.expect_err("it is disabled");
    assert_refused(&refused, Code::PermissionDenied, "ACCOUNT_DISABLED");
    let wrong = log_in(&cluster, "not the password").await.expect_err("it is wrong");
    assert_refused(&wrong, Code::Unauthenticated, "BAD_CREDENTIALS");
    let login = ["login", "alice", "--password-file", "password"];
    std::fs::write(cluster.folder().join("password"), PASSWORD).expect("writable");
    let said = client(&cluster, &login).await;
    said.exits_with(1);
    assert!(said.stderr.contains("is disabled"), "{}", said.stderr);
    assert_eq!(bodies(&bob.history("@alice").await), ["still here"]);
    bob.send("@alice", "for later").await;
    let listed = server(&cluster, &["admin", "list"], "").await;
    listed.exits_with(0);
    listed.tells(&["alice: created", "logged in nowhere, disabled", "bob: created", "1 device"]);

    admin(&cluster, 3, &["enable", "alice"], "").await.exits_with(0);
    let back = User::log_in(&cluster, "alice").await;
    assert_eq!(bodies(&back.history("@bob").await), ["still here", "for later"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn devices_are_logged_out_and_a_change_under_way_by_one_of_them_is_void() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    admin(&cluster, 1, &["end-sessions", "alice"], "").await.exits_with(0);
    is_logged_out(&alice).await;
    let request = ChangePasswordRequest {
        request_id: request_id(),
        old_password: PASSWORD.into(),
        new_password: NEW.into(),
    };
    let changed = alice.call(|door| {
        let request = request.clone();
        async move { door.accounts().change_password(request).await }
    });
    let refused = changed.await.expect_err("its session has ended");
    assert_refused(&refused, Code::Unauthenticated, "NO_SESSION");
    log_in(&cluster, PASSWORD).await.expect("nothing else changed");
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words() {
    let cluster = Cluster::start().await;
    User::create(&cluster, "alice").await;
    let nobody = admin(&cluster, 1, &["disable", "nobody"], "").await;
    nobody.exits_with(1);
    assert!(nobody.stderr.contains("there is no such account"), "{}", nobody.stderr);
    let reset = ["reset-password", "alice", "--password-stdin"];
    let short = admin(&cluster, 2, &reset, "short\n").await;
    short.exits_with(1);
    assert!(short.stderr.contains("8 to 1,024 bytes"), "{}", short.stderr);
    let none = admin(&cluster, 2, &["reset-password", "alice"], "").await;
    none.exits_with(2);
    assert!(none.stderr.contains("--password-stdin"), "{}", none.stderr);
    log_in(&cluster, PASSWORD).await.expect("nothing changed");
}
