//! The configuration: read once at the start, checked as a whole, and passed on as values.
//!
//! Promises: a [`Config`] in hand is usable. Every key exists, every value is of its kind and within its
//! range, and the timings stand to each other as the protocol needs. Whatever is wrong is told with the
//! file, the key's full path and the way out. May not: guess. An unknown key is refused, because a
//! misspelled timeout that is silently ignored shows itself only on the day of the fail-over.
//!
//! Servers and clients read the same file, and not all that a server needs is on a client's machine: what
//! only servers must have is asked for by [`Config::check_serving`].
//!
//! `config/cluster.yaml` explains every key; it is also compiled in as [`SHIPPED`].

mod address;
mod check;
mod error;
mod file;
mod overlay;
mod secret;
mod security;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use self::{
    address::Address,
    error::ConfigError,
    secret::{SECRET_VARIABLE, Secret},
    security::{Tls, TlsFiles},
};
use crate::cluster::{Policy, ServerId, Settings, Timing};

/// The shipped file, for programs that are started without one.
pub const SHIPPED: &str = include_str!("../../config/cluster.yaml");

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the cluster is.
    pub cluster: Cluster,
    /// Every server; at least one.
    pub servers: BTreeMap<ServerId, Server>,
    /// Where and how data is kept.
    pub storage: Storage,
    /// When a server counts as failed and who follows.
    pub failover: Failover,
    /// How connections are guarded.
    pub tls: Tls,
    /// How passwords are guarded.
    pub accounts: Accounts,
    /// The bounds of queues, and of what one caller may take.
    pub limits: Limits,
    /// How much of the replicated log is kept.
    pub log: Log,
    /// How long things are kept that users no longer see.
    pub retention: Retention,
    /// Names the file in errors.
    origin: String,
}

/// What the cluster is.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Servers of another name are refused.
    pub name: String,
    /// What happens when too few servers are left.
    pub policy: Policy,
    /// Where the servers' common secret stands.
    pub secret_file: Option<PathBuf>,
    /// The secret itself, from the environment: it goes before the file.
    pub secret_variable: Option<Secret>,
}

impl Cluster {
    /// Reads the servers' common secret; `None` if none is configured.
    ///
    /// # Errors
    /// The file cannot be read, or the secret has less than 16 printable characters.
    pub fn secret(&self) -> Result<Option<Zeroizing<String>>, ConfigError> {
        match &self.secret_variable {
            Some(secret) => secret.check().map(Some),
            None => self.secret_file.as_deref().map(secret::read).transpose(),
        }
    }

    /// Whether a secret is configured, wherever it stands.
    pub fn has_secret(&self) -> bool {
        self.secret_file.is_some() || self.secret_variable.is_some()
    }
}

/// Where a server is.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where the others and the clients reach it.
    pub address: Address,
    /// What it binds.
    pub listen: Address,
    /// Where its metrics are read, if they are.
    pub metrics: Option<Address>,
}

/// Where and how data is kept.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The folder that holds every server's folder.
    pub data_dir: PathBuf,
    /// With less free space a server takes no more writes.
    pub reserve_bytes: u64,
    /// How many reads run at the same time; 0 leaves it to the machine.
    pub read_connections: usize,
}

/// When a server counts as failed and who follows.
#[derive(Clone, Debug)]
pub struct Failover {
    /// The protocol's timing.
    pub timing: Timing,
    /// Whether a refused connect proves that the process is gone.
    pub trust_refused: bool,
}

/// How passwords are guarded.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Argon2id's memory, in KiB.
    pub password_memory_kib: u32,
    /// Argon2id's rounds.
    pub password_iterations: u32,
    /// How many password checks run at the same time.
    pub password_concurrency: usize,
    /// How many more may wait.
    pub password_queue: usize,
    /// A session that is not used for so long ends; `None` if none does.
    pub session_idle: Option<Duration>,
}

/// The bounds of queues, and of what one caller may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Updates that may wait for the leader.
    pub queued_updates: usize,
    /// Live subscribers.
    pub subscribers: usize,
    /// Events that may wait for one subscriber.
    pub subscriber_buffer: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Calls and streams at the same time on one connection.
    pub streams_per_connection: u32,
    /// A connection without a call is ended after this.
    pub idle_connection: Duration,
    /// Calls of one account.
    pub account_calls: Option<Rate>,
    /// Calls from one address.
    pub address_calls: Option<Rate>,
    /// Calls and streams that one account may have under way.
    pub calls_under_way: usize,
    /// Wrong passwords from one address.
    pub failed_logins: Option<Rate>,
    /// New accounts from one address.
    pub new_accounts: Option<Rate>,
}

