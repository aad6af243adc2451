//! The file as it is written: every key with its default. What the values mean is said once, in
//! `config/cluster.yaml`; what they must be to each other is checked in `check`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) cluster: Cluster,
    pub(super) servers: BTreeMap<String, Server>,
    pub(super) storage: Storage,
    pub(super) failover: Failover,
    pub(super) tls: Tls,
    pub(super) accounts: Accounts,
    pub(super) limits: Limits,
    pub(super) log: Log,
    pub(super) retention: Retention,
    pub(super) metrics: Metrics,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) policy: String,
    pub(super) secret_file: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) address: String,
    pub(super) listen: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Storage {
    pub(super) data_dir: String,
    pub(super) reserve_mib: u64,
    pub(super) read_connections: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failover {
    pub(super) heartbeat_interval_ms: u64,
    pub(super) failure_timeout_ms: u64,
    pub(super) succession_step_ms: u64,
    pub(super) ack_timeout_ms: u64,
    pub(super) election_timeout_ms: u64,
    pub(super) stall_timeout_ms: u64,
    pub(super) boot_timeout_ms: u64,
    pub(super) trust_refused: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) ca: String,
    pub(super) client_ca: String,
    pub(super) insecure: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accounts {
    pub(super) password_memory_kib: u64,
    pub(super) password_iterations: u64,
    pub(super) password_concurrency: u64,
    pub(super) password_queue: u64,
    pub(super) session_idle_days: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) queued_updates: u64,
    pub(super) subscribers: u64,
    pub(super) subscriber_buffer: u64,
    pub(super) connections: u64,
    pub(super) connections_per_address: u64,
    pub(super) streams_per_connection: u64,
    pub(super) idle_connection_seconds: u64,
    pub(super) account_calls_per_second: u64,
    pub(super) address_calls_per_second: u64,
    pub(super) calls_under_way: u64,
    pub(super) failed_logins_per_minute: u64,
    pub(super) new_accounts_per_hour: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) max_entries: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    pub(super) deleted_messages_days: u64,
    pub(super) requests_days: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    pub(super) listen: String,
}

impl Default for File {
    fn default() -> File {
        File {
            cluster: Cluster {
                name: "demo".into(),
                policy: "available".into(),
                secret_file: String::new(),
            },
            servers: BTreeMap::new(),
            storage: Storage { data_dir: "data".into(), reserve_mib: 64, read_connections: 0 },
            failover: Failover {
                heartbeat_interval_ms: 100,
                failure_timeout_ms: 1_000,
                succession_step_ms: 150,
                ack_timeout_ms: 1_000,
                election_timeout_ms: 500,
                stall_timeout_ms: 5_000,
                boot_timeout_ms: 3_000,
                trust_refused: true,
            },
            tls: Tls {
                certificate: String::new(),
                key: String::new(),
                ca: String::new(),
                client_ca: String::new(),
                insecure: false,
            },
            accounts: Accounts {
                password_memory_kib: 19_456,
                password_iterations: 2,
                password_concurrency: 2,
                password_queue: 64,
                session_idle_days: 90,
            },
            limits: Limits {
                queued_updates: 4_096,
                subscribers: 10_000,
                subscriber_buffer: 1_024,
                connections: 10_000,
                connections_per_address: 2_000,
                streams_per_connection: 256,
                idle_connection_seconds: 600,
                account_calls_per_second: 200,
                address_calls_per_second: 2_000,
                calls_under_way: 256,
                failed_logins_per_minute: 30,
                new_accounts_per_hour: 1_000,
            },
            log: Log { max_entries: 1_000_000 },
            retention: Retention { deleted_messages_days: 30, requests_days: 7 },
            metrics: Metrics { listen: String::new() },
        }
    }
}
