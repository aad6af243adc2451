//! Data folders: used twice, damaged, reset, reopened.

use std::{fs, path::PathBuf};

use super::*;
use crate::{
    cluster::PeerMemory,
    store::{folder, inspect::local_state, reset},
};

fn closed(bench: Bench) -> (TempDir, PathBuf) {
    let Bench { folder, store, writer, .. } = bench;
    writer.close().unwrap();
    drop(store);
    let database = folder.path().join("gen-000001/chat.db");
    assert!(database.exists());
    (folder, database)
}

fn some_data() -> Bench {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    for number in 0..50 {
        bench.send(alice, "@alice", &format!("{number} {}", "x".repeat(500)));
    }
    bench
}

#[test]
fn a_new_folder_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = TempDir::new().unwrap();
    let folder = place.path().join("data/server-1");
    drop(open(&folder).unwrap());
    for made in [&folder, &place.path().join("data")] {
        let mode = fs::metadata(made).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", made.display());
    }
}

#[test]
fn a_folder_in_use_is_refused() {
    let bench = some_data();
    let error = open(bench.folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)));
    assert!(error.to_string().contains("in use by another process"), "{error}");
    assert!(matches!(reset(bench.folder.path(), [2; 16]), Err(StoreError::InUse(_))));
}

#[test]
fn what_is_committed_is_there_after_a_crash() {
    let bench = some_data();
    // A copy of the files as they are is what a killed process leaves.
    let copy = TempDir::new().unwrap();
    fs::create_dir(copy.path().join("gen-000001")).unwrap();
    for file in
        ["CURRENT", "local.db", "local.db-wal", "gen-000001/chat.db", "gen-000001/chat.db-wal"]
    {
        fs::copy(bench.folder.path().join(file), copy.path().join(file)).unwrap();
    }
    let opened = open(copy.path()).unwrap();
    assert_eq!(
        opened.log,
        Some(
            bench
                .store
                .read_now(|r| crate::store::log::summary(&mut r.connection))
                .unwrap()
                .unwrap()
        )
    );
    let contents = opened.store.read_now(|reader| inspect::lines(&mut reader.connection)).unwrap();
    assert_eq!(contents, bench.contents());
    assert_eq!(opened.local.starts, 2);
}

#[test]
fn a_truncated_database_is_an_error_and_never_an_empty_one() {
    let (folder, database) = closed(some_data());
    let whole = fs::read(&database).unwrap();
    for length in [0, 10, 4_096, whole.len() / 2, whole.len() - 4_096] {
        fs::write(&database, &whole[..length]).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{length} bytes: {error}");
    }
    fs::write(&database, "this is no database, but it is long enough").unwrap();
    assert!(matches!(open(folder.path()).unwrap_err(), StoreError::Damaged { .. }));
    fs::remove_file(&database).unwrap();
    assert!(matches!(open(folder.path()).unwrap_err(), StoreError::Missing { .. }));
    fs::write(&database, whole).unwrap();
    assert_eq!(open(folder.path()).unwrap().log.unwrap().last.seq, 52);
}

#[test]
fn a_missing_current_or_local_store_is_an_error_while_there_is_data() {
    let (folder, _) = closed(some_data());
    let current = folder.path().join("CURRENT");
    let text = fs::read(&current).unwrap();
    fs::remove_file(&current).unwrap();
    assert!(matches!(open(folder.path()).unwrap_err(), StoreError::Missing { .. }));
    fs::write(&current, "").unwrap();
    assert!(matches!(open(folder.path()).unwrap_err(), StoreError::Damaged { .. }));
    fs::write(&current, text).unwrap();
    let local = folder.path().join("local.db");
    fs::remove_file(&local).unwrap();
    assert!(matches!(open(folder.path()).unwrap_err(), StoreError::Missing { .. }));
    fs::write(&local, "").unwrap();
    assert!(matches!(open(folder.path()).unwrap_err(), StoreError::Damaged { .. }));
}

