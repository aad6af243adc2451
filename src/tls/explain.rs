//! Tells callers who speak HTTP/2 without TLS, in the only language they read, that TLS is wanted.
//!
//! A caller that only finds its connection closed cannot know whether its request had an effect. HTTP/2 has
//! words for it: GOAWAY with the last stream 0 says that nothing was looked at, a code says why, and most
//! clients show the text. It comes after the caller's first request, for a connection that says goodbye
//! before is taken for a broken one.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// HTTP/2 begins with this.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A frame: three bytes of length, one of type, one of flags, four that name the stream.
const FRAME_HEADER: usize = 9;
const HEADERS: u8 = 1;
const SETTINGS: [u8; FRAME_HEADER] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const GOAWAY: u8 = 7;
/// What stands before the text of a GOAWAY: the last stream that was looked at, and the code
/// INADEQUATE_SECURITY.
const NOTHING_FOR_WANT_OF_SECURITY: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 0xc];
const TEXT: &[u8] =
    b"this server takes encrypted connections only: call it with TLS and its authority's certificate";

/// The first request begins within so many bytes.
const FIRST_BYTES: usize = 16 * 1024;
/// How long the caller gets to read the answer.
const GOODBYE: Duration = Duration::from_secs(1);

/// See the file's header. The first request is awaited for so long.
pub(super) async fn that_tls_is_wanted(stream: &mut TcpStream, patience: Duration) {
    // Some clients send nothing before they know the server's settings.
    let _ = stream.write_all(&SETTINGS).await;
    let _ = timeout(patience, first_request(stream)).await;
    let length = NOTHING_FOR_WANT_OF_SECURITY.len() + TEXT.len();
    let mut goaway = vec![0, 0, u8::try_from(length).expect("a short text"), GOAWAY, 0, 0, 0, 0, 0];
    goaway.extend(NOTHING_FOR_WANT_OF_SECURITY);
    goaway.extend(TEXT);
    let _ = stream.write_all(&goaway).await;
    let _ = stream.shutdown().await;
    // Closed with bytes unread, the connection would be reset, and the words lost.
    let mut unread = [0; 4096];
    let reading = async { while stream.read(&mut unread).await.is_ok_and(|read| read > 0) {} };
    let _ = timeout(GOODBYE, reading).await;
}

async fn first_request(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    while !holds_request(&bytes) && bytes.len() < FIRST_BYTES {
        if !stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            return;
        }
    }
}

/// Whether a request begins in these first bytes of a connection.
fn holds_request(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(PREFACE.len()..).unwrap_or_default();
    while let Some([one, two, three, kind, ..]) = rest.get(..FRAME_HEADER) {
        if *kind == HEADERS {
            return true;
        }
        let length = usize::from(*one) << 16 | usize::from(*two) << 8 | usize::from(*three);
        rest = rest.get(FRAME_HEADER + length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_found_behind_what_comes_before_it() {
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];
        let window = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0x4f, 0, 1];
        let before = [PREFACE, &settings, &window].concat();
        let request = [&before[..], &[0, 0, 40, HEADERS, 4, 0, 0, 0, 1]].concat();
        for end in 0..request.len() {
            assert!(!holds_request(&request[..end]), "after {end} bytes");
        }
        assert!(holds_request(&request));
    }
}
