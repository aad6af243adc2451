//! What is done most is compiled once.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use diesel::{
    Connection as _,
    connection::{CacheSize, InstrumentationEvent},
};

use super::*;

/// Statements that were carried out, and those of them that stay prepared.
#[derive(Default)]
struct Heard {
    started: BTreeSet<String>,
    kept: BTreeSet<String>,
}

#[test]
fn every_statement_of_a_send_stays_prepared() {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut bench = Bench::new();
    // What was prepared before anybody listened.
    for size in [CacheSize::Disabled, CacheSize::Unbounded] {
        bench.writer.connection.set_prepared_statement_cache_size(size);
    }
    let listener = heard.clone();
    bench.writer.connection.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        let mut heard = listener.lock().unwrap();
        match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let statement = text.split(" -- binds").next().unwrap_or(&text);
                heard.started.insert(statement.to_owned());
            }
            InstrumentationEvent::CacheQuery { sql, .. } => {
                heard.kept.insert(sql.to_owned());
            }
            _ => (),
        }
    });
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    bench.send(alice, "@bob", "the first one begins the conversation");
    accounts::create_room(&mut bench, alice, "room");
    accounts::join(&mut bench, bob, "room");
    heard.lock().unwrap().started.clear();
    bench.send(alice, "@bob", "hi");
    bench.send(bob, "#room", "hi @alice");
    let first = bench.send(bob, "@alice", "hi");
    bench.act(bob, send_command("@alice", "an answer", Some(first.id))).unwrap();
    let heard = heard.lock().unwrap();
    let parsed: Vec<_> = heard
        .started
        .difference(&heard.kept)
        .filter(|statement| !["BEGIN IMMEDIATE", "COMMIT"].contains(&statement.as_str()))
        .collect();
    assert!(heard.started.len() > 10, "{:?}", heard.started);
    assert!(parsed.is_empty(), "compiled every time: {parsed:#?}");
}
