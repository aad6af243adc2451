//! Pages and their tokens.

use crate::chat::{Glob, Malformed, Refusal};

/// The size of a page whose caller named none.
const DEFAULT_SIZE: i64 = 50;
const MAX_SIZE: i64 = 200;

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// Asks for the next page; empty after the last.
    pub next_page_token: String,
}

/// The size to use for the one that was asked for.
pub(super) fn size(asked: i32) -> Result<i64, Refusal> {
    match i64::from(asked) {
        0 => Ok(DEFAULT_SIZE),
        size if size > 0 => Ok(size.min(MAX_SIZE)),
        _ => Err(Refusal::BadField {
            field: "page_size",
            malformed: Malformed { allowed: "0 to 200" },
        }),
    }
}

/// Cuts a list of one item more than a page to the page; the token is made of its last item.
pub(super) fn cut<T>(mut items: Vec<T>, size: i64, token: impl FnOnce(&T) -> String) -> Page<T> {
    let size = size as usize;
    let more = items.len() > size;
    items.truncate(size);
    let next_page_token = match items.last() {
        Some(last) if more => token(last),
        _ => String::new(),
    };
    Page { items, next_page_token }
}

/// Tokens are opaque to clients: hexadecimal, so that they survive every shell.
pub(super) fn token(content: &[u8]) -> String {
    content.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a token; `None` for the first page.
pub(super) fn read_token(token: &str) -> Result<Option<Vec<u8>>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    let digits = token.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err(bad_token());
    }
    let bytes = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect::<Option<Vec<u8>>>().map(Some).ok_or_else(bad_token)
}

/// Reads a token that holds numbers.
pub(super) fn read_numbers<const N: usize>(token: &str) -> Result<Option<[i64; N]>, Refusal> {
    let Some(bytes) = read_token(token)? else { return Ok(None) };
    if bytes.len() != N * 8 {
        return Err(bad_token());
    }
    let mut numbers = [0; N];
    for (number, chunk) in numbers.iter_mut().zip(bytes.chunks(8)) {
        *number = i64::from_be_bytes(chunk.try_into().expect("eight bytes a chunk"));
    }
    Ok(Some(numbers))
}

/// The size, and the name after which the page begins, of a list in the order of names.
pub(super) fn size_and_name(asked: i32, token: &str) -> Result<(i64, String), Refusal> {
    let size = size(asked)?;
    let after = read_token(token)?.unwrap_or_default();
    Ok((size, String::from_utf8(after).map_err(|_| bad_token())?))
}

/// The pattern as SQLite reads it: brackets mean something to its GLOB, and nothing to ours.
pub(super) fn glob(pattern: &Glob) -> String {
    pattern.as_str().replace('[', "[[]")
}

/// A token that holds numbers.
pub(super) fn number_token(numbers: &[i64]) -> String {
    token(&numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>())
}

/// A token that no page had.
pub(super) fn bad_token() -> Refusal {
    let malformed = Malformed { allowed: "empty, or the next_page_token of the page before" };
    Refusal::BadField { field: "page_token", malformed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_a_made_up_one_is_refused() {
        assert_eq!(read_token(""), Ok(None));
        assert_eq!(read_token(&token(b"bob")), Ok(Some(b"bob".to_vec())));
        assert_eq!(read_numbers(&number_token(&[7, -1])), Ok(Some([7, -1])));
        for made_up in ["x", "0", "zz", "é", "00", "+1"] {
            assert!(read_numbers::<2>(made_up).is_err(), "{made_up}");
        }
    }

    #[test]
    fn a_page_has_a_default_and_a_greatest_size() {
        assert_eq!(size(0), Ok(50));
        assert_eq!(size(10_000), Ok(200));
        assert!(size(-1).is_err());
    }
}
