//! Snapshots: taken while others write, verified, installed as a new generation.

use std::fs;

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::store::{DivergedFile, Made, connection::open_unchecked, verify_snapshot};

/// A server with more than 4 MiB of messages.
fn large() -> (Bench, User) {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let body = "x".repeat(10_000);
    let updates: Vec<_> = (0..600).map(|_| bench.scribe.send(alice, "@alice", &body)).collect();
    let entries: Vec<_> = updates.iter().map(|update| bench.scribe.update(update)).collect();
    bench.digest = bench.writer.store(&entries, LINEAGE).unwrap();
    (bench, alice)
}

#[test]
fn a_snapshot_over_4_mib_makes_a_blank_server_equal() {
    let (mut source, alice) = large();
    let mut target = {
        let folder = TempDir::new().unwrap();
        let Opened { store, writer, .. } = open(folder.path()).unwrap();
        let (changes, digest) = (Vec::new(), Hash([0; 32]));
        Bench { folder, store, writer, scribe: Scribe::new(), changes, digest }
    };
    let staged = target.store.staging_path("snapshot").unwrap();
    let Made { position, size, .. } = source.store.snapshot_to(&staged).unwrap();
    assert!(size > 4 * 1024 * 1024);
    assert_eq!(position, source.scribe.entries.last().unwrap().position());
    assert_eq!(verify_snapshot(&staged).unwrap(), position);

    let log = target.writer.install(&staged, None).unwrap();
    assert_eq!(Some(log), source.writer.summary().unwrap());
    assert_eq!(target.contents(), source.contents(), "readers follow");
    assert!(!staged.exists());
    assert!(!target.folder.path().join("gen-000001").exists());

    let update = source.scribe.send(alice, "@alice", "after the snapshot");
    source.run(&update).unwrap();
    let entry = source.scribe.entries.last().unwrap().clone();
    assert_eq!(target.writer.store(&[entry], LINEAGE).unwrap(), source.digest);
    let target = target.restart();
    assert_eq!(target.contents(), source.contents());
    assert_eq!(
        inspect::contents_of(&target.folder.path().join("gen-000002/chat.db")).unwrap(),
        source.contents()
    );
}

#[test]
fn a_snapshot_holds_what_is_committed_and_nothing_else() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let update = bench.scribe.send(alice, "@alice", "not yet");
    let entry = bench.scribe.update(&update);
    bench.writer.apply(&[entry]).unwrap();
    let path = bench.store.staging_path("snapshot").unwrap();
    assert_eq!(bench.store.snapshot_to(&path).unwrap().position.seq, 2);
    assert_eq!(inspect::contents_of(&path).unwrap(), bench.contents());
}

#[test]
fn a_damaged_snapshot_is_found_out() {
    let (source, _) = large();
    let path = source.store.staging_path("snapshot").unwrap();
    source.store.snapshot_to(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5_000]).unwrap();
    assert!(verify_snapshot(&path).is_err(), "cut short");
    let mut garbled = whole.clone();
    for byte in &mut garbled[40_960..45_056] {
        *byte ^= 0x5a;
    }
    fs::write(&path, garbled).unwrap();
    assert!(verify_snapshot(&path).is_err(), "garbled");
    fs::write(&path, b"").unwrap();
    assert!(verify_snapshot(&path).is_err(), "empty");
    fs::write(&path, whole).unwrap();
    assert!(verify_snapshot(&path).is_ok());
}

#[test]
fn an_index_that_says_something_else_is_found_out() {
    let (source, _) = large();
    let path = source.store.staging_path("snapshot").unwrap();
    source.store.snapshot_to(&path).unwrap();
    // Every page is sound, but SQLite did not know of one index while a row went.
    let blind =
        "CREATE TEMP TABLE unknown AS SELECT * FROM sqlite_schema WHERE name = 'requests_by_id';
        PRAGMA writable_schema = ON;
        DELETE FROM sqlite_schema WHERE name = 'requests_by_id';
        PRAGMA writable_schema = RESET;
        DELETE FROM requests WHERE position = 100;
        PRAGMA writable_schema = ON;
        INSERT INTO sqlite_schema SELECT * FROM unknown;";
    open_unchecked(&path).unwrap().batch_execute(blind).unwrap();
    let found = verify_snapshot(&path).unwrap_err().to_string();
    assert!(found.contains("requests_by_id"), "{found}");
}

