//! What a node is made of: handed over by whoever composes a server.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use crate::{
    cluster::{Boot, ServerId, Settings, Time},
    metrics::Metrics,
    store::{Completion, Store, WriterHandle},
    tls::Dialing,
};

/// What a node is made of.
pub struct Parts {
    /// What the core is told.
    pub settings: Settings,
    /// What was found at the start.
    pub boot: Boot,
    /// The opened store.
    pub store: Store,
    /// Its writer.
    pub writer: WriterHandle,
    /// What the writer has finished.
    pub completions: mpsc::Receiver<Completion>,
    /// How to reach the other servers. `log_end` is set by [`super::start`].
    pub links: LinkSettings,
    /// Free disk space below which writes are refused, in bytes.
    pub disk_reserve: u64,
    /// Updates that may wait for the batch before theirs.
    pub queued_updates: usize,
    /// Changes waiting for one subscriber.
    pub subscriber_buffer: usize,
    /// Whether an operator confirmed that this server shall lead with what it has.
    pub force_lead: bool,
    /// Where it is counted what happens.
    pub metrics: Arc<Metrics>,
    /// The clock; [`super::boot_clock`] unless time is simulated as well as the network.
    pub clock: fn() -> Time,
}

/// [`crate::peers::Settings`] without what the node itself knows.
pub struct LinkSettings {
    /// The cluster's name.
    pub cluster: String,
    /// What proves membership; empty when the cluster has none.
    pub secret: String,
    /// The other servers, as `host:port`.
    pub addresses: BTreeMap<ServerId, String>,
    /// How long a short call may take.
    pub call_timeout: Duration,
    /// Where incoming snapshots are written.
    pub staging: PathBuf,
    /// How connections are made.
    pub dialing: Dialing,
}
