//! The command line; its commands are in `subcommands`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;

use super::{exit::Failure, subcommands::Once};
use crate::{
    client::{Client, Patience},
    config::Config,
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

    /// The servers' addresses.
    pub(super) fn servers(&self) -> Result<Vec<String>, Failure> {
        if !self.servers.is_empty() {
            return Ok(self.servers.iter().map(|address| address.trim().to_owned()).collect());
        }
        Ok(self.config()?.servers.values().map(|server| server.address.to_string()).collect())
    }

    /// A client of these servers.
    pub(super) fn client(&self, servers: &[String]) -> Result<Client, Failure> {
        let patience = Patience { call: Duration::from_secs(self.timeout), ..Patience::default() };
        Ok(Client::new(servers, patience)?)
    }
}
