//! How well a message fits, and which part of it is shown.
//!
//! The score is Okapi BM25 with constants in place of the statistics of a corpus: the sum of matches, with
//! diminishing returns, against the length of the message. Every hit holds every word, so how rare a word
//! is would hardly change their order; and a score that depends on the message alone keeps the pages of a
//! search apart, whatever is written, edited and deleted between them.

use crate::chat::{stands_alone, words};

/// Characters of a body that a snippet shows.
const SNIPPET: usize = 160;
/// Of these, before the first match.
const BEFORE: usize = 40;

const SATURATION: f64 = 1.2;
const LENGTH_MATTERS: f64 = 0.75;
const USUAL_LENGTH: f64 = 12.0;

/// Around a match, as the index marks it …
pub(super) const OPEN: char = '\u{1}';
pub(super) const CLOSE: char = '\u{2}';
/// … and what is put between words that no blank divides.
const GAP: char = '\u{3}';

/// A part of what is shown of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnippetPart {
    /// Its text.
    pub text: String,
    /// Whether it is what was looked for.
    pub found: bool,
}

/// A body with its matches.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::store) struct Marked {
    characters: Vec<(char, bool)>,
    matches: usize,
}

/// The text in which the index divides words as we do, and in which its marks are unmistakable.
pub(super) fn markable(body: &str) -> String {
    let mut text = String::with_capacity(body.len());
    for c in body.chars() {
        match c {
            '\0' | OPEN | CLOSE | GAP => text.push(' '),
            c if stands_alone(c) => text.extend([GAP, c, GAP]),
            c => text.push(c),
        }
    }
    text
}

impl Marked {
    /// A body in which nothing was looked for.
    pub(in crate::store) fn plain(body: &str) -> Marked {
        Marked { characters: body.chars().map(|c| (c, false)).collect(), matches: 0 }
    }

    /// Reads the marks.
    pub(super) fn read(text: &str) -> Marked {
        let mut marked = Marked::default();
        let mut found = false;
        for c in text.chars() {
            match c {
                OPEN => {
                    found = true;
                    marked.matches += 1;
                }
                CLOSE => found = false,
                GAP => {}
                c => marked.characters.push((c, found)),
            }
        }
        marked
    }

    /// In millionths.
    pub(in crate::store) fn score(&self, body: &str) -> i64 {
        let (matches, length) = (self.matches as f64, words(body).count() as f64);
        let norm = SATURATION * (1.0 - LENGTH_MATTERS + LENGTH_MATTERS * length / USUAL_LENGTH);
        (1e6 * matches * (SATURATION + 1.0) / (matches + norm)) as i64
    }

    /// What is shown: the whole body if it is short, otherwise what stands around the first match.
    pub(in crate::store) fn snippet(&self) -> Vec<SnippetPart> {
        let all = self.characters.as_slice();
        let first = all.iter().position(|(_, found)| *found).unwrap_or(0);
        let start = match all.len() <= SNIPPET {
            true => 0,
            false => first.saturating_sub(BEFORE).min(all.len() - SNIPPET),
        };
        let end = all.len().min(start + SNIPPET);
        let mut parts: Vec<SnippetPart> = Vec::new();
        let cut = |is_cut: bool| is_cut.then_some(('…', false));
        let shown = all[start..end].iter().copied();
        for (c, found) in cut(start > 0).into_iter().chain(shown).chain(cut(end < all.len())) {
            match parts.last_mut().filter(|part| part.found == found) {
                Some(part) => part.text.push(c),
                None => parts.push(SnippetPart { text: c.into(), found }),
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(marked: &Marked) -> String {
        let show = |part: &SnippetPart| match part.found {
            true => format!("[{}]", part.text),
            false => part.text.clone(),
        };
        marked.snippet().iter().map(show).collect()
    }

    #[test]
    fn a_short_body_is_shown_whole_and_a_long_one_around_the_first_match() {
        assert_eq!(shown(&Marked::read("say \u{1}hi\u{2} to \u{1}all\u{2}")), "say [hi] to [all]");
        let long = format!("{}\u{1}word\u{2}{}", "a ".repeat(200), " b".repeat(200));
        let found = shown(&Marked::read(&long));
        assert!(found.starts_with("…a ") && found.ends_with('…'), "{found}");
        assert!(found.contains("a [word] b"), "{found}");
        assert_eq!(found.chars().count(), SNIPPET + 4);
        let end = Marked::read(&format!("{}\u{1}word\u{2}", "é".repeat(200)));
        assert!(shown(&end).ends_with("é[word]"), "no dots where nothing is cut");
    }

    #[test]
    fn marks_of_ours_are_told_from_characters_of_the_body() {
        let text = markable("a\u{1}b\u{3}世界");
        assert_eq!(text, "a b \u{3}世\u{3}\u{3}界\u{3}");
        assert_eq!(shown(&Marked::read(&text)), "a b 世界");
    }

    #[test]
    fn more_matches_and_shorter_messages_rank_higher() {
        let score = |text: &str| Marked::read(text).score(text);
        let once = score("\u{1}tea\u{2} and cake");
        assert!(score("\u{1}tea\u{2} \u{1}tea\u{2} cake") > once);
        assert!(once > score("\u{1}tea\u{2} and a very long list of other things to eat"));
    }
}
