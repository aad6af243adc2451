//! From files to what connections are made with: everything that can be wrong with them is found here,
//! before the first caller meets it.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use tokio_rustls::rustls::{
    ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};

use super::{
    dates::{self, Expiry},
    files::{self, Contents, Files, TlsError},
    identity::{Identity, member},
    problem,
};

const HTTP2: &[u8] = b"h2";

/// Whose certificate it must be.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The name or number by which clients and the other servers call it.
    pub host: String,
    /// Which server it is.
    pub identity: Identity,
}

/// What connections are made with.
pub(super) struct Material {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    pub(super) expiries: Vec<Expiry>,
}

impl Material {
    /// Checks that the certificate is one that the others will accept now, and makes of it what connections
    /// need.
    pub(super) fn check(
        contents: &Contents,
        files: &Files,
        holder: &Holder,
        now: Timestamp,
    ) -> Result<Material, TlsError> {
        let own = OwnCertificate {
            chain: files::certificates(&contents.certificate, &files.certificate)?,
            path: &files.certificate,
            now,
        };
        let roots = Arc::new(files::authorities(&contents.ca, &files.ca)?);
        own.serves(&roots, &files.ca, &holder.host)?;
        let callers = match (&contents.client_ca, &files.client_ca) {
            (Some(pem), Some(path)) => {
                let verifier = caller_verifier(files::authorities(pem, path)?, path)?;
                own.calls(&*verifier, path, &holder.identity)?;
                Some(verifier)
            }
            _ => None,
        };
        let key = || files::key(&contents.key, &files.key);
        let wrong_key = |error| wrong_key(&error, files);
        let builder = server_builder();
        let builder = match callers {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut server = builder.with_single_cert(own.chain.clone(), key()?).map_err(wrong_key)?;
        server.alpn_protocols = vec![HTTP2.into()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let client = client_builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(own.chain.clone(), key()?)
            .map_err(wrong_key)?;
        let expiries = expiries(contents, files)?;
        Ok(Material {
            server: Arc::new(server),
            client: Arc::new(speaking_http2(client)),
            expiries,
        })
    }
}

/// What somebody needs who only calls servers of an authority.
pub(super) fn trusting(ca: &Path) -> Result<ClientConfig, TlsError> {
    let roots = files::authorities(&files::read(ca)?, ca)?;
    Ok(speaking_http2(client_builder().with_root_certificates(roots).with_no_client_auth()))
}

fn speaking_http2(mut client: ClientConfig) -> ClientConfig {
    client.alpn_protocols = vec![HTTP2.into()];
    client.resumption = Resumption::disabled();
    client
}

/// A server's own certificate, on its way to be believed.
struct OwnCertificate<'a> {
    chain: Vec<CertificateDer<'static>>,
    path: &'a Path,
    now: Timestamp,
}

impl OwnCertificate<'_> {
    /// Whether whoever knows this authority will believe it at this address.
    fn serves(&self, roots: &Arc<RootCertStore>, ca: &Path, host: &str) -> Result<(), TlsError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider())
            .build()
            .map_err(|error| TlsError::unfit(ca, error.to_string()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            self.unfit(format!("cannot be for {host}, which no certificate can name"))
        })?;
        let (own, between) = self.chain.split_first().expect("there is at least one");
        let verified = verifier.verify_server_cert(own, between, &name, &[], dates::unix(self.now));
        verified.map(|_| ()).map_err(|error| self.refused(&error, ca))
    }

    /// Whether the other servers will take its holder for this server.
    fn calls(
        &self,
        verifier: &dyn ClientCertVerifier,
        client_ca: &Path,
        identity: &Identity,
    ) -> Result<(), TlsError> {
        let (own, between) = self.chain.split_first().expect("there is at least one");
        let verified: Result<ClientCertVerified, Error> =
            verifier.verify_client_cert(own, between, dates::unix(self.now));
        verified.map_err(|error| self.refused(&error, client_ca))?;
        match member(&self.chain, &identity.cluster) {
            Ok(server) if server == identity.server => Ok(()),
            _ => Err(self.unfit(format!(
                "does not name this server, as the other servers want it: {identity} must be among \
                 its names (as a URI); `server certs` makes such certificates"
            ))),
        }
    }

    fn refused(&self, error: &Error, authority: &Path) -> TlsError {
        let authority = authority.display().to_string();
        match error {
            Error::InvalidCertificate(problem) => {
                self.unfit(problem::of_certificate(problem, &authority))
            }
            other => self.unfit(format!("cannot be accepted: {other}")),
        }
    }

    fn unfit(&self, problem: impl Into<String>) -> TlsError {
        TlsError::unfit(self.path, format!("the certificate {}", problem.into()))
    }
}

/// Callers may show no certificate, as clients do; one that is shown must be right.
fn caller_verifier(
    roots: RootCertStore,
    path: &Path,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(roots.into(), provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| TlsError::unfit(path, error.to_string()))
}

fn wrong_key(error: &Error, files: &Files) -> TlsError {
    let certificate = files.certificate.display();
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::unfit(
            &files.key,
            format!("is not the key of the certificate in {certificate}"),
        ),
        other => TlsError::unfit(&files.key, format!("cannot be used: {other}")),
    }
}

/// When what stands in the files ends: of the certificates between the own one and its authority, and of
/// several authorities, the first to end.
fn expiries(contents: &Contents, files: &Files) -> Result<Vec<Expiry>, TlsError> {
    let mut all: Vec<Expiry> = Vec::new();
    let mut read = vec![(&contents.certificate, &files.certificate), (&contents.ca, &files.ca)];
    read.extend(contents.client_ca.iter().zip(&files.client_ca));
    for (pem, path) in read {
        if all.iter().any(|known| known.path == *path) {
            continue;
        }
        let certificates = files::certificates(pem, path)?;
        if let Some(until) = certificates.iter().filter_map(dates::expiry).min() {
            all.push(Expiry { path: path.clone(), until });
        }
    }
    Ok(all)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server_builder()
-> tokio_rustls::rustls::ConfigBuilder<ServerConfig, tokio_rustls::rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("ring knows TLS 1.3")
}

fn client_builder()
-> tokio_rustls::rustls::ConfigBuilder<ClientConfig, tokio_rustls::rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("ring knows TLS 1.3")
}
