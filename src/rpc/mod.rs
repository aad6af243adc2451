//! The services: decode, call, encode.
//!
//! **Promises.** What a caller sent is parsed here, once, or refused with the field's name and what is
//! allowed. Times, ids, salts and tokens are drawn here, so that applying an update draws nothing.
//! Passwords are hashed and verified here, off the async threads, and go no further. Every error has the
//! code and the reason of the API's table, from one file (`errors`).
//!
//! **May not** decide what an update does (apply does), or answer a read before the barrier.

mod accounts;
mod admin;
mod admission;
mod allowances;
mod bulk;
mod context;
mod conversations;
mod cursor;
mod errors;
mod events;
mod health;
mod measured;
mod members;
mod messages;
mod operations;
mod passwords;
mod replication;
mod sessions;
mod signs;
mod status;
mod tables;
mod trailers;
mod uses;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::server::{Router, Server};
use tower::layer::util::{Identity, Stack};

use crate::{
    cluster::ServerId,
    config::Config,
    node::NodeHandle,
    wire::{
        DESCRIPTORS,
        admin::admin_service_server::AdminServiceServer,
        chat::{
            account_service_server::AccountServiceServer,
            cluster_service_server::ClusterServiceServer,
            conversation_service_server::ConversationServiceServer,
            event_service_server::EventServiceServer, message_service_server::MessageServiceServer,
            session_service_server::SessionServiceServer,
        },
        cluster::{
            operation_service_server::OperationServiceServer,
            replication_service_server::ReplicationServiceServer,
        },
    },
};
pub use admission::AdmissionLayer;
use context::Context;
#[doc(hidden)]
pub use cursor::Cursor;
pub use measured::{Measure, Measured, calls};
use members::{Circle, Members, let_in};
pub use passwords::PasswordError;

/// What the services stand on.
pub struct Services {
    /// The node.
    pub node: NodeHandle,
    /// This server.
    pub id: ServerId,
    /// The cluster's secret.
    pub secret: Option<String>,
    /// Whether the other servers must show certificates that name them.
    pub certified: bool,
    /// The configuration.
    pub config: Config,
    /// Ends every stream.
    pub stop: CancellationToken,
}

/// Why the services could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The cost of password hashing.
    #[error(transparent)]
    Passwords(#[from] PasswordError),
    /// The descriptors for reflection.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The descriptors themselves.
    #[error("reflection: {0}")]
    Descriptors(#[from] prost::DecodeError),
}

/// What every call meets: it is counted, and then admitted.
type Layers = Stack<AdmissionLayer, Stack<Measure, Identity>>;

/// What clients and other servers call.
pub type Public = Router<Layers>;

/// Every service of this server, ready to serve.
pub struct Routers {
    /// What clients and other servers call.
    pub public: Public,
    /// What an operator calls, over a socket that nobody else can open.
    pub admin: Router,
}

/// Makes the services. Their tasks go into `tasks`.
///
/// # Errors
/// The cost of password hashing is out of range, or the descriptors are damaged.
pub fn routers(services: Services, tasks: &TaskTracker) -> Result<Routers, RpcError> {
    let Services { node, id, secret, certified, config, stop } = services;
    let addresses: BTreeMap<ServerId, String> =
        config.servers.iter().map(|(id, server)| (*id, server.address.to_string())).collect();
    let passwords = passwords::Passwords::new(&config.accounts)?;
    let allowances = allowances::Allowances::new(&config.limits);
    let (uses, due) = uses::channel();
    let writing = uses::write_down(node.clone(), due);
    let stopping = stop.clone();
    tasks.spawn(async move { stopping.run_until_cancelled(writing).await });
    let context = Context {
        node: node.clone(),
        addresses: Arc::new(addresses),
        passwords,
        allowances: allowances.clone(),
        uses,
    };
    let members = Members::new(Circle {
        id,
        cluster: config.cluster.name.clone(),
        others: config.servers.keys().copied().filter(|other| *other != id).collect(),
        secret,
        certified,
    });
    let operations = operations::Operations {
        context: context.clone(),
        members: members.clone(),
        stop: stop.clone(),
    };
    let admin = admin::Administration {
        context: context.clone(),
        operations: operations.clone(),
        id,
        cluster: config.cluster.name.clone(),
        disk_reserve: config.storage.reserve_bytes,
        comparing: Arc::new(Semaphore::new(1)),
        stop: stop.clone(),
    };
    let replication = replication::Replication {
        node: node.clone(),
        members: members.clone(),
        stop: stop.clone(),
    };
    let status = ClusterServiceServer::new(status::StatusService {
        context: context.clone(),
        id,
        policy: config.policy_name(),
        failure_timeout: config.failover.timing.failure_timeout,
    });
    let signs = signs::Signs::default();
    tasks.spawn(signs.clone().watch(node.clone(), stop.clone()));
    let subscribers = config.limits.subscribers;
    let events = EventServiceServer::new(events::Events::new(
        context.clone(),
        signs,
        subscribers,
        stop.clone(),
    ));
    let accounts = AccountServiceServer::new(accounts::Accounts { context: context.clone() });
    let sessions = SessionServiceServer::new(sessions::Sessions { context: context.clone() });
    let conversations =
        ConversationServiceServer::new(conversations::Conversations { context: context.clone() });
    let messages = MessageServiceServer::new(messages::Messages { context, stop: stop.clone() });
    let shown = shown()?;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_file_descriptor_set(shown.clone())
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (reporter, health) = tonic_health::server::health_reporter();
    tasks.spawn(health::report(reporter, node.clone(), stop.clone()));

    let admission = AdmissionLayer { node: node.clone(), allowances };
    let public = bounded(Server::builder(), config.limits.streams_per_connection)
        .layer(Measure::new(node))
        .layer(admission)
        .add_service(accounts)
        .add_service(sessions)
        .add_service(conversations)
        .add_service(messages)
        .add_service(events)
        .add_service(status)
        .add_service(ReplicationServiceServer::with_interceptor(replication, let_in(&members)))
        .add_service(OperationServiceServer::with_interceptor(operations, let_in(&members)))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        // Tools that are in wide use, Python's among them, know the first version only.
        .add_service(reflection().build_v1alpha()?);
    let admin = Server::builder().add_service(AdminServiceServer::new(admin));
    Ok(Routers { public, admin })
}

/// What HTTP/2 lets one connection do.
fn bounded(server: Server, streams: u32) -> Server {
    server
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        // What a service does not read has come all the same, stays in the connection, and may not be more than this:
        // the largest request of a client. A batch of another server, four times as large, is read as it comes.
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_concurrent_streams(streams)
        .http2_max_header_list_size(16 * 1024)
        // Streams that a caller begins and takes back, and those that break the rules: more of them, and
        // the connection ends.
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_local_error_reset_streams(Some(128))
}

/// What reflection shows: the protos whose services are served beside it.
fn shown() -> Result<FileDescriptorSet, RpcError> {
    let mut all = FileDescriptorSet::decode(DESCRIPTORS)?;
    all.file.retain(|file| file.package() != "chinwag.admin.v1");
    Ok(all)
}
