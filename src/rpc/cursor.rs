//! Where a subscriber stands: a place in the log, opaque to clients.

use std::fmt;

use crate::cluster::{Epoch, Position, Seq, ServerId};

/// The entry up to which everything was told. Its epoch tells histories apart: the same epoch and seq
/// mean the same entry, on every server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Who wrote it.
    pub epoch: Epoch,
    /// Its place.
    pub seq: Seq,
}

impl Cursor {
    /// The cursor of whoever was told everything up to here.
    pub fn at(position: Position) -> Cursor {
        Cursor { epoch: position.epoch, seq: position.seq }
    }

    /// `None` for what no server ever gave out.
    pub fn parse(text: &str) -> Option<Cursor> {
        let mut parts = text.split('-');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let (epoch, server, seq) = (number()?, number()?, number()?);
        let server = ServerId(u32::try_from(server).ok()?);
        parts.next().is_none().then_some(Cursor { epoch: Epoch { number: epoch, server }, seq })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.epoch.number, self.epoch.server.0, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_nonsense_is_none() {
        let cursor = Cursor { epoch: Epoch { number: 300, server: ServerId(2) }, seq: u64::MAX };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for nonsense in ["", "1-2", "1-2-3-4", "x-1-1", "1-fffffffff-1", "1 -2-3"] {
            assert_eq!(Cursor::parse(nonsense), None, "{nonsense}");
        }
    }
}
