//! Queries in the index's own syntax. It is made of words and numbers alone: a word holds no character that
//! means anything there, and stands in quotes all the same.

use std::fmt::Write as _;

use crate::chat::{Phrase, SearchQuery, words};

/// Stands between a conversation's key and a word.
const WORD: char = 'q';
/// Stands between a conversation's key and its author's.
const AUTHOR: char = 'r';

/// What is looked for.
pub(in crate::store) struct Terms<'a> {
    pub(in crate::store) phrases: &'a [Phrase],
    /// One of these wrote it; anybody, if there are none.
    pub(in crate::store) authors: Vec<i64>,
}

impl<'a> Terms<'a> {
    pub(in crate::store) fn new(query: &'a SearchQuery, authors: Vec<i64>) -> Terms<'a> {
        Terms { phrases: &query.phrases, authors }
    }
}

/// What the index holds of a message.
pub(super) fn indexed(conversation: i64, author: i64, body: &str) -> String {
    let mut text = format!("{conversation}{AUTHOR}{author}");
    for word in words(body) {
        let _ = write!(text, " {conversation}{WORD}{word}");
    }
    text
}

/// Finds the messages of these conversations that hold all terms.
pub(in crate::store) fn in_conversations(conversations: &[i64], terms: &Terms<'_>) -> String {
    let of_one = |conversation: &i64| {
        let mut all: Vec<String> = terms
            .phrases
            .iter()
            .map(|phrase| term(&format!("{conversation}{WORD}"), phrase))
            .collect();
        let authors: Vec<String> = terms
            .authors
            .iter()
            .map(|author| format!("\"{conversation}{AUTHOR}{author}\""))
            .collect();
        if !authors.is_empty() {
            all.push(format!("({})", authors.join(" OR ")));
        }
        format!("({})", all.join(" AND "))
    };
    conversations.iter().map(of_one).collect::<Vec<_>>().join(" OR ")
}

/// Finds the texts that hold all phrases.
pub(in crate::store) fn in_text(phrases: &[Phrase]) -> String {
    phrases.iter().map(|phrase| term("", phrase)).collect::<Vec<_>>().join(" AND ")
}

fn term(mark: &str, phrase: &Phrase) -> String {
    let words: Vec<String> = phrase.words.iter().map(|word| format!("{mark}{word}")).collect();
    let beginning = if phrase.is_beginning { " *" } else { "" };
    format!("\"{}\"{beginning}", words.join(" "))
}
