//! How a session or a command speaks: to programs in JSON, to people in words.

use super::{answer::Answer, exit::Failure, json, paint::Paint, text};
use crate::wire::chat::{Event, Message};

/// The way of speaking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    /// One JSON object a line.
    pub(super) json: bool,
    /// For words.
    pub(super) paint: Paint,
}

impl Voice {
    /// An answer, every line of it ended.
    pub(super) fn answer(self, answer: &Answer) -> String {
        if self.json { json::answer(answer) } else { text::answer(answer, self.paint) }
    }

    /// A command that was not done.
    pub(super) fn failure(self, failure: &Failure) -> String {
        if self.json {
            return json::failure(failure);
        }
        format!("{}\n", self.paint.bad(format!("error: {}", failure.words())))
    }

    /// A message as it arrives; `me` is who reads it.
    pub(super) fn live(self, message: &Message, me: Option<&str>) -> String {
        if self.json { json::live(message) } else { text::live(message, me, self.paint) }
    }

    /// What happened, for `tail`; `None` if it is nothing to tell.
    pub(super) fn event(self, event: &Event) -> Option<String> {
        if self.json { json::event(event) } else { text::event(event, self.paint) }
    }
}
