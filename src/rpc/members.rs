//! Who may speak to the servers' own service: looked at before a byte of a message is read.
//!
//! There are two proofs, and where both are configured both are wanted: the cluster's secret, and a
//! certificate that names a server of this cluster. A certificate also binds: its holder speaks for that
//! one server only.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use tonic::{Request, Status};

use super::errors;
use crate::{cluster::ServerId, peers::SECRET_KEY, sparing::Sparing, tls};

/// What proves membership.
#[derive(Clone)]
pub(super) struct Members {
    cluster: Arc<str>,
    secret: Option<Arc<str>>,
    certified: bool,
    lines: Arc<Sparing>,
}

/// Which server a caller has shown to be; nothing where no certificate is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proven(Option<ServerId>);

impl Members {
    pub(super) fn new(cluster: String, secret: Option<String>, certified: bool) -> Members {
        Members {
            cluster: cluster.into(),
            secret: secret.map(Arc::from),
            certified,
            lines: Arc::default(),
        }
    }

    /// Lets a call pass, with what it proves, or refuses it and says so in the log.
    pub(super) fn admit(&self, mut request: Request<()>) -> Result<Request<()>, Status> {
        match self.judge(&request) {
            Ok(proven) => {
                request.extensions_mut().insert(proven);
                Ok(request)
            }
            Err(problem) => {
                if let Some(left_out) = self.lines.permit() {
                    let address = request.remote_addr().map(|address| address.to_string());
                    let address = address.unwrap_or_default();
                    tracing::warn!(
                        address,
                        left_out,
                        "refused a call that is for the cluster's own servers: the caller {problem}"
                    );
                }
                Err(errors::stranger(format!(
                    "only the cluster's own servers may call this: the caller {problem}"
                )))
            }
        }
    }

    /// What the caller proves, or what is wrong with it, in words that fit after "the caller".
    fn judge(&self, request: &Request<()>) -> Result<Proven, String> {
        let proven = if self.certified {
            let chain = request.peer_certs().unwrap_or_default();
            Some(tls::member(&chain, &self.cluster).map_err(|problem| problem.to_string())?)
        } else {
            None
        };
        if let Some(secret) = &self.secret {
            let shown = request.metadata().get(SECRET_KEY).map(|value| value.as_bytes());
            let right = shown.is_some_and(|shown| bool::from(shown.ct_eq(secret.as_bytes())));
            if !right {
                let has = if shown.is_some() { "has another" } else { "does not show the" };
                return Err(format!("{has} cluster secret"));
            }
        }
        Ok(Proven(proven))
    }
}

/// What a call that was let in has proven, and what it says.
pub(super) fn proven<T>(request: Request<T>) -> (Proven, T) {
    let (_, extensions, message) = request.into_parts();
    let proven = extensions.get::<Proven>().copied();
    (proven.expect("every call between servers was looked at"), message)
}

impl Proven {
    /// A holder of a certificate speaks for the server that it names.
    pub(super) fn speaks_for(self, from: ServerId) -> Result<(), Status> {
        match self.0 {
            Some(proven) if proven != from => Err(errors::stranger(format!(
                "the caller speaks as server {from} and shows the certificate of server {proven}"
            ))),
            _ => Ok(()),
        }
    }
}
