//! What others wrote, made fit for a terminal.

/// What somebody wrote, on one line and without anything that a terminal would obey.
pub(in crate::cli) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(c),
            c if c.is_control() || breaks_line(c) || reorders(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

fn breaks_line(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Direction marks reorder what stands around them.
fn reorders(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
