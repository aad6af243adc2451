//! Log lines that strangers can cause, sparingly: whoever knocks all day must not fill the disk.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The same words are written so many times,
const ALIKE: u32 = 2;
/// and so many different ones,
const KINDS: usize = 32;
/// in so long; then the next line tells how many were left out.
const WINDOW: Duration = Duration::from_secs(10);

/// Says which lines are written.
#[derive(Debug, Default)]
pub struct Sparing {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    written: BTreeMap<String, u32>,
    left_out: u64,
}

impl Sparing {
    /// Whether to write these words now: if so, how many lines were left out before.
    pub fn permit(&self, words: &str) -> Option<u64> {
        self.permit_at(words, Instant::now())
    }

    fn permit_at(&self, words: &str, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            state.began = Some(now);
            state.written.clear();
        }
        let room = state.written.len() < KINDS;
        let written = state.written.get(words).copied();
        match written {
            Some(times) if times < ALIKE => {}
            None if room => {}
            _ => {
                state.left_out += 1;
                return None;
            }
        }
        state.written.insert(words.to_owned(), written.unwrap_or(0) + 1);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_hides_no_other_news() {
        let (lines, began) = (Sparing::default(), Instant::now());
        assert_eq!(lines.permit_at("a", began), Some(0));
        assert_eq!(lines.permit_at("a", began), Some(0));
        for _ in 0..1_000 {
            assert_eq!(lines.permit_at("a", began + WINDOW / 2), None);
        }
        assert_eq!(lines.permit_at("b", began + WINDOW / 2), Some(1_000));
        assert_eq!(lines.permit_at("a", began + WINDOW / 2), None);
        assert_eq!(lines.permit_at("a", began + WINDOW), Some(1));
    }

    #[test]
    fn different_words_are_bounded_too() {
        let (lines, now) = (Sparing::default(), Instant::now());
        let written =
            (0..10_000).filter(|number| lines.permit_at(&format!("{number}"), now).is_some());
        assert_eq!(written.count(), KINDS);
        assert_eq!(lines.permit_at("0", now + WINDOW), Some(10_000 - KINDS as u64));
    }
}
