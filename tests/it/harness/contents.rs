//! What stands in the files of servers that have stopped.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chinwag::{store::message_ids, wire::chat::Message};
use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query,
    sql_types::{BigInt, Text},
};

use super::cluster::Cluster;

/// A message as it is stored.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, QueryableByName)]
pub(crate) struct StoredMessage {
    /// 32 hex digits.
    #[diesel(sql_type = Text)]
    pub(crate) message_id: String,
    /// Its place in its conversation.
    #[diesel(sql_type = BigInt)]
    pub(crate) seq: i64,
    /// Its text.
    #[diesel(sql_type = Text)]
    pub(crate) body: String,
}

/// The bodies, in order.
pub(crate) fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

/// The database that a server uses.
pub(crate) fn database(cluster: &Cluster, id: u32) -> PathBuf {
    let folder = cluster.data(id);
    let current = fs::read_to_string(folder.join("CURRENT")).expect("the server has data");
    folder.join(current.trim()).join("chat.db")
}

/// Runs SQL on a database that no server uses.
pub(crate) fn query(path: &Path, sql: &str) {
    query_all(path, &[sql]);
}

/// The same with several statements over one connection.
pub(crate) fn query_all(path: &Path, statements: &[&str]) {
    let mut connection = connect(path);
    for sql in statements {
        sql_query(*sql).execute(&mut connection).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// How many rows there are of `rest`, such as `accounts WHERE deleted`, in a database that no server uses.
pub(crate) fn count(path: &Path, rest: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let row: Row = sql_query(format!("SELECT count(*) AS count FROM {rest}"))
        .get_result(&mut connect(path))
        .unwrap_or_else(|error| panic!("{rest}: {error}"));
    row.count
}

/// Every message that a stopped server holds.
pub(crate) fn stored_messages(cluster: &Cluster, id: u32) -> Vec<StoredMessage> {
    let whole = message_ids::IN_SQL;
    sql_query(format!("SELECT lower({whole}) AS message_id, seq, body FROM messages m ORDER BY id"))
        .load(&mut connect(&database(cluster, id)))
        .expect("the messages can be read")
}

/// Stops all servers; every one holds the same.
pub(crate) async fn contents_are_equal(cluster: &mut Cluster) {
    cluster.stop_all().await;
    let first = stored_messages(cluster, 1);
    assert!(!first.is_empty(), "there is something to compare");
    for id in cluster.ids() {
        assert_eq!(stored_messages(cluster, id), first, "server {id} and server 1");
    }
}

fn connect(path: &Path) -> SqliteConnection {
    let path = path.to_str().expect("a printable path");
    SqliteConnection::establish(path).expect("the database can be opened")
}
