//! What a subscriber remembers so that a broken stream can be resumed without a gap or a repetition.
//!
//! Pure: time is an argument.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use super::attempts;
use crate::wire::chat::{Event, event::Kind};

/// A server sends something at least every 5 s; after this the stream counts as broken.
const SILENCE: Duration = Duration::from_secs(12);
/// Delivery repeats at most what came shortly before the break.
const REMEMBERED: usize = 8_192;

/// A subscriber's memory.
#[derive(Debug)]
pub struct Resume {
    cursor: String,
    heard: Instant,
    /// Breaks without an event between them.
    breaks: u32,
    delivered: BTreeSet<(String, i64)>,
    order: VecDeque<(String, i64)>,
}

impl Resume {
    /// Begins after `cursor`; empty means now.
    pub fn after(cursor: String, now: Instant) -> Resume {
        Resume { cursor, heard: now, breaks: 0, delivered: BTreeSet::new(), order: VecDeque::new() }
    }

    /// Where to go on.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// A stream was opened.
    pub fn opened(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A stream broke.
    pub fn broke(&mut self) {
        self.breaks += 1;
    }

    /// How long to wait before opening the next stream: not at all, unless streams break one after the
    /// other. `chance` is from 0 to 1.
    pub fn delay(&self, chance: f64) -> Duration {
        match self.breaks {
            0 | 1 => Duration::ZERO,
            breaks => attempts::backoff(breaks - 2, chance),
        }
    }

    /// When the stream counts as broken if nothing comes.
    pub fn silent_at(&self) -> Instant {
        self.heard + SILENCE
    }

    /// Takes an event from the stream; `None` if it was delivered before.
    pub fn take(&mut self, event: Event, now: Instant) -> Option<Event> {
        self.heard = now;
        self.breaks = 0;
        if !event.cursor.is_empty() {
            self.cursor.clone_from(&event.cursor);
        }
        match &event.kind {
            // The same message under a new seq is news: a merge moved it.
            Some(Kind::MessageCreated(message)) => {
                self.is_new((message.message_id.clone(), message.seq)).then_some(event)
            }
            // Everything may be told anew, and what comes again is news: a merge can give a message the seq that it had
            // on the side that lost.
            Some(Kind::Reset(_)) => {
                self.delivered.clear();
                self.order.clear();
                Some(event)
            }
            Some(_) => Some(event),
            // An event of a later version; its cursor counts.
            None => None,
        }
    }

    fn is_new(&mut self, message: (String, i64)) -> bool {
        if !self.delivered.insert(message.clone()) {
            return false;
        }
        self.order.push_back(message);
        if self.order.len() > REMEMBERED {
            let oldest = self.order.pop_front().expect("it is not empty");
            self.delivered.remove(&oldest);
        }
        true
    }
}
