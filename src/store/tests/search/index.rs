//! How the index follows the messages, and comes to be again when it is gone.

use super::*;

#[test]
fn edits_and_deletions_count_at_once_and_the_index_follows() {
    let mut scene = Scene::new();
    let alice = scene.bench.user("alice");
    let message = scene.bench.send(alice, "@alice", "old words");
    let other = scene.bench.send(alice, "@alice", "other words");
    assert_eq!(scene.found(alice, "words").len(), 2);
    scene.bench.act(alice, edit(&message, "new text")).unwrap();
    assert_eq!(scene.stale(alice, "words", ""), ["other words"], "the present body counts");
    assert_eq!(scene.found(alice, "new"), ["new text"]);
    assert_eq!(scene.found(alice, "old"), Vec::<String>::new());
    scene.bench.act(alice, Command::DeleteMessages(vec![other.id])).unwrap();
    assert_eq!(scene.stale(alice, "words", ""), Vec::<String>::new());
    assert_eq!(scene.found(alice, "other"), Vec::<String>::new());
    scene.bench.act(alice, edit(&message, "words again")).unwrap();
    assert_eq!(scene.found(alice, "words"), ["words again"]);
    let mut scene = scene.restart();
    assert_eq!(scene.found(alice, "words"), ["words again"], "it goes on where it was");
}

#[test]
fn what_one_entry_changes_in_thousands_of_messages_leaves_the_index_whole() {
    let mut scene = Scene::new();
    let alice = scene.bench.user("alice");
    scene.bench.act(alice, create("hall", false)).unwrap();
    scene.send_all(alice, "#hall", (0..2_300).map(|n| format!("hall{n}")));
    let kept = scene.bench.send(alice, "@alice", "kept");
    scene.indexer.catch_up().unwrap();
    scene.bench.act(alice, edit(&kept, "kept before")).unwrap();
    scene.bench.act(alice, Command::DeleteRoom(room("hall"))).unwrap();
    let far = Timestamp(i64::MAX);
    let expire =
        Expire { requests_before: Timestamp(0), deleted_before: far, idle_before: Timestamp(0) };
    let purge = scene.bench.scribe.call(None, Command::Expire(expire));
    scene.bench.run(&purge).unwrap();
    scene.bench.act(alice, edit(&kept, "kept after")).unwrap();
    assert_eq!(scene.found(alice, "kept"), ["kept after"]);
    assert_eq!(scene.found(alice, "before"), Vec::<String>::new());
    let of_hall = words_in_index(&scene, "hall");
    assert_eq!(of_hall, 0, "the words of a purged room are gone from the index");
}

/// How many words of the index, whoever may see them, begin so.
fn words_in_index(scene: &Scene, beginning: &str) -> usize {
    let search = &scene.bench.store.shared().search;
    // Every conversation has a key below the end of the log.
    let keys: Vec<i64> = (1..20).collect();
    let query = SearchQuery::parse(&format!("{beginning}*")).unwrap();
    let terms = crate::store::search::Terms::new(&query, Vec::new());
    let expression = crate::store::search::in_conversations(&keys, &terms);
    let hits = search.with(|index| Ok(index.hits(&expression, (0, i64::MAX), 10_000)?));
    hits.unwrap().expect("the index is there").len()
}

#[test]
fn an_index_that_is_missing_or_damaged_is_built_again() {
    let mut scene = Scene::new();
    let alice = scene.bench.user("alice");
    scene.bench.send(alice, "@alice", "found again");
    assert_eq!(scene.found(alice, "again").len(), 1);
    let path = scene.bench.folder.path().join("search.db");

    drop(scene.indexer);
    fs::remove_file(&path).unwrap();
    scene = Scene::of(scene.bench.restart());
    let query = SearchQuery::parse("again").unwrap();
    let search = |scene: &Scene| {
        scene.bench.read(|reader| reader.search(alice.account, &query, None, 0, ""))
    };
    assert_eq!(search(&scene), Ok(None), "it says so instead of finding nothing");
    assert_eq!(scene.found(alice, "again").len(), 1);

    for garbage in [b"nonsense".repeat(4_096), Vec::new()] {
        let mut bench = scene.bench;
        drop(scene.indexer);
        bench = bench.restart();
        for side in ["search.db-wal", "search.db-shm"] {
            let _ = fs::remove_file(bench.folder.path().join(side));
        }
        fs::write(&path, garbage).unwrap();
        scene = Scene::of(bench);
        while scene.indexer.step().unwrap_or(true) {}
        assert_eq!(scene.found(alice, "again").len(), 1);
    }
}

