//! How many connections this server has places for.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::{
    config::Limits,
    limits::{Patience, Places},
};

/// Files that a server needs for itself: its databases, the links to other servers, handshakes under way.
const OWN_FILES: u64 = 600;
/// To the end of HTTP/2's preface, which a client sends at once.
const PREFACE: Duration = Duration::from_secs(10);

/// The places, and how long connections may take. Each connection is an open file, so there are no more
/// places than this process may open files.
pub(super) fn of(limits: &Limits) -> (Places, Patience) {
    let files = getrlimit(Resource::Nofile).current;
    let most = fitting(limits.connections, files);
    if most < limits.connections {
        tracing::warn!(
            connections = most,
            "this process may open too few files for limits.connections; raise its limit (ulimit -n, \
             or LimitNOFILE in its unit)"
        );
    }
    let patience = Patience { preface: PREFACE, idle: limits.idle_connection };
    (Places::new(most, limits.connections_per_address), patience)
}

/// As many connections as there are files for; half of the files where these are few.
fn fitting(wanted: usize, files: Option<u64>) -> usize {
    let Some(files) = files else { return wanted };
    let left = files.saturating_sub(OWN_FILES).max(files / 2);
    wanted.min(usize::try_from(left).unwrap_or(wanted)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_places_than_files() {
        assert_eq!(fitting(10_000, None), 10_000);
        assert_eq!(fitting(10_000, Some(1 << 20)), 10_000);
        assert_eq!(fitting(10_000, Some(4_096)), 4_096 - 600);
        assert_eq!(fitting(10_000, Some(1_024)), 512);
        assert_eq!(fitting(10_000, Some(1)), 1);
    }
}
