//! rustls's errors in words that say whose certificate is wrong, why, and what to do.

use std::{error::Error as StdError, io};

use tokio_rustls::rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible,
};

use tonic::{Code, Status};

use super::dates;

/// A server that was called is not believed, or it does not believe the caller. Nothing was sent to it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the server at {address} {problem}")]
pub struct Distrust {
    /// Who was called.
    pub address: String,
    /// What is wrong, in words that fit after "the server".
    pub problem: String,
}

impl Distrust {
    /// Finds one among the causes of an error; also what a server says of the caller's certificate once
    /// the connection seemed to be open.
    pub fn find(error: &(dyn StdError + 'static), address: &str) -> Option<Distrust> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<Distrust>() {
                return Some(found.clone());
            }
            if let Some(Error::AlertReceived(alert)) =
                error.downcast_ref::<io::Error>().and_then(rustls_error)
            {
                return Some(Distrust {
                    address: address.into(),
                    problem: of_alert(*alert, "server"),
                });
            }
            cause = error.source();
        }
        None
    }
}

/// Whether a call without TLS ended because the server wants TLS. It says so by HTTP/2's own code, which becomes
/// this one; a server's answers of this code never come out of a broken connection.
pub fn wants_tls(status: &Status) -> bool {
    status.code() == Code::PermissionDenied && status.source().is_some()
}

/// What rustls said, which travels inside an input-output error.
pub(super) fn rustls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// What is wrong with a server that was called; fits after "the server". `authority` is the file by which
/// it was to be known.
pub(super) fn of_server(error: &io::Error, authority: &str) -> Option<String> {
    Some(match rustls_error(error)? {
        Error::InvalidCertificate(problem) => {
            let problem = of_certificate(problem, authority);
            format!("shows a certificate that {problem}")
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "does not speak TLS; give it a certificate, or call it without an authority's file"
                .into()
        }
        Error::AlertReceived(alert) => of_alert(*alert, "server"),
        Error::NoApplicationProtocol => "does not speak HTTP/2".into(),
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13)
        | Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig) => {
            "does not speak TLS 1.3".into()
        }
        other => format!("broke the handshake: {other}"),
    })
}

/// What is wrong with whoever called; fits after "it".
pub(super) fn of_caller(error: &io::Error, authority: &str) -> Option<String> {
    Some(match rustls_error(error)? {
        Error::InvalidCertificate(problem) => {
            let problem = of_certificate(problem, authority);
            format!("shows a certificate that {problem}")
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "does not speak TLS; this server takes encrypted connections only".into()
        }
        Error::AlertReceived(alert) => of_alert(*alert, "caller"),
        Error::NoApplicationProtocol => "does not speak HTTP/2".into(),
        Error::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired)
        | Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered)
        | Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled) => {
            "does not speak TLS 1.3".into()
        }
        other => format!("broke the handshake: {other}"),
    })
}

/// What is wrong with a certificate; fits after "a certificate that".
pub(super) fn of_certificate(problem: &CertificateError, authority: &str) -> String {
    let date = |time| dates::timestamp(time).map(dates::day).unwrap_or_default();
    match problem {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!(
                "expired on {}; make a new one, such as by `server certs --renew`",
                date(*not_after)
            )
        }
        CertificateError::Expired => {
            "has expired; make a new one, such as by `server certs --renew`".into()
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is valid from {} only; is this machine's clock right?", date(*not_before))
        }
        CertificateError::NotValidYet => "is not valid yet; is this machine's clock right?".into(),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "was not signed by the authority in {authority}; use certificates and authority of one \
             cluster"
        ),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = match presented.as_slice() {
                [] => "no address at all".to_owned(),
                names => names.iter().map(|name| plain_name(name)).collect::<Vec<_>>().join(", "),
            };
            format!("is not for {} but for {names}", expected.to_str())
        }
        CertificateError::NotValidForName => "is for another address".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "was made for another purpose (its extended key usage does not allow this one)".into()
        }
        CertificateError::BadEncoding => "cannot be read".into(),
        other => format!("cannot be accepted: {other}"),
    }
}

/// rustls shows names as `DnsName("box1")` and `IpAddress(10.0.0.1)`.
fn plain_name(shown: &str) -> String {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(shown);
    inner.trim_matches('"').to_owned()
}

/// What the other side says of our certificate, in words that fit after "it" or "the server".
fn of_alert(alert: AlertDescription, other: &str) -> String {
    let ours =
        if other == "server" { "the certificate shown to it" } else { "this server's certificate" };
    match alert {
        AlertDescription::CertificateExpired => {
            format!("does not believe {ours}: it has expired (or a clock is wrong)")
        }
        // The second: its authority has the same name and another key.
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            format!(
                "does not believe {ours}: it knows another authority than the one that signed it"
            )
        }
        AlertDescription::CertificateRequired => "wants a certificate and was shown none".into(),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => format!("does not believe {ours} ({alert:?})"),
        AlertDescription::ProtocolVersion => "does not speak TLS 1.3".into(),
        AlertDescription::NoApplicationProtocol => "does not speak HTTP/2".into(),
        other => format!("broke the handshake ({other:?})"),
    }
}
