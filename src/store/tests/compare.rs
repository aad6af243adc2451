//! Views of all tables at a mark: taken at its commit, the same on every server, and honest about the disk.

use diesel::{RunQueryDsl as _, sql_query};

use super::*;
use crate::{
    chat::MarkId,
    store::{AwaitedMark, PageRows, TablePage, TableView},
};

const MARK: MarkId = MarkId([4; 16]);

/// A server where something was said in every kind of conversation.
fn some_life() -> Bench {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    bench.user("bob");
    for number in 0..1_500 {
        bench.send(alice, "@bob", &format!("{number}, 'quoted', \"twice\"\nand \u{0} more"));
    }
    bench
}

/// The view that is there once the mark is committed.
fn reached(awaited: &mut AwaitedMark) -> TableView {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(awaited.reached()).unwrap()
}

fn view(bench: &mut Bench) -> TableView {
    let mut awaited = bench.store.await_mark(MARK).unwrap();
    let update = bench.scribe.call(None, Command::Mark(MARK));
    assert_eq!(bench.run(&update), Ok(Outcome::Marked(MARK)));
    reached(&mut awaited)
}

fn pages(view: &mut TableView) -> Vec<TablePage> {
    let mut pages = Vec::new();
    view.read(|page| {
        pages.push(page);
        true
    })
    .unwrap();
    pages
}

#[test]
fn servers_with_the_same_log_have_the_same_pages_at_a_mark() {
    let mut one = some_life();
    let mut other = one.copy(EPOCH);
    let mut view_of_one = view(&mut one);
    let mut awaited = other.store.await_mark(MARK).unwrap();
    let entry = one.scribe.entries.last().unwrap().clone();
    other.writer.store(&[entry], LINEAGE).unwrap();
    let mut view_of_other = reached(&mut awaited);
    assert_eq!(view_of_one.position, view_of_other.position);
    let read = pages(&mut view_of_one);
    assert_eq!(read, pages(&mut view_of_other));
    let of_messages = |page: &&TablePage| page.table == "messages";
    let messages: u32 = read.iter().filter(of_messages).map(|page| page.rows).sum();
    assert_eq!((messages, read.iter().filter(of_messages).count()), (1_500, 2));
}

#[test]
fn a_view_stays_what_it_was_whoever_writes_meanwhile() {
    let mut bench = some_life();
    let mut view = self::view(&mut bench);
    let before = pages(&mut view);
    let alice = bench.user("carol");
    bench.send(alice, "@bob", "later");
    assert_eq!(pages(&mut view), before);
    drop(view);
    assert_ne!(pages(&mut self::view(&mut bench)), before);
}

#[test]
fn a_row_that_changed_on_the_disk_alone_is_found_by_its_key_and_column() {
    let mut one = some_life();
    let mut other = one.copy(EPOCH);
    let change = "UPDATE messages SET body = 'forged' WHERE id = (SELECT max(id) FROM messages)";
    sql_query(change).execute(&mut other.writer.connection).unwrap();
    let (mut one, mut other) = (view(&mut one), view(&mut other));
    let (pages_of_one, pages_of_other) = (pages(&mut one), pages(&mut other));
    let odd: Vec<_> = pages_of_one.iter().zip(&pages_of_other).filter(|(a, b)| a != b).collect();
    assert_eq!(odd.len(), 1);
    assert_eq!(odd[0].0.table, "messages");

    let PageRows { columns, rows } = one.rows("messages", 1).unwrap().unwrap();
    let others = other.rows("messages", 1).unwrap().unwrap().rows;
    let odd: Vec<_> = rows.iter().zip(&others).filter(|(a, b)| a != b).collect();
    assert_eq!(odd.len(), 1);
    assert_eq!(odd[0].0.key, rows.last().unwrap().key);
    let differs = |at: &usize| odd[0].0.columns[*at] != odd[0].1.columns[*at];
    let odd_columns: Vec<&str> =
        (0..columns.len()).filter(differs).map(|at| columns[at].as_str()).collect();
    assert_eq!(odd_columns, ["body"]);
    assert_eq!(one.rows("messages", 9).unwrap().unwrap().rows, [], "there is no such page");
    assert_eq!(one.rows("nowhere", 0).unwrap(), None);
}

#[test]
fn every_table_of_the_chat_is_read() {
    let bench = Bench::new();
    let mut known: Vec<&str> = include_str!("../schema.rs")
        .split("table! {")
        .skip(1)
        .map(|block| block.split_whitespace().next().unwrap())
        .collect();
    known.retain(|table| !["log", "meta", "body_changes"].contains(table));
    known.sort_unstable();
    assert!(known.len() > 15, "{known:?}");
    let database = bench.store.shared().database();
    let read = crate::store::compare::table_names(&database).unwrap();
    assert_eq!(read, known);
}

#[test]
fn a_mark_that_was_rolled_back_or_is_nobodys_gives_no_view() {
    let mut bench = Bench::new();
    let mut awaited = bench.store.await_mark(MARK).unwrap();
    let nobodys = bench.scribe.call(None, Command::Mark(MarkId([5; 16])));
    bench.run(&nobodys).unwrap();
    let mark = bench.scribe.call(None, Command::Mark(MARK));
    let entry = bench.scribe.update(&mark);
    bench.writer.apply(std::slice::from_ref(&entry)).unwrap();
    bench.writer.rollback().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let not_yet = runtime.block_on(async {
        tokio::select! { biased; _ = awaited.reached() => false, () = std::future::ready(()) => true }
    });
    assert!(not_yet);
    bench.writer.apply(std::slice::from_ref(&entry)).unwrap();
    bench.writer.commit().unwrap();
    assert_eq!(reached(&mut awaited).position, entry.position());
}

#[test]
fn only_a_few_may_wait_for_marks() {
    let bench = Bench::new();
    let waiting: Vec<_> =
        (0..9).map_while(|number| bench.store.await_mark(MarkId([number; 16]))).collect();
    assert_eq!(waiting.len(), 4);
    drop(waiting);
    assert!(bench.store.await_mark(MARK).is_some(), "whoever went away waits no more");
}
