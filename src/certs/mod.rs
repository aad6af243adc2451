//! Makes what a cluster needs to encrypt: an authority of its own, and a certificate for each server.
//!
//! **Promises.** What is there stays, unless it is asked to be renewed; the authority always stays. Keys
//! are readable by their owner alone, from their first byte on. A certificate that was made is one that
//! the servers and clients of this configuration accept: it is checked as they will check it, before it
//! takes its place.
//!
//! **May not** copy anything to another machine: who holds the authority's key decides who is a server.

mod authority;
mod folder;
mod report;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use jiff::Timestamp;

pub use self::report::Report;
use self::{authority::Authority, folder::Folder};
use crate::{
    cluster::ServerId,
    config::Config,
    tls::{self, Holder, Identity, TlsError},
};

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where the files are.
    pub folder: PathBuf,
    /// For how many days a server's certificate is valid.
    pub days: u32,
    /// Whether servers that have a certificate get a new one.
    pub renew: bool,
}

/// What an authority is valid for: longer than anybody should keep one.
pub const AUTHORITY_DAYS: u32 = 3_650;

/// Why something was not made. What was made before stays.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// A file could not be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Only one of two files is there that belong together.
    #[error("{} is there without {}; bring the other one back, or name another folder", there.display(), missing.display())]
    Half {
        /// The one that is there.
        there: PathBuf,
        /// The one that is not.
        missing: PathBuf,
    },
    /// There is nothing to renew with.
    #[error("{} holds no authority to renew certificates with; name its folder by --out", folder.display())]
    NothingToRenew {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The authority's time is over.
    #[error(
        "{}: this authority has expired; begin a new one in another folder (--out), and give its certificate to \
         all servers and clients beside the old one's first",
        path.display()
    )]
    Expired {
        /// Its certificate.
        path: PathBuf,
    },
    /// The authority in the folder is another one.
    #[error(
        "{}: not the authority that this program made for cluster {cluster} ({problem}); name another folder \
         by --out",
        path.display()
    )]
    OtherAuthority {
        /// Its certificate.
        path: PathBuf,
        /// The cluster of the configuration.
        cluster: String,
        /// What shows it.
        problem: TlsError,
    },
    /// A key or a certificate could not be made.
    #[error("making a certificate: {0}")]
    Making(#[from] rcgen::Error),
}

/// Whether something was made or was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It is new.
    Made,
    /// It was there and was left alone.
    Kept,
}

/// What is there now.
#[derive(Clone, Debug)]
pub struct Made {
    /// The authority: its certificate, and until when it is valid.
    pub authority: Certificate,
    /// The authority's key.
    pub authority_key: PathBuf,
    /// The certificates of the servers.
    pub servers: Vec<(ServerId, Certificate)>,
}

/// A certificate in a file.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The file.
    pub path: PathBuf,
    /// Its last second; `None` if it never ends.
    pub until: Option<Timestamp>,
    /// Whether it is new.
    pub origin: Origin,
}

/// Makes what is missing for the servers of this configuration, and renews what shall be renewed.
///
/// # Errors
/// The folder holds something else, or cannot be written.
pub fn make(config: &Config, order: &Order) -> Result<Made, CertsError> {
    let folder = Folder::open(&order.folder)?;
    let (authority, origin) = match Authority::load(&folder, &config.cluster.name)? {
        Some(authority) => (authority, Origin::Kept),
        None if order.renew => {
            return Err(CertsError::NothingToRenew { folder: order.folder.clone() });
        }
        None => (Authority::make(&folder, &config.cluster.name)?, Origin::Made),
    };
    let mut servers = Vec::new();
    for (id, server) in &config.servers {
        let holder = Holder {
            host: server.address.host().to_owned(),
            identity: Identity { cluster: config.cluster.name.clone(), server: *id },
        };
        servers.push((*id, one(&folder, &authority, &holder, order)?));
    }
    Ok(Made {
        authority: Certificate {
            until: folder.until(&folder.authority())?,
            path: folder.authority(),
            origin,
        },
        authority_key: folder.authority_key(),
        servers,
    })
}

fn one(
    folder: &Folder,
    authority: &Authority,
    holder: &Holder,
    order: &Order,
) -> Result<Certificate, CertsError> {
    let files = folder.server(holder.identity.server);
    let there = folder::both(&files.certificate, &files.key)?;
    let origin = if there && !order.renew { Origin::Kept } else { Origin::Made };
    if origin == Origin::Made {
        let signed = authority.sign(holder, order.days)?;
        let staged = folder.stage(&signed)?;
        tls::check(&staged.files(&files), holder, Timestamp::now()).map_err(|problem| {
            let cluster = holder.identity.cluster.clone();
            CertsError::OtherAuthority { path: folder.authority(), cluster, problem }
        })?;
        staged.put(&files)?;
    }
    Ok(Certificate { until: folder.until(&files.certificate)?, path: files.certificate, origin })
}
