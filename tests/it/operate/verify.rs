//! Comparing servers: equal ones are, and what one disk holds otherwise is named.

use std::time::Duration;

use super::{client, object};
use crate::harness::{Cluster, Load, People, User, all, count, database, query, query_all};

async fn talked(cluster: &Cluster) {
    let alice = User::create(cluster, "alice").await;
    User::create(cluster, "bob").await;
    for number in 0..30 {
        alice.send("@bob", &format!("message {number}")).await;
    }
}

#[tokio::test]
async fn servers_that_hold_the_same_are_equal_whoever_talks_meanwhile() {
    let mut cluster = Cluster::start().await;
    let people = People { listeners: 1, senders: 4, scouts: false, histories: false };
    let mut load = Load::begin(&cluster, people).await;
    for round in 0..3 {
        load.more(50).await;
        let at = (round + 1).to_string();
        let said = client(&cluster, &["--json", "verify", "--id", &at]).await;
        said.exits_with(0);
        let told = object(&said);
        assert_eq!(told["equal"], true, "{told}");
        assert_eq!(told["compared"], serde_json::json!([1, 2, 3]));
        assert!(told["rows"].as_u64().expect("a number") > 50, "{told}");
    }
    load.end().await;
    let said = client(&cluster, &["verify"]).await;
    said.exits_with(0);
    said.tells(&["server 1, 2, 3 hold the same"]);
    cluster.stop_all().await;
}

#[tokio::test]
async fn a_row_that_one_disk_holds_otherwise_is_named() {
    let mut cluster = Cluster::start().await;
    talked(&cluster).await;
    let leader = cluster.leader().await;
    let odd = cluster.another(leader);
    cluster.stop(odd).await;
    query(&database(&cluster, odd), "UPDATE messages SET body = 'forged' WHERE body = 'message 7'");
    cluster.start_server(odd).await;
    cluster.in_sync(all()).await;
    let said = client(&cluster, &["--json", "verify"]).await;
    said.exits_with(1);
    let told = object(&said);
    let difference = &told["difference"];
    assert_eq!(difference["table"], "messages", "{told}");
    assert_eq!(difference["columns"], serde_json::json!(["body"]), "{told}");
    let key: i64 = difference["key"].as_str().expect("a key").parse().expect("a number");
    let rows = count(
        &database_copy(&cluster, odd),
        &format!("messages WHERE id = {key} AND body = 'forged'"),
    );
    assert_eq!(rows, 1, "the key is the changed row's: {told}");
    let alone = &difference["groups"][1];
    assert_eq!(alone["server_ids"], serde_json::json!([odd]), "{told}");

    // Reset, it copies, and all is well again.
    cluster.stop(odd).await;
    cluster.start_server_with(odd, &["--reset", "--yes"]).await;
    cluster.in_sync(all()).await;
    client(&cluster, &["verify"]).await.exits_with(0);
}

/// The database of a running server; its write-ahead log is not needed for what was changed before its start.
fn database_copy(cluster: &Cluster, id: u32) -> std::path::PathBuf {
    let copy = cluster.folder().join("copy.db");
    std::fs::copy(database(cluster, id), &copy).expect("a copy");
    copy
}

#[tokio::test]
async fn a_row_that_one_disk_lacks_and_a_server_that_is_away_are_told() {
    let mut cluster = Cluster::start().await;
    talked(&cluster).await;
    let leader = cluster.leader().await;
    let odd = cluster.another(leader);
    let away = all().find(|id| *id != odd && *id != leader).expect("a third one");
    cluster.stop(odd).await;
    let delete = "DELETE FROM accounts WHERE username = 'bob'";
    query_all(&database(&cluster, odd), &["PRAGMA foreign_keys = OFF", delete]);
    cluster.start_server(odd).await;
    cluster.in_sync(all()).await;
    cluster.kill(away);
    cluster.status_when(leader, "two copies", |status| status.copies == 2).await;
    let said = client(&cluster, &["verify"]).await;
    said.exits_with(1);
    said.tells(&["first in table accounts", &format!("server {odd} lacks the row")]);
    said.tells(&[&format!("not compared, for they are not in sync: server {away}")]);
}

#[tokio::test]
async fn a_damaged_file_is_told_though_its_tables_can_be_read() {
    let mut cluster = Cluster::start().await;
    talked(&cluster).await;
    let leader = cluster.leader().await;
    let odd = cluster.another(leader);
    cluster.stop(odd).await;
    // An index that says something else than its table.
    let index = "UPDATE sqlite_schema SET sql = 'CREATE INDEX sessions_by_account ON sessions \
                 (device_name)' WHERE name = 'sessions_by_account'";
    let file = database(&cluster, odd);
    query_all(&file, &["PRAGMA writable_schema = ON", index]);
    cluster.start_server(odd).await;
    cluster.in_sync(all()).await;
    let said = client(&cluster, &["--json", "verify"]).await;
    said.exits_with(1);
    let told = object(&said);
    assert_eq!(told["damaged"][0]["server_id"], odd, "{told}");
    assert_eq!(told["difference"], serde_json::Value::Null, "{told}");
}

#[tokio::test]
async fn without_a_leader_nothing_is_compared() {
    let mut cluster = Cluster::start().await;
    talked(&cluster).await;
    for id in all() {
        cluster.kill(id);
    }
    cluster.start_server(2).await;
    cluster.status_when(2, "waits", |status| !status.waiting_for.is_empty()).await;
    let said = tokio::time::timeout(Duration::from_secs(40), client(&cluster, &["verify"])).await;
    said.expect("it gives up").exits_with(69);
}