#[test]
fn a_page_that_nobody_uses_is_found_out() {
    let (source, _) = large();
    let path = source.store.staging_path("snapshot").unwrap();
    let Made { size, .. } = source.store.snapshot_to(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let pages = u32::from_be_bytes(bytes[28..32].try_into().unwrap());
    let page = usize::try_from(size).unwrap() / pages as usize;
    bytes[28..32].copy_from_slice(&(pages + 1).to_be_bytes());
    bytes.resize(bytes.len() + page, 0);
    fs::write(&path, bytes).unwrap();
    let found = verify_snapshot(&path).unwrap_err().to_string();
    assert!(found.contains("never used"), "{found}");
}

#[test]
fn a_snapshot_is_what_it_says_with_and_without_free_pages() {
    let (mut bench, _) = large();
    let path = bench.store.staging_path("snapshot").unwrap();
    let is_what_it_says = |bench: &Bench| {
        let made = bench.store.snapshot_to(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(made.size, bytes.len() as u64);
        assert_eq!(made.checksum.0, *Sha256::digest(&bytes));
        assert_eq!(verify_snapshot(&path).unwrap(), made.position);
        assert_eq!(inspect::contents_of(&path).unwrap(), bench.contents());
        let staged = path.parent().unwrap();
        assert_eq!(fs::read_dir(staged).unwrap().count(), 1, "it needs no other file");
        fs::remove_file(&path).unwrap();
        made.size
    };
    let all = is_what_it_says(&bench);
    // Without it rows are copied, which is right as well, and slow.
    let mut any = SqliteConnection::establish(":memory:").unwrap();
    any.batch_execute("SELECT data FROM sqlite_dbpage").unwrap();
    // The log had most of what is there.
    bench.writer.trim(600).unwrap();
    let rest = is_what_it_says(&bench);
    assert!(rest < all / 4 * 3, "{rest} of {all}");
}

#[test]
fn a_diverged_database_is_kept_aside_and_listed() {
    let (source, _) = large();
    let mut target = Bench::new();
    target.user("only-here");
    let own = target.contents();
    let staged = target.store.staging_path("snapshot").unwrap();
    source.store.snapshot_to(&staged).unwrap();
    target.writer.install(&staged, Some(1)).unwrap();
    let path = target.store.diverged().unwrap()[0].path.clone();
    let listed = DivergedFile { path: path.clone(), updates: Some(1) };
    assert_eq!(target.store.diverged().unwrap(), [listed]);
    assert_eq!(inspect::contents_of(&path).unwrap(), own);
    assert_eq!(target.contents(), source.contents());
}

#[test]
fn a_crash_right_after_the_switch_keeps_what_was_to_be_kept_aside() {
    let (source, _) = large();
    let target = Bench::new();
    let snapshot = source.store.staging_path("snapshot").unwrap();
    source.store.snapshot_to(&snapshot).unwrap();
    let Bench { folder, store, writer, .. } = target;
    drop((store, writer));
    // What install did so far: marked the old generation, and switched.
    fs::create_dir(folder.path().join("gen-000002")).unwrap();
    fs::copy(&snapshot, folder.path().join("gen-000002/chat.db")).unwrap();
    fs::write(folder.path().join("gen-000001/UPDATES"), "3\n").unwrap();
    fs::write(folder.path().join("CURRENT"), "gen-000002\n").unwrap();
    let opened = open(folder.path()).unwrap();
    assert_eq!(opened.log.unwrap().last.seq, 602);
    assert_eq!(opened.store.diverged().unwrap()[0].updates, Some(3));
}

#[test]
fn a_database_that_was_set_aside_is_listed_even_without_its_count() {
    let bench = Bench::new();
    let aside = bench.folder.path().join("diverged-1");
    std::fs::create_dir(&aside).unwrap();
    let listed = DivergedFile { path: aside.join("chat.db"), updates: None };
    assert_eq!(bench.store.diverged().unwrap(), [listed]);
}

#[test]
fn leftovers_of_an_unfinished_installation_are_cleaned_up() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let staged = bench.store.staging_path("half").unwrap();
    fs::write(&staged, "half a snapshot").unwrap();
    fs::create_dir(bench.folder.path().join("gen-000007")).unwrap();
    let mut bench = bench.restart();
    assert!(!staged.exists() && !bench.folder.path().join("gen-000007").exists());
    assert_eq!(bench.send(alice, "@alice", "still here").seq, 1);
}

#[test]
fn a_snapshot_that_would_take_what_must_stay_free_is_refused_with_its_size() {
    let mut bench = Bench::new();
    bench.user("alice");
    bench.store.room_for_a_snapshot(0).unwrap();
    let refused = bench.store.room_for_a_snapshot(u64::MAX).unwrap_err();
    let StoreError::NoRoom { needed, .. } = refused else { panic!("{refused}") };
    let path = bench.store.staging_path("outgoing").unwrap();
    bench.store.snapshot_to(&path).unwrap();
    let size = std::fs::metadata(path).unwrap().len();
    assert!(size <= needed && size > 0, "{size} of at most {needed}");
}
