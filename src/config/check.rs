//! From the file's words to checked values: ranges, and how values must stand to each other.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    Accounts, Address, Cluster, Config, ConfigError, Failover, Limits, Log, Rate, Retention,
    Server, Storage, Tls, file, security::ID,
};
use crate::cluster::{Policy, ServerId, Timing};

const SECOND: Duration = Duration::from_secs(1);
/// The calls of so many seconds may come at once.
const CALLS_AT_ONCE: u32 = 10;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Longer than any wait makes sense, and far from overflowing.
const LONGEST_MS: u64 = 600_000;

/// Turns the file into a configuration; `origin` names the file in errors.
pub(super) fn check(file: file::File, origin: &str) -> Result<Config, ConfigError> {
    let check = Check { origin };
    Ok(Config {
        cluster: check.cluster(&file.cluster)?,
        servers: check.servers(&file.servers, &file.metrics)?,
        storage: check.storage(&file.storage)?,
        failover: check.failover(&file.failover)?,
        tls: check.tls(&file.tls)?,
        accounts: check.accounts(&file.accounts)?,
        limits: check.limits(&file.limits)?,
        log: check.log(&file.log)?,
        retention: check.retention(&file.retention)?,
        origin: origin.into(),
    })
}

struct Check<'a> {
    origin: &'a str,
}

