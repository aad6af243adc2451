//! The running digest: two servers whose tables differ in one row have different digests ever after.

use sha2::{Digest as _, Sha256};

use crate::cluster::{Hash, Seq};

/// Collects what one update writes. It counts by entries, never by batches.
pub(super) struct Recorder {
    hasher: Sha256,
}

/// A column's value.
pub(super) enum Value<'a> {
    Null,
    Number(i64),
    Bytes(&'a [u8]),
}

impl Recorder {
    pub(super) fn after(digest: Hash, seq: Seq) -> Recorder {
        let mut hasher = Sha256::new();
        hasher.update(digest.0);
        hasher.update(seq.to_be_bytes());
        Recorder { hasher }
    }

    /// A row was inserted or changed: its table, its key and its new values; or its key alone when it
    /// was removed.
    pub(super) fn row(&mut self, table: &str, values: &[Value<'_>]) {
        self.field(0, table.as_bytes());
        for value in values {
            match value {
                Value::Null => self.field(1, &[]),
                Value::Number(number) => self.field(2, &number.to_be_bytes()),
                Value::Bytes(bytes) => self.field(3, bytes),
            }
        }
    }

    /// The digest after the update, its outcome included.
    pub(super) fn finish(mut self, outcome: &[u8]) -> Hash {
        self.field(4, outcome);
        Hash(self.hasher.finalize().into())
    }

    fn field(&mut self, kind: u8, bytes: &[u8]) {
        self.hasher.update([kind]);
        self.hasher.update((bytes.len() as u64).to_be_bytes());
        self.hasher.update(bytes);
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Number(i64::from(flag))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Bytes(text.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
