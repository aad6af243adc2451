//! When a session was last used: noted by whoever leads, once an hour, and the same on every server.

use std::time::Duration;

use chinwag::wire::chat::{GetStatusResponse, Session};

use crate::{
    accounts::sessions,
    harness::{Cluster, User, all, count, database, query, until},
};

/// A note is made beside the call that it is about.
const SOON: Duration = Duration::from_secs(20);
const TWO_HOURS: i64 = 7_200;

/// The present time, in seconds.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn last_used(session: &Session) -> prost_types::Timestamp {
    session.last_used_time.expect("every session has one")
}

/// How far a server has applied the log.
fn applied(status: &GetStatusResponse, id: u32) -> i64 {
    let mut servers = status.servers.iter();
    let server = servers.find(|server| server.server_id.cast_unsigned() == id);
    server.expect("it knows itself").applied_index
}

/// Waits until the account's one session was used a moment ago; returns when.
async fn noted(user: &User) -> prost_types::Timestamp {
    until(format!("a note of the use by {}", user.name), SOON, || async {
        let used = last_used(&sessions(user).await.expect("a live session")[0]);
        (used.seconds > now() - TWO_HOURS / 2).then_some(used)
    })
    .await
}

/// Stops all servers, makes it two hours later for all sessions, and starts them again.
async fn two_hours_pass(cluster: &mut Cluster) {
    cluster.stop_all().await;
    let before = TWO_HOURS * 1_000_000;
    for id in all() {
        let earlier = format!("UPDATE sessions SET last_used = last_used - {before}");
        query(&database(cluster, id), &earlier);
    }
    for id in all() {
        cluster.start_server(id).await;
    }
    cluster.in_sync(all()).await;
}

#[tokio::test]
async fn the_use_of_a_session_is_noted_once_an_hour_and_survives_the_leader() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    User::create(&cluster, "bob").await;
    two_hours_pass(&mut cluster).await;
    let noted_at = noted(&alice).await;

    let leader = cluster.leader().await;
    let before = applied(&cluster.status(leader).await.expect("it leads"), leader);
    for number in 0..20 {
        alice.send("@alice", &number.to_string()).await;
        let sessions = sessions(&alice).await.expect("a live session");
        assert_eq!(last_used(&sessions[0]), noted_at, "no second note within the hour");
    }
    let what = "what she sent is applied";
    let status = cluster.status_when(leader, what, |status| applied(status, leader) >= before + 20);
    assert_eq!(applied(&status.await, leader), before + 20, "nothing else was written");

    // The next leader remembers nobody, and finds the note.
    cluster.kill(leader);
    for number in 20..30 {
        alice.send("@alice", &number.to_string()).await;
        let sessions = sessions(&alice).await.expect("a live session");
        assert_eq!(last_used(&sessions[0]), noted_at, "nor by the next leader");
    }
    cluster.start_server(leader).await;
    cluster.in_sync(all()).await;
    cluster.stop_all().await;
    let hour_ago = (now() - TWO_HOURS / 2) * 1_000_000;
    for id in all() {
        let fresh =
            count(&database(&cluster, id), &format!("sessions WHERE last_used > {hour_ago}"));
        assert_eq!(fresh, 1, "server {id}: alice was here, bob was not");
    }
}