#[test]
fn an_index_that_turns_out_to_be_damaged_in_a_search_is_built_again() {
    let mut scene = Scene::new();
    let alice = scene.bench.user("alice");
    scene.send_all(alice, "@alice", (0..500).map(|n| format!("again {n}")));
    assert_eq!(scene.found(alice, "again").len(), 50);
    let mut scene = scene.restart();
    scene.indexer.step().unwrap();
    let path = scene.bench.folder.path().join("search.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4_096..].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let query = SearchQuery::parse("again").unwrap();
    let search = |scene: &Scene| {
        scene.bench.read(|reader| reader.search(alice.account, &query, None, 0, ""))
    };
    assert_eq!(search(&scene), Ok(None));
    assert_eq!(scene.found(alice, "again").len(), 50);
}

#[test]
fn a_search_is_answered_when_the_index_holds_what_is_demanded() {
    let mut scene = Scene::new();
    let alice = scene.bench.user("alice");
    scene.bench.send(alice, "@alice", "soon");
    scene.indexer.catch_up().unwrap();
    scene.bench.send(alice, "@alice", "not so soon");
    assert_eq!(scene.bench.store.committed(), scene.bench.end());
    assert_eq!(scene.stale(alice, "soon", ""), ["soon"]);
    scene.bench.store.demand_index(scene.bench.end());
    let query = SearchQuery::parse("soon").unwrap();
    let none = scene.bench.read(|reader| reader.search(alice.account, &query, None, 0, ""));
    assert_eq!(none, Ok(None));
    assert_eq!(scene.found(alice, "soon").len(), 2);
}

#[test]
fn an_index_outlives_a_snapshot_of_the_same_history_and_no_other() {
    let mut source = Bench::new();
    let alice = source.user("alice");
    source.send(alice, "@alice", "first");
    let copy = |source: &Bench| Scene::of(source.copy(EPOCH));
    let (mut same, mut other) = (copy(&source), copy(&source));
    same.indexer.catch_up().unwrap();
    other.bench.send(alice, "@alice", "of another history");
    other.indexer.catch_up().unwrap();
    source.send(alice, "@alice", "second");
    source.send(alice, "@alice", "third");
    for scene in [&mut same, &mut other] {
        let staged = scene.bench.store.staging_path("snapshot").unwrap();
        source.store.snapshot_to(&staged).unwrap();
        scene.bench.writer.install(&staged, None).unwrap();
        assert_eq!(scene.found(alice, "first second"), Vec::<String>::new());
        assert_eq!(scene.found(alice, "from:alice"), ["third", "second", "first"]);
        assert_eq!(scene.found(alice, "another"), Vec::<String>::new());
        assert_eq!(words_in_index(scene, "another"), 0);
    }
}

#[test]
fn merging_the_parts_of_the_index_loses_nothing() {
    let mut scene = Scene::new();
    let alice = scene.bench.user("alice");
    for part in 0..12 {
        scene.send_all(alice, "@alice", (0..20).map(|n| format!("part{part} all {n}")));
        scene.indexer.catch_up().unwrap();
    }
    let gone = scene.bench.send(alice, "@alice", "part99 all");
    scene.indexer.catch_up().unwrap();
    scene.bench.act(alice, Command::DeleteMessages(vec![gone.id])).unwrap();
    scene.indexer.catch_up().unwrap();
    scene.indexer.tidy();
    let mut steps = 0;
    while scene.indexer.step().unwrap() {
        steps += 1;
    }
    assert!(steps > 0, "there was something to merge");
    assert_eq!(words_in_index(&scene, "all"), 240);
    assert_eq!(scene.found(alice, "part7").len(), 20);
    assert_eq!(scene.found(alice, "part99"), Vec::<String>::new());
}
