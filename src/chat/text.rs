//! What people write: bodies, passwords, device names, and globs over names.

use std::fmt;

use zeroize::Zeroizing;

use super::malformed::Malformed;

const MAX_BODY: usize = 16 * 1024;
const MIN_PASSWORD: usize = 8;
const MAX_PASSWORD: usize = 1_024;
const MAX_DEVICE_NAME: usize = 64;
const MAX_TOPIC: usize = 256;
const MAX_GLOB: usize = 64;

/// The text of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(String);

impl Body {
    /// Takes 1 byte to 16 KiB.
    pub fn parse(text: impl Into<String>) -> Result<Body, Malformed> {
        let text = text.into();
        if text.is_empty() || text.len() > MAX_BODY {
            return Err(Malformed::must_be("1 byte to 16 KiB of UTF-8"));
        }
        Ok(Body(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bodies are private: only the length is shown.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

/// A password as typed; wiped from memory when dropped, never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes 8 to 1,024 bytes.
    pub fn parse(text: impl Into<String>) -> Result<Password, Malformed> {
        let text = Zeroizing::new(text.into());
        if (MIN_PASSWORD..=MAX_PASSWORD).contains(&text.len()) {
            Ok(Password(text))
        } else {
            Err(Malformed::must_be("8 to 1,024 bytes"))
        }
    }

    /// The bytes to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What a device calls itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeviceName(String);

impl DeviceName {
    /// Takes at most 64 bytes without control characters; may be empty.
    pub fn parse(text: impl Into<String>) -> Result<DeviceName, Malformed> {
        let text = text.into();
        if text.len() > MAX_DEVICE_NAME || text.chars().any(char::is_control) {
            return Err(Malformed::must_be("at most 64 bytes without control characters"));
        }
        Ok(DeviceName(text))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a room is about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Topic(String);

impl Topic {
    /// Takes at most 256 bytes without control characters; may be empty.
    pub fn parse(text: impl Into<String>) -> Result<Topic, Malformed> {
        let text = text.into();
        if text.len() > MAX_TOPIC || text.chars().any(char::is_control) {
            return Err(Malformed::must_be("at most 256 bytes without control characters"));
        }
        Ok(Topic(text))
    }

    /// The topic.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A pattern over names: `*` stands for any characters, `?` for one; empty means all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Glob(String);

impl Glob {
    /// Takes at most 64 bytes without control characters; folds its case.
    pub fn parse(text: &str) -> Result<Glob, Malformed> {
        if text.len() > MAX_GLOB || text.chars().any(char::is_control) {
            return Err(Malformed::must_be("at most 64 bytes without control characters"));
        }
        let folded = if text.is_empty() { "*".to_owned() } else { text.to_ascii_lowercase() };
        Ok(Glob(folded))
    }

    /// The folded pattern, never empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_oversized_bodies_are_refused() {
        assert!(Body::parse("").is_err());
        assert!(Body::parse("a".repeat(16 * 1024)).is_ok());
        assert!(Body::parse("a".repeat(16 * 1024 + 1)).is_err());
        assert!(Body::parse("two\nlines").is_ok());
    }

    #[test]
    fn passwords_have_bounds_and_are_not_shown() {
        assert!(Password::parse("1234567").is_err());
        assert!(Password::parse("a".repeat(1_025)).is_err());
        let password = Password::parse("correct horse").unwrap();
        assert_eq!(format!("{password:?}"), "Password(..)");
        assert_eq!(password.as_bytes(), b"correct horse");
        assert!(!format!("{:?}", Body::parse("secret").unwrap()).contains("secret"));
    }

    #[test]
    fn control_characters_are_refused_in_device_names_and_globs() {
        assert!(DeviceName::parse("").is_ok());
        assert!(DeviceName::parse("Bob's phone").is_ok());
        for text in ["a\nb", "a\u{7f}", "\u{1b}[0m"] {
            assert!(DeviceName::parse(text).is_err(), "{text:?}");
            assert!(Glob::parse(text).is_err(), "{text:?}");
        }
        assert!(DeviceName::parse("a".repeat(65)).is_err());
        assert!(Topic::parse("").is_ok() && Topic::parse("a".repeat(256)).is_ok());
        assert!(Topic::parse("a".repeat(257)).is_err() && Topic::parse("a\nb").is_err());
    }

    #[test]
    fn an_empty_glob_means_all() {
        assert_eq!(Glob::parse("").unwrap().as_str(), "*");
        assert_eq!(Glob::parse("Bo?*").unwrap().as_str(), "bo?*");
    }
}
