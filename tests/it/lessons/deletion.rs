//! Accounts that go: everywhere, for good, and without harm to anybody's writes.

use std::time::Duration;

use tonic::Code;

use crate::{
    accounts::{
        assert_ended, change_password, delete_account, deleted_peer, end_session, log_in, sessions,
    },
    bad_input::assert_refused,
    harness::{
        Cluster, PASSWORD, User, all, bodies, contents_are_equal, count, database, request_id,
        within,
    },
};

#[tokio::test]
async fn deletions_changed_passwords_and_ended_sessions_survive_a_fail_over() {
    const NEW: &str = "another horse battery";
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let phone = User::log_in(&cluster, "bob").await;
    let carol = User::create(&cluster, "carol").await;
    alice.send("@bob", "last words").await;
    delete_account(&alice, &request_id(), PASSWORD).await.expect("proved");
    let of_phone = sessions(&phone).await.expect("a session");
    let of_phone = of_phone.into_iter().find(|session| session.current).expect("listed");
    end_session(&bob, &request_id(), &of_phone.session_id).await.expect("his own");
    change_password(&carol, &request_id(), PASSWORD, NEW).await.expect("proved");
    for _ in 0..2 {
        let leader = cluster.leader().await;
        cluster.kill(leader);
        for ended in [&alice, &phone] {
            assert_ended(ended).await;
        }
        for (name, password) in [("alice", PASSWORD), ("carol", PASSWORD)] {
            let refused = log_in(&bob, &request_id(), name, password).await.expect_err(name);
            assert_refused(&refused, Code::Unauthenticated, "BAD_CREDENTIALS");
        }
        log_in(&bob, &request_id(), "carol", NEW).await.expect("the new password");
        let address = deleted_peer(&bob).await;
        assert_eq!(bodies(&bob.history(&address).await), ["last words"]);
    }
}

/// The writer was stuck for ever where this was first seen.
#[tokio::test]
async fn deleting_an_account_with_undelivered_mail_harms_nobodys_writes() {
    let mut cluster = Cluster::start().await;
    let bob = User::create(&cluster, "bob").await;
    let mut senders = Vec::new();
    for name in ["ann", "ben", "cleo"] {
        let user = User::create(&cluster, name).await;
        for number in 0..20 {
            user.send("@bob", &number.to_string()).await;
        }
        senders.push(user);
    }
    bob.send("@bob", "note to self").await;
    assert_eq!(bob.unread("@ann").await, 20, "nothing was delivered");
    // Mail goes on coming while the account ends.
    let late = async {
        for number in 20..60 {
            let id = request_id();
            match senders[0].try_send(&id, "@bob", &number.to_string()).await {
                Ok(_) => {}
                Err(status) => {
                    assert_refused(&status, Code::NotFound, "NO_SUCH_ACCOUNT");
                    return number;
                }
            }
        }
        60
    };
    let id = request_id();
    let ending = delete_account(&bob, &id, PASSWORD);
    let (taken, ended) =
        within("both", Duration::from_secs(60), async { tokio::join!(late, ending) }).await;
    ended.expect("proved");
    assert_ended(&bob).await;
    for sender in &senders {
        let sent = sender.send(&format!("@{}", sender.name), "still writing").await;
        assert_eq!(sent.seq, 1, "{}", sender.name);
        let address = deleted_peer(sender).await;
        let expected = if sender.name == "ann" { taken } else { 20 };
        assert_eq!(sender.history(&address).await.len(), expected, "{}", sender.name);
    }
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
    for server in all() {
        let path = database(&cluster, server);
        assert_eq!(count(&path, "messages WHERE body = 'note to self'"), 0, "server {server}");
        let inbox = "members m JOIN accounts a ON a.id = m.account WHERE a.deleted";
        assert_eq!(count(&path, inbox), 0, "server {server}");
    }
}