/// How often something may happen: over time, and at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// So many times
    pub count: u32,
    /// in so long;
    pub each: Duration,
    /// and so many times at once, for whoever has had none for long.
    pub burst: u32,
}

/// How much of the replicated log is kept.
#[derive(Clone, Debug)]
pub struct Log {
    /// No more entries are kept for servers that are away.
    pub max_entries: u64,
}

/// How long things are kept that users no longer see.
#[derive(Clone, Debug)]
pub struct Retention {
    /// The bodies of deleted messages.
    pub deleted_messages: Duration,
    /// The outcomes by request id; at least 7 days.
    pub requests: Duration,
}

impl Config {
    /// Reads a file (the shipped one if `None`) and the environment's overrides.
    ///
    /// # Errors
    /// The file cannot be read, or something in it or in the environment is wrong.
    pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
        let environment = environment();
        let Some(path) = path else {
            return Config::parse(SHIPPED, "the built-in configuration", environment);
        };
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.into(), error })?;
        Config::parse(&text, &path.display().to_string(), environment)
    }

    /// Reads YAML and environment variables. `origin` names the text in errors.
    ///
    /// # Errors
    /// Something in them is wrong.
    pub fn parse(
        text: &str,
        origin: &str,
        environment: HashMap<String, String>,
    ) -> Result<Config, ConfigError> {
        let secret = Secret::from_environment(&environment);
        let given = merge(text, environment)
            .map_err(|error| ConfigError::Syntax { origin: origin.into(), message: error })?;
        let mut values = to_json(&file::File::default());
        overlay::overlay(&mut values, &given, &to_json(&file::Server::default()), origin)?;
        let file = serde_json::from_value(values).expect("keys and kinds were checked");
        let mut config = check::check(file, origin)?;
        config.cluster.secret_variable = secret;
        Ok(config)
    }

    /// The server of this ID.
    ///
    /// # Errors
    /// There is none; the error names those there are.
    pub fn server(&self, id: ServerId) -> Result<&Server, ConfigError> {
        self.servers.get(&id).ok_or_else(|| {
            let known: Vec<String> = self.servers.keys().map(ToString::to_string).collect();
            ConfigError::BadValue {
                origin: "--id".into(),
                key: format!("servers.{id}"),
                problem: format!("does not exist; configured are {}", known.join(", ")),
            }
        })
    }

    /// The folder that holds this server's files.
    pub fn server_dir(&self, id: ServerId) -> PathBuf {
        self.storage.data_dir.join(format!("server-{id}"))
    }

    /// Whether every server is reachable from this machine only.
    pub fn is_loopback(&self) -> bool {
        self.servers
            .values()
            .all(|server| server.address.is_loopback() && server.listen.is_loopback())
    }

    /// The hash of what all servers must have alike, or they would misunderstand each other: the
    /// cluster's name and policy, every server's ID and address, and the format of the log.
    pub fn config_hash(&self, log_format: u32) -> u64 {
        let mut hasher = Sha256::new();
        let mut field = |text: &str| {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        };
        field(&self.cluster.name);
        field(self.policy_name());
        field(&log_format.to_string());
        for (id, server) in &self.servers {
            field(&id.to_string());
            field(server.address.as_str());
        }
        let hash = hasher.finalize();
        u64::from_be_bytes(hash[..8].try_into().expect("a hash has more than 8 bytes"))
    }

    /// The policy as the file spells it.
    pub fn policy_name(&self) -> &'static str {
        match self.cluster.policy {
            Policy::Available => "available",
            Policy::Majority => "majority",
        }
    }

    /// What the protocol core of this server is told.
    pub fn settings(&self, id: ServerId, schema_version: u32, log_format: u32) -> Settings {
        Settings {
            id,
            servers: self.servers.keys().copied().collect(),
            policy: self.cluster.policy,
            config_hash: self.config_hash(log_format),
            schema_version,
            timing: self.failover.timing,
            trust_refused: self.failover.trust_refused,
            log_cap: self.log.max_entries,
        }
    }
}

/// This process's variables, without those that are no text: none of them can be ours.
fn environment() -> HashMap<String, String> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The file with the environment's `CHINWAG__A__B` over it.
fn merge(text: &str, environment: HashMap<String, String>) -> Result<::config::Value, String> {
    use ::config::{Config as Sources, Environment, File, FileFormat};
    let overrides = Environment::with_prefix("CHINWAG")
        .prefix_separator("__")
        .separator("__")
        .source(Some(environment.into_iter().collect()));
    let sources = Sources::builder()
        .add_source(File::from_str(text, FileFormat::Yaml))
        .add_source(overrides)
        .build();
    // Its deserialisation would forget which values came from the environment.
    sources.map(|sources| sources.cache).map_err(|error| error.to_string())
}

fn to_json<T: serde::Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).expect("plain values become JSON")
}
