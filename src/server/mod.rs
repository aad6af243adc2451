//! One server, composed: store, node, services; started in order, stopped in order.
//!
//! **Promises.** [`run`] returns only when everything it started has ended. The data folder is locked and
//! the start counted before the port opens, the port opens before the first message is sent, and the port
//! closes last: a refused connect means that the process is gone. A stop hands the lead over first.
//!
//! **May not** read the environment, install signal handlers or end the process: the caller owns the
//! configuration, the stop signal and, in tests, the port.

mod housekeeping;
mod indexing;
mod listen;
mod places;
mod security;
mod socket;
#[cfg(test)]
mod tests;
mod watching;

use std::{
    collections::BTreeMap, io, net::TcpListener, num::NonZeroUsize, sync::Arc, thread,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::AbortHandle,
};
use tokio_stream::{Stream, wrappers::UnixListenerStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::{Endpoint, server::Connected};

pub use socket::AdminSocket;

use crate::{
    cluster::{Boot, Hash, ServerId, Time},
    config::{Config, ConfigError},
    limits::Guarded,
    metrics::Metrics,
    node::{self, LinkSettings, Parts, Running},
    rpc::{self, Routers, Services},
    store::{OpenOptions, Opened, SCHEMA_VERSION, Store, StoreError, WriterHandle},
    tls::{Dialing, Handshakes, Knocks, Patience, TlsError},
};

use housekeeping::Kept;
pub use listen::bind;
use listen::open;
pub use security::check_certificates;
use watching::View;

/// The guide for operators.
#[doc = include_str!("../docs/operate.md")]
pub mod guide {}

/// What is promised under which faults, and how that is tested.
#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}

/// The version of the log's format; servers of another one are refused by name.
const LOG_FORMAT: u32 = 1;
/// What the writer finished and the node has not heard of yet.
const COMPLETIONS: usize = 256;
/// After a stop, open calls may take this long to end.
const DRAIN: Duration = Duration::from_secs(1);

/// Why a server could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The files of the certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The port.
    #[error("cannot listen on {address}: {error}; another server may be running there")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        error: io::Error,
    },
    /// The services.
    #[error("cannot serve: {0}")]
    Serve(String),
    /// The machine gave no random numbers.
    #[error("the machine gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The server stopped itself, because going on could lose data.
    #[error("stopped: {0}")]
    Failed(String),
}

/// What a start was asked for beside the configuration.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options {
    /// Whether an operator confirmed that this server shall lead with what it has.
    pub force_lead: bool,
}

/// Runs one server until `stop` is cancelled or it must not go on.
///
/// # Errors
/// It could not start, or stopped itself.
pub async fn run(
    config: Config,
    id: ServerId,
    options: Options,
    listener: impl FnOnce() -> Result<TcpListener, ServerError>,
    stop: CancellationToken,
) -> Result<(), ServerError> {
    let (folder, watched) = (config.server_dir(id), config.server(id)?.metrics.clone());
    let (places, patience) = places::of(&config.limits);
    // Before anything is touched: a server with a certificate that nobody accepts must not start.
    let Some(keeper) = security::keeper(&config, id)? else {
        let network = || {
            let (incoming, port) = open(listener)?;
            Ok(Network {
                incoming: Guarded::new(Knocks::new(incoming), places, patience),
                dialing: Dialing::Plain(Endpoint::connect_lazy),
                clock: node::boot_clock,
                port: Some(port),
                admin: socket::bind(&folder),
                metrics: watching::bind(watched.as_ref())?,
            })
        };
        return run_over(config, id, options, network, stop).await;
    };
    let (server, dialing) = (keeper.server(), keeper.dialing());
    let authority = keeper.callers_authority();
    let network = || {
        let (incoming, port) = open(listener)?;
        let incoming = Handshakes::new(incoming, server, authority, Patience::default());
        let incoming = Guarded::new(incoming, places, patience);
        let (admin, metrics) = (socket::bind(&folder), watching::bind(watched.as_ref())?);
        let clock = node::boot_clock;
        Ok(Network { incoming, dialing, clock, port: Some(port), admin, metrics })
    };
    tokio::select! {
        ended = run_over(config, id, options, network, stop) => ended,
        never = keeper.run() => match never {},
    }
}

/// What a server hears and speaks over.
pub struct Network<Incoming> {
    /// The connections that others make.
    pub incoming: Incoming,
    /// How connections to the other servers are made.
    pub dialing: Dialing,
    /// Tells the time that passed for this server.
    pub clock: fn() -> Time,
    /// Kept until the server has ended.
    pub port: Option<TcpListener>,
    /// Where an operator is heard.
    pub admin: Option<AdminSocket>,
    /// Where its metrics are read.
    pub metrics: Option<tokio::net::TcpListener>,
}

