//! `OperationService`: what another server asks of this one for an operator.

use std::collections::BTreeSet;

use tonic::{Request, Response, Status};

use super::{context::Context, errors};
use crate::{
    cluster::ServerId,
    wire::cluster::{self as proto, Envelope, operation_service_server::OperationService},
};

/// The service.
#[derive(Clone)]
pub(super) struct Operations {
    pub(super) context: Context,
    pub(super) members: Members,
}

/// Who may speak to this server.
#[derive(Clone)]
pub(super) struct Members {
    pub(super) id: ServerId,
    pub(super) cluster: String,
    pub(super) others: BTreeSet<ServerId>,
}

impl Members {
    /// Looks at who speaks to whom in which cluster.
    pub(super) fn admit(&self, envelope: Option<&Envelope>) -> Result<(), Status> {
        let known = envelope.is_some_and(|envelope| {
            envelope.cluster == self.cluster
                && self.others.contains(&ServerId(envelope.from))
                && envelope.to == self.id.0
        });
        if known { Ok(()) } else { Err(errors::stranger()) }
    }
}

#[tonic::async_trait]
impl OperationService for Operations {
    async fn barrier(
        &self,
        request: Request<proto::BarrierRequest>,
    ) -> Result<Response<proto::BarrierResponse>, Status> {
        self.members.admit(request.get_ref().envelope.as_ref())?;
        self.context.barrier().await?;
        let seq = self.context.node.store().committed();
        Ok(Response::new(proto::BarrierResponse { seq }))
    }
}
