//! The command line; its commands are in `subcommands`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;

use super::{exit::Failure, subcommands::Once};
use crate::{
    client::{Client, Patience},
    config::{Address, Config},
    tls::Dialing,
};

/// Where the configuration is looked for when none is named.
const USUAL_CONFIG: &str = "config/cluster.yaml";

/// What scripts want to know.
const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 refused, 2 usage or configuration, 65 bad data, 69 no server or no leader within \
--timeout, 75 unknown outcome (the request id is printed; repeat with it), 77 not logged in. A piped session \
ends with that of its first failure.

The session is kept under $XDG_STATE_HOME/chinwag (~/.local/state/chinwag), or where CHINWAG_SESSION points. \
NO_COLOR switches colours off.";

/// Chat on a Chinwag cluster: a session for people and pipes, or one command.
///
/// Without a command, lines are read: /help lists them.
#[derive(Debug, Parser)]
#[command(name = "client", version, disable_help_subcommand = true, after_long_help = EXIT_CODES)]
pub struct Arguments {
    /// The cluster's file; config/cluster.yaml if it exists, else three servers on this machine.
    #[arg(long, value_name = "FILE", conflicts_with = "servers")]
    pub config: Option<PathBuf>,
    /// The servers' addresses, instead of a file; one is enough to find the leader.
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    pub servers: Vec<String>,
    /// The authority of the servers' certificates (a PEM file), instead of the configuration's `tls.ca`: the
    /// connections are encrypted, and no other server is believed.
    #[arg(long, value_name = "FILE", env = "CHINWAG_CA", global = true)]
    pub ca: Option<PathBuf>,
    /// Call servers on other machines without encryption: their network can read everything.
    #[arg(long, global = true)]
    pub insecure: bool,
    /// How many seconds a command waits and retries until it gives up.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400), global = true)]
    pub timeout: u64,
    /// Write one JSON object a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do; lines are read when it is left out.
    #[command(subcommand)]
    pub command: Option<Once>,
}

impl Arguments {
    /// The cluster's configuration.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        if !self.servers.is_empty() {
            let words = "where a server's files lie stands in --config; give that, or --socket";
            return Err(Failure::Usage(words.into()));
        }
        let usual = Path::new(USUAL_CONFIG);
        let path = self.config.as_deref().or_else(|| usual.exists().then_some(usual));
        Ok(Config::load(path)?)
    }

    /// Where the servers are, and how they are known.
    pub(super) fn cluster(&self) -> Result<Cluster, Failure> {
        let named = !self.servers.is_empty();
        let mut cluster = if named { self.named()? } else { self.configured()? };
        if let Some(ca) = &self.ca {
            cluster.authority = Some(ca.clone());
        }
        Ok(cluster)
    }

    /// By the command line alone.
    fn named(&self) -> Result<Cluster, Failure> {
        let servers: Vec<String> =
            self.servers.iter().map(|address| address.trim().to_owned()).collect();
        let elsewhere = servers.iter().find(|address| is_elsewhere(address));
        if let (Some(address), None, false) = (elsewhere, &self.ca, self.insecure) {
            return Err(Failure::Usage(format!(
                "{address} is on another machine: give the file of the servers' authority by --ca, or \
                 say --insecure if the network between may read everything"
            )));
        }
        Ok(Cluster { servers, authority: None })
    }

    /// By the configuration.
    fn configured(&self) -> Result<Cluster, Failure> {
        let config = self.config()?;
        let servers = config.servers.values().map(|server| server.address.to_string()).collect();
        let authority = match config.client_authority() {
            // The command line names another one, or says that none is needed.
            Err(_) if self.ca.is_some() || self.insecure => None,
            found => found?.map(Path::to_owned),
        };
        Ok(Cluster { servers, authority })
    }

    /// A client of these servers.
    pub(super) fn client(&self, cluster: &Cluster) -> Result<Client, Failure> {
        let patience = Patience { call: Duration::from_secs(self.timeout), ..Patience::default() };
        Ok(match &cluster.authority {
            Some(ca) => Client::over(Dialing::trusting(ca)?, &cluster.servers, patience)?,
            None => Client::new(&cluster.servers, patience)?,
        })
    }
}

/// Where a cluster is, and how its servers are known.
#[derive(Debug)]
pub(super) struct Cluster {
    /// The servers' addresses.
    pub(super) servers: Vec<String>,
    /// The file of their authority; without it nothing is encrypted.
    authority: Option<PathBuf>,
}

/// A malformed address is told by whoever uses it.
fn is_elsewhere(address: &str) -> bool {
    Address::parse(address).is_ok_and(|address| !address.is_loopback())
}
