//! Servers that stop without dying.

use std::{pin::pin, time::Duration};

use chinwag::wire::chat::{GetAccountRequest, ListMessagesRequest, Role, SendMessageRequest};
use tokio::time::{Instant, timeout};

use crate::harness::{Cluster, User, all, bodies, contents_are_equal, request_id};

/// A fail-over away from a frozen leader: 1 s of silence, the succession, and a busy machine.
const SILENT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_thawed_leader_refuses_reads_and_writes() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "before").await;
    let old = cluster.leader().await;
    let at_old = cluster.door(old).with(&alice.token);
    cluster.freeze(old);
    let frozen = Instant::now();
    alice.send("@alice", "meanwhile").await;
    let pause = frozen.elapsed();
    assert!(pause < SILENT, "the next send was acknowledged after {pause:?}");

    // Both wait at the frozen server, and must find a server that knows better when it wakes.
    let list = ListMessagesRequest { conversation: "@alice".into(), ..Default::default() };
    let send = SendMessageRequest {
        request_id: request_id(),
        conversation: "@alice".into(),
        body: "to the deposed".into(),
        reply_to: String::new(),
    };
    let (mut reads, mut writes) = (at_old.messages(), at_old.messages());
    let waiting = async { tokio::join!(reads.list_messages(list), writes.send_message(send)) };
    let mut waiting = pin!(waiting);
    assert!(timeout(Duration::from_millis(50), &mut waiting).await.is_err(), "it is frozen");
    cluster.thaw(old);
    let both = timeout(Duration::from_secs(10), waiting).await;
    let (read, written) = both.expect("both are answered");
    assert!(read.is_err(), "a deposed leader reads: {read:?}");
    assert!(written.is_err(), "a deposed leader writes: {written:?}");

    let leader = cluster.in_sync(all()).await;
    assert_ne!(leader, old);
    assert_eq!(cluster.status(old).await.expect("awake").role(), Role::Follower);
    let history = alice.history("@alice").await;
    assert_eq!(bodies(&history), ["before", "meanwhile"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_frozen_follower_costs_one_bounded_pause_and_then_nothing() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let leader = cluster.leader().await;
    let follower = cluster.another(leader);
    let third = all().find(|id| ![leader, follower].contains(id)).expect("one of three");
    cluster.freeze(follower);
    let begun = Instant::now();
    alice.send("@alice", "first").await;
    let pause = begun.elapsed();
    assert!(pause < SILENT, "one pause of {pause:?}");

    let mut slowest = Duration::ZERO;
    for number in 0..30 {
        let begun = Instant::now();
        alice.send("@alice", &number.to_string()).await;
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_millis(700), "then nothing: {slowest:?}");
    let status = cluster.status(leader).await.expect("it leads on");
    assert_eq!((status.role(), status.copies), (Role::Leader, 2));
    let role =
        |id: u32| status.servers.iter().find(|server| server.server_id.cast_unsigned() == id);
    assert!(role(third).is_some_and(|server| server.in_sync), "the third is not suspected");

    cluster.thaw(follower);
    assert_eq!(cluster.in_sync(all()).await, leader);
    assert_eq!(alice.history("@alice").await.len(), 31);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn an_idle_client_finds_the_next_leader_in_time() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let leader = cluster.leader().await;
    cluster.freeze(leader);
    // Nothing was under way when the leader froze; the call meets its silence.
    let begun = Instant::now();
    let answer =
        alice.call(|door| async move { door.accounts().get_account(GetAccountRequest {}).await });
    answer.await.expect("served by the next leader");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    cluster.thaw(leader);
    cluster.in_sync(all()).await;
}

#[tokio::test]
async fn a_frozen_follower_and_a_dead_leader_leave_one_that_serves() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "with three").await;
    let leader = cluster.leader().await;
    let frozen = cluster.another(leader);
    cluster.freeze(frozen);
    cluster.kill(leader);
    let begun = Instant::now();
    alice.send("@alice", "with one").await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    cluster.thaw(frozen);
    cluster.start_server(leader).await;
    cluster.in_sync(all()).await;
    assert_eq!(bodies(&alice.history("@alice").await), ["with three", "with one"]);
    contents_are_equal(&mut cluster).await;
}
