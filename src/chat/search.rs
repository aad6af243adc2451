//! What a user searches for, and what a word is: the same in a body and in a query.
//!
//! A query is parsed here into words; what it is written with (quotes, stars, colons) goes no further, so
//! nothing that a user types is ever taken for the index's own syntax.

use super::{malformed::Malformed, name::AccountName};

const MAX_QUERY: usize = 512;
const MAX_WORDS: usize = 32;
/// Fewer letters begin too many words.
const MIN_BEGINNING: usize = 2;

const QUERY: Malformed = Malformed::must_be(
    "words with letters or digits, \"phrases\", beg* for words that begin so, or from:USER; \
     up to 32 words in 512 bytes",
);
const QUOTES: Malformed = Malformed::must_be("closed with a second \" where a phrase is opened");
const BEGINNING: Malformed = Malformed::must_be("two letters at least in front of a *");
const FROM: Malformed = Malformed::must_be("a username after from:");

/// What to look for. All of it must be in a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SearchQuery {
    /// The words and phrases; none only if it names authors.
    pub phrases: Vec<Phrase>,
    /// The message is by one of these; by anybody if there are none.
    pub from: Vec<AccountName>,
}

/// Words that follow each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phrase {
    /// One at least, each a word as [`words`] tells them.
    pub words: Vec<String>,
    /// Whether the last one is the beginning of a word.
    pub is_beginning: bool,
}

impl SearchQuery {
    /// Reads what a user typed: words, `"a phrase"`, `beg*` and `from:USER`.
    pub fn parse(text: &str) -> Result<SearchQuery, Malformed> {
        if text.len() > MAX_QUERY {
            return Err(QUERY);
        }
        let mut query = SearchQuery::default();
        // What stands between an odd quote and the next is a phrase.
        let parts: Vec<&str> = text.split('"').collect();
        if parts.len().is_multiple_of(2) {
            return Err(QUOTES);
        }
        for (place, part) in parts.iter().enumerate() {
            if place.is_multiple_of(2) {
                part.split_whitespace().try_for_each(|term| query.add_term(term))?;
            } else {
                query.add_phrase(part, false)?;
            }
        }
        let count: usize = query.phrases.iter().map(|phrase| phrase.words.len()).sum();
        if count + query.from.len() > MAX_WORDS || count + query.from.len() == 0 {
            return Err(QUERY);
        }
        Ok(query)
    }

    fn add_term(&mut self, term: &str) -> Result<(), Malformed> {
        if let Some(name) = term.strip_prefix("from:") {
            let name = name.strip_prefix('@').unwrap_or(name);
            self.from.push(AccountName::parse(name).map_err(|_| FROM)?);
            return Ok(());
        }
        match term.strip_suffix('*') {
            Some(beginning) => self.add_phrase(beginning.trim_end_matches('*'), true),
            None => self.add_phrase(term, false),
        }
    }

    /// What holds no word, such as a dash, is nothing to look for.
    fn add_phrase(&mut self, text: &str, is_beginning: bool) -> Result<(), Malformed> {
        let words: Vec<String> = words(text).map(Into::into).collect();
        let Some(last) = words.last() else { return Ok(()) };
        let is_beginning = is_beginning && !last.chars().all(stands_alone);
        if is_beginning && last.chars().count() < MIN_BEGINNING {
            return Err(BEGINNING);
        }
        self.phrases.push(Phrase { words, is_beginning });
        Ok(())
    }
}

/// The words of a text: runs of letters and digits. Scripts that put no blanks between words have a word a
/// character, so that whatever stands in a sentence is found as a phrase.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !in_word(c)).flat_map(pieces).filter(|word| !word.is_empty())
}

/// Letters, digits, and the accents that follow a letter as characters of their own.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c)
}

/// Cuts a run of letters around those that are words by themselves.
fn pieces(run: &str) -> impl Iterator<Item = &str> {
    let mut rest = run;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match stands_alone(first) {
            true => first.len_utf8(),
            false => rest.find(stands_alone).unwrap_or(rest.len()),
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// Han, Hiragana and Katakana.
pub fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<String> {
        let query = SearchQuery::parse(text).unwrap();
        let show =
            |phrase: &Phrase| phrase.words.join("+") + if phrase.is_beginning { "*" } else { "" };
        let from = query.from.iter().map(|name| format!("from {name}"));
        query.phrases.iter().map(show).chain(from).collect()
    }

    #[test]
    fn words_phrases_beginnings_and_authors_are_told_apart() {
        assert_eq!(read("lunch  Friday"), ["lunch", "Friday"]);
        assert_eq!(read("\"see you\" there"), ["see+you", "there"]);
        assert_eq!(read("wor* from:Bob from:@al.ice"), ["wor*", "from bob", "from al.ice"]);
        assert_eq!(read("a\"b c\"d"), ["a", "b+c", "d"]);
        assert_eq!(
            read("it's 3.14 - \"\""),
            ["it+s", "3+14"],
            "and what holds no word is left out"
        );
    }

    #[test]
    fn operators_of_the_index_are_words_or_nothing() {
        assert_eq!(
            read("AND OR not NEAR(a, b) ^x body:y {z} -w"),
            ["AND", "OR", "not", "NEAR+a", "b", "x", "body+y", "z", "w"]
        );
    }

    #[test]
    fn what_cannot_be_searched_for_is_refused_in_words() {
        for (text, because) in [
            ("", QUERY),
            (" - \"\" ?", QUERY),
            ("\"open", QUOTES),
            ("a*", BEGINNING),
            ("from:", FROM),
            ("from:a/b", FROM),
        ] {
            assert_eq!(SearchQuery::parse(text), Err(because), "{text}");
        }
        assert_eq!(SearchQuery::parse(&"a ".repeat(33)), Err(QUERY));
        assert_eq!(SearchQuery::parse(&"a".repeat(513)), Err(QUERY));
        assert!(SearchQuery::parse(&"a ".repeat(32)).is_ok());
    }

    #[test]
    fn scripts_without_blanks_have_a_word_a_character() {
        let found: Vec<&str> = words("你好,世界abc12 cafe\u{301}s").collect();
        assert_eq!(found, ["你", "好", "世", "界", "abc12", "cafe\u{301}s"]);
        assert_eq!(read("世*"), ["世"]);
    }

    proptest! {
        #[test]
        fn nothing_but_words_comes_through(text in "[\\PC\"*: ]{0,80}") {
            if let Ok(query) = SearchQuery::parse(&text) {
                prop_assert!(!query.phrases.is_empty() || !query.from.is_empty());
                for phrase in query.phrases {
                    prop_assert!(!phrase.words.is_empty());
                    for word in phrase.words {
                        prop_assert!(!word.is_empty() && word.chars().all(in_word), "{word:?}");
                        prop_assert_eq!(words(&word).collect::<Vec<_>>(), vec![word.as_str()]);
                    }
                }
            }
        }

        #[test]
        fn a_word_of_a_text_is_a_query_that_reads_back(text in "\\PC{0,60}") {
            for word in words(&text) {
                prop_assert!(text.contains(word));
                let query = SearchQuery::parse(word).expect("a word");
                prop_assert_eq!(&query.phrases[0].words, &vec![word.to_owned()]);
            }
        }
    }
}
