//! Which server a certificate is about.
//!
//! The name of an address says nothing about a server's ID, and an authority may sign certificates for
//! others than servers. So a server's certificate carries its identity as a URI among its names:
//! `chinwag:CLUSTER/server/ID`. Nobody gets one by accident.

use std::fmt;

use tokio_rustls::rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::cluster::ServerId;

/// A server of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// The server's ID.
    pub server: ServerId,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chinwag:{}/server/{}", self.cluster, self.server)
    }
}

impl Identity {
    fn parse(uri: &str) -> Option<Identity> {
        let (cluster, server) = uri.strip_prefix("chinwag:")?.split_once("/server/")?;
        let number: u32 = server.parse().ok()?;
        let identity = Identity { cluster: cluster.into(), server: ServerId(number) };
        // One spelling only, so that equal means equal.
        (identity.to_string() == uri).then_some(identity)
    }
}

/// Why a certificate proves no server of the cluster. In words that fit after "its certificate" or "it".
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoMember {
    /// None was shown.
    #[error("shows no certificate")]
    Nothing,
    /// It cannot be read.
    #[error("shows a certificate that cannot be read")]
    Unreadable,
    /// It names no server.
    #[error("shows a certificate that is no server's (it has no name like {0})")]
    NoServer(String),
    /// It names a server of another cluster, or another server.
    #[error("shows the certificate of {0}")]
    Another(Identity),
    /// It names several servers, so that nobody knows which one this is.
    #[error("shows a certificate that names several servers")]
    Several,
}

/// The server of this cluster that a verified chain of certificates, the own one first, is about.
///
/// # Errors
/// It is about none, or about several.
pub fn member(chain: &[CertificateDer<'_>], cluster: &str) -> Result<ServerId, NoMember> {
    let own = chain.first().ok_or(NoMember::Nothing)?;
    let own = EndEntityCert::try_from(own).map_err(|_| NoMember::Unreadable)?;
    let mut named = own.valid_uri_names().filter_map(Identity::parse);
    let identity = named.next().ok_or_else(|| {
        let cluster = cluster.into();
        NoMember::NoServer(Identity { cluster, server: ServerId(1) }.to_string())
    })?;
    if named.next().is_some() {
        return Err(NoMember::Several);
    }
    if identity.cluster != cluster {
        return Err(NoMember::Another(identity));
    }
    Ok(identity.server)
}
