//! Colours for people, who can have them switched off: a pipe gets none, nor does whoever sets `NO_COLOR`
//! or sits at a terminal that knows none.

use std::{env, fmt::Display};

use anstyle::{AnsiColor, Style};

/// The colours of names: readable on dark and on bright ground.
const NAMES: [AnsiColor; 5] =
    [AnsiColor::Cyan, AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Blue, AnsiColor::Yellow];

/// Paints, or does not.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// For an output of this process.
    pub(super) fn of_process(terminal: bool) -> Paint {
        let variable = |name| env::var(name).unwrap_or_default();
        Paint::for_output(terminal, &variable("NO_COLOR"), &variable("TERM"))
    }

    /// For an output in these surroundings.
    pub(super) fn for_output(terminal: bool, no_color: &str, term: &str) -> Paint {
        Paint { on: terminal && no_color.is_empty() && term != "dumb" }
    }

    /// Somebody's name, always in the same colour.
    pub(super) fn name(self, name: &str) -> String {
        let sum: usize = name.bytes().map(usize::from).sum();
        self.with(Style::new().fg_color(Some(NAMES[sum % NAMES.len()].into())), name)
    }

    /// What stands out.
    pub(super) fn strong(self, text: impl Display) -> String {
        self.with(Style::new().bold(), text)
    }

    /// What is beside the point.
    pub(super) fn dim(self, text: impl Display) -> String {
        self.with(Style::new().dimmed(), text)
    }

    /// What went wrong.
    pub(super) fn bad(self, text: impl Display) -> String {
        self.with(AnsiColor::Red.on_default(), text)
    }

    /// What is not done yet.
    pub(super) fn open(self, text: impl Display) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    fn with(self, style: Style, text: impl Display) -> String {
        if self.on { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_whose_user_wants_them_gets_colours() {
        let paint = |terminal, no_color, term| {
            Paint::for_output(terminal, no_color, term).bad("x").contains('\u{1b}')
        };
        assert!(paint(true, "", "xterm"));
        assert!(!paint(true, "1", "xterm"));
        assert!(!paint(true, "", "dumb"));
        assert!(!paint(false, "", "xterm"));
    }
}
