//! `ClusterService`: how the servers are, as this one sees it.

use std::time::Duration;

use tonic::{Request, Response, Status as Refusal};

use super::{context::Context, errors};
use crate::{
    cluster::{Mode, PeerStatus, ServerId, Status},
    node,
    wire::chat::{self as proto, Role, cluster_service_server::ClusterService},
};

pub(super) struct StatusService {
    pub(super) context: Context,
    pub(super) id: ServerId,
    pub(super) policy: &'static str,
    /// Whoever has not answered for longer is not said to do anything.
    pub(super) failure_timeout: Duration,
}

#[tonic::async_trait]
impl ClusterService for StatusService {
    async fn get_status(
        &self,
        _: Request<proto::GetStatusRequest>,
    ) -> Result<Response<proto::GetStatusResponse>, Refusal> {
        let status = self.context.node.status().await;
        let status = status.map_err(|error| errors::refused(error, &self.context))?;
        let servers: Vec<_> =
            self.context.addresses.keys().map(|id| self.server(*id, &status)).collect();
        let copies = if status.leader.is_some() { status.in_sync.len() } else { 0 };
        let store = self.context.node.store().clone();
        let diverged = tokio::task::spawn_blocking(move || store.diverged()).await;
        let diverged = diverged.map_err(|error| errors::internal(&error.to_string()))?;
        let diverged = diverged.map_err(|error| errors::internal(&error.to_string()))?;
        Ok(Response::new(proto::GetStatusResponse {
            server_id: number(self.id),
            role: role(status.mode, status.serving, status.leader.is_some()).into(),
            leader_id: status.leader.map(number).unwrap_or_default(),
            leader_address: status
                .leader
                .and_then(|leader| self.context.addresses.get(&leader).cloned())
                .unwrap_or_default(),
            epoch: status.epoch.to_string(),
            policy: self.policy.to_owned(),
            degraded: servers.iter().any(|server| !server.in_sync),
            servers,
            waiting_for: status.waiting_for.iter().copied().map(number).collect(),
            forced_epochs: status.forced.iter().map(ToString::to_string).collect(),
            copies: i32::try_from(copies).unwrap_or(i32::MAX),
            read_only: status.read_only,
            diverged: diverged
                .into_iter()
                .map(|file| proto::DivergedFile {
                    server_id: number(self.id),
                    path: file.path.display().to_string(),
                    updates: file
                        .updates
                        .map_or(-1, |updates| i64::try_from(updates).unwrap_or(i64::MAX)),
                })
                .collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            note: status.note,
        }))
    }
}

impl StatusService {
    fn server(&self, id: ServerId, status: &Status) -> proto::ServerStatus {
        let led = status.leader.is_some();
        let (role, applied, contact) = match status.peers.get(&id) {
            _ if id == self.id => {
                let applied = status.last.map(|position| position.seq);
                (role(status.mode, status.serving, led), applied, Some(Duration::ZERO))
            }
            Some(peer) => (self.peer_role(peer, led), peer.last, peer.last_contact),
            None => (Role::Unspecified, None, None),
        };
        let copy = self.context.node.copy_of(id);
        let bytes = |bytes: Option<u64>| i64::try_from(bytes.unwrap_or(0)).unwrap_or(i64::MAX);
        let millis = contact.map_or(-1, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        proto::ServerStatus {
            server_id: number(id),
            address: self.context.addresses.get(&id).cloned().unwrap_or_default(),
            role: role.into(),
            in_sync: status.leader.is_some() && status.in_sync.contains(&id),
            applied_index: applied.map_or(0, |seq| i64::try_from(seq).unwrap_or(i64::MAX)),
            last_contact: millis,
            copied_bytes: bytes(copy.map(|copy| copy.done)),
            copy_bytes: bytes(copy.map(|copy| copy.size)),
        }
    }

    fn peer_role(&self, peer: &PeerStatus, led: bool) -> Role {
        let here = peer.last_contact.is_some_and(|age| age <= self.failure_timeout);
        let mode = peer.mode.filter(|_| here);
        mode.map_or(Role::Unspecified, |mode| role(mode, peer.serving, led))
    }
}

/// What a server does, in a cluster that is led or not.
fn role(mode: Mode, serving: bool, led: bool) -> Role {
    match node::Role::of(mode, serving, led) {
        node::Role::Leader => Role::Leader,
        node::Role::Follower => Role::Follower,
        node::Role::Electing => Role::Electing,
        node::Role::Joining => Role::Joining,
        node::Role::Blank => Role::Blank,
        node::Role::Recovering => Role::Recovering,
        node::Role::Reconciling => Role::Reconciling,
    }
}

fn number(id: ServerId) -> i32 {
    i32::try_from(id.0).unwrap_or(i32::MAX)
}
