//! The commands of the program `server` that are not about serving.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::{Report, Whom, accounts, restore};
use crate::{
    cli::{
        exit::{Exit, Failure},
        subcommands::PasswordSource,
    },
    cluster::ServerId,
    config::Config,
};

/// One of these commands.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Make a server's data folder of a backup, while the server is stopped.
    ///
    /// For the day on which no server has its data any more: restore on one server, start it, and then
    /// the others with empty folders; it leads when all of them are there. A server that lost its data
    /// while others have theirs needs no backup: start it with an empty folder, and it copies.
    Restore(Restore),
    /// Look after accounts: over the socket of a running server of this machine, as its user.
    Admin(Admin),
}

/// Where a server's files lie.
#[derive(Debug, Args)]
pub struct Place {
    /// The cluster's configuration.
    #[arg(long, value_name = "FILE", default_value = "config/cluster.yaml", global = true)]
    pub config: PathBuf,
    /// Where this machine's servers keep their data; overrides `storage.data_dir`.
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
}

impl Place {
    pub(super) fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::load(Some(&self.config))?;
        if let Some(data_dir) = &self.data_dir {
            config.storage.data_dir.clone_from(data_dir);
        }
        Ok(config)
    }
}

/// What is restored where.
#[derive(Debug, Args)]
pub struct Restore {
    /// A file that `client backup` wrote.
    pub file: PathBuf,
    /// The server whose data it becomes.
    #[arg(long, value_name = "N")]
    pub id: u32,
    /// Where its files lie.
    #[command(flatten)]
    pub place: Place,
    /// Set data that is there already aside, as --reset does.
    #[arg(long)]
    pub replace: bool,
    /// Don't ask before that.
    #[arg(long)]
    pub yes: bool,
    /// Write one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What is done to which accounts.
#[derive(Debug, Args)]
pub struct Admin {
    /// What to do.
    #[command(subcommand)]
    pub command: AdminCommand,
    /// Where the servers' files lie.
    #[command(flatten)]
    pub place: Place,
    /// Which server is asked.
    #[command(flatten)]
    pub whom: Whom,
    /// Write one JSON object a line.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What an operator does to accounts. All of it can be repeated without harm.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// List accounts, with what their users don't see.
    List {
        /// A pattern of * and ?.
        #[arg(default_value = "")]
        pattern: String,
    },
    /// Give an account another password; its devices are logged out.
    ResetPassword {
        /// Whose.
        username: String,
        /// Where the new password comes from.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Let nobody log in to an account; its devices are logged out, what it said stays.
    Disable {
        /// Which.
        username: String,
    },
    /// Let the user of a disabled account log in again.
    Enable {
        /// Which.
        username: String,
    },
    /// Log all devices of an account out.
    EndSessions {
        /// Whose.
        username: String,
    },
}

/// Does it, on this process's input and output; returns how the program ends.
pub fn run_server(command: &ServerCommand) -> ExitCode {
    let (done, json) = match command {
        ServerCommand::Restore(asked) => (restore(asked), asked.json),
        ServerCommand::Admin(asked) => (admin(asked), asked.json),
    };
    match done.and_then(|report| say(&report, json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "server: {}", failure.words());
            ExitCode::from(if failure.exit() == Exit::Usage { 2 } else { 1 })
        }
    }
}

fn say(report: &Report, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let said = if json { report.lines() } else { format!("{}\n", report.words) };
    out.write_all(said.as_bytes()).map_err(crate::cli::exit::output)
}

fn restore(asked: &Restore) -> Result<Report, Failure> {
    let config = asked.place.config()?;
    let id = ServerId(asked.id);
    config.server(id)?;
    let folder = config.server_dir(id);
    if asked.replace && !asked.yes && io::stdin().is_terminal() {
        let question = format!("Set the data in {} aside? [y/N] ", folder.display());
        if !agrees(&question)? {
            return Err(Failure::Usage("nothing was changed".into()));
        }
    }
    restore::run(&config, id, asked)
}

fn admin(asked: &Admin) -> Result<Report, Failure> {
    // Asked for before anything else, so that nobody waits in between.
    let password = match &asked.command {
        AdminCommand::ResetPassword { password, .. } => accounts::new_password(password)?,
        _ => Zeroizing::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::System { what: "cannot start".into(), error })?;
    runtime.block_on(async {
        let admin = asked.whom.reach(|| asked.place.config()).await?;
        accounts::administer(&admin, &asked.command, &password).await
    })
}

fn agrees(question: &str) -> Result<bool, Failure> {
    let failed = |error| Failure::System { what: "cannot ask".into(), error };
    let mut terminal = io::stderr();
    write!(terminal, "{question}").and_then(|()| terminal.flush()).map_err(failed)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
