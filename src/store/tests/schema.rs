//! The schema in the code, in the migrations and in the database are one.

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query};
use diesel_migrations::MigrationHarness as _;

use crate::store::connection::{MIGRATIONS, SCHEMA_VERSION};

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    required: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

type Columns = BTreeMap<String, (String, bool)>;

fn migrated() -> SqliteConnection {
    let mut connection = SqliteConnection::establish(":memory:").unwrap();
    connection.run_pending_migrations(MIGRATIONS).unwrap();
    connection
}

fn tables(connection: &mut SqliteConnection) -> BTreeMap<String, Columns> {
    let names: Vec<Name> = sql_query(
        "SELECT name FROM sqlite_schema WHERE type = 'table'
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_\\_diesel%' ESCAPE '\\'",
    )
    .load(connection)
    .unwrap();
    let mut tables = BTreeMap::new();
    for Name { name } in names {
        let columns: Vec<Column> = sql_query(format!(
            "SELECT name, type AS kind, \"notnull\" AS required FROM pragma_table_info('{name}')"
        ))
        .load(connection)
        .unwrap();
        let columns = columns.into_iter().map(|c| (c.name, (c.kind, c.required == 1))).collect();
        tables.insert(name, columns);
    }
    tables
}

/// Reads `table!` blocks: the file is small and ours.
fn declared() -> BTreeMap<String, Columns> {
    let mut tables = BTreeMap::new();
    for block in include_str!("../schema.rs").split("table! {").skip(1) {
        let mut lines = block.lines().skip(1);
        let name = lines.next().unwrap().split_whitespace().next().unwrap().to_owned();
        let mut columns = Columns::new();
        for line in lines.take_while(|line| !line.trim().starts_with('}')) {
            let (column, kind) = line.trim().trim_end_matches(',').split_once(" -> ").unwrap();
            let inner = kind.strip_prefix("Nullable<").and_then(|kind| kind.strip_suffix('>'));
            let stored = match inner.unwrap_or(kind) {
                "BigInt" | "Bool" => "INTEGER",
                "Text" => "TEXT",
                "Binary" => "BLOB",
                other => panic!("{other} has no storage class here"),
            };
            columns.insert(column.to_owned(), (stored.to_owned(), inner.is_none()));
        }
        tables.insert(name, columns);
    }
    tables
}

#[test]
fn the_code_and_the_database_agree_on_every_column() {
    let declared = declared();
    assert!(declared.len() > 10, "the blocks were read");
    assert_eq!(declared, tables(&mut migrated()));
}

#[test]
fn migrations_run_up_down_and_up() {
    let mut connection = migrated();
    let first = tables(&mut connection);
    connection.revert_all_migrations(MIGRATIONS).unwrap();
    assert!(tables(&mut connection).is_empty());
    connection.run_pending_migrations(MIGRATIONS).unwrap();
    assert_eq!(first, tables(&mut connection));
}

#[test]
fn every_table_is_strict() {
    let mut connection = migrated();
    let lax: Vec<Name> = sql_query(
        "SELECT name FROM pragma_table_list WHERE strict = 0 AND type = 'table'
         AND name NOT LIKE 'sqlite%' AND name NOT LIKE '%diesel%'",
    )
    .load(&mut connection)
    .unwrap();
    assert!(lax.is_empty(), "{:?}", lax.iter().map(|table| &table.name).collect::<Vec<_>>());
}

#[test]
fn the_schema_version_counts_the_migrations() {
    let applied = migrated().applied_migrations().unwrap();
    assert_eq!(applied.len(), SCHEMA_VERSION as usize);
}
