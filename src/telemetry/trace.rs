//! Traces: how one call is found in the logs of its client, its leader and the followers.
//!
//! A trace is W3C's `traceparent`, for proxies and other libraries send and know that. It is drawn by the
//! client once a call, whatever number of attempts that takes, and travels beside what the call says: in
//! the metadata, and beside the entries on their way to a follower, never in the log that is replicated.
//! Nothing depends on it.
//!
//! Inside a server it goes with the task that serves the call, as the deadline does in other houses: handing it
//! from function to function would put it into every signature between the door and the node.

use std::fmt;

/// The metadata key.
pub const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static TRACE: Option<TraceId>;
}

/// What all lines about one call have in common; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// A new one; `None` when the machine gives no random numbers.
    pub fn draw() -> Option<TraceId> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        TraceId::of_bytes(&bytes)
    }

    /// The one that a `traceparent` names; `None` if it is none.
    pub fn of_header(header: &str) -> Option<TraceId> {
        let mut parts = header.split('-');
        let (version, id, parent) = (parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |part: &str, length: usize| {
            let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            part.len() == length && part.bytes().all(digit)
        };
        // Later versions may say more behind; 255 is no version.
        if !is_hex(version, 2) || version == "ff" || !is_hex(id, 32) || !is_hex(parent, 16) {
            return None;
        }
        TraceId::of_bytes(&u128::from_str_radix(id, 16).ok()?.to_be_bytes())
    }

    /// The one with these bytes; `None` unless they are sixteen, one of them not zero.
    pub fn of_bytes(bytes: &[u8]) -> Option<TraceId> {
        let bytes: [u8; 16] = bytes.try_into().ok()?;
        (bytes != [0; 16]).then_some(TraceId(bytes))
    }

    /// Its bytes.
    pub fn bytes(&self) -> [u8; 16] {
        self.0
    }

    /// The `traceparent` of whoever begins it.
    pub fn header(&self) -> String {
        // Its own end names the first span: it needs to be nothing but not zero.
        let [.., a, b, c, d, e, f, g, h] = self.0;
        let span = u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1);
        format!("00-{self}-{span:016x}-01")
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Does this work for the call of that trace.
pub async fn within<T>(trace: Option<TraceId>, work: impl Future<Output = T>) -> T {
    TRACE.scope(trace, work).await
}

/// The trace of the call that this task serves.
pub fn current() -> Option<TraceId> {
    TRACE.try_with(|trace| *trace).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_traceparent_names_its_trace() {
        let trace = TraceId::of_header(&format!("00-{ID}-00f067aa0ba902b7-01")).expect("valid");
        assert_eq!(trace.to_string(), ID);
        assert_eq!(TraceId::of_bytes(&trace.bytes()), Some(trace));
        let later = format!("01-{ID}-00f067aa0ba902b7-01-more");
        assert_eq!(TraceId::of_header(&later), Some(trace));
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let zero = "0".repeat(32);
        for header in [
            "",
            "00",
            ID,
            &format!("ff-{ID}-00f067aa0ba902b7-01"),
            &format!("00-{zero}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", ID.to_uppercase()),
            &format!("00-{}-00f067aa0ba902b7-01", &ID[1..]),
            &format!("00-+{}-00f067aa0ba902b7-01", &ID[1..]),
            &format!("00-{ID}-00f067aa-01"),
        ] {
            assert_eq!(TraceId::of_header(header), None, "{header}");
        }
        assert_eq!(TraceId::of_bytes(&[1; 15]), None);
    }

    #[test]
    fn what_is_drawn_can_be_sent() {
        let trace = TraceId::draw().expect("random numbers");
        assert_eq!(TraceId::of_header(&trace.header()), Some(trace));
        assert_ne!(TraceId::draw(), Some(trace));
    }

    #[tokio::test]
    async fn a_trace_goes_with_its_work_and_no_other() {
        let trace = TraceId::draw();
        assert_eq!(current(), None);
        within(trace, async {
            assert_eq!(current(), trace);
            let other = tokio::spawn(async { current() }).await.expect("it ran");
            assert_eq!(other, None, "a task of its own");
        })
        .await;
        assert_eq!(current(), None);
    }
}
