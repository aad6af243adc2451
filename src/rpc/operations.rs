//! `OperationService`: what another server asks of this one for an operator.

use std::{pin::Pin, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    context::{self, Context},
    errors,
    members::{self, Members},
    tables,
};
use crate::{
    chat::{Command, MarkId, Refusal, ResetPassword, Update, Username},
    cluster::{Seq, ServerId},
    node::Refused,
    wire::{
        self,
        cluster::{
            self as proto, administer_request::Action, operation_service_server::OperationService,
        },
    },
};

/// A leader that has not let go after this keeps the lead.
const LETTING_GO: Duration = Duration::from_secs(4);

/// Servers with an older schema do not know the commands that an operator's work needs.
const OPERATORS_SCHEMA: u32 = 7;
/// Answers waiting for a slow reader.
const ANSWERS: usize = 64;

/// The service.
#[derive(Clone)]
pub(super) struct Operations {
    pub(super) context: Context,
    pub(super) members: Members,
    pub(super) stop: CancellationToken,
}

/// What only the leader can do.
pub(super) enum ForLeader {
    /// Say up to where everything stands that was acknowledged before.
    Barrier,
    /// Let this server lead.
    HandOver(ServerId),
    /// Write a mark into the log, and say where.
    Mark(MarkId),
    /// Change an account.
    Administer(Username, Change),
}

/// What an operator does to an account.
#[derive(Clone)]
pub(super) enum Change {
    /// Gives it the password with this hash.
    Password(String),
    /// Disables it, or enables it again.
    Disabled(bool),
    /// Ends its sessions.
    EndSessions,
}

impl Change {
    /// For the log; never the password.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Change::Password(_) => "password",
            Change::Disabled(true) => "disable",
            Change::Disabled(false) => "enable",
            Change::EndSessions => "end sessions",
        }
    }
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
            ForLeader::Mark(mark) => {
                self.everybody_knows_operators().await?;
                self.execute(Command::Mark(*mark)).await
            }
            ForLeader::Administer(username, change) => {
                self.everybody_knows_operators().await?;
                self.change(username, change).await
            }
        }
    }

    async fn change(&self, username: &Username, change: &Change) -> Result<Seq, Status> {
        let name = username.clone();
        let account = self.context.read(move |reader| reader.account_named(&name)).await?;
        let account = account.ok_or_else(|| errors::refusal(Refusal::NoSuchAccount))?;
        let command = match change.clone() {
            Change::Password(password_hash) => {
                Command::ResetPassword(ResetPassword { account, password_hash })
            }
            Change::Disabled(disabled) => Command::SetDisabled { account, disabled },
            Change::EndSessions => Command::EndSessions(account),
        };
        self.execute(command).await
    }

    /// A server that could not read a command would have to stop at it.
    async fn everybody_knows_operators(&self) -> Result<(), Status> {
        let status = self.context.node.status().await;
        let status = status.map_err(|error| errors::refused(error, &self.context))?;
        let older = |version: u32| version < OPERATORS_SCHEMA;
        let too_old =
            status.peers.iter().filter(|(_, peer)| peer.schema_version.is_some_and(older));
        let too_old: Vec<ServerId> = too_old.map(|(id, _)| *id).collect();
        if too_old.is_empty() { Ok(()) } else { Err(errors::too_old(&too_old)) }
    }

    /// Brings a command of the server's own into the log; returns its place.
    async fn execute(&self, command: Command) -> Result<Seq, Status> {
        let update = Update { time: context::now(), request: None, session: None, command };
        let executed = self.context.node.execute(wire::update::encode(&update)).await;
        let executed = executed.map_err(|error| errors::refused(error, &self.context))?;
        executed.result.map_err(errors::refusal)?;
        Ok(executed.seq)
    }

    /// Lets another server lead instead of this one.
    async fn let_lead(&self, successor: ServerId) -> Result<(), Status> {
        let refused = |error| errors::refused(error, &self.context);
        let status = self.context.node.status().await.map_err(refused)?;
        if !status.serving {
            return Err(refused(Refused::NotLeader(status.leader)));
        }
        if successor == self.members.id() {
            return Ok(());
        }
        if !status.in_sync.contains(&successor) {
            return Err(errors::not_in_sync(successor));
        }
        let letting_go = timeout(LETTING_GO, self.context.node.hand_over(successor)).await;
        letting_go.map_err(|_| errors::not_in_sync(successor))?.map_err(refused)
    }
}

