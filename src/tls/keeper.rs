//! Keeps what connections are made with up to date with the files, and says when certificates end.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

use super::{
    connector::{Connector, Dialing},
    dates::{Expiry, expiry_words},
    files::{self, Contents, Files, TlsError},
    material::{Holder, Material},
};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often an operator is told that a certificate ends or has ended.
const TELL_AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// Whether a server could start with these files now; and until when what stands in them is valid.
///
/// # Errors
/// What is wrong with which file.
pub fn check(files: &Files, holder: &Holder, now: Timestamp) -> Result<Vec<Expiry>, TlsError> {
    Ok(Material::check(&files.read()?, files, holder, now)?.expiries)
}

/// Watches the files of one server.
pub struct Keeper {
    files: Files,
    holder: Holder,
    /// What was looked at last.
    seen: Result<Contents, TlsError>,
    /// What is there since the look before, and is being written perhaps.
    fresh: Option<Result<Contents, TlsError>>,
    expiries: Vec<Expiry>,
    told: Option<Timestamp>,
    server: watch::Sender<Arc<ServerConfig>>,
    client: watch::Sender<Arc<ClientConfig>>,
}

impl Keeper {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// Something is wrong with them: a server must not start with a certificate that nobody will accept.
    pub fn open(files: Files, holder: Holder) -> Result<Keeper, TlsError> {
        let contents = files.read()?;
        let material = Material::check(&contents, &files, &holder, Timestamp::now())?;
        warn_of_public(&files);
        Ok(Keeper {
            files,
            holder,
            seen: Ok(contents),
            fresh: None,
            expiries: material.expiries,
            told: None,
            server: watch::Sender::new(material.server),
            client: watch::Sender::new(material.client),
        })
    }

    /// What callers are answered with.
    pub fn server(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.server.subscribe()
    }

    /// How the other servers are called.
    pub fn dialing(&self) -> Dialing {
        let named = self.files.client_ca.is_some();
        let cluster = named.then_some(self.holder.identity.cluster.as_str());
        Dialing::Tls(Connector::new(self.client.subscribe(), &self.files.ca, cluster))
    }

    /// The file by which callers are known; empty if they need no certificate.
    pub fn callers_authority(&self) -> PathBuf {
        self.files.client_ca.clone().unwrap_or_default()
    }

    /// Watches the files for as long as it is polled.
    pub async fn run(mut self) -> Infallible {
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let files = self.files.clone();
            let read = tokio::task::spawn_blocking(move || files.read()).await;
            if let Ok(read) = read {
                self.look(read, Timestamp::now());
            }
            self.tell_expiries(Timestamp::now());
        }
    }

    /// Takes up what is there, once two looks in a row find the same: files are copied one after the
    /// other, and a certificate does not fit the key before.
    pub(super) fn look(&mut self, read: Result<Contents, TlsError>, now: Timestamp) {
        if read == self.seen {
            self.fresh = None;
            return;
        }
        if self.fresh.as_ref() != Some(&read) {
            self.fresh = Some(read);
            return;
        }
        self.fresh = None;
        let checked = read
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|contents| Material::check(contents, &self.files, &self.holder, now));
        self.seen = read;
        match checked {
            Ok(material) => self.take(material),
            Err(error) => tracing::error!(
                %error,
                "the files of the certificates have changed and cannot be used; those before stay in use"
            ),
        }
    }

    fn take(&mut self, material: Material) {
        let own = material.expiries.iter().find(|expiry| expiry.path == self.files.certificate);
        warn_of_public(&self.files);
        let valid = expiry_words(own.map(|expiry| expiry.until));
        tracing::info!(valid, "took up changed certificates, for new connections");
        self.expiries = material.expiries;
        self.told = None;
        self.server.send_replace(material.server);
        self.client.send_replace(material.client);
    }

    fn tell_expiries(&mut self, now: Timestamp) {
        if self.told.is_some_and(|told| now.duration_since(told) < TELL_AGAIN) {
            return;
        }
        let warnings = self.expiries.iter().filter_map(|expiry| expiry.warning(now));
        for warning in warnings {
            self.told = Some(now);
            tracing::warn!("{warning}; renew it in time, such as by `server certs --renew`");
        }
    }
}

fn warn_of_public(files: &Files) {
    if files::is_public(&files.key) {
        let path = files.key.display();
        tracing::warn!(%path, "every user of this machine can read the certificate's key; chmod 600 it");
    }
}