#[test]
fn a_crash_while_the_first_generation_is_made_leaves_a_blank_folder() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("gen-000001")).unwrap();
    fs::write(folder.path().join("gen-000001/chat.db"), "").unwrap();
    let opened = open(folder.path()).unwrap();
    assert_eq!((opened.log, opened.local.starts), (None, 1));
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    use diesel::connection::SimpleConnection as _;
    let (folder, database) = closed(some_data());
    let mut connection = crate::store::connection::open_unchecked(&database).unwrap();
    connection
        .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')")
        .unwrap();
    drop(connection);
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerVersion { .. }), "{error}");
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn starts_are_counted_and_the_local_state_is_kept() {
    let folder = TempDir::new().unwrap();
    let opened = open(folder.path()).unwrap();
    assert_eq!((opened.local.starts, opened.local.uuid), (1, [1; 16]));
    let mut state = opened.local.clone();
    state.promised = Epoch { number: 5, server: ServerId(2) };
    state.promised_to = [ServerId(2), ServerId(3)].into();
    state.belonged = Some(LINEAGE);
    let memory = PeerMemory { uuid: [4; 16], starts: 9, durable: 77 };
    state.peers = [(ServerId(3), memory)].into();
    opened.store.persist_local(&state).unwrap();
    drop(opened);
    state.starts = 2;
    assert_eq!(open(folder.path()).unwrap().local, state);
    assert_eq!(local_state(folder.path()).unwrap(), Some(state));
}

#[test]
#[should_panic(expected = "a promise is never taken back")]
fn a_promise_is_never_taken_back() {
    let folder = TempDir::new().unwrap();
    let opened = open(folder.path()).unwrap();
    let mut state = opened.local.clone();
    state.promised = Epoch { number: 5, server: ServerId(2) };
    opened.store.persist_local(&state).unwrap();
    opened.store.persist_local(&opened.local).unwrap();
}

#[test]
fn a_reset_keeps_the_promises_and_one_copy_and_takes_a_new_uuid() {
    let (folder, _) = closed(some_data());
    let Opened { local, store, .. } = open(folder.path()).unwrap();
    let promised = Epoch { number: 8, server: ServerId(1) };
    store.persist_local(&crate::cluster::LocalState { promised, ..local.clone() }).unwrap();
    drop(store);
    let copy = reset(folder.path(), [2; 16]).unwrap().unwrap();
    assert!(copy.join("gen-000001/chat.db").exists());
    let Opened { local: after, log, mut writer, store } = open(folder.path()).unwrap();
    assert_eq!(log, None);
    assert_eq!((after.uuid, after.starts, after.promised), ([2; 16], local.starts + 1, promised));
    assert_eq!(after.belonged, Some(LINEAGE), "it remembers that it belonged");
    drop(store);
    assert_eq!(writer.summary().unwrap(), None);
    drop(writer);
    assert_eq!(reset(folder.path(), [5; 16]).unwrap(), None, "an empty one is not worth keeping");
    assert!(copy.exists(), "in place of one with data");

    let Opened { mut writer, store, .. } = open(folder.path()).unwrap();
    writer.store(&Scribe::new().entries, LINEAGE).unwrap();
    drop((writer, store));
    let second = reset(folder.path(), [3; 16]).unwrap().unwrap();
    assert!(second.exists() && !copy.exists(), "one copy is kept");
    assert_eq!(reset(folder.path(), [4; 16]).unwrap(), None, "nothing is left to set aside");
    assert!(second.exists());
    assert_eq!(open(folder.path()).unwrap().local.uuid, [4; 16]);
}

#[test]
fn a_reset_works_on_a_damaged_folder() {
    let (folder, database) = closed(some_data());
    fs::write(&database, "").unwrap();
    reset(folder.path(), [2; 16]).unwrap();
    assert_eq!(open(folder.path()).unwrap().log, None);
}

#[test]
fn free_disk_space_is_known() {
    let bench = Bench::new();
    assert!(bench.store.free_space().unwrap() > 0);
}

#[test]
fn contents_are_read_from_a_closed_folder() {
    let bench = some_data();
    let expected = bench.contents();
    assert!(matches!(inspect::contents(bench.folder.path()), Err(StoreError::InUse(_))));
    let (folder, _) = closed(bench);
    assert_eq!(inspect::contents(folder.path()).unwrap(), expected);
    assert!(expected.contains("message "), "{expected}");
    let _ = folder::Folder::hold(folder.path()).unwrap();
}