#[tonic::async_trait]
impl OperationService for Operations {
    type CompareTablesStream =
        Pin<Box<dyn Stream<Item = Result<proto::CompareTablesResponse, Status>> + Send>>;

    async fn barrier(
        &self,
        request: Request<proto::BarrierRequest>,
    ) -> Result<Response<proto::BarrierResponse>, Status> {
        let (proven, request) = members::proven(request);
        self.members.admit_as(proven, request.envelope.as_ref())?;
        let seq = self.carry_out(&ForLeader::Barrier).await?;
        Ok(Response::new(proto::BarrierResponse { seq }))
    }

    async fn administer(
        &self,
        request: Request<proto::AdministerRequest>,
    ) -> Result<Response<proto::AdministerResponse>, Status> {
        let (proven, request) = members::proven(request);
        self.members.admit_as(proven, request.envelope.as_ref())?;
        let username = context::parse("username", Username::parse(&request.username))?;
        let change = match request.action {
            Some(Action::PasswordHash(hash)) if !hash.is_empty() => Change::Password(hash),
            Some(Action::Disabled(disabled)) => Change::Disabled(disabled),
            Some(Action::EndSessions(_)) => Change::EndSessions,
            _ => return Err(errors::malformed("an account is changed in some way, or not at all")),
        };
        self.carry_out(&ForLeader::Administer(username, change)).await?;
        Ok(Response::new(proto::AdministerResponse {}))
    }

    async fn hand_over(
        &self,
        request: Request<proto::HandOverRequest>,
    ) -> Result<Response<proto::HandOverResponse>, Status> {
        let (proven, request) = members::proven(request);
        self.members.admit_as(proven, request.envelope.as_ref())?;
        self.carry_out(&ForLeader::HandOver(ServerId(request.successor))).await?;
        Ok(Response::new(proto::HandOverResponse {}))
    }

    async fn mark(
        &self,
        request: Request<proto::MarkRequest>,
    ) -> Result<Response<proto::MarkResponse>, Status> {
        let (proven, request) = members::proven(request);
        self.members.admit_as(proven, request.envelope.as_ref())?;
        let mark = MarkId::from_slice(&request.mark);
        let mark = mark.ok_or_else(|| errors::malformed("a mark's name has 16 bytes"))?;
        let seq = self.carry_out(&ForLeader::Mark(mark)).await?;
        Ok(Response::new(proto::MarkResponse { seq }))
    }

    async fn compare_tables(
        &self,
        request: Request<Streaming<proto::CompareTablesRequest>>,
    ) -> Result<Response<Self::CompareTablesStream>, Status> {
        let (questions, asked) = mpsc::channel(1);
        let (sender, answers) = mpsc::channel(ANSWERS);
        let (proven, mut requests) = members::proven(request);
        let members = self.members.clone();
        let (refused, stop) = mpsc::channel(1);
        let listening = async move {
            while let Some(Ok(request)) = requests.next().await {
                if let Err(status) = members.admit_as(proven, request.envelope.as_ref()) {
                    let _ = refused.send(Err(status)).await;
                    break;
                }
                let Some(question) = request.question else { break };
                if questions.send(question).await.is_err() {
                    break;
                }
            }
        };
        // Both end with the connection, or with the server.
        let (listens, answers_to) = (self.stop.clone(), self.stop.clone());
        tokio::spawn(async move { listens.run_until_cancelled(listening).await });
        let answering = tables::answer(self.context.node.store().clone(), asked, sender);
        tokio::spawn(async move { answers_to.run_until_cancelled(answering).await });
        let answers = ReceiverStream::new(answers)
            .map(|answer| Ok(proto::CompareTablesResponse { answer: Some(answer) }));
        Ok(Response::new(Box::pin(answers.merge(ReceiverStream::new(stop)))))
    }
}
