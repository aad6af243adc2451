//! The logical contents of a database, for comparing servers in tests and by hand.

use std::path::Path;

use diesel::{QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query, sql_types::Text};

use super::{connection, error::StoreError, local, message_ids};

/// Every chat table by public ids and names, one sorted line a row. Integer keys stay out, but for the
/// places in the log that rows are about; so do derived tables, the log, and the files' layout.
/// `{id}` stands for [`MESSAGE_ID`].
const TABLES: [&str; 17] = [
    "SELECT 'account ' || hex(account_id) || ' ' || username || ' ' || password_hash || ' v'
        || password_version || ' at ' || password_position || ' ' || create_time || ' deleted='
        || deleted || ' disabled=' || disabled_changes AS line FROM accounts",
    "SELECT 'alias ' || old_name || ' ' || hex(account_id) AS line
        FROM aliases JOIN accounts ON id = account",
    "SELECT 'session ' || hex(s.session_id) || ' ' || a.username || ' ' || s.device_name || ' '
        || s.create_time || ' ' || s.last_used || ' ended=' || ifnull(s.end_time, '-') AS line
        FROM sessions s JOIN accounts a ON a.id = s.account",
    "SELECT 'token ' || hex(t.token_hash) || ' ' || hex(s.session_id) AS line
        FROM session_tokens t JOIN sessions s ON s.id = t.session",
    "SELECT 'ended token ' || hex(t.token_hash) || ' ' || hex(s.session_id) AS line
        FROM ended_tokens t JOIN sessions s ON s.id = t.session",
    "SELECT 'conversation ' || label || ' kind=' || kind || ' ' || topic || ' private=' || private
        || ' deleted=' || deleted || ' last=' || last_seq || ' at ' || last_position || ' owner='
        || ifnull((SELECT hex(account_id) FROM accounts a WHERE a.id = owner), '-') || ' open='
        || open_seq || ' changed at ' || room_position || ' gone=' || ifnull(delete_time, '-')
        || ' purged=' || purged_seq || ' forsaken=' || forsaken AS line FROM named",
    "SELECT 'member ' || hex(a.account_id) || ' of ' || label || ' joined=' || joined_seq || ' read='
        || read_seq || ' own=' || own_after || ' gone=' || gone_after || ' mentions='
        || mentions_after || ' since ' || join_time || ' at ' || join_position AS line
        FROM members m JOIN accounts a ON a.id = m.account JOIN named ON named.id = m.conversation",
    "SELECT 'membership ' || hex(a.account_id) || ' of ' || label || ' at ' || position || ' member='
        || member AS line
        FROM membership_changes m JOIN accounts a ON a.id = m.account
        JOIN named ON named.id = m.conversation",
    "SELECT 'mention ' || hex(a.account_id) || ' in ' || {id} || ' ' || x.seq AS line
        FROM mentions x JOIN messages m ON m.id = x.message JOIN accounts a ON a.id = x.account",
    "SELECT 'message ' || {id} || ' ' || label || ' seq=' || m.seq || ' from '
        || hex(a.account_id) || ' re=' || hex(ifnull(m.reply_to, '')) || ' ' || m.create_time
        || ' edited=' || ifnull(m.edit_time, '-') || ' received=' || ifnull(m.received_time, '-')
        || ' deleted=' || m.deleted || ' body=' || hex(m.body) AS line
        FROM messages m JOIN accounts a ON a.id = m.sender JOIN named ON named.id = m.conversation",
    "SELECT 'hidden ' || {id} || ' from ' || hex(a.account_id) AS line
        FROM hidden h JOIN messages m ON m.id = h.message JOIN accounts a ON a.id = h.account",
    "SELECT 'deleted ' || {id} || ' by ' || hex(a.account_id) || ' ' || d.delete_time
        || ' body=' || ifnull(hex(d.body), '-') AS line
        FROM deleted_messages d JOIN messages m ON m.id = d.message
        JOIN accounts a ON a.id = d.deleted_by",
    "SELECT 'request ' || hex(request_id) || ' ' || hex(scope) || ' call=' || call || ' '
        || hex(fingerprint) || ' ' || iif(outcome IS NULL, 'own', hex(outcome)) || ' ' || time AS line FROM requests",
    "SELECT 'message alias ' || hex(x.message_id) || ' ' || {id} AS line
        FROM message_aliases x JOIN messages m ON m.id = x.message",
    "SELECT 'room alias ' || hex(x.room_id) || ' ' || label AS line
        FROM room_aliases x JOIN named ON named.id = x.conversation",
    "SELECT 'account alias ' || hex(x.account_id) || ' ' || hex(a.account_id) AS line
        FROM account_aliases x JOIN accounts a ON a.id = x.account",
    "SELECT 'divergence ' || epoch_number || ' ' || epoch_server || ' after ' || common_seq AS line
        FROM divergence",
];

/// Names every conversation from nobody's side.
const NAMED: &str = "WITH named AS (
    SELECT c.*, ifnull('#' || c.name || ' ' || hex(c.room_id), hex(l.account_id) || '+' || hex(h.account_id)) AS label
    FROM conversations c LEFT JOIN accounts l ON l.id = c.low_account
    LEFT JOIN accounts h ON h.id = c.high_account) ";

/// The contents of the database in a data folder that no server has open (or in a copy of one).
pub fn contents(data_dir: &Path) -> Result<String, StoreError> {
    let folder = super::folder::Folder::hold(data_dir)?;
    let generation =
        folder.current()?.ok_or_else(|| StoreError::Missing { path: data_dir.join("CURRENT") })?;
    contents_of(&folder.database(generation))
}

/// The contents of a database file: a snapshot, or one that was set aside.
pub fn contents_of(database: &Path) -> Result<String, StoreError> {
    lines(&mut connection::open_reader(database)?)
}

/// What the local store of a data folder holds, that no server has open; `None` without one.
pub fn local_state(data_dir: &Path) -> Result<Option<crate::cluster::LocalState>, StoreError> {
    let folder = super::folder::Folder::hold(data_dir)?;
    let path = folder.local_path();
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(local::LocalStore::open_or_make(&path, [0; 16])?.state().clone()))
}

pub(super) fn lines(connection: &mut SqliteConnection) -> Result<String, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let mut all = Vec::new();
    for query in TABLES {
        let rows: Vec<Row> =
            sql_query(format!("{NAMED}{}", query.replace("{id}", message_ids::IN_SQL)))
                .load(connection)
                .map_err(StoreError::database("read the contents"))?;
        all.extend(rows.into_iter().map(|row| row.line));
    }
    all.sort_unstable();
    Ok(all.join("\n"))
}
