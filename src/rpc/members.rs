//! Who may speak to the servers' own service: looked at before a byte of a message is read.
//!
//! There are two proofs, and where both are configured both are wanted: the cluster's secret, and a
//! certificate that names a server of this cluster. A certificate also binds: its holder speaks for that
//! one server only.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use subtle::ConstantTimeEq as _;
use tonic::{Request, Status};

use super::errors;
use crate::{
    cluster::ServerId, limits::Place, peers::SECRET_KEY, sparing::Sparing, tls,
    wire::cluster::Envelope,
};

/// On its connections, every server is known by this mark.
const SERVER: u64 = u64::MAX;

/// The cluster's servers, as this one knows them.
pub(super) struct Circle {
    /// This one.
    pub(super) id: ServerId,
    pub(super) cluster: String,
    pub(super) others: BTreeSet<ServerId>,
    pub(super) secret: Option<String>,
    /// Whether they show certificates.
    pub(super) certified: bool,
}

/// Who may speak to this server as one of the cluster's.
#[derive(Clone)]
pub(super) struct Members {
    circle: Arc<Circle>,
    lines: Arc<Sparing>,
}

/// What a caller has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proven {
    /// Which server it is; nothing where no certificate is wanted.
    server: Option<ServerId>,
    address: Option<SocketAddr>,
}

impl Members {
    pub(super) fn new(circle: Circle) -> Members {
        Members { circle: Arc::new(circle), lines: Arc::default() }
    }

    /// This server.
    pub(super) fn id(&self) -> ServerId {
        self.circle.id
    }

    /// The cluster's name.
    pub(super) fn cluster(&self) -> &str {
        &self.circle.cluster
    }

    /// Lets a call pass, with what it proves, or refuses it.
    pub(super) fn admit(&self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let address = request.remote_addr();
        let place = request.extensions_mut().remove::<Place>();
        let server = self.judge(&request).map_err(|problem| {
            // A flood of such calls ends with its connection.
            place.iter().for_each(Place::strike);
            self.refuse(address, &problem)
        })?;
        if let Some(place) = place {
            place.is_known(SERVER);
        }
        request.extensions_mut().insert(Proven { server, address });
        Ok(request)
    }

    /// What the caller proves, or what is wrong with it, in words that fit after "the caller".
    fn judge(&self, request: &Request<()>) -> Result<Option<ServerId>, String> {
        let server = if self.circle.certified {
            let chain = request.peer_certs().unwrap_or_default();
            Some(tls::member(&chain, &self.circle.cluster).map_err(|problem| problem.to_string())?)
        } else {
            None
        };
        if let Some(secret) = &self.circle.secret {
            let shown = request.metadata().get(SECRET_KEY).map(|value| value.as_bytes());
            let right = shown.is_some_and(|shown| bool::from(shown.ct_eq(secret.as_bytes())));
            if !right {
                let has = if shown.is_some() { "has another" } else { "does not show the" };
                return Err(format!("{has} cluster secret"));
            }
        }
        Ok(server)
    }

    /// Looks at who speaks to whom in which cluster: a caller that was let in names itself and whom it means.
    /// Whoever shows a certificate speaks for the server that it names.
    pub(super) fn admit_as(
        &self,
        proven: Proven,
        envelope: Option<&Envelope>,
    ) -> Result<(), Status> {
        let Circle { id, cluster, others, .. } = &*self.circle;
        let known = envelope.filter(|envelope| {
            envelope.cluster == *cluster
                && others.contains(&ServerId(envelope.from))
                && envelope.to == id.0
        });
        let unknown = || self.refuse(proven.address, "names another cluster or unknown servers");
        let from = ServerId(known.ok_or_else(unknown)?.from);
        match proven.server {
            Some(server) if server != from => {
                let problem =
                    format!("speaks as server {from} and shows the certificate of server {server}");
                Err(self.refuse(proven.address, &problem))
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, address: Option<SocketAddr>, problem: &str) -> Status {
        if let Some(left_out) = self.lines.permit(problem) {
            let address = address.map(|address| address.to_string()).unwrap_or_default();
            tracing::warn!(
                address,
                left_out,
                "refused a call that is for the cluster's own servers: the caller {problem}"
            );
        }
        errors::stranger(format!(
            "only the cluster's own servers may call this: the caller {problem}"
        ))
    }
}

/// What a call that was let in has proven, and what it says.
pub(super) fn proven<T>(request: Request<T>) -> (Proven, T) {
    let (_, extensions, message) = request.into_parts();
    let proven = extensions.get::<Proven>().copied();
    (proven.expect("every call between servers was looked at"), message)
}

/// What looks at every call of a service for members.
pub(super) fn let_in(
    members: &Members,
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + use<> {
    let members = members.clone();
    move |request| members.admit(request)
}
