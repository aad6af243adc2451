//! The frames of HTTP/2 that belong to no call and still cost an answer: pings above all. No limit on calls sees
//! them, and the library answers each; so whoever sends many is read from more slowly.
//!
//! Honest clients ping while they receive, to measure the way (once a round trip, by gRPC's habit), and some
//! do it for each frame. So what a server writes to a client earns pings, and only beyond that they are
//! few a second.

use std::time::{Duration, Instant};

/// A frame's length (3 bytes), kind, flags and stream (4 bytes).
const HEAD: usize = 9;
const DATA: u8 = 0;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
/// The last kind that HTTP/2 itself defines.
const CONTINUATION: u8 = 9;
/// Of a ping or of settings, that it is the answer.
const ACK: u8 = 1;
/// Of data, that these are the last.
const END_STREAM: u8 = 1;

/// What such a frame takes, in bytes written to the caller: what it is answered, and as much again as a small
/// event.
const PRICE: i64 = 80;
/// What a second brings.
const EACH_SECOND: i64 = 100 * PRICE;
/// No more is kept.
const MOST: i64 = 1_000 * PRICE;

/// What one connection may still send of such frames. Fed with all that is read, from the first frame on.
#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// How much of a head has come.
    filled: usize,
    /// What is still to come of a frame, its head aside.
    rest: usize,
    credit: i64,
    since: Instant,
}

impl Frames {
    pub(super) fn new(now: Instant) -> Frames {
        Frames { head: [0; HEAD], filled: 0, rest: 0, credit: MOST, since: now }
    }

    /// So much was written to the caller.
    pub(super) fn written(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_add_unsigned(bytes as u64).min(MOST);
    }

    /// So much was read; returns how long to read nothing more.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant) -> Duration {
        let before = self.credit;
        while !bytes.is_empty() {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                self.rest -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEAD {
                self.filled = 0;
                self.begin();
            }
        }
        if self.credit == before {
            return Duration::ZERO;
        }
        self.earn(now);
        match u64::try_from(-self.credit) {
            Ok(owed) => Duration::from_secs(owed) / EACH_SECOND as u32,
            Err(_) => Duration::ZERO,
        }
    }

    /// A frame begins.
    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.rest = u32::from_be_bytes([0, a, b, c]) as usize;
        let costs = match kind {
            PING | SETTINGS => flags & ACK == 0,
            // It means nothing any more.
            PRIORITY => true,
            DATA => self.rest == 0 && flags & END_STREAM == 0,
            other => other > CONTINUATION,
        };
        if costs {
            self.credit -= PRICE;
        }
    }

    /// What the time has brought.
    fn earn(&mut self, now: Instant) {
        let millis = now.saturating_duration_since(self.since).as_millis();
        let brought = i64::try_from(millis).unwrap_or(MOST).saturating_mul(EACH_SECOND) / 1_000;
        self.credit = self.credit.saturating_add(brought).min(MOST);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("short");
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn ping() -> Vec<u8> {
        frame(PING, 0, &[7; 8])
    }

    #[test]
    fn a_flood_of_pings_waits_and_one_a_second_never_does() {
        let start = Instant::now();
        let mut frames = Frames::new(start);
        assert_eq!(frames.read(&ping().repeat(1_000), start), Duration::ZERO);
        assert_eq!(frames.read(&ping().repeat(200), start), Duration::from_secs(2));
        let later = start + Duration::from_secs(2);
        assert_eq!(frames.read(&ping(), later), Duration::from_millis(10), "the debt was paid");
        for second in 3..100_000 {
            let now = start + Duration::from_secs(second);
            assert_eq!(frames.read(&ping(), now), Duration::ZERO);
        }
    }

    #[test]
    fn however_the_bytes_are_cut_each_frame_counts_once_and_calls_are_free() {
        let start = Instant::now();
        let call = [frame(1, 4, &[0x82; 40]), frame(DATA, END_STREAM, &[PING; 200])].concat();
        let answers = [frame(PING, ACK, &[0; 8]), frame(SETTINGS, ACK, &[])].concat();
        let window = frame(8, 0, &[0; 4]);
        let costly = [
            ping(),
            frame(SETTINGS, 0, &[]),
            frame(PRIORITY, 0, &[0; 5]),
            frame(DATA, 0, &[]),
            frame(0xaa, 0, &[1, 2]),
        ];
        let all = [call, answers, window, costly.concat()].concat();
        for size in 1..all.len() {
            let mut frames = Frames::new(start);
            for part in all.chunks(size) {
                assert_eq!(frames.read(part, start), Duration::ZERO);
            }
            assert_eq!(frames.credit, MOST - 5 * PRICE, "in parts of {size}");
        }
    }

    #[test]
    fn whoever_is_written_to_may_ping_for_each_event() {
        let start = Instant::now();
        let mut frames = Frames::new(start);
        for _ in 0..100_000 {
            frames.written(150);
            assert_eq!(frames.read(&ping(), start), Duration::ZERO);
        }
    }
}
