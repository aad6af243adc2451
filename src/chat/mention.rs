//! Which names a body may mention. Who is a member, and so mentioned, is known where it is applied.

use super::name::Username;

/// So many members a message mentions at most; the places of a body beyond are not looked at.
pub const MAX_MENTIONS: usize = 100;

/// The places of a body that may be mentions, at most [`MAX_MENTIONS`]: for each the names that it may
/// mean, the longest first, for `@bob.` is a word at the end of a sentence more often than a name.
pub fn mentionable(body: &str) -> Vec<Vec<Username>> {
    let mut places = Vec::new();
    for (at, _) in body.match_indices('@') {
        if places.len() == MAX_MENTIONS {
            break;
        }
        let names = names_at(body, at);
        if !names.is_empty() && !places.contains(&names) {
            places.push(names);
        }
    }
    places
}

fn names_at(body: &str, at: usize) -> Vec<Username> {
    let (before, after) = (&body[..at], &body[at + 1..]);
    if before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || in_name(c) || c == '@') {
        return Vec::new();
    }
    let end = after.find(|c| !in_name(c)).unwrap_or(after.len());
    if after[end..].chars().next().is_some_and(|c| c.is_alphanumeric() || c == '@') {
        return Vec::new();
    }
    const MARKS: [char; 4] = ['.', '-', '_', '~'];
    let word = &after[..end];
    let shorter = word.strip_suffix(MARKS).unwrap_or(word);
    let mut names: Vec<Username> = [word, shorter, word.trim_end_matches(MARKS)]
        .into_iter()
        .filter_map(|word| Username::parse(word).ok())
        .collect();
    names.dedup();
    names
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(body: &str) -> Vec<String> {
        let show = |names: &Vec<Username>| {
            names.iter().map(Username::as_str).collect::<Vec<_>>().join("|")
        };
        mentionable(body).iter().map(show).collect()
    }

    #[test]
    fn a_name_after_an_at_sign_is_found_whatever_its_case() {
        assert_eq!(found("@bob"), ["bob"]);
        assert_eq!(found("hi @Bob, and (@alice)!"), ["bob", "alice"]);
        assert_eq!(found("@bob @BOB"), ["bob"], "each once");
        assert_eq!(found("\u{201e}@bob\u{201c}"), ["bob"], "in quotes");
        assert_eq!(found("@bob~a1z"), ["bob~a1z"], "a name that a merge made");
    }

    #[test]
    fn what_ends_a_sentence_may_belong_to_the_name_or_not() {
        assert_eq!(found("ask @bob."), ["bob.|bob"]);
        assert_eq!(found("@bob.-"), ["bob.-|bob.|bob"]);
        assert_eq!(found("@bob...."), ["bob....|bob...|bob"]);
    }

    #[test]
    fn what_stands_within_a_word_mentions_nobody() {
        for body in [
            "mail bob@alice",
            "b\u{f6}@bob",
            "@bob\u{f6}",
            "@",
            "@ bob",
            "@@bob",
            "@.bob",
            "@bob@x",
        ] {
            assert_eq!(found(body), Vec::<String>::new(), "{body}");
        }
        assert_eq!(found(&format!("@{}", "a".repeat(16_000))), Vec::<String>::new());
    }

    #[test]
    fn no_body_is_looked_at_for_ever() {
        let body: String = (0..3_000).map(|n| format!("@n{n} ")).collect();
        assert_eq!(mentionable(&body).len(), MAX_MENTIONS);
        assert_eq!(found(&format!("@a{}", "-".repeat(16_000))), ["a"]);
    }

    proptest! {
        #[test]
        fn no_body_breaks_the_search(body in "\\PC{0,60}") {
            for names in mentionable(&body) {
                prop_assert!(!names.is_empty());
            }
        }
    }
}
