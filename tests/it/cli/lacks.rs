//! A leader that is there and cannot do it now is not called away.

use std::fs;

use super::Person;
use crate::harness::{Cluster, all};

/// Stops all servers, does something to their files, and starts them again.
async fn restart_after(cluster: &mut Cluster, change: impl FnOnce(&Cluster)) {
    cluster.stop_all().await;
    change(cluster);
    for id in all() {
        cluster.start_server(id).await;
    }
}

#[tokio::test]
async fn full_disks_are_named_and_reading_goes_on() {
    let mut cluster = Cluster::start().await;
    let alice = Person::new(&cluster, "alice");
    alice.creates("alice").await;
    alice.does(&["send", "@alice", "written before"]).await;
    // No disk has so much room.
    restart_after(&mut cluster, |cluster| {
        let text = fs::read_to_string(cluster.config()).expect("the test's own");
        let full = text.replace("storage: { ", "storage: { reserve_mib: 1073741823, ");
        assert_ne!(full, text);
        fs::write(cluster.config(), full).expect("the test's own");
    })
    .await;
    // Whoever leads has no room either to take the others in.
    let leader = cluster.leader().await;
    cluster.status_when(leader, "it takes no writes", |status| status.read_only).await;
    let disk = format!("the disk of the server at {} is full", cluster.address(leader));
    let send = ["--timeout", "2", "send", "@alice", "written now"];
    alice.fails_told(&send, "", (69, "STORAGE_FULL", &disk)).await;
    let said = alice.runs(&send, "").await;
    assert!(said.stderr.contains(&format!("{disk}; trying...")), "{}", said.stderr);
    assert!(
        said.stderr.contains("make room") && !said.stderr.contains("no leader"),
        "{}",
        said.stderr
    );
    alice.does(&["history", "@alice"]).await.tells(&["written before"]);
}

#[tokio::test]
async fn a_search_that_is_not_ready_is_told_as_such_and_the_rest_goes_on() {
    let mut cluster = Cluster::start().await;
    let alice = Person::new(&cluster, "alice");
    alice.creates("alice").await;
    alice.does(&["send", "@alice", "hello"]).await;
    restart_after(&mut cluster, |cluster| {
        for id in all() {
            // Where a folder stands, no index can be made.
            let index = cluster.data(id).join("search.db");
            fs::remove_file(&index).expect("every server has one");
            fs::create_dir(&index).expect("a folder");
        }
    })
    .await;
    cluster.in_sync(all()).await;
    let search = ["--timeout", "2", "search", "hello"];
    let words = "messages are safe, and sending and reading them goes on";
    alice.fails_told(&search, "", (69, "SEARCH_NOT_READY", words)).await;
    let said = alice.runs(&search, "").await;
    assert!(said.stderr.contains("searching is not ready yet; trying..."), "{}", said.stderr);
    assert!(!said.stderr.contains("no leader"), "{}", said.stderr);
    alice.does(&["send", "@alice", "more"]).await;
    alice.does(&["history", "@alice"]).await.tells(&["hello", "more"]);
}
