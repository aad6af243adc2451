//! Outcomes that an older schema kept are known to this one, and the other way round.

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{BigInt, Binary},
};
use diesel_migrations::MigrationHarness as _;
use prost::Message as _;

use crate::{
    chat::{Call, Fingerprint, RequestId},
    store::{connection::MIGRATIONS, outcomes},
    wire::log::{StoredOutcome, stored_outcome::Kind},
};

/// The migrations before outcomes were kept by position.
const BEFORE: usize = 5;

#[derive(QueryableByName)]
struct OldRow {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Binary)]
    outcome: Vec<u8>,
}

#[test]
fn outcomes_of_an_older_schema_are_found_and_would_be_written_back() {
    let mut connection = SqliteConnection::establish(":memory:").unwrap();
    for _ in 0..BEFORE {
        connection.run_next_migration(MIGRATIONS).unwrap();
    }
    // Every length that a position's encoding may have, and what is no message of the entry's own.
    let own: Vec<i64> = (1..35).flat_map(|bits| [(1 << bits) - 1, 1 << bits]).collect();
    let mut written: Vec<(i64, Kind)> = own.iter().map(|at| (*at, Kind::Message(*at))).collect();
    written.sort_unstable_by_key(|(position, _)| *position);
    written.dedup_by_key(|(position, _)| *position);
    written.extend([
        (1 << 40, Kind::Message(7)),
        ((1 << 40) + 1, Kind::Done(true)),
        ((1 << 40) + 2, Kind::Refusal(3)),
    ]);
    for (position, kind) in &written {
        let outcome = StoredOutcome { kind: Some(*kind) }.encode_to_vec();
        let insert = format!(
            "INSERT INTO requests VALUES (x'{:032x}', x'0000000000000005', 7, x'{:016x}{:048x}', x'{}', 9, {position})",
            position,
            position,
            1,
            hex(&outcome),
        );
        connection.batch_execute(&insert).unwrap();
    }

    connection.run_next_migration(MIGRATIONS).unwrap();
    let call = Call::from_number(7).unwrap();
    let scope = 5_i64.to_be_bytes();
    for (position, kind) in &written {
        let id = RequestId((*position as u128).to_be_bytes());
        let found = outcomes::find(&mut connection, id, &scope, call).unwrap().expect("known");
        assert_eq!((found.position, found.kind().unwrap()), (*position, *kind));
        assert_eq!(found.fingerprint().ok(), Fingerprint::of_kept(&position.to_be_bytes()));
        assert!(outcomes::find(&mut connection, id, b"other", call).unwrap().is_none());
    }

    connection.revert_last_migration(MIGRATIONS).unwrap();
    let rows: Vec<OldRow> = sql_query("SELECT position, outcome FROM requests ORDER BY position")
        .load(&mut connection)
        .unwrap();
    let back = rows.iter().map(|row| {
        (row.position, StoredOutcome::decode(row.outcome.as_slice()).unwrap().kind.unwrap())
    });
    assert!(back.eq(written), "outcomes are written out again");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
