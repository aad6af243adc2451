//! Certificates of every kind, right and wrong ones.

use std::{fs, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::{
    cluster::ServerId,
    tls::{Files, Holder, Identity, files},
};

/// An authority.
pub(super) struct Forge {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

/// A certificate and its key.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Forge {
    pub(super) fn new() -> Forge {
        let mut params = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "an authority");
        params.distinguished_name = name;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(2090, 1, 2);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Forge { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate with these names (addresses, or URIs).
    pub(super) fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2080, 1, 2);
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) if name.contains(':') => SanType::URI((*name).try_into().expect("ASCII")),
                Err(_) => SanType::DnsName((*name).try_into().expect("ASCII")),
            });
        }
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// That of server 1 of cluster demo.
    pub(super) fn server(&self) -> Pair {
        self.sign(&["127.0.0.1", "chinwag:demo/server/1"], |_| {})
    }
}

/// Server 1 of cluster demo.
pub(super) fn holder() -> Holder {
    let identity = Identity { cluster: "demo".into(), server: ServerId(1) };
    Holder { host: "127.0.0.1".into(), identity }
}

/// A server's files.
pub(super) struct Desk {
    folder: TempDir,
}

impl Desk {
    pub(super) fn with(pair: &Pair, ca: &str) -> Desk {
        let desk = Desk { folder: tempfile::tempdir().expect("a folder") };
        desk.write("ca.pem", ca);
        desk.put(pair);
        desk
    }

    pub(super) fn put(&self, pair: &Pair) {
        self.write("own.pem", &pair.certificate);
        self.write("own.key", &pair.key);
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("writable");
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn files(&self) -> Files {
        Files {
            certificate: self.path("own.pem"),
            key: self.path("own.key"),
            ca: self.path("ca.pem"),
            client_ca: Some(self.path("ca.pem")),
        }
    }
}

/// The first certificate in a text.
pub(super) fn der(pem: &str) -> CertificateDer<'static> {
    files::certificates(pem.as_bytes(), "a text".as_ref()).expect("a certificate").remove(0)
}
