//! Clients that send, and how long they wait: each one call at a time, or so many messages in flight over a
//! stream.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use chinwag::wire::chat::{
    SendMessageRequest, SendMessagesRequest, send_messages_response::Result as Sent,
};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;

use crate::harness::{Door, request_id};

/// Bytes of a message.
pub(crate) const BODY: usize = 100;
const WARM_UP: Duration = Duration::from_millis(500);

/// One client for every token, each sending to the next one.
pub(crate) struct Load<'a> {
    pub(crate) tokens: &'a [String],
    pub(crate) connections: usize,
    /// Messages in flight over each client's stream; `None` for calls.
    pub(crate) window: Option<usize>,
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
            let client = Client { door, to, begin, end: begin + self.duration };
            match self.window {
                None => clients.spawn(client.call()),
                Some(window) => clients.spawn(client.stream(window)),
            };
        }
        let (mut latency, mut all) = (histogram(), 0);
        while let Some(one) = clients.join_next().await {
            let noted = one.expect("no call failed");
            if let Some(own) = noted.latency {
                latency.add(own).expect("the same bounds");
            }
            all += noted.all;
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

/// Sends until the time is over.
struct Client {
    door: Door,
    to: String,
    begin: Instant,
    end: Instant,
}

/// What a client waited, after the warm-up and before the end, and how much it sent at all.
#[derive(Default)]
struct Noted {
    latency: Option<Histogram<u64>>,
    all: u64,
}

impl Noted {
    /// Notes an answer to what was sent then; whether time is left.
    fn note(&mut self, client: &Client, sent: Instant) -> bool {
        let now = Instant::now();
        self.all += 1;
        if now >= client.begin && now < client.end {
            let micros = u64::try_from((now - sent).as_micros()).expect("short");
            self.latency.get_or_insert_with(histogram).saturating_record(micros);
        }
        now < client.end
    }
}

impl Client {
    async fn call(self) -> Noted {
        let mut messages = self.door.messages();
        let mut noted = Noted::default();
        let body = "x".repeat(BODY);
        loop {
            let request = SendMessageRequest {
                request_id: request_id(),
                conversation: self.to.clone(),
                body: body.clone(),
                reply_to: String::new(),
            };
            let sent = Instant::now();
            messages.send_message(request).await.expect("acknowledged");
            if !noted.note(&self, sent) {
                return noted;
            }
        }
    }

    async fn stream(self, window: usize) -> Noted {
        let (outgoing, requests) = mpsc::channel(window);
        let mut messages = self.door.messages();
        let answers = messages.send_messages(ReceiverStream::new(requests)).await;
        let mut answers = answers.expect("taken").into_inner();
        let (mut noted, mut in_flight) = (Noted::default(), VecDeque::new());
        let body = "x".repeat(BODY);
        loop {
            while in_flight.len() < window {
                let request = SendMessagesRequest {
                    request_id: request_id(),
                    conversation: self.to.clone(),
                    body: body.clone(),
                    reply_to: String::new(),
                };
                in_flight.push_back(Instant::now());
                outgoing.send(request).await.expect("open");
            }
            let answer = answers.message().await.expect("open").expect("an answer to each");
            assert!(matches!(answer.result, Some(Sent::Message(_))), "acknowledged");
            let sent = in_flight.pop_front().expect("in flight");
            if !noted.note(&self, sent) {
                return noted;
            }
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).expect("good bounds")
}
