//! Until when certificates are valid, and when to say so.

use std::{fmt, path::PathBuf, time::Duration};

use jiff::Timestamp;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

/// So many days before the end somebody is told.
const NOTICE_DAYS: i64 = 14;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// When the certificate in a file ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// The file.
    pub path: PathBuf,
    /// Its last second.
    pub until: Timestamp,
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is valid until {}", self.path.display(), day(self.until))
    }
}

impl Expiry {
    /// What to tell an operator now; `None` while there is time.
    pub(super) fn warning(&self, now: Timestamp) -> Option<String> {
        let seconds = self.until.as_second() - now.as_second();
        let (path, until) = (self.path.display(), day(self.until));
        if seconds < 0 {
            return Some(format!("the certificate in {path} expired on {until}"));
        }
        let days = seconds / DAY_SECONDS;
        let left = match days {
            0 => "within a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        (days < NOTICE_DAYS)
            .then(|| format!("the certificate in {path} expires {left}, on {until}"))
    }
}

/// The last second of a certificate; `None` if it never ends, or cannot be read.
///
/// webpki tells nobody the dates of a certificate, but asked whether one is valid it looks at the dates
/// first. So it is asked about the end of time, and names the day in its refusal.
pub(super) fn expiry(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let refusal = certificate.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[],
        &[],
        end_of_time,
        KeyUsage::server_auth(),
        None,
        None,
    );
    match refusal.err()? {
        Error::CertExpired { not_after, .. } => timestamp(not_after),
        _ => None,
    }
}

/// The day of an expiry, for people.
pub fn expiry_words(until: Option<Timestamp>) -> String {
    until.map_or_else(|| "without end".into(), |until| format!("until {}", day(until)))
}

pub(super) fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

pub(super) fn timestamp(time: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()
}

pub(super) fn unix(time: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(time.as_second().try_into().unwrap_or(0)))
}
