//! Certificates that no operator would make.

use std::{fs, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};

use super::cluster::Cluster;

/// An authority, and its key.
pub(crate) struct Forge {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub(crate) pem: String,
}

impl Forge {
    /// A new authority, of the same name as that of the clusters here.
    pub(crate) fn another() -> Forge {
        let key = KeyPair::generate().expect("a key");
        let pem = authority().self_signed(&key).expect("signed").pem();
        Forge { issuer: Issuer::new(authority(), key), pem }
    }

    /// The authority of a cluster that encrypts, its key stolen.
    pub(crate) fn of(cluster: &Cluster) -> Forge {
        let read = |name| fs::read_to_string(cluster.certs(name)).expect("it was made");
        let key = KeyPair::from_pem(&read("ca.key")).expect("a key");
        Forge { issuer: Issuer::new(authority(), key), pem: read("ca.pem") }
    }

    /// A certificate with these names (addresses, or URIs), and its key.
    pub(crate) fn sign(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let mut params = CertificateParams::default();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) if name.contains(':') => SanType::URI((*name).try_into().expect("ASCII")),
                Err(_) => SanType::DnsName((*name).try_into().expect("ASCII")),
            });
        }
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }
}

/// For `Forge::sign`: it ended long ago.
pub(crate) fn expired(params: &mut CertificateParams) {
    params.not_after = rcgen::date_time_ymd(2020, 1, 2);
}

/// For `Forge::sign`: it ends so soon.
pub(crate) fn ends_in(left: Duration) -> impl FnOnce(&mut CertificateParams) {
    let now = jiff::Timestamp::now().as_second().cast_unsigned();
    move |params| {
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now) + left
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Chinwag");
    name.push(DnType::CommonName, "test authority");
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}
