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

use crate::harness::{Door, Messages, request_id};

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

/// Sends one message at a time.
pub(crate) trait Caller: Send + 'static {
    /// Sends one and waits until it is acknowledged.
    fn call(&mut self) -> impl Future<Output = ()> + Send;
}

/// Lets these send as fast as they can.
pub(crate) async fn measure<One: Caller>(callers: Vec<One>, duration: Duration) -> Measured {
    let time = Time::from_now(duration);
    let each = callers.into_iter().map(|mut caller| async move {
        let mut noted = Noted::default();
        loop {
            let sent = Instant::now();
            caller.call().await;
            if !noted.note(time, sent) {
                return noted;
            }
        }
    });
    gather(each, duration).await
}

async fn gather(
    each: impl Iterator<Item = impl Future<Output = Noted> + Send + 'static>,
    duration: Duration,
) -> Measured {
    let mut clients: JoinSet<Noted> = each.collect();
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
        a_second: latency.len() as f64 / duration.as_secs_f64(),
        p50_ms: milliseconds(0.5),
        p99_ms: milliseconds(0.99),
        p999_ms: milliseconds(0.999),
        all,
    }
}

/// From when to when answers count.
#[derive(Clone, Copy)]
struct Time {
    begin: Instant,
    end: Instant,
}

impl Time {
    fn from_now(duration: Duration) -> Time {
        let begin = Instant::now() + WARM_UP;
        Time { begin, end: begin + duration }
    }
}

/// What a client waited while it counted, and how much it sent at all.
#[derive(Default)]
struct Noted {
    latency: Option<Histogram<u64>>,
    all: u64,
}

impl Noted {
    /// Notes an answer to what was sent then; whether time is left.
    fn note(&mut self, time: Time, sent: Instant) -> bool {
        let now = Instant::now();
        self.all += 1;
        if now >= time.begin && now < time.end {
            let micros = u64::try_from((now - sent).as_micros()).expect("short");
            self.latency.get_or_insert_with(histogram).saturating_record(micros);
        }
        now < time.end
    }
}

impl Load<'_> {
    /// Puts it on the server with this address.
    pub(crate) async fn run(&self, address: &str) -> Measured {
        let doors: Vec<Door> = (0..self.connections).map(|_| Door::to(address)).collect();
        let clients = self.tokens.iter().enumerate().map(|(number, token)| Client {
            messages: doors[number % doors.len()].with(token).messages(),
            to: format!("@{}", name((number + 1) % self.tokens.len().max(2))),
            body: "x".repeat(BODY),
        });
        match self.window {
            None => measure(clients.collect(), self.duration).await,
            Some(window) => {
                let time = Time::from_now(self.duration);
                gather(clients.map(|client| client.stream(window, time)), self.duration).await
            }
        }
    }
}

/// Sends to the next one.
struct Client {
    messages: Messages,
    to: String,
    body: String,
}

impl Caller for Client {
    async fn call(&mut self) {
        let request = SendMessageRequest {
            request_id: request_id(),
            conversation: self.to.clone(),
            body: self.body.clone(),
            reply_to: String::new(),
        };
        self.messages.send_message(request).await.expect("acknowledged");
    }
}

impl Client {
    /// So many in flight over a stream.
    async fn stream(mut self, window: usize, time: Time) -> Noted {
        let (outgoing, requests) = mpsc::channel(window);
        let answers = self.messages.send_messages(ReceiverStream::new(requests)).await;
        let mut answers = answers.expect("taken").into_inner();
        let (mut noted, mut in_flight) = (Noted::default(), VecDeque::new());
        loop {
            while in_flight.len() < window {
                let request = SendMessagesRequest {
                    request_id: request_id(),
                    conversation: self.to.clone(),
                    body: self.body.clone(),
                    reply_to: String::new(),
                };
                in_flight.push_back(Instant::now());
                outgoing.send(request).await.expect("open");
            }
            let answer = answers.message().await.expect("open").expect("an answer to each");
            assert!(matches!(answer.result, Some(Sent::Message(_))), "acknowledged");
            let sent = in_flight.pop_front().expect("in flight");
            if !noted.note(time, sent) {
                return noted;
            }
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).expect("good bounds")
}
