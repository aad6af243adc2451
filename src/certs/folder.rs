//! The folder that holds an authority and the certificates of the servers.

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use tempfile::NamedTempFile;

use super::{CertsError, authority::Signed};
use crate::{
    cluster::ServerId,
    tls::{self, Files},
};

/// See the file's header.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it if it is not there.
    pub(super) fn open(path: &Path) -> Result<Folder, CertsError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| failed(path, error))?;
        Ok(Folder { path: path.into() })
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.path.join("ca.pem")
    }

    pub(super) fn authority_key(&self) -> PathBuf {
        self.path.join("ca.key")
    }

    /// The files of one server, as its configuration names them.
    pub(super) fn server(&self, id: ServerId) -> Files {
        Files {
            certificate: self.path.join(format!("server-{id}.pem")),
            key: self.path.join(format!("server-{id}.key")),
            ca: self.authority(),
            client_ca: Some(self.authority()),
        }
    }

    pub(super) fn read(&self, path: &Path) -> Result<String, CertsError> {
        fs::read_to_string(path).map_err(|error| failed(path, error))
    }

    /// Until when the certificate in a file is valid.
    pub(super) fn until(&self, path: &Path) -> Result<Option<Timestamp>, CertsError> {
        tls::file_expiry(path).map_err(|error| failed(path, io::Error::other(error)))
    }

    pub(super) fn put_authority(&self, signed: &Signed) -> Result<(), CertsError> {
        let staged = self.stage(signed)?;
        staged.put_at(&self.authority(), &self.authority_key())
    }

    /// Writes both beside the others, under names of their own.
    pub(super) fn stage(&self, signed: &Signed) -> Result<Staged, CertsError> {
        let write = |text: &str, mode: u32| {
            let mut file = NamedTempFile::new_in(&self.path)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
            Ok(file)
        };
        let failed = |error| failed(&self.path, error);
        Ok(Staged {
            certificate: write(&signed.certificate, 0o644).map_err(failed)?,
            key: write(&signed.key, 0o600).map_err(failed)?,
        })
    }
}

/// A certificate and a key that wait for their names.
pub(super) struct Staged {
    certificate: NamedTempFile,
    key: NamedTempFile,
}

impl Staged {
    /// These two, with the authorities of the others.
    pub(super) fn files(&self, of: &Files) -> Files {
        Files {
            certificate: self.certificate.path().into(),
            key: self.key.path().into(),
            ..of.clone()
        }
    }

    /// Gives them their names.
    pub(super) fn put(self, files: &Files) -> Result<(), CertsError> {
        self.put_at(&files.certificate, &files.key)
    }

    fn put_at(self, certificate: &Path, key: &Path) -> Result<(), CertsError> {
        for (staged, path) in [(self.key, key), (self.certificate, certificate)] {
            staged.persist(path).map_err(|error| failed(path, error.error))?;
        }
        Ok(())
    }
}

/// Whether two files are there that belong together.
pub(super) fn both(one: &Path, other: &Path) -> Result<bool, CertsError> {
    match (one.exists(), other.exists()) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        (true, false) => Err(CertsError::Half { there: one.into(), missing: other.into() }),
        (false, true) => Err(CertsError::Half { there: other.into(), missing: one.into() }),
    }
}

fn failed(path: &Path, error: io::Error) -> CertsError {
    CertsError::File { path: path.into(), error }
}
