//! Snapshots: taken while others write, verified, installed as a new generation.

use std::fs;

use super::*;
use crate::store::{DivergedFile, verify_snapshot};

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
    let position = source.store.snapshot_to(&staged).unwrap();
    assert!(fs::metadata(&staged).unwrap().len() > 4 * 1024 * 1024);
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
    assert_eq!(bench.store.snapshot_to(&path).unwrap().seq, 2);
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
