//! Backups: taken while people talk, restored when everything is lost, and refused when they are not whole.

use std::{fs, path::PathBuf, time::Duration};

use chinwag::wire::chat::Role;

use super::{client, object, server};
use crate::harness::{
    Cluster, Load, Options, People, User, all, bodies, contents_are_equal, request_id, wipe,
};

/// Takes a backup at this server; returns the file.
async fn back_up(cluster: &Cluster, id: u32) -> PathBuf {
    let file = cluster.folder().join("backup");
    let (name, at) = (file.display().to_string(), id.to_string());
    let said = client(cluster, &["--json", "backup", &name, "--id", &at]).await;
    said.exits_with(0);
    let told = object(&said);
    assert_eq!(told["type"], "backed_up");
    assert_eq!(told["server_id"], id);
    assert_eq!(told["in_sync"], serde_json::json!([1, 2, 3]));
    file
}

/// Every disk is lost.
fn lose_everything(cluster: &mut Cluster) {
    for id in all() {
        if cluster.is_up(id) {
            cluster.kill(id);
        }
        wipe(&cluster.data(id));
    }
}

async fn restore(cluster: &Cluster, file: &std::path::Path, id: u32) {
    let (file, id) = (file.display().to_string(), id.to_string());
    let said = server(cluster, &["restore", &file, "--id", &id], "").await;
    said.exits_with(0);
    said.tells(&["holds everything up to entry", "Start it first"]);
}

#[tokio::test]
async fn a_cluster_that_lost_every_disk_goes_on_from_its_backup() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    let request = request_id();
    let first = alice.try_send(&request, "@bob", "before the backup").await.expect("sent");
    alice.send("@bob", "also before").await;
    let leader = cluster.leader().await;
    let file = back_up(&cluster, cluster.another(leader)).await;
    alice.send("@bob", "after the backup").await;

    lose_everything(&mut cluster);
    restore(&cluster, &file, 2).await;
    cluster.start_server(2).await;
    let waits = |status: &chinwag::wire::chat::GetStatusResponse| status.waiting_for == [1, 3];
    cluster.status_when(2, "waits for the empty ones", waits).await;
    cluster.start_server(1).await;
    cluster.start_server(3).await;
    cluster.in_sync(all()).await;

    // Nobody logs in again, and what was done before is done.
    assert_eq!(bodies(&bob.history("@alice").await), ["before the backup", "also before"]);
    let again = alice.try_send(&request, "@bob", "before the backup").await.expect("known");
    assert_eq!(again.message_id, first.message_id, "a repeat finds the first outcome");
    alice.send("@bob", "and on").await;
    let expected = ["before the backup", "also before", "and on"];
    assert_eq!(bodies(&bob.history("@alice").await), expected);
    let status = cluster.status(cluster.leader().await).await.expect("it leads");
    assert!(status.forced_epochs.is_empty(), "nobody was forced");
    client(&cluster, &["verify"]).await.exits_with(0);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_backup_holds_all_that_was_acknowledged_before_it_whoever_sends_meanwhile() {
    let mut cluster = Cluster::start().await;
    let people = People { listeners: 1, senders: 3, scouts: false, histories: false };
    let mut load = Load::begin(&cluster, people).await;
    load.more(50).await;
    let leader = cluster.leader().await;
    let before = load.count();
    let file = back_up(&cluster, cluster.another(leader)).await;
    load.more(20).await;
    load.end().await;
    lose_everything(&mut cluster);
    restore(&cluster, &file, 1).await;
    let database = crate::harness::database(&cluster, 1);
    let stored = crate::harness::count(&database, "messages");
    assert!(stored >= i64::try_from(before).expect("few"), "{stored} of {before} messages");
}

#[tokio::test]
async fn one_box_that_is_left_is_forced_to_go_on_from_a_backup_and_says_so() {
    let options = Options { policy: "majority", ..Options::default() };
    let mut cluster = Cluster::start_with(options).await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    let file = back_up(&cluster, 1).await;
    lose_everything(&mut cluster);
    restore(&cluster, &file, 3).await;
    cluster.start_server_told(3, &["--force-lead"], "test\n").await;
    assert_eq!(cluster.leader().await, 3);
    alice.send("@alice", "alone").await;
    cluster.start_server(1).await;
    cluster.start_server(2).await;
    cluster.in_sync(all()).await;
    let status = cluster.status(3).await.expect("it answers");
    assert_eq!(status.forced_epochs.len(), 1, "{status:?}");
    assert_eq!(bodies(&alice.history("@alice").await), ["kept", "alone"]);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_server_restored_beside_living_ones_copies_what_it_lacks() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "in the backup").await;
    let leader = cluster.leader().await;
    let lost = cluster.another(leader);
    let file = back_up(&cluster, lost).await;
    cluster.kill(lost);
    alice.send("@alice", "after it").await;
    wipe(&cluster.data(lost));
    restore(&cluster, &file, lost).await;
    cluster.start_server(lost).await;
    assert_eq!(cluster.in_sync(all()).await, leader, "and nobody else came to lead");
    assert_eq!(bodies(&alice.history("@alice").await), ["in the backup", "after it"]);
    contents_are_equal(&mut cluster).await;
}

