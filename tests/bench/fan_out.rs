//! Subscribers, and how long one message takes to reach them all.

use std::time::{Duration, Instant};

use chinwag::wire::chat::{Event, SubscribeRequest, event::Kind};
use tokio::task::JoinSet;
use tonic::Streaming;

use crate::harness::{Door, User};

/// Messages that are timed.
const ROUNDS: usize = 20;

/// Returns the stream when it is live.
pub(crate) async fn subscribe(door: &Door) -> Streaming<Event> {
    let request = SubscribeRequest::default();
    let mut events = door.events().subscribe(request).await.expect("a leader").into_inner();
    while !matches!(next(&mut events).await, Some(Kind::CaughtUp(_))) {}
    events
}

async fn next(events: &mut Streaming<Event>) -> Option<Kind> {
    events.message().await.expect("the stream goes on").expect("an event").kind
}

/// How long each of some messages to `#everybody` takes to be heard by the last, the shortest time first.
pub(crate) async fn rounds(speaker: &User, streams: &mut Vec<Streaming<Event>>) -> Vec<Duration> {
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let body = format!("round {round}");
        let mut listening = JoinSet::new();
        for mut events in streams.drain(..) {
            let body = body.clone();
            listening.spawn(async move {
                loop {
                    match next(&mut events).await {
                        Some(Kind::MessageCreated(message)) if message.body == body => break,
                        _ => {}
                    }
                }
                events
            });
        }
        let began = Instant::now();
        speaker.send("#everybody", &body).await;
        while let Some(events) = listening.join_next().await {
            streams.push(events.expect("every subscriber hears it"));
        }
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times
}