impl Check<'_> {
    fn cluster(&self, cluster: &file::Cluster) -> Result<Cluster, ConfigError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if cluster.name.is_empty() || cluster.name.len() > 64 || !cluster.name.chars().all(allowed)
        {
            let problem = "must be 1 to 64 letters, digits, dots, dashes or underscores";
            return Err(self.bad("cluster.name", problem));
        }
        let policy = match cluster.policy.as_str() {
            "available" => Policy::Available,
            "majority" => Policy::Majority,
            other => {
                let problem = format!("is \"{other}\", but must be available or majority");
                return Err(self.bad("cluster.policy", problem));
            }
        };
        let secret_file = Some(&cluster.secret_file).filter(|path| !path.is_empty());
        Ok(Cluster {
            name: cluster.name.clone(),
            policy,
            secret_file: secret_file.map(PathBuf::from),
            secret_variable: None,
        })
    }

    fn servers(
        &self,
        servers: &BTreeMap<String, file::Server>,
        metrics: &file::Metrics,
    ) -> Result<BTreeMap<ServerId, Server>, ConfigError> {
        let mut checked = BTreeMap::new();
        for (id, server) in servers {
            let key = format!("servers.{id}");
            let id = match id.parse::<u16>() {
                Ok(number) if number > 0 && number.to_string() == *id => ServerId(number.into()),
                _ => return Err(self.bad(&key, "must be named by a number from 1 to 65535")),
            };
            let server = self.server(&key, server, self.metrics(metrics, id)?)?;
            if let Some((other, _)) = address_in_use(&checked, &server.address) {
                let problem = format!(
                    "is {} as that of server {other} is; each needs its own",
                    server.address
                );
                return Err(self.bad(&format!("{key}.address"), problem));
            }
            checked.insert(id, server);
        }
        if checked.is_empty() {
            let problem =
                "must name at least one server, such as 1: { address: \"127.0.0.1:50051\" }";
            return Err(self.bad("servers", problem));
        }
        Ok(checked)
    }

    fn server(
        &self,
        key: &str,
        server: &file::Server,
        metrics: Option<Address>,
    ) -> Result<Server, ConfigError> {
        let parse = |name: &str, text: &str| {
            Address::parse(text).map_err(|problem| self.bad(&format!("{key}.{name}"), problem))
        };
        let address = parse("address", &server.address)?;
        let listen = match server.listen.as_str() {
            "" => address.clone(),
            listen => parse("listen", listen)?,
        };
        Ok(Server { address, listen, metrics })
    }

    /// Where this server's metrics are read.
    fn metrics(
        &self,
        metrics: &file::Metrics,
        id: ServerId,
    ) -> Result<Option<Address>, ConfigError> {
        if metrics.listen.is_empty() {
            return Ok(None);
        }
        let own = metrics.listen.replace(ID, &id.to_string());
        let parsed = Address::parse(&own).map_err(|problem| self.bad("metrics.listen", problem));
        parsed.map(Some)
    }

    fn storage(&self, storage: &file::Storage) -> Result<Storage, ConfigError> {
        if storage.data_dir.is_empty() {
            return Err(self.bad("storage.data_dir", "must name a folder, such as data"));
        }
        let mib = self.within("storage.reserve_mib", storage.reserve_mib, 1, 1 << 30)?;
        Ok(Storage {
            data_dir: PathBuf::from(&storage.data_dir),
            reserve_bytes: mib << 20,
            read_connections: self.count(
                "storage.read_connections",
                storage.read_connections,
                0,
                64,
            )?,
        })
    }

    fn failover(&self, file: &file::Failover) -> Result<Failover, ConfigError> {
        let wait = |name: &str, ms: u64, least: u64| {
            let ms = self.within(&format!("failover.{name}"), ms, least, LONGEST_MS)?;
            Ok(Duration::from_millis(ms))
        };
        let timing = Timing {
            heartbeat_interval: wait("heartbeat_interval_ms", file.heartbeat_interval_ms, 5)?,
            failure_timeout: wait("failure_timeout_ms", file.failure_timeout_ms, 1)?,
            succession_step: wait("succession_step_ms", file.succession_step_ms, 1)?,
            ack_timeout: wait("ack_timeout_ms", file.ack_timeout_ms, 1)?,
            election_timeout: wait("election_timeout_ms", file.election_timeout_ms, 1)?,
            stall_timeout: wait("stall_timeout_ms", file.stall_timeout_ms, 1)?,
            boot_timeout: wait("boot_timeout_ms", file.boot_timeout_ms, 1)?,
        };
        self.timing(file)?;
        Ok(Failover { timing, trust_refused: file.trust_refused })
    }

    /// How the timings must stand to each other, and why.
    fn timing(&self, file: &file::Failover) -> Result<(), ConfigError> {
        let beat = ("heartbeat_interval_ms", file.heartbeat_interval_ms);
        let failure = ("failure_timeout_ms", file.failure_timeout_ms);
        let ack = ("ack_timeout_ms", file.ack_timeout_ms);
        let stall = ("stall_timeout_ms", file.stall_timeout_ms);
        let relations = [
            (failure, 3, beat, "with fewer beats one lost packet would pass for a failure"),
            (
                ("succession_step_ms", file.succession_step_ms),
                1,
                beat,
                "the next in line must have heard of the one before",
            ),
            (ack, 2, beat, "a batch in time must not look stuck"),
            (
                ("election_timeout_ms", file.election_timeout_ms),
                2,
                beat,
                "the votes need a few round trips",
            ),
            (stall, 1, ack, "a stuck follower must be left before the leader gives up itself"),
            (stall, 1, failure, "a failed follower must be left before the leader gives up itself"),
            (
                ("boot_timeout_ms", file.boot_timeout_ms),
                1,
                failure,
                "a server with data must have had the time to answer",
            ),
        ];
        for ((name, value), times, (base, base_value), reason) in relations {
            if value < times * base_value {
                let times = if times == 1 { String::new() } else { format!("{times} times ") };
                let problem = format!(
                    "is {value}, but must be at least {times}failover.{base} ({base_value}): {reason}"
                );
                return Err(self.bad(&format!("failover.{name}"), problem));
            }
        }
        Ok(())
    }

    fn accounts(&self, file: &file::Accounts) -> Result<Accounts, ConfigError> {
        let small = |name: &str, value: u64, least: u64, most: u32| {
            let value = self.within(&format!("accounts.{name}"), value, least, most.into())?;
            Ok(u32::try_from(value).expect("within u32"))
        };
        Ok(Accounts {
            password_memory_kib: small(
                "password_memory_kib",
                file.password_memory_kib,
                8,
                4 << 20,
            )?,
            password_iterations: small("password_iterations", file.password_iterations, 1, 100)?,
            password_concurrency: self.count(
                "accounts.password_concurrency",
                file.password_concurrency,
                1,
                1_024,
            )?,
            password_queue: self.count(
                "accounts.password_queue",
                file.password_queue,
                1,
                65_536,
            )?,
            session_idle: match file.session_idle_days {
                0 => None,
                days => Some(self.days("accounts.session_idle_days", days, 1)?),
            },
        })
    }

    fn limits(&self, file: &file::Limits) -> Result<Limits, ConfigError> {
        let count = |name: &str, value| self.count(&format!("limits.{name}"), value, 1, 10_000_000);
        let idle = file.idle_connection_seconds;
        let streams =
            self.within("limits.streams_per_connection", file.streams_per_connection, 1, 1 << 20)?;
        Ok(Limits {
            queued_updates: count("queued_updates", file.queued_updates)?,
            subscribers: count("subscribers", file.subscribers)?,
            subscriber_buffer: count("subscriber_buffer", file.subscriber_buffer)?,
            connections: count("connections", file.connections)?,
            connections_per_address: count(
                "connections_per_address",
                file.connections_per_address,
            )?,
            streams_per_connection: u32::try_from(streams).expect("within u32"),
            idle_connection: Duration::from_secs(self.within(
                "limits.idle_connection_seconds",
                idle,
                10,
                86_400,
            )?),
            account_calls: self.rate(
                "account_calls_per_second",
                file.account_calls_per_second,
                SECOND,
                CALLS_AT_ONCE,
            )?,
            address_calls: self.rate(
                "address_calls_per_second",
                file.address_calls_per_second,
                SECOND,
                CALLS_AT_ONCE,
            )?,
            calls_under_way: count("calls_under_way", file.calls_under_way)?,
            failed_logins: self.rate(
                "failed_logins_per_minute",
                file.failed_logins_per_minute,
                SECOND * 60,
                1,
            )?,
            new_accounts: self.rate(
                "new_accounts_per_hour",
                file.new_accounts_per_hour,
                SECOND * 3_600,
                1,
            )?,
        })
    }

    /// So many in so long, and `burst` times as many at once; 0 does not limit.
    fn rate(
        &self,
        name: &str,
        value: u64,
        each: Duration,
        burst: u32,
    ) -> Result<Option<Rate>, ConfigError> {
        let value = self.within(&format!("limits.{name}"), value, 0, 10_000_000)?;
        let count = u32::try_from(value).expect("within u32");
        Ok((count > 0).then(|| Rate { count, each, burst: count * burst }))
    }

    fn log(&self, file: &file::Log) -> Result<Log, ConfigError> {
        Ok(Log { max_entries: self.within("log.max_entries", file.max_entries, 1_000, 1 << 40)? })
    }

    fn retention(&self, file: &file::Retention) -> Result<Retention, ConfigError> {
        Ok(Retention {
            deleted_messages: self.days(
                "retention.deleted_messages_days",
                file.deleted_messages_days,
                1,
            )?,
            requests: self.days("retention.requests_days", file.requests_days, 7)?,
        })
    }

    fn tls(&self, tls: &file::Tls) -> Result<Tls, ConfigError> {
        let path = |text: &String| Some(text).filter(|text| !text.is_empty()).map(PathBuf::from);
        let (certificate, key) = (path(&tls.certificate), path(&tls.key));
        let missing = match (&certificate, &key) {
            (Some(_), None) => Some("tls.key"),
            (None, Some(_)) => Some("tls.certificate"),
            _ => None,
        };
        if let Some(missing) = missing {
            let problem = "is empty, but a certificate and its key go together: name both files";
            return Err(self.bad(missing, problem));
        }
        Ok(Tls {
            certificate,
            key,
            ca: path(&tls.ca),
            client_ca: path(&tls.client_ca),
            insecure: tls.insecure,
        })
    }

    fn days(&self, key: &str, days: u64, least: u64) -> Result<Duration, ConfigError> {
        let days = self.within(key, days, least, 36_500)?;
        Ok(DAY * u32::try_from(days).expect("within u32"))
    }

    fn count(&self, key: &str, value: u64, least: u64, most: u64) -> Result<usize, ConfigError> {
        let value = self.within(key, value, least, most)?;
        Ok(usize::try_from(value).expect("the most is within usize"))
    }

    fn within(&self, key: &str, value: u64, least: u64, most: u64) -> Result<u64, ConfigError> {
        if (least..=most).contains(&value) {
            return Ok(value);
        }
        Err(self.bad(key, format!("is {value}, but must be from {least} to {most}")))
    }

    fn bad(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::BadValue {
            origin: self.origin.into(),
            key: key.into(),
            problem: problem.into(),
        }
    }
}

fn address_in_use<'a>(
    servers: &'a BTreeMap<ServerId, Server>,
    address: &Address,
) -> Option<(&'a ServerId, &'a Server)> {
    servers.iter().find(|(_, server)| server.address == *address)
}
