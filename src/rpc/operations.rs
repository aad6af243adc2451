//! `OperationService`: what another server asks of this one for an operator.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::{context::Context, errors};
use crate::{
    cluster::{Seq, ServerId},
    node::Refused,
    wire::cluster::{self as proto, Envelope, operation_service_server::OperationService},
};

/// A leader that has not let go after this keeps the lead.
const LETTING_GO: Duration = Duration::from_secs(4);

/// The service.
#[derive(Clone)]
pub(super) struct Operations {
    pub(super) context: Context,
    pub(super) members: Members,
}

/// What only the leader can do.
pub(super) enum ForLeader {
    /// Say up to where everything stands that was acknowledged before.
    Barrier,
    /// Let this server lead.
    HandOver(ServerId),
}

impl Operations {
    /// Does it, if this server leads; returns a place in the log where that is the answer.
    pub(super) async fn carry_out(&self, what: &ForLeader) -> Result<Seq, Status> {
        match what {
            ForLeader::Barrier => {
                self.context.barrier().await?;
                Ok(self.context.node.store().committed())
            }
            ForLeader::HandOver(successor) => self.let_lead(*successor).await.map(|()| 0),
        }
    }

    /// Lets another server lead instead of this one.
    async fn let_lead(&self, successor: ServerId) -> Result<(), Status> {
        let refused = |error| errors::refused(error, &self.context);
        let status = self.context.node.status().await.map_err(refused)?;
        if !status.serving {
            return Err(refused(Refused::NotLeader(status.leader)));
        }
        if successor == self.members.id {
            return Ok(());
        }
        if !status.in_sync.contains(&successor) {
            return Err(errors::not_in_sync(successor));
        }
        let letting_go = timeout(LETTING_GO, self.context.node.hand_over(successor)).await;
        letting_go.map_err(|_| errors::not_in_sync(successor))?.map_err(refused)
    }
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
        let seq = self.carry_out(&ForLeader::Barrier).await?;
        Ok(Response::new(proto::BarrierResponse { seq }))
    }

    async fn hand_over(
        &self,
        request: Request<proto::HandOverRequest>,
    ) -> Result<Response<proto::HandOverResponse>, Status> {
        let request = request.into_inner();
        self.members.admit(request.envelope.as_ref())?;
        self.carry_out(&ForLeader::HandOver(ServerId(request.successor))).await?;
        Ok(Response::new(proto::HandOverResponse {}))
    }
}
