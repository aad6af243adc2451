//! How connections are guarded: which files, for whom, and what a server or a client must have before it
//! speaks beyond this machine.

use std::path::{Path, PathBuf};

use super::{Config, ConfigError, SECRET_VARIABLE};
use crate::cluster::ServerId;

/// What stands for the server's ID in what is its own, such as the path of a file.
pub(super) const ID: &str = "{id}";

/// How connections are guarded. A certificate never comes without its key.
#[derive(Clone, Debug)]
pub struct Tls {
    /// A server's certificate; `{id}` stands for its ID.
    pub certificate: Option<PathBuf>,
    /// Its key; `{id}` stands for the server's ID.
    pub key: Option<PathBuf>,
    /// The authority of the servers' certificates.
    pub ca: Option<PathBuf>,
    /// The authority of the certificates that servers show to each other.
    pub client_ca: Option<PathBuf>,
    /// Whether the network may read the traffic.
    pub insecure: bool,
}

/// The files of one server that encrypts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// Its certificate.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
    /// The authority by which it knows the other servers.
    pub ca: PathBuf,
    /// The authority by which it knows servers that call it, if they must show a certificate.
    pub client_ca: Option<PathBuf>,
}

impl Tls {
    /// The authority by which a server is known.
    pub fn authority(&self) -> Option<&Path> {
        self.ca.as_deref().or(self.client_ca.as_deref())
    }

    /// Whether the servers encrypt, as far as this file tells.
    pub fn is_on(&self) -> bool {
        self.certificate.is_some() || self.authority().is_some()
    }
}

impl Config {
    /// The files of this server; `None` if it does not encrypt.
    ///
    /// # Errors
    /// As [`Config::check_serving`].
    pub fn tls_files(&self, id: ServerId) -> Result<Option<TlsFiles>, ConfigError> {
        self.check_serving()?;
        let own =
            |path: &PathBuf| PathBuf::from(path.to_string_lossy().replace(ID, &id.to_string()));
        let (Some(certificate), Some(key), Some(ca)) =
            (&self.tls.certificate, &self.tls.key, self.tls.authority())
        else {
            return Ok(None);
        };
        Ok(Some(TlsFiles {
            certificate: own(certificate),
            key: own(key),
            ca: ca.into(),
            client_ca: self.tls.client_ca.clone(),
        }))
    }

    /// What a server must have beside a file that is right: a secret and encryption (or the word that it
    /// goes without) as soon as other machines can reach it.
    ///
    /// # Errors
    /// What is missing, and how to come by it.
    pub fn check_serving(&self) -> Result<(), ConfigError> {
        let tls = &self.tls;
        match (&tls.certificate, tls.authority()) {
            (None, Some(_)) => {
                let problem = "is empty, but an authority is named: a server needs a certificate of it; \
                               `server certs` makes one";
                return Err(self.bad("tls.certificate", problem));
            }
            (Some(_), None) => {
                let problem = "is empty, but the servers have certificates: name the file of the \
                               authority that signed them, by which they know each other";
                return Err(self.bad("tls.ca", problem));
            }
            _ => {}
        }
        let Some(address) = self.beyond_loopback() else { return Ok(()) };
        if !self.cluster.has_secret() {
            let problem = format!(
                "is required because {address} is not loopback: give a file with at least 16 \
                 characters, or set {SECRET_VARIABLE}"
            );
            return Err(self.bad("cluster.secret_file", problem));
        }
        if tls.certificate.is_none() && !tls.insecure {
            let problem = format!(
                "is required because {address} is not loopback: `server certs` makes certificates for \
                 all servers and says what to do with them; or say tls.insecure: true if this network \
                 may read the traffic"
            );
            return Err(self.bad("tls.certificate", problem));
        }
        Ok(())
    }

    /// The authority by which a client of these servers knows them; `None` if they don't encrypt.
    ///
    /// # Errors
    /// Passwords would travel for everybody to read, or the servers cannot be known.
    pub fn client_authority(&self) -> Result<Option<&Path>, ConfigError> {
        if let Some(ca) = self.tls.authority() {
            return Ok(Some(ca));
        }
        if self.tls.certificate.is_some() {
            let problem = "is empty, but the servers have certificates: name the file of the authority \
                           that signed them, here or by --ca";
            return Err(self.bad("tls.ca", problem));
        }
        match self.beyond_loopback() {
            Some(address) if !self.tls.insecure => {
                let problem = format!(
                    "is required because {address} is not loopback: name the file of the servers' \
                     authority, here or by --ca; or say tls.insecure: true if this network may read \
                     the traffic"
                );
                Err(self.bad("tls.ca", problem))
            }
            _ => Ok(None),
        }
    }

    /// The first address that other machines can reach.
    fn beyond_loopback(&self) -> Option<&super::Address> {
        let servers = self.servers.values();
        let mut all = servers.flat_map(|server| [&server.address, &server.listen]);
        all.find(|address| !address.is_loopback())
    }

    fn bad(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::BadValue {
            origin: self.origin.clone(),
            key: key.into(),
            problem: problem.into(),
        }
    }
}
