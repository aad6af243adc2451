//! Clients that send, each one call at a time, and how long they wait.

use std::time::{Duration, Instant};

use chinwag::wire::chat::SendMessageRequest;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::harness::{Door, request_id};

/// Bytes of a message.
pub(crate) const BODY: usize = 100;
const WARM_UP: Duration = Duration::from_millis(500);

/// One client for every token, each sending to the next one.
pub(crate) struct Load<'a> {
    pub(crate) tokens: &'a [String],
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
}

/// What came of a load.
#[derive(Serialize)]
pub(crate) struct Measured {
    pub(crate) a_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    /// All calls, those of the warm-up too.
    pub(crate) all: u64,
}

/// The account of the client with this number.
pub(crate) fn name(number: usize) -> String {
    format!("client-{number}")
}

impl Load<'_> {
    /// Puts it on the server with this address.
    pub(crate) async fn run(&self, address: &str) -> Measured {
        let doors: Vec<Door> = (0..self.connections).map(|_| Door::to(address)).collect();
        let mut clients = JoinSet::new();
        let begin = Instant::now() + WARM_UP;
        for (number, token) in self.tokens.iter().enumerate() {
            let to = format!("@{}", name((number + 1) % self.tokens.len().max(2)));
            let door = doors[number % doors.len()].with(token);
            clients.spawn(client(door, to, begin, self.duration));
        }
        let (mut latency, mut all) = (histogram(), 0);
        while let Some(one) = clients.join_next().await {
            let (own, count) = one.expect("no call failed");
            latency.add(own).expect("the same bounds");
            all += count;
        }
        let milliseconds = |quantile| {
            Duration::from_micros(latency.value_at_quantile(quantile)).as_secs_f64() * 1_000.0
        };
        Measured {
            a_second: latency.len() as f64 / self.duration.as_secs_f64(),
            p50_ms: milliseconds(0.5),
            p99_ms: milliseconds(0.99),
            p999_ms: milliseconds(0.999),
            all,
        }
    }
}

/// Sends until the time is over; notes what was acknowledged after the warm-up and before the end.
async fn client(
    door: Door,
    to: String,
    begin: Instant,
    duration: Duration,
) -> (Histogram<u64>, u64) {
    let mut messages = door.messages();
    let (mut latency, mut all) = (histogram(), 0);
    let body = "x".repeat(BODY);
    loop {
        let request = SendMessageRequest {
            request_id: request_id(),
            conversation: to.clone(),
            body: body.clone(),
            reply_to: String::new(),
        };
        let sent = Instant::now();
        messages.send_message(request).await.expect("acknowledged");
        all += 1;
        let now = Instant::now();
        if now >= begin + duration {
            return (latency, all);
        }
        if now >= begin {
            latency.saturating_record(u64::try_from((now - sent).as_micros()).expect("short"));
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).expect("good bounds")
}
