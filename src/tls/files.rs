//! The files that certificates, keys and authorities stand in.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use zeroize::Zeroizing;

use super::dates;

/// Where the files of one server are.
#[derive(Clone, Debug)]
pub struct Files {
    /// Its certificate, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
    /// The authority by which it knows the servers that it calls.
    pub ca: PathBuf,
    /// The authority by which it knows the servers that call it; `None` if they need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// Why a file cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlsError {
    /// It cannot be read.
    #[error("{}: cannot read it: {problem}; name a file that exists and may be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// What stands in it is wrong.
    #[error("{}: {problem}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would do.
        problem: String,
    },
}

impl TlsError {
    pub(super) fn unfit(path: &Path, problem: impl Into<String>) -> TlsError {
        TlsError::Unfit { path: path.into(), problem: problem.into() }
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> TlsError {
        TlsError::Unreadable { path: path.into(), problem: error.to_string() }
    }
}

/// What stands in the files, as it was read in one go.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Zeroizing<Vec<u8>>,
    pub(super) ca: Vec<u8>,
    pub(super) client_ca: Option<Vec<u8>>,
}

impl Files {
    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: Zeroizing::new(read(&self.key)?),
            ca: read(&self.ca)?,
            client_ca: self.client_ca.as_deref().map(read).transpose()?,
        })
    }
}

/// Until when a certificate in a file is valid (of several, the first to end); `None` if it never ends.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn file_expiry(path: &Path) -> Result<Option<Timestamp>, TlsError> {
    Ok(certificates(&read(path)?, path)?.iter().filter_map(dates::expiry).min())
}

/// Whether everybody on this machine can read a file.
pub(super) fn is_public(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::unreadable(path, &error))
}

/// All certificates in a file; there is at least one.
pub(super) fn certificates(
    pem: &[u8],
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(TlsError::unfit(path, "holds no certificate; a PEM file is wanted")),
        Err(error) => {
            Err(TlsError::unfit(path, format!("holds a certificate that cannot be read: {error}")))
        }
    }
}

/// The first key in a file.
pub(super) fn key(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        TlsError::unfit(path, "holds no private key; an unencrypted key in a PEM file is wanted")
    })
}

/// Every authority in a file; there is at least one.
pub(super) fn authorities(pem: &[u8], path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, path)? {
        roots.add(certificate).map_err(|error| {
            TlsError::unfit(path, format!("holds a certificate that cannot be used: {error}"))
        })?;
    }
    Ok(roots)
}
