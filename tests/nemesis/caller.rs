//! Who calls: read from the first request on a connection between servers.
//!
//! Every message between servers begins with its envelope, and a client of HTTP/2 sends its first request
//! without waiting for anything.

use chinwag::wire::cluster::Envelope;
use prost::Message as _;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
const DATA: u8 = 0;
/// A gRPC message is preceded by a flag and its length.
const MESSAGE_HEADER: usize = 5;
/// Field 1, of bytes.
const ENVELOPE: u8 = 0x0a;

/// The server that these first bytes of a connection come from; `None` while they do not tell yet.
pub(crate) fn of(bytes: &[u8]) -> Option<u32> {
    let mut rest = bytes.strip_prefix(PREFACE)?;
    while rest.len() >= FRAME_HEADER {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        let (kind, frame) = (rest[3], &rest[FRAME_HEADER..]);
        if kind == DATA && length > MESSAGE_HEADER {
            return envelope(&frame[..frame.len().min(length)]);
        }
        rest = frame.get(length..)?;
    }
    None
}

fn envelope(frame: &[u8]) -> Option<u32> {
    let message = frame.get(MESSAGE_HEADER..)?;
    let mut envelope = message.strip_prefix(&[ENVELOPE])?;
    let length = prost::decode_length_delimiter(&mut envelope).ok()?;
    Some(Envelope::decode(envelope.get(..length)?).ok()?.from)
}
