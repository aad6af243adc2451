//! Backups: what they hold, what is refused, and what a restored folder knows of itself.

use std::{fs, path::PathBuf};

use super::*;
use crate::{
    cluster::LocalState,
    store::{
        Backup, BackupError, BackupHeader, NewBackup, Restore, SCHEMA_VERSION,
        inspect::{self, local_state},
        snapshot_facts,
    },
};

const FRESH: [u8; 16] = [9; 16];

/// A server with some messages, and a backup of it.
struct Backed {
    bench: Bench,
    header: BackupHeader,
    place: TempDir,
}

impl Backed {
    fn new() -> Backed {
        let mut bench = Bench::new();
        let alice = bench.user("alice");
        for number in 0..200 {
            bench.send(alice, "@alice", &format!("{number} {}", "x".repeat(500)));
        }
        let place = TempDir::new().unwrap();
        let snapshot = bench.store.staging_path("snapshot").unwrap();
        bench.store.snapshot_to(&snapshot).unwrap();
        let facts = snapshot_facts(&snapshot).unwrap();
        let database = fs::read(&snapshot).unwrap();
        let header = BackupHeader {
            format: BackupHeader::format(),
            cluster: "demo".into(),
            server: 2,
            seq: facts.position.seq,
            epoch: facts.position.epoch.to_string(),
            hash: facts.position.hash.to_string(),
            lineage: facts.lineage.to_string(),
            in_sync: facts.members.iter().map(|member| member.0).collect(),
            schema: SCHEMA_VERSION,
            version: "0.1.0".into(),
            time: "2026-11-20T10:00:00Z".into(),
            bytes: database.len() as u64,
        };
        let backed = Backed { bench, header, place };
        backed.write(&backed.header, &database);
        backed
    }

    fn file(&self) -> PathBuf {
        self.place.path().join("backup")
    }

    /// Writes a backup that is whole, whatever is in it.
    fn write(&self, header: &BackupHeader, database: &[u8]) {
        let _ = fs::remove_file(self.file());
        let header = BackupHeader { bytes: database.len() as u64, ..header.clone() };
        let mut new = NewBackup::create(&self.file(), &header).unwrap();
        new.write(database).unwrap();
        new.finish().unwrap();
    }

    fn database(&self) -> Vec<u8> {
        let copy = self.place.path().join("copy");
        Backup::open(&self.file()).unwrap().extract_to(&copy).unwrap();
        fs::read(copy).unwrap()
    }

    fn restore(&self) -> Restore {
        Restore {
            backup: self.file(),
            data_dir: self.place.path().join("data"),
            id: ServerId(1),
            cluster: "demo".into(),
            fresh_uuid: FRESH,
            replace: false,
        }
    }

    fn refused(&self, restore: &Restore) -> BackupError {
        let refused = restore.run().expect_err("it does not fit");
        assert_eq!(local_state_of(restore), None, "nothing was touched");
        refused
    }
}

fn local_state_of(restore: &Restore) -> Option<LocalState> {
    if restore.data_dir.exists() { local_state(&restore.data_dir).unwrap() } else { None }
}

#[test]
fn a_restored_folder_holds_everything_and_does_not_trust_its_log() {
    let mut backed = Backed::new();
    let restore = backed.restore();
    let restored = restore.run().unwrap();
    assert_eq!((restored.header, restored.aside), (backed.header.clone(), None));
    assert_eq!(inspect::contents(&restore.data_dir).unwrap(), backed.bench.contents());

    let opened = open(&restore.data_dir).unwrap();
    assert_eq!(opened.log, backed.bench.writer.summary().unwrap());
    let local = opened.local;
    assert_eq!((local.uuid, local.starts), (FRESH, 1));
    assert_eq!((local.belonged, local.promised), (Some(LINEAGE), EPOCH));
    let own = local.peers[&ServerId(1)];
    assert_eq!((own.uuid, own.durable), (FRESH, 0), "what it acknowledged may be elsewhere");
}

#[test]
fn a_sound_file_with_a_damaged_database_is_refused() {
    let backed = Backed::new();
    let mut database = backed.database();
    // The head of a page in the middle; the backup's own checksum is right.
    let middle = database.len() / 2 / 4_096 * 4_096;
    database[middle..middle + 8].fill(0xaa);
    backed.write(&backed.header, &database);
    let refused = backed.refused(&backed.restore());
    assert!(matches!(refused, BackupError::Store(StoreError::Damaged { .. })), "{refused}");
}

#[test]
fn a_backup_that_says_what_it_does_not_hold_is_refused() {
    let backed = Backed::new();
    let later = BackupHeader { seq: backed.header.seq + 1, ..backed.header.clone() };
    backed.write(&later, &backed.database());
    let refused = backed.refused(&backed.restore());
    assert!(matches!(refused, BackupError::Contradicts { .. }), "{refused}");
}

#[test]
fn what_is_for_others_is_refused_before_anything_is_touched() {
    let backed = Backed::new();
    let elsewhere = Restore { cluster: "other".into(), ..backed.restore() };
    let refused = backed.refused(&elsewhere);
    assert!(matches!(refused, BackupError::OtherCluster { .. }), "{refused}");
    let outsider = Restore { id: ServerId(4), ..backed.restore() };
    let refused = backed.refused(&outsider);
    assert!(matches!(refused, BackupError::Outsider { id: 4, .. }), "{refused}");
    assert!(refused.to_string().contains("1 or 2 or 3"), "{refused}");
}

#[test]
fn data_is_set_aside_only_when_that_is_asked_for() {
    let backed = Backed::new();
    let restore = backed.restore();
    restore.run().unwrap();
    let before = fs::read(restore.data_dir.join("CURRENT")).unwrap();
    let again = restore.run().expect_err("it holds data");
    assert!(matches!(again, BackupError::HoldsData(_)), "{again}");
    assert_eq!(fs::read(restore.data_dir.join("CURRENT")).unwrap(), before);

    let starts = open(&restore.data_dir).unwrap().local.starts;
    let replacing = Restore { replace: true, fresh_uuid: [8; 16], ..restore.clone() };
    let aside = replacing.run().unwrap().aside.expect("there was data");
    let old = fs::read_dir(&aside).unwrap().map(|entry| entry.unwrap().path());
    let old = old.filter(|path| path.is_dir()).map(|path| path.join("chat.db"));
    let old: Vec<PathBuf> = old.collect();
    assert_eq!(inspect::contents_of(&old[0]).unwrap(), backed.bench.contents());
    let local = local_state_of(&restore).expect("kept");
    assert_eq!((local.uuid, local.starts), ([8; 16], starts), "a start is never uncounted");
}

#[test]
fn a_server_that_never_had_data_has_nothing_to_set_aside() {
    let backed = Backed::new();
    let restore = backed.restore();
    drop(open(&restore.data_dir).unwrap());
    let restored = restore.run().unwrap();
    assert_eq!(restored.aside, None);
    assert_eq!(inspect::contents(&restore.data_dir).unwrap(), backed.bench.contents());
}
