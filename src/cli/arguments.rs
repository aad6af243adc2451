//! The command line.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Parser, Subcommand};

use super::exit::Failure;
use crate::{
    client::{Client, Patience},
    config::Config,
};

/// Where the configuration is looked for when none is named.
const USUAL_CONFIG: &str = "config/cluster.yaml";

/// Chat on a Chinwag cluster: a session for people and pipes, or one command.
///
/// Without a command, lines are read: /help lists them. Exit codes: 0 done, 1 refused, 2 usage or
/// configuration, 65 bad data, 69 no server or no leader in time, 75 unknown outcome (the request id is
/// printed), 77 not logged in.
#[derive(Debug, Parser)]
#[command(name = "client", version, disable_help_subcommand = true)]
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

/// One command.
#[derive(Debug, Subcommand)]
pub enum Once {
    /// Create an account and log in as its user.
    Create {
        /// 1 to 32 of a-z 0-9 _ . - beginning with a letter or digit.
        username: String,
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Log in; the session is kept for the next commands.
    Login {
        /// Whose password follows.
        username: String,
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// End the kept session.
    Logout,
    /// List accounts.
    Users {
        /// A pattern of * and ?.
        #[arg(default_value = "")]
        pattern: String,
    },
    /// Send a message.
    Send {
        /// @USER or #ROOM.
        conversation: String,
        /// The text; several words are joined by spaces; - reads it from the standard input.
        #[arg(required = true)]
        text: Vec<String>,
        /// Repeat a message whose outcome was unknown, under its request id.
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
    },
    /// List conversations with what is unread.
    Inbox,
    /// Show the newest messages of a conversation.
    History {
        /// @USER or #ROOM.
        conversation: String,
        /// How many.
        #[arg(default_value_t = super::command::USUAL_HISTORY)]
        count: u32,
    },
    /// Mark a conversation as read.
    Read {
        /// @USER or #ROOM.
        conversation: String,
    },
    /// Delete messages: own ones for everybody, received direct ones from the own inbox.
    Delete {
        /// Their ids, as history shows them.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Show how the servers are.
    Status,
    /// Print what happens as it happens, until it is interrupted.
    Tail {
        /// Begin after this cursor; --json shows cursors.
        #[arg(long, value_name = "CURSOR", default_value = "")]
        after: String,
        /// End after so many messages.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Comes with a later version.
    #[command(
        name = "edit",
        hide = true,
        aliases = ["search", "join", "leave", "rooms", "who", "passwd", "delete-account"]
    )]
    Later {
        /// Whatever it will take.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
}

/// Where a password comes from; prompted for when nothing is said.
#[derive(Debug, Args)]
pub struct PasswordSource {
    /// Read the password from the first line of a file.
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    pub password_file: Option<PathBuf>,
    /// Read the password from the first line of the standard input.
    #[arg(long)]
    pub password_stdin: bool,
}

impl Arguments {
    /// The servers' addresses.
    pub(super) fn servers(&self) -> Result<Vec<String>, Failure> {
        if !self.servers.is_empty() {
            return Ok(self.servers.iter().map(|address| address.trim().to_owned()).collect());
        }
        let usual = Path::new(USUAL_CONFIG);
        let path = self.config.as_deref().or_else(|| usual.exists().then_some(usual));
        let config = Config::load(path)?;
        Ok(config.servers.values().map(|server| server.address.to_string()).collect())
    }

    /// A client of these servers.
    pub(super) fn client(&self, servers: &[String]) -> Result<Client, Failure> {
        let patience = Patience { call: Duration::from_secs(self.timeout), ..Patience::default() };
        Ok(Client::new(servers, patience)?)
    }
}
