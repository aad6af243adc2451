//! The writer's thread and the async readers.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use super::*;
use crate::store::{Completion, WriterCommand};

const DEADLINE: Duration = Duration::from_secs(20);

struct Threaded {
    _folder: TempDir,
    store: Store,
    scribe: Scribe,
    handle: WriterHandle,
    told: Receiver<Completion>,
}

fn threaded() -> (Threaded, User) {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let Bench { folder, store, writer, scribe, .. } = bench;
    let (tell, told) = channel();
    let handle = WriterHandle::spawn(writer, Box::new(move |c| drop(tell.send(c)))).unwrap();
    (Threaded { _folder: folder, store, scribe, handle, told }, alice)
}

impl Threaded {
    fn next(&self) -> Completion {
        self.told.recv_timeout(DEADLINE).expect("the writer answers in time")
    }

    fn send_entries(&mut self, alice: User, bodies: &[&str]) -> Arc<Vec<Entry>> {
        let updates: Vec<_> = bodies.iter().map(|b| self.scribe.send(alice, "@alice", b)).collect();
        Arc::new(updates.iter().map(|update| self.scribe.update(update)).collect())
    }
}

#[test]
fn completions_come_in_the_order_of_the_commands() {
    let (mut bench, alice) = threaded();
    let one = bench.send_entries(alice, &["a", "b"]);
    let two = bench.send_entries(alice, &["c"]);
    let last = two[0].position();
    bench.handle.send(WriterCommand::Apply { op: 1, entries: one });
    bench.handle.send(WriterCommand::Commit { op: 2 });
    bench.handle.send(WriterCommand::Store { op: 3, entries: two, lineage: LINEAGE });
    let Completion::Applied { op: 1, applied } = bench.next() else { panic!() };
    assert_eq!((applied.results.len(), applied.changes.len()), (2, 2));
    assert_eq!(bench.next(), Completion::Committed { op: 2 });
    assert!(matches!(bench.next(), Completion::Stored { op: 3, .. }));
    assert_eq!(bench.store.read_now(|reader| reader.last_position()).unwrap(), Some(last));

    let staged = bench.store.staging_path("own").unwrap();
    bench.store.snapshot_to(&staged).unwrap();
    bench.handle.send(WriterCommand::Trim { until: 2 });
    bench.handle.send(WriterCommand::Install { op: 4, staged, aside: None });
    let Completion::Installed { op: 4, log } = bench.next() else { panic!() };
    assert_eq!((log.last, log.first), (last, 1), "the snapshot was taken before the trim");
    bench.handle.close();
}

#[test]
fn a_failure_is_told_once_and_nothing_is_taken_any_more() {
    let (mut bench, alice) = threaded();
    let entries = bench.send_entries(alice, &["a"]);
    let garbage = vec![Entry::after(LINEAGE, 99, EPOCH, Payload::Noop)];
    bench.handle.send(WriterCommand::Store { op: 1, entries: garbage.into(), lineage: LINEAGE });
    bench.handle.send(WriterCommand::Store { op: 2, entries, lineage: LINEAGE });
    let Completion::Failed { reason } = bench.next() else { panic!() };
    assert!(reason.contains("does not follow"), "{reason}");
    bench.handle.close();
    assert!(bench.told.recv_timeout(DEADLINE).is_err(), "the thread has ended");
    let last = bench.store.read_now(|reader| reader.last_position()).unwrap().unwrap();
    assert_eq!(last.seq, 2);
}

#[test]
fn a_panic_of_the_writer_is_told_as_a_failure() {
    let (bench, _) = threaded();
    bench.handle.send(WriterCommand::Commit { op: 1 });
    let Completion::Failed { reason } = bench.next() else { panic!() };
    assert!(reason.contains("only what was applied can be committed"), "{reason}");
}

#[test]
fn a_closed_writer_leaves_no_write_ahead_log() {
    let (mut bench, alice) = threaded();
    let entries = bench.send_entries(alice, &["a"]);
    bench.handle.send(WriterCommand::Store { op: 1, entries, lineage: LINEAGE });
    let wal = bench._folder.path().join("gen-000001/chat.db-wal");
    bench.next();
    assert!(std::fs::metadata(&wal).unwrap().len() > 0);
    bench.handle.close();
    assert_eq!(std::fs::metadata(&wal).map_or(0, |file| file.len()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_reads_at_once_share_few_readers_while_the_writer_writes() {
    let (mut bench, alice) = threaded();
    let entries = bench.send_entries(alice, &["a", "b", "c"]);
    bench.handle.send(WriterCommand::Apply { op: 1, entries });
    bench.next();
    let reads: Vec<_> = (0..64)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move { store.read(|reader| reader.last_position()).await })
        })
        .collect();
    for read in reads {
        let position = tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap().unwrap();
        assert_eq!(position.unwrap().seq, 2, "readers see committed state only");
    }
    bench.handle.send(WriterCommand::Commit { op: 2 });
    bench.next();
    let position = bench.store.read(|reader| reader.last_position()).await.unwrap();
    assert_eq!(position.unwrap().seq, 5);
}
