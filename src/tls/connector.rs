//! How servers are called: in plain words, or over TLS.

use std::{fmt, path::Path, sync::Arc};

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{net::TcpStream, sync::watch};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, pki_types::ServerName},
};
use tonic::transport::{self, Channel, Endpoint};
use tower::ServiceExt as _;

use super::{
    files::TlsError,
    identity::member,
    material,
    problem::{self, Distrust},
};
use crate::cluster::ServerId;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How connections to servers are made.
#[derive(Clone)]
pub enum Dialing {
    /// Without encryption: by [`Endpoint::connect_lazy`] over TCP, or as a simulated network has it.
    Plain(fn(&Endpoint) -> Channel),
    /// Over TCP and TLS.
    Tls(Connector),
}

impl Dialing {
    /// Believes servers of the authority in this file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn trusting(ca: &Path) -> Result<Dialing, TlsError> {
        let (_, config) = watch::channel(Arc::new(material::trusting(ca)?));
        Ok(Dialing::Tls(Connector::new(config, ca, None)))
    }

    /// Where the server at `host:port` is, to be called in this way.
    ///
    /// # Errors
    /// This cannot be an address.
    pub fn endpoint(&self, address: &str) -> Result<Endpoint, transport::Error> {
        // The connector below encrypts, and tonic must not do so once more.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let origin = format!("https://{address}").parse();
        Ok(match (self, origin) {
            (Dialing::Tls(_), Ok(origin)) => endpoint.origin(origin),
            _ => endpoint,
        })
    }

    /// A channel that connects at its first call. A server that calls another one says which one it
    /// means: then the other's certificate must name it.
    pub fn connect(&self, endpoint: &Endpoint, to: Option<ServerId>) -> Channel {
        match self {
            Dialing::Plain(connect) => connect(endpoint),
            Dialing::Tls(connector) => {
                let connector = connector.clone();
                endpoint.connect_with_connector_lazy(tower::service_fn(move |uri| {
                    connector.clone().open(uri, to)
                }))
            }
        }
    }

    /// Whether connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Dialing::Tls(_))
    }
}

impl fmt::Debug for Dialing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_encrypted() { "Dialing::Tls" } else { "Dialing::Plain" })
    }
}

/// Makes connections over TLS, each with what is right when it begins.
#[derive(Clone)]
pub struct Connector {
    config: watch::Receiver<Arc<ClientConfig>>,
    /// The authority's file, for words.
    authority: Arc<str>,
    /// Whose servers name themselves in their certificates; `None` if they need not.
    cluster: Option<Arc<str>>,
}

impl Connector {
    pub(super) fn new(
        config: watch::Receiver<Arc<ClientConfig>>,
        ca: &Path,
        cluster: Option<&str>,
    ) -> Connector {
        Connector {
            config,
            authority: ca.display().to_string().into(),
            cluster: cluster.map(Arc::from),
        }
    }

    async fn open(
        self,
        uri: http::Uri,
        to: Option<ServerId>,
    ) -> Result<TokioIo<TlsStream<TcpStream>>, BoxError> {
        let address = uri.authority().map(ToString::to_string).unwrap_or_default();
        let distrust = |problem: String| Distrust { address: address.clone(), problem };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| distrust("has an address that no certificate can name".into()))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tcp = tcp.oneshot(uri).await?.into_inner();
        let config = self.config.borrow().clone();
        let stream = match TlsConnector::from(config).connect(name, tcp).await {
            Ok(stream) => stream,
            Err(error) => {
                return Err(match problem::of_server(&error, &self.authority) {
                    Some(problem) => distrust(problem).into(),
                    None => error.into(),
                });
            }
        };
        let session = stream.get_ref().1;
        if session.alpn_protocol() != Some(b"h2") {
            return Err(distrust("does not speak HTTP/2 over TLS".into()).into());
        }
        if let (Some(id), Some(cluster)) = (to, &self.cluster) {
            let chain = session.peer_certificates().unwrap_or_default();
            match member(chain, cluster) {
                Ok(found) if found == id => {}
                Ok(found) => {
                    let words =
                        format!("shows the certificate of server {found}, not of server {id}");
                    return Err(distrust(words).into());
                }
                Err(problem) => return Err(distrust(problem.to_string()).into()),
            }
        }
        Ok(TokioIo::new(stream))
    }
}
