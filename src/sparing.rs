//! Log lines that strangers can cause, sparingly: whoever knocks all day must not fill the disk.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many lines are written,
const LINES: u32 = 10;
/// in so long; then the next one tells how many were left out.
const WINDOW: Duration = Duration::from_secs(10);

/// Says which lines of a kind are written.
#[derive(Debug, Default)]
pub struct Sparing {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Sparing {
    /// Whether to write a line now: if so, how many were left out before it.
    pub fn permit(&self) -> Option<u64> {
        self.permit_at(Instant::now())
    }

    fn permit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            state.began = Some(now);
            state.written = 0;
        }
        if state.written == LINES {
            state.left_out += 1;
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_a_line_now_and_then_is_written() {
        let (lines, began) = (Sparing::default(), Instant::now());
        for number in 0..LINES {
            let at = began + Duration::from_millis(number.into());
            assert_eq!(lines.permit_at(at), Some(0), "line {number}");
        }
        for _ in 0..1_000 {
            assert_eq!(lines.permit_at(began + WINDOW / 2), None);
        }
        assert_eq!(lines.permit_at(began + WINDOW), Some(1_000));
        assert_eq!(lines.permit_at(began + WINDOW), Some(0));
        assert_eq!(lines.permit_at(began + WINDOW * 9), Some(0));
    }
}
