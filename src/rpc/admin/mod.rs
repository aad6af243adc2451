//! `AdminService`: what an operator may do, over the socket in the data folder and nowhere else.
//!
//! **Who may.** A backup holds everybody's messages and the hashes of their passwords; whoever resets a password
//! becomes its owner. No account of the chat shall be able to do that, and no network shall carry it: so there
//! is a Unix socket in the data folder, and its mode (0600) is the gate. Whoever passes it may read and replace
//! the database behind it anyway; it gives nobody a power that he had not. The cluster's secret would have
//! been the other choice: it lies on every server, and so would have opened this service to whoever gets
//! hold of one of them, from anywhere.
//!
//! **Where it is done.** An operator need not know who leads. What concerns the whole cluster goes from here to
//! the leader (`OperationService`), whose secret or certificates are the servers' own.

mod accounts;
mod backup;
mod difference;
mod lead;
mod verify;

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    context::Context,
    errors,
    operations::{Change, ForLeader, Operations},
};
use crate::{
    cluster::{Seq, ServerId},
    node::NodeHandle,
    peers::Errand,
    wire::{
        admin::{self as proto, admin_service_server::AdminService},
        cluster::{EndSessions, administer_request::Action},
    },
};

/// How long an operator waits for a leader, or for this server to catch up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at who leads.
const AGAIN: Duration = Duration::from_millis(50);

/// The service.
#[derive(Clone)]
pub(super) struct Administration {
    pub(super) context: Context,
    /// What other servers may ask for an operator, this server does for its own.
    pub(super) operations: Operations,
    pub(super) id: ServerId,
    pub(super) cluster: String,
    /// Free disk space that is not to be touched, in bytes.
    pub(super) disk_reserve: u64,
    /// One comparison of the servers at a time.
    pub(super) comparing: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
}

/// Who leads.
enum Leader {
    Here,
    There(Errand),
}

impl Administration {
    fn node(&self) -> &NodeHandle {
        &self.context.node
    }

    async fn leader(&self, deadline: Instant) -> Result<Leader, Status> {
        let mut standing = self.node().watch();
        let known = standing.wait_for(|now| now.serving || now.leader.is_some());
        let standing = match timeout_at(deadline, known).await {
            Ok(Ok(standing)) => *standing,
            _ => return Err(errors::no_leader()),
        };
        if standing.serving {
            return Ok(Leader::Here);
        }
        let errand = standing.leader.and_then(|leader| self.node().errands().to(leader));
        errand.map(Leader::There).ok_or_else(errors::no_leader)
    }

    /// Up to where everything stands that was acknowledged before this call, by whoever leads.
    async fn acknowledged(&self) -> Result<Seq, Status> {
        self.ask_leader(&ForLeader::Barrier).await
    }

    /// Asks whoever leads, again where a change of leader came in between, until there is an answer.
    async fn ask_leader(&self, what: &ForLeader) -> Result<Seq, Status> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = match self.leader(deadline).await? {
                Leader::Here => self.operations.carry_out(what).await,
                Leader::There(errand) => ask(&errand, what).await,
            };
            match answer {
                Err(status) if errors::may_be_asked_again(&status) && Instant::now() < deadline => {
                    sleep(AGAIN).await;
                }
                answer => return answer,
            }
        }
    }
}

async fn ask(errand: &Errand, what: &ForLeader) -> Result<Seq, Status> {
    match what {
        ForLeader::Barrier => errand.barrier().await,
        ForLeader::HandOver(successor) => errand.hand_over(*successor).await.map(|()| 0),
        ForLeader::Mark(mark) => errand.mark(*mark).await,
        ForLeader::Administer(username, change) => {
            let action = match change.clone() {
                Change::Password(hash) => Action::PasswordHash(hash),
                Change::Disabled(disabled) => Action::Disabled(disabled),
                Change::EndSessions => Action::EndSessions(EndSessions {}),
            };
            errand.administer(username, action).await.map(|()| 0)
        }
    }
}

#[tonic::async_trait]
impl AdminService for Administration {
    type BackupStream = Pin<Box<dyn Stream<Item = Result<proto::BackupResponse, Status>> + Send>>;

    async fn backup(
        &self,
        _: Request<proto::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        Ok(Response::new(Box::pin(self.take_backup().await?)))
    }

    async fn verify(
        &self,
        _: Request<proto::VerifyRequest>,
    ) -> Result<Response<proto::VerifyResponse>, Status> {
        self.compare_servers().await.map(Response::new)
    }

    async fn hand_over(
        &self,
        request: Request<proto::HandOverRequest>,
    ) -> Result<Response<proto::HandOverResponse>, Status> {
        let successor = ServerId(request.into_inner().successor);
        self.let_lead(successor).await.map(Response::new)
    }

    async fn list_accounts(
        &self,
        request: Request<proto::ListAccountsRequest>,
    ) -> Result<Response<proto::ListAccountsResponse>, Status> {
        self.accounts(request.into_inner()).await.map(Response::new)
    }

    async fn reset_password(
        &self,
        request: Request<proto::ResetPasswordRequest>,
    ) -> Result<Response<proto::ResetPasswordResponse>, Status> {
        let proto::ResetPasswordRequest { username, password } = request.into_inner();
        let change = Change::Password(self.hash(password).await?);
        self.change(&username, change).await?;
        Ok(Response::new(proto::ResetPasswordResponse {}))
    }

    async fn disable_account(
        &self,
        request: Request<proto::DisableAccountRequest>,
    ) -> Result<Response<proto::DisableAccountResponse>, Status> {
        self.change(&request.into_inner().username, Change::Disabled(true)).await?;
        Ok(Response::new(proto::DisableAccountResponse {}))
    }

    async fn enable_account(
        &self,
        request: Request<proto::EnableAccountRequest>,
    ) -> Result<Response<proto::EnableAccountResponse>, Status> {
        self.change(&request.into_inner().username, Change::Disabled(false)).await?;
        Ok(Response::new(proto::EnableAccountResponse {}))
    }

    async fn end_sessions(
        &self,
        request: Request<proto::EndSessionsRequest>,
    ) -> Result<Response<proto::EndSessionsResponse>, Status> {
        self.change(&request.into_inner().username, Change::EndSessions).await?;
        Ok(Response::new(proto::EndSessionsResponse {}))
    }
}
