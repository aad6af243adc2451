//! What the Tab key offers: commands, conversations, users and ids of messages, where they belong.

use rustyline::{
    Context, Helper, completion::Completer, highlight::Highlighter, hint::Hinter,
    validate::Validator,
};

use crate::cli::{
    command,
    roster::{Known, Words},
};

/// Offers names.
pub(super) struct Names(pub(super) Words);

/// What belongs at a place of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Command,
    /// `@user` or `#room`.
    Conversation,
    Room,
    /// A user, without `@`.
    User,
    Id,
    Nothing,
}

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(&line[..position], &self.0.known()))
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}
impl Validator for Names {}
impl Helper for Names {}

/// Where the word that is being typed begins, and what it may become.
fn complete(typed: &str, known: &Known) -> (usize, Vec<String>) {
    let start = typed.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
    let word = &typed[start..];
    let words: Vec<&str> = typed[..start].split_whitespace().collect();
    let names = || known.names.iter().map(String::as_str);
    let candidates: Vec<&str> = match kind(&words, word) {
        Kind::Command => command::names().collect(),
        Kind::Conversation => names().collect(),
        Kind::Room => names().filter(|name| name.starts_with('#')).collect(),
        Kind::User => names().filter_map(|name| name.strip_prefix('@')).collect(),
        Kind::Id => known.ids.iter().rev().map(String::as_str).collect(),
        Kind::Nothing => Vec::new(),
    };
    let fitting = candidates.into_iter().filter(|candidate| candidate.starts_with(word));
    (start, fitting.map(|candidate| format!("{candidate} ")).collect())
}

fn kind(words: &[&str], word: &str) -> Kind {
    match (words, word) {
        ([], "") => Kind::Nothing,
        ([], word) if word.starts_with('/') => Kind::Command,
        (["/msg" | "/history" | "/read"], _) => Kind::Conversation,
        (["/join" | "/leave" | "/who" | "/topic" | "/transfer" | "/close-room"], _) => Kind::Room,
        (["/invite" | "/kick", _], _) => Kind::Room,
        (["/login" | "/users"], _) => Kind::User,
        (["/delete", ..] | ["/edit"], _) => Kind::Id,
        // In a text, a name is one that begins like one.
        (_, word) if word.len() > 1 && word.starts_with(['@', '#']) => Kind::Conversation,
        (["/invite" | "/kick"] | ["/transfer", _], word) if word.starts_with('@') => {
            Kind::Conversation
        }
        (["/invite" | "/kick"] | ["/transfer", _], _) => Kind::User,
        _ => Kind::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(typed: &str) -> Vec<String> {
        let names = ["@alice", "@alina", "@bob", "#general", "#games"].map(String::from);
        let ids = ["a1", "a2", "b1"].map(String::from);
        let known = Known { names: names.into(), ids: ids.into() };
        let (start, offered) = complete(typed, &known);
        assert!(offered.iter().all(|offer| offer.starts_with(&typed[start..])), "{offered:?}");
        offered.into_iter().map(|offer| offer.trim_end().to_owned()).collect()
    }

    #[test]
    fn what_belongs_at_a_place_is_offered_there() {
        assert_eq!(offered("/ms"), ["/msg"]);
        assert_eq!(offered("/msg @al"), ["@alice", "@alina"]);
        assert_eq!(offered("/msg #"), ["#games", "#general"]);
        assert_eq!(offered("/join "), ["#games", "#general"]);
        assert_eq!(offered("/login b"), ["bob"]);
        assert_eq!(offered("/invite @b"), ["@bob"]);
        assert_eq!(offered("/invite bob #ge"), ["#general"]);
        assert_eq!(offered("/transfer #general al"), ["alice", "alina"]);
        assert_eq!(offered("/delete a1 a"), ["a2", "a1"], "the newest first");
        assert_eq!(offered("/edit b"), ["b1"]);
        assert_eq!(offered("hello @bo"), ["@bob"], "in a text too");
        for nothing in ["", "hello ", "hello wor", "/msg @bob he", "/nonsense x", "/create a"] {
            assert!(offered(nothing).is_empty(), "{nothing}");
        }
    }
}