/// As [`run`], over any network.
///
/// # Errors
/// As [`run`].
pub async fn run_over<Incoming, Connection>(
    config: Config,
    id: ServerId,
    options: Options,
    network: impl FnOnce() -> Result<Network<Incoming>, ServerError>,
    stop: CancellationToken,
) -> Result<(), ServerError>
where
    Incoming: Stream<Item = io::Result<Connection>> + Send + 'static,
    Connection: AsyncRead + AsyncWrite + Connected + Send + Unpin + 'static,
{
    config.server(id)?;
    config.check_serving()?;
    let secret = config.cluster.secret()?.map(|secret| secret.to_string());
    let opened = Store::open(OpenOptions {
        data_dir: config.server_dir(id),
        fresh_uuid: *uuid::Uuid::new_v4().as_bytes(),
        readers: readers(config.storage.read_connections),
    })?;
    let Network { incoming, dialing, clock, port, admin, metrics } = network()?;
    tracing::info!(server = %id, address = %config.server(id)?.address, "listening");
    security::tell(&config);
    let certified = dialing.is_encrypted() && config.tls.client_ca.is_some();
    let outside = Outside { secret: secret.clone().unwrap_or_default(), dialing, clock };
    let mut running = node::start(parts(&config, id, options, opened, outside)?);
    let services = Services {
        node: running.handle.clone(),
        id,
        secret,
        certified,
        config: config.clone(),
        stop: CancellationToken::new(),
    };
    let serving = Serving::start(services, incoming, admin, &config, &running)?;
    if let Some(listener) = metrics {
        let view = View::new(running.handle.clone(), id, config);
        serving.tasks.spawn(watching::run(listener, view, serving.stop.clone()));
    }
    let failure = tokio::select! {
        failure = running.ended() => failure,
        () = stop.cancelled() => {
            tracing::info!("stopping: handing over the lead and draining");
            running.stop().await
        }
    };
    serving.end().await;
    drop(port);
    match failure {
        None => Ok(()),
        Some(reason) => Err(ServerError::Failed(reason)),
    }
}

/// How many connections read at the same time; `configured` may leave that to the machine. A read waits for the
/// disk as often as for a processor.
fn readers(configured: usize) -> NonZeroUsize {
    const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("more than none");
    const FEW: NonZeroUsize = NonZeroUsize::new(4).expect("more than none");
    let two_each =
        || thread::available_parallelism().map_or(FEW, |cores| cores.saturating_mul(TWO));
    NonZeroUsize::new(configured).unwrap_or_else(|| two_each().max(FEW))
}

/// The tasks that serve.
struct Serving {
    tasks: TaskTracker,
    listening: AbortHandle,
    stop: CancellationToken,
}

impl Serving {
    fn start<Connection>(
        services: Services,
        incoming: impl Stream<Item = io::Result<Connection>> + Send + 'static,
        socket: Option<AdminSocket>,
        config: &Config,
        running: &Running,
    ) -> Result<Serving, ServerError>
    where
        Connection: AsyncRead + AsyncWrite + Connected + Send + Unpin + 'static,
    {
        let (tasks, stop) = (TaskTracker::new(), services.stop.clone());
        let routers = rpc::routers(services, &tasks);
        let Routers { public, admin } =
            routers.map_err(|error| ServerError::Serve(error.to_string()))?;
        if let Some(AdminSocket { listener, file }) = socket {
            let (operators, stopping) = (UnixListenerStream::new(listener), stop.clone());
            tasks.spawn(async move {
                let stopped = stopping.cancelled_owned();
                if let Err(error) = admin.serve_with_incoming_shutdown(operators, stopped).await {
                    tracing::error!(%error, "the administrator's socket ended");
                }
                drop(file);
            });
        }
        let stopping = stop.clone();
        let listening = tasks.spawn(async move {
            let served =
                public.serve_with_incoming_shutdown(incoming, stopping.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "serving ended");
            }
        });
        let kept = Kept {
            retention: config.retention.clone(),
            idle_session: config.accounts.session_idle,
        };
        let chores = housekeeping::run(running.handle.clone(), kept);
        let stopping = stop.clone();
        tasks.spawn(async move { stopping.run_until_cancelled(chores).await });
        tasks.spawn(indexing::run(running.handle.store().clone(), stop.clone()));
        Ok(Serving { tasks, listening: listening.abort_handle(), stop })
    }

    /// Open calls get a moment; a client that never ends its stream does not keep the server.
    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::info!("some clients kept their connections open");
            self.listening.abort();
        }
    }
}

/// How the node meets the other servers and the time.
struct Outside {
    secret: String,
    dialing: Dialing,
    clock: fn() -> Time,
}

fn parts(
    config: &Config,
    id: ServerId,
    options: Options,
    mut opened: Opened,
    outside: Outside,
) -> Result<Parts, ServerError> {
    let calls = rpc::calls().map_err(|error| ServerError::Serve(error.to_string()))?;
    let metrics = Arc::new(Metrics { calls, ..Metrics::default() });
    opened.writer.measure(metrics.clone());
    let (completed, completions) = mpsc::channel(COMPLETIONS);
    let writer = WriterHandle::spawn(
        opened.writer,
        Box::new(move |completion| {
            // More room than the core has operations under way, so this never waits. Once the node is gone,
            // nobody needs to know.
            let _ = completed.blocking_send(completion);
        }),
    )?;
    let staging = opened.store.staging_path("incoming")?;
    let others: BTreeMap<ServerId, String> = config
        .servers
        .iter()
        .filter(|(other, _)| **other != id)
        .map(|(other, server)| (*other, server.address.to_string()))
        .collect();
    Ok(Parts {
        settings: config.settings(id, SCHEMA_VERSION, LOG_FORMAT),
        boot: Boot {
            local: opened.local,
            log: opened.log,
            random: random_u64()?,
            fresh_lineage: random_hash()?,
        },
        store: opened.store,
        writer,
        completions,
        links: LinkSettings {
            cluster: config.cluster.name.clone(),
            secret: outside.secret,
            addresses: others,
            call_timeout: config.failover.timing.failure_timeout * 2,
            staging,
            dialing: outside.dialing,
        },
        disk_reserve: config.storage.reserve_bytes,
        queued_updates: config.limits.queued_updates,
        subscriber_buffer: config.limits.subscriber_buffer,
        force_lead: options.force_lead,
        metrics,
        clock: outside.clock,
    })
}

fn random_u64() -> Result<u64, ServerError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(ServerError::Random)?;
    Ok(u64::from_ne_bytes(bytes))
}

fn random_hash() -> Result<Hash, ServerError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(ServerError::Random)?;
    Ok(Hash(bytes))
}
