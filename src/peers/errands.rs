//! What an operator's work needs of another server, beside the protocol: calls that answer for themselves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Status, Streaming};

use super::link::Caller;
use crate::{
    chat::{MarkId, Username},
    cluster::{Seq, ServerId},
    wire::cluster::{
        self as proto, Envelope, administer_request::Action, compare_tables_request::Question,
    },
};

/// An election may come in between.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way to all other servers; clones share it.
#[derive(Clone)]
pub struct Errands {
    me: ServerId,
    callers: Arc<BTreeMap<ServerId, Arc<Caller>>>,
}

/// The way to one other server.
#[derive(Clone)]
pub struct Errand {
    envelope: Envelope,
    caller: Arc<Caller>,
}

impl Errands {
    pub(super) fn new(me: ServerId, callers: BTreeMap<ServerId, Arc<Caller>>) -> Errands {
        Errands { me, callers: Arc::new(callers) }
    }

    /// The way to that server; `None` for this one, and for one that is not configured.
    pub fn to(&self, id: ServerId) -> Option<Errand> {
        let caller = self.callers.get(&id)?.clone();
        let cluster = caller.settings.cluster.clone();
        let envelope = Envelope { cluster, from: self.me.0, to: id.0, ..Envelope::default() };
        Some(Errand { envelope, caller })
    }
}

impl Errand {
    /// Up to where everything stands that was acknowledged before this call.
    ///
    /// # Errors
    /// It does not lead, or does not answer.
    pub async fn barrier(&self) -> Result<Seq, Status> {
        let request = proto::BarrierRequest { envelope: Some(self.envelope.clone()) };
        let mut client = self.caller.operations.clone();
        answered(client.barrier(self.caller.request(request))).await.map(|answer| answer.seq)
    }

    /// Lets another server lead, which must be in sync.
    ///
    /// # Errors
    /// It does not lead, does not let go, or does not answer.
    pub async fn hand_over(&self, to: ServerId) -> Result<(), Status> {
        let envelope = Some(self.envelope.clone());
        let request = proto::HandOverRequest { envelope, successor: to.0 };
        let mut client = self.caller.operations.clone();
        answered(client.hand_over(self.caller.request(request))).await.map(drop)
    }

    /// Changes an account.
    ///
    /// # Errors
    /// It does not lead, does not know the account, or does not answer.
    pub async fn administer(&self, username: &Username, action: Action) -> Result<(), Status> {
        let request = proto::AdministerRequest {
            envelope: Some(self.envelope.clone()),
            username: username.to_string(),
            action: Some(action),
        };
        let mut client = self.caller.operations.clone();
        answered(client.administer(self.caller.request(request))).await.map(drop)
    }

    /// Writes a mark into the log; returns its place.
    ///
    /// # Errors
    /// It does not lead, or does not answer.
    pub async fn mark(&self, mark: MarkId) -> Result<Seq, Status> {
        let (envelope, mark) = (Some(self.envelope.clone()), mark.0.to_vec().into());
        let mut client = self.caller.operations.clone();
        let request = proto::MarkRequest { envelope, mark };
        answered(client.mark(self.caller.request(request))).await.map(|answer| answer.seq)
    }

    /// Asks about its tables, and returns its answers, for as long as there are questions.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn compare_tables(
        &self,
        questions: impl Stream<Item = Question> + Send + 'static,
    ) -> Result<Streaming<proto::CompareTablesResponse>, Status> {
        let envelope = self.envelope.clone();
        let requests = questions.map(move |question| proto::CompareTablesRequest {
            envelope: Some(envelope.clone()),
            question: Some(question),
        });
        let mut client = self.caller.operations.clone();
        answered(client.compare_tables(self.caller.request(requests))).await
    }
}

async fn answered<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    let late = || Status::deadline_exceeded("the other server did not answer in time");
    timeout(PATIENCE, call).await.map_err(|_| late())?.map(tonic::Response::into_inner)
}
