//! What people want to know about the cluster while they wait or work.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use super::harmless::harmless;
use crate::client::Notice;

/// A notice in a sentence, with the time of day.
pub(in crate::cli) fn notice(notice: &Notice) -> String {
    let words = match notice {
        Notice::Waiting { detail } => format!("no leader; trying... ({})", harmless(detail)),
        Notice::DiskFull { address } => {
            format!("the disk of the server at {} is full; trying...", harmless(address))
        }
        Notice::SearchNotReady => "searching is not ready yet; trying...".into(),
        Notice::Back { address, outage } => {
            format!("the leader at {} is back after {}", harmless(address), duration(*outage))
        }
        Notice::Moved { ids: Some((from, to)), outage, .. } => {
            format!("leader moved {from} → {to} in {}", duration(*outage))
        }
        Notice::Moved { address, ids: None, outage } => {
            format!("leader moved to {} in {}", harmless(address), duration(*outage))
        }
        Notice::Copies(1) => "one copy left: a single server holds what is acknowledged".into(),
        Notice::Copies(copies) => format!("{copies} copies again"),
    };
    let now = Timestamp::now().to_zoned(TimeZone::system());
    format!("{} {words}", now.strftime("%H:%M:%S"))
}

/// With the unit that suits it.
fn duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..100 => format!("{millis} ms"),
        millis => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
    }
}
