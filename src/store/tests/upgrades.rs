//! A store of every older schema runs forward, with all that is in it.
//!
//! The older databases are made here, by the older migrations alone, and filled with the rows of a life that
//! each of these versions could have led.

use std::{fs, path::Path};

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _,
    migration::{Migration, MigrationConnection as _, MigrationSource},
    sql_query,
    sql_types::Text,
    sqlite::Sqlite,
};
use diesel_migrations::MigrationHarness as _;

use super::{administered, *};
use crate::store::{
    connection::{MIGRATIONS, SCHEMA_VERSION},
    local::LocalStore,
};

/// Up to this version outcomes were stored in another form, into which the later migrations' `down.sql` brings
/// them back.
const OUTCOMES_BY_ID: usize = 5;

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

fn names(connection: &mut SqliteConnection, query: &str) -> Vec<String> {
    let rows: Vec<Name> = sql_query(query).load(connection).unwrap();
    rows.into_iter().map(|row| row.name).collect()
}

/// What accounts and direct messages leave behind: all that the oldest version had.
fn life() -> (Bench, User, User) {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    for number in 0..20 {
        bench.send(alice, "@bob", &format!("to bob {number}"));
        bench.send(bob, "@alice", &format!("to alice {number}"));
    }
    let first = bench.history(bob, "@alice")[0].id;
    bench.act(bob, Command::AcknowledgeMessages(vec![first])).unwrap();
    bench.act(alice, Command::MarkRead { conversation: name("@bob"), seq: 7 }).unwrap();
    let second = bench.history(bob, "@alice")[1].id;
    bench.act(bob, Command::DeleteMessages(vec![second])).unwrap();
    (bench, alice, bob)
}

/// A data folder as the program left it whose schema had this version.
fn older(bench: &Bench, version: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    let modern = folder.path().join("modern");
    bench.store.snapshot_to(&modern).unwrap();
    let mut connection = SqliteConnection::establish(modern.to_str().unwrap()).unwrap();
    for _ in version.max(OUTCOMES_BY_ID)..SCHEMA_VERSION as usize {
        connection.revert_last_migration(MIGRATIONS).unwrap();
    }
    drop(connection);
    fs::create_dir(folder.path().join("gen-000001")).unwrap();
    make(&folder.path().join("gen-000001/chat.db"), &modern, version);
    fs::remove_file(modern).unwrap();
    fs::write(folder.path().join("CURRENT"), "gen-000001\n").unwrap();
    drop(LocalStore::open_or_make(&folder.path().join("local.db"), [1; 16]).unwrap());
    folder
}

fn make(path: &Path, modern: &Path, version: usize) {
    let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    connection.batch_execute("PRAGMA foreign_keys = OFF").unwrap();
    let mut migrations: Vec<Box<dyn Migration<Sqlite>>> =
        MigrationSource::<Sqlite>::migrations(&MIGRATIONS).unwrap();
    migrations.sort_by_key(|migration| migration.name().version().to_string());
    connection.setup().unwrap();
    for migration in &migrations[..version] {
        connection.run_migration(migration).unwrap();
    }
    let attach = format!("ATTACH '{}' AS modern", modern.display());
    connection.batch_execute(&attach).unwrap();
    let tables =
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE '%diesel%'";
    for table in names(&mut connection, tables) {
        let columns = names(
            &mut connection,
            &format!(
                "SELECT name FROM pragma_table_info('{table}', 'main') WHERE name IN
                 (SELECT name FROM pragma_table_info('{table}', 'modern'))"
            ),
        );
        let columns = columns.join(", ");
        let fill =
            format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM modern.{table}");
        connection.batch_execute(&fill).unwrap();
    }
}

#[test]
fn a_store_of_every_older_schema_runs_forward_with_its_data_and_goes_on() {
    let (mut modern, alice, bob) = life();
    let contents = modern.contents();
    let folders: Vec<_> =
        (1..SCHEMA_VERSION as usize).map(|version| (version, older(&modern, version))).collect();
    let repeat = modern.scribe.send(alice, "@bob", "in the new version");
    let sent = sent(modern.run(&repeat));
    let disable = modern.scribe.call(None, administered::disable(alice));
    assert_eq!(modern.run(&disable), Ok(Outcome::Administered));
    let since = &modern.scribe.entries[modern.scribe.entries.len() - 2..];

    for (version, folder) in folders {
        let Opened { store, mut writer, log, .. } = open(folder.path()).unwrap();
        let read = store.read_now(|reader| inspect::lines(&mut reader.connection)).unwrap();
        assert_eq!(read, contents, "schema {version}");
        let end = log.expect("it has a log").last;
        assert_eq!(end.seq + 1, since[0].seq, "schema {version}");

        let digest = writer.store(since, LINEAGE).unwrap();
        assert_eq!(digest, modern.digest, "schema {version}: the same as on every other server");
        let read = store.read_now(|reader| inspect::lines(&mut reader.connection)).unwrap();
        assert_eq!(read, modern.contents(), "schema {version}");
        let history = store.read_now(|reader| {
            reader.messages(bob.account, &name("@alice"), super::super::Around::Latest, 0)
        });
        let history = history.unwrap().unwrap().messages;
        assert_eq!(history.last().map(|message| message.id), Some(sent.id), "schema {version}");
    }
}

#[test]
fn a_store_of_a_newer_schema_is_refused_and_left_as_it_is() {
    let (modern, ..) = life();
    let folder = older(&modern, SCHEMA_VERSION as usize);
    let path = folder.path().join("gen-000001/chat.db");
    let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000007')";
    let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    connection.batch_execute(later).unwrap();
    drop(connection);
    let refused = open(folder.path()).unwrap_err();
    assert!(matches!(refused, StoreError::NewerVersion { .. }), "{refused}");
    assert!(refused.to_string().contains("run that version"), "{refused}");
}
