//! The one error of parsing a field.

use thiserror::Error;

/// A field is not what it may be. It never repeats the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("must be {allowed}")]
pub struct Malformed {
    /// What is allowed, to be read after "must be".
    pub allowed: &'static str,
}

impl Malformed {
    pub(super) const fn must_be(allowed: &'static str) -> Malformed {
        Malformed { allowed }
    }
}
