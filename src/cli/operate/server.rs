//! The commands of the program `server` that are not about serving.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::{Report, restore};
use crate::{
    cli::exit::{Exit, Failure},
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
}

/// Where a server's files lie.
#[derive(Debug, Args)]
pub struct Place {
    /// The cluster's configuration.
    #[arg(long, value_name = "FILE", default_value = "config/cluster.yaml")]
    pub config: PathBuf,
    /// Where this machine's servers keep their data; overrides `storage.data_dir`.
    #[arg(long, value_name = "DIR")]
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

/// Does it, on this process's input and output; returns how the program ends.
pub fn run_server(command: &ServerCommand) -> ExitCode {
    let (done, json) = match command {
        ServerCommand::Restore(asked) => (restore(asked), asked.json),
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
    let said = if json { report.object.to_string() } else { report.words.clone() };
    writeln!(out, "{said}").map_err(crate::cli::exit::output)
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

fn agrees(question: &str) -> Result<bool, Failure> {
    let failed = |error| Failure::System { what: "cannot ask".into(), error };
    let mut terminal = io::stderr();
    write!(terminal, "{question}").and_then(|()| terminal.flush()).map_err(failed)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
