//! What reading costs when there is much to read: the same calls on a store with 10,000 messages and on one
//! with 1,000,000.
//!
//! `cargo bench --bench reads [-- --messages N --calls N]`. One server; each call is made many times, one
//! after the other, over one connection. Goal: 20 ms at the 99th percentile, and the same in both stores.
//! Numbers of machines that do other work at the same time mean nothing.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod filled;
#[allow(dead_code, unused_imports)]
#[path = "../it/harness/mod.rs"]
mod harness;
mod program;
mod rooms;

use std::{
    future::Future,
    time::{Duration, Instant},
};

use chinwag::wire::chat::{
    ListConversationsRequest, ListMessagesRequest, MarkReadRequest, SearchMessagesRequest,
    event::Kind, list_messages_request::Position,
};
use hdrhistogram::Histogram;
use tonic::Code;

use filled::Filled;
use harness::{Dice, Door, User, request_id, until};

const SMALL: usize = 10_000;
const MESSAGES: usize = 1_000_000;
const CALLS: usize = 500;
/// What a busy team says in an hour.
const AN_HOUR: usize = 300;

fn main() {
    let (messages, calls) =
        (program::number("--messages", MESSAGES), program::number("--calls", CALLS));
    program::runtime().block_on(async {
        let few = measure(SMALL, calls).await;
        let many = measure(messages, calls).await;
        let head = |count: usize| format!("{count} messages");
        println!("\n{:28} {:>20} {:>22}", "", head(SMALL), head(messages));
        println!("{:28} {:>9} {:>10} {:>11} {:>10}", "ms", "p50", "p99", "p50", "p99");
        for ((name, few), (_, many)) in few.iter().zip(&many) {
            println!(
                "{name:28} {:9.2} {:10.2} {:11.2} {:10.2}",
                milliseconds(few, 0.5),
                milliseconds(few, 0.99),
                milliseconds(many, 0.5),
                milliseconds(many, 0.99),
            );
        }
    });
}

type Measured = Vec<(&'static str, Histogram<u64>)>;

async fn measure(messages: usize, calls: usize) -> Measured {
    let began = Instant::now();
    let filled = Filled::with(messages).await;
    println!("{messages} messages are stored after {:.0} s", began.elapsed().as_secs_f64());
    let reader = &filled.people[1];
    // The first answer says that the server leads.
    let newest = reader.newest("#everybody").await;
    let (began, door) = (Instant::now(), reader.door());
    until("the search index", Duration::from_secs(1_800), || async {
        let query = format!("from:{}", filled.people[2].name);
        search(&door, &query).await.is_some_and(|found| found > 0).then_some(())
    })
    .await;
    settled(reader).await;
    println!("they can be searched after {:.0} s", began.elapsed().as_secs_f64());
    let cursor = away(&filled).await;
    let mut dice = Dice::new(2);
    let mut seq = newest - i64::try_from(calls).expect("few");
    vec![
        ("ListConversations", timed(calls, || conversations(&door)).await),
        ("ListMessages, the newest", timed(calls, || list(&door, None)).await),
        ("ListMessages, anywhere", {
            let top = u64::try_from(newest).expect("positive");
            timed(calls, || {
                let at = i64::try_from(dice.draw(top)).expect("small");
                list(&door, Some(Position::AroundSeq(at)))
            })
            .await
        }),
        ("MarkRead", {
            timed(calls, || {
                seq += 1;
                mark(&door, seq)
            })
            .await
        }),
        ("resume after an hour away", timed(calls.min(200), || resume(&door, &cursor)).await),
        ("search, a rare word", timed(calls, || find(&door, "wqjb")).await),
        ("search, two words", timed(calls, || find(&door, "wk wzb")).await),
        ("search, the commonest word", timed(calls, || find(&door, "wb")).await),
        ("search, a prefix", timed(calls, || find(&door, "wqj*")).await),
    ]
}

/// Until the index has what was said last.
async fn settled(reader: &User) {
    let word = format!("settled{}", request_id().replace('-', ""));
    reader.send("#everybody", &word).await;
    let door = reader.door();
    until("the newest message to be found", Duration::from_secs(1_800), || async {
        search(&door, &word).await.is_some_and(|found| found > 0).then_some(())
    })
    .await;
}

/// The cursor of a device that then missed what an hour brings.
async fn away(filled: &Filled) -> String {
    let reader = &filled.people[1];
    let mut events = reader.subscribe("").await;
    let first = events.message().await.expect("a stream").expect("an event");
    drop(events);
    for number in 0..AN_HOUR {
        filled.people[2].send("#everybody", &format!("meanwhile {number}")).await;
    }
    first.cursor
}

/// One call after the other.
async fn timed<F: Future<Output = ()>>(
    calls: usize,
    mut call: impl FnMut() -> F,
) -> Histogram<u64> {
    let mut latency = Histogram::new_with_max(60_000_000, 3).expect("good bounds");
    for _ in 0..calls {
        let began = Instant::now();
        call().await;
        let micros = u64::try_from(began.elapsed().as_micros()).expect("short");
        latency.saturating_record(micros);
    }
    latency
}

fn milliseconds(latency: &Histogram<u64>, quantile: f64) -> f64 {
    Duration::from_micros(latency.value_at_quantile(quantile)).as_secs_f64() * 1_000.0
}

async fn conversations(door: &Door) {
    let request = ListConversationsRequest::default();
    let answer = door.conversations().list_conversations(request).await.expect("answered");
    assert!(!answer.into_inner().conversations.is_empty());
}

async fn list(door: &Door, position: Option<Position>) {
    let conversation = "#everybody".into();
    let request = ListMessagesRequest { conversation, position, page_size: 50 };
    let answer = door.messages().list_messages(request).await.expect("answered");
    assert!(!answer.into_inner().messages.is_empty());
}

async fn mark(door: &Door, seq: i64) {
    let (request_id, conversation) = (request_id(), "#everybody".into());
    let request = MarkReadRequest { request_id, conversation, seq };
    door.conversations().mark_read(request).await.expect("answered");
}

async fn resume(door: &Door, cursor: &str) {
    let request = chinwag::wire::chat::SubscribeRequest { cursor: cursor.into() };
    let mut events = door.events().subscribe(request).await.expect("answered").into_inner();
    let mut heard = 0;
    loop {
        match events.message().await.expect("a stream").expect("an event").kind {
            Some(Kind::CaughtUp(_)) => break,
            Some(Kind::MessageCreated(_)) => heard += 1,
            _ => {}
        }
    }
    assert!(heard >= AN_HOUR, "{heard} messages were missed");
}

/// How many messages a page of what is found has; `None` while the index is being built.
async fn search(door: &Door, query: &str) -> Option<usize> {
    let request = SearchMessagesRequest { query: query.into(), ..SearchMessagesRequest::default() };
    match door.messages().search_messages(request).await {
        Ok(answer) => Some(answer.into_inner().messages.len()),
        Err(status) if status.code() == Code::Unavailable => None,
        Err(status) => panic!("{query}: {status:?}"),
    }
}

async fn find(door: &Door, query: &str) {
    search(door, query).await.expect("the index is there");
}