/// With the only server that knows more away, an old copy must not go on: it would lose what was acknowledged.
#[tokio::test]
async fn a_server_restored_beside_one_that_knows_less_does_not_lead_with_it() {
    let options = Options { policy: "majority", ..Options::default() };
    let mut cluster = Cluster::start_with(options).await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "in the backup").await;
    let file = back_up(&cluster, 1).await;
    cluster.kill(3);
    alice.send("@alice", "on servers 1 and 2 alone").await;
    cluster.kill(1);
    cluster.kill(2);
    wipe(&cluster.data(1));
    restore(&cluster, &file, 1).await;
    cluster.start_server(1).await;
    cluster.start_server(3).await;
    let blank = |status: &chinwag::wire::chat::GetStatusResponse| {
        status.role() == Role::Blank && status.servers[2].last_contact >= 0
    };
    cluster.status_when(1, "does not trust its log", blank).await;
    cluster.start_server(2).await;
    cluster.in_sync(all()).await;
    let expected = ["in the backup", "on servers 1 and 2 alone"];
    assert_eq!(bodies(&alice.history("@alice").await), expected);
    contents_are_equal(&mut cluster).await;
}

#[tokio::test]
async fn a_backup_that_is_not_whole_is_refused_with_the_reason_and_nothing_is_touched() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    let file = back_up(&cluster, 1).await;
    let whole = fs::read(&file).expect("written");

    let again = client(&cluster, &["backup", &file.display().to_string()]).await;
    again.exits_with(2);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);

    cluster.stop_all().await;
    let half = cluster.folder().join("half");
    fs::write(&half, &whole[..whole.len() / 2]).expect("written");
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 1;
    let flipped = cluster.folder().join("flipped");
    fs::write(&flipped, bytes).expect("written");
    wipe(&cluster.data(1));
    for (broken, words) in [(&half, "is cut short"), (&flipped, "its checksum is wrong")] {
        let broken = broken.display().to_string();
        let said = server(&cluster, &["restore", &broken, "--id", "1"], "").await;
        said.exits_with(1);
        assert!(said.stderr.contains(words), "{}", said.stderr);
        assert_eq!(fs::read_dir(cluster.data(1)).expect("there").count(), 0);
    }
    let occupied = file.display().to_string();
    let said = server(&cluster, &["restore", &occupied, "--id", "2"], "").await;
    said.exits_with(1);
    assert!(said.stderr.contains("holds data"), "{}", said.stderr);
    for id in [2, 3] {
        cluster.start_server(id).await;
    }
    cluster.start_server(1).await;
    cluster.in_sync(all()).await;
    contents_are_equal(&mut cluster).await;
}

/// A drill: the backup is tried where nothing else of its cluster is.
#[tokio::test]
async fn a_backup_is_tried_on_a_machine_of_its_own() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    let file = back_up(&cluster, 2).await;
    let mut drill = Cluster::prepare(Options { servers: 1, ..Options::default() }).await;
    restore(&drill, &file, 1).await;
    drill.start_server(1).await;
    let waits = |status: &chinwag::wire::chat::GetStatusResponse| status.waiting_for == [2, 3];
    drill.status_when(1, "waits for the others of its log", waits).await;
    drill.stop(1).await;
    drill.start_server_told(1, &["--force-lead"], "test\n").await;
    drill.in_sync([1]).await;
    let mut there = User::nobody(&drill);
    there.become_holder("alice", &alice.token);
    assert_eq!(bodies(&there.history("@alice").await), ["kept"]);
    there.send("@alice", "in the drill").await;
    client(&drill, &["verify"]).await.exits_with(0);
    assert_eq!(bodies(&alice.history("@alice").await), ["kept"], "nobody else has heard of it");
}

/// Back to what was yesterday, though every server has more.
#[tokio::test]
async fn a_whole_cluster_goes_back_to_its_backup_if_that_is_wanted() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "wanted").await;
    let mut before = alice.subscribe("").await;
    let file = back_up(&cluster, 1).await;
    alice.send("@alice", "unwanted").await;
    let cursor = loop {
        let event = before.message().await.expect("an event").expect("an event");
        if matches!(event.kind, Some(chinwag::wire::chat::event::Kind::MessageCreated(_))) {
            break event.cursor;
        }
    };
    cluster.stop_all().await;
    let name = file.display().to_string();
    let said = server(&cluster, &["restore", &name, "--id", "1", "--replace", "--yes"], "").await;
    said.exits_with(0);
    said.tells(&["What was there before is in"]);
    cluster.start_server(1).await;
    for id in [2, 3] {
        cluster.start_server_with(id, &["--reset", "--yes"]).await;
    }
    cluster.in_sync(all()).await;
    assert_eq!(bodies(&alice.history("@alice").await), ["wanted"]);
    alice.send("@alice", "new").await;
    assert_eq!(bodies(&alice.history("@alice").await), ["wanted", "new"]);
    // A device that heard of what is gone is told to read again.
    let mut after = alice.subscribe(&cursor).await;
    let first = tokio::time::timeout(Duration::from_secs(20), after.message()).await;
    let first = first.expect("in time").expect("an event").expect("an event");
    let reset = matches!(first.kind, Some(chinwag::wire::chat::event::Kind::Reset(_)));
    assert!(reset, "{first:?}");
    contents_are_equal(&mut cluster).await;
}
