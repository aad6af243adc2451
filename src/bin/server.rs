//! `server`: one server of a Chinwag cluster, its certificates, and the demo.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use chinwag::{
    certs::{self, Order, Report},
    cli::{Manual, demo, operate},
    cluster::ServerId,
    config::Config,
    server::{self, Options, ServerError},
    store,
    telemetry::{self, LogFormat},
};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use mimalloc::MiMalloc;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A send allocates often, on several threads, and a password check takes 19 MiB at once. The C library's allocator
/// keeps several of those for good, and is slower.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Team chat that loses nothing when a server dies: one of its servers.
#[derive(Parser)]
#[command(name = "server", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// See it survive: three servers, one conversation, and the leader dies.
    Demo,
    #[command(flatten)]
    Operate(operate::ServerCommand),
    /// Make what the cluster needs to encrypt: an authority of its own, and a certificate for each server.
    ///
    /// What is there stays; so a server that was added to the configuration gets its certificate by the same
    /// command. The authority is valid for ten years.
    Certs(Certs),
    /// Print the manual page.
    Man(Manual),
}

#[derive(Args)]
struct Certs {
    /// The cluster's configuration: whom to make certificates for.
    #[arg(long, value_name = "FILE", default_value = "config/cluster.yaml")]
    config: PathBuf,
    /// Where to put the files, and where the authority is looked for.
    #[arg(long, value_name = "DIR", default_value = "certs")]
    out: PathBuf,
    /// For how many days a server's certificate is valid.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=i64::from(certs::AUTHORITY_DAYS)))]
    days: u32,
    /// Replace the servers' certificates and keys by new ones of the same authority.
    #[arg(long)]
    renew: bool,
}

#[derive(Args)]
struct Serve {
    /// Which of the configured servers this one is.
    #[arg(long, value_name = "N")]
    id: Option<u32>,
    /// The cluster's configuration.
    #[arg(long, value_name = "FILE", default_value = "config/cluster.yaml")]
    config: PathBuf,
    /// Where this machine's servers keep their data; overrides `storage.data_dir`.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Wipe this server's state first (it is moved aside once), and join again knowing nothing.
    #[arg(long)]
    reset: bool,
    /// Don't ask before wiping.
    #[arg(long)]
    yes: bool,
    /// Check the configuration and end.
    #[arg(long)]
    check_config: bool,
    /// Lead with what this server has, though others may know more. Asks for a confirmation.
    #[arg(long)]
    force_lead: bool,
    /// How to write the log.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// Wrong use of the command line or a wrong configuration.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Operate(command)) => return operate::run_server(&command),
        Some(Command::Demo) => demo::run().map_err(anyhow::Error::from),
        Some(Command::Certs(arguments)) => make_certificates(&arguments),
        Some(Command::Man(manual)) => print_manual(&manual),
        None => serve(arguments.serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "server: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn print_manual(manual: &Manual) -> anyhow::Result<()> {
    let page = manual.write(Arguments::command()).context("cannot write the manual")?;
    Ok(io::stdout().write_all(&page)?)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let config = matches!(error.downcast_ref(), Some(ServerError::Config(_) | ServerError::Tls(_)));
    if config || error.is::<Usage>() || error.is::<chinwag::config::ConfigError>() { 2 } else { 1 }
}

fn serve(arguments: Serve) -> anyhow::Result<()> {
    let mut config = Config::load(Some(&arguments.config))?;
    // Before anything is wiped, and part of what a check is about.
    config.check_serving()?;
    config.cluster.secret()?;
    if let Some(data_dir) = arguments.data_dir {
        config.storage.data_dir = data_dir;
    }
    if arguments.check_config && arguments.id.is_none() {
        return say("the configuration is good");
    }
    let id = arguments.id.map(ServerId).ok_or_else(|| Usage("which server? give --id N".into()))?;
    let certificates = server::check_certificates(&config, id)?;
    if arguments.check_config {
        for expiry in certificates.iter().flatten() {
            say(&format!("{expiry}"))?;
        }
        return say("the configuration is good");
    }
    if arguments.force_lead {
        confirm_force_lead(&config)?;
    }
    if arguments.reset {
        reset(&config, id, arguments.yes)?;
    }
    telemetry::init(arguments.log_format)?;
    open_many_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .thread_name("chinwag")
        .build()?;
    let ended = runtime.block_on(run(config, id, Options { force_lead: arguments.force_lead }));
    // Blocking work that outlives the server (a long query) does not keep the process.
    runtime.shutdown_background();
    ended
}

/// Every connection is an open file, and what a shell allows by default is a thousand.
fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, ..limit };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
}

fn make_certificates(arguments: &Certs) -> anyhow::Result<()> {
    let config = Config::load(Some(&arguments.config))?;
    let Certs { out, days, renew, .. } = arguments;
    let made = certs::make(&config, &Order { folder: out.clone(), days: *days, renew: *renew })?;
    say(&Report { made: &made, config: &config }.to_string())
}

async fn run(config: Config, id: ServerId, options: Options) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopping = stop.clone();
    tokio::spawn(async move {
        for second in [false, true] {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if second {
                std::process::exit(1);
            }
            stopping.cancel();
        }
    });
    let listener = {
        let config = config.clone();
        move || server::bind(&config, id)
    };
    server::run(config, id, options, listener, stop).await?;
    Ok(())
}

fn reset(config: &Config, id: ServerId, yes: bool) -> anyhow::Result<()> {
    let folder = config.server_dir(id);
    if !yes && io::stdin().is_terminal() {
        let question = format!("Wipe the state of server {id} in {}? [y/N] ", folder.display());
        if !matches!(ask(&question)?.as_str(), "y" | "Y" | "yes") {
            return Err(Usage("nothing was wiped".into()).into());
        }
    }
    let aside = store::reset(&folder, *uuid::Uuid::new_v4().as_bytes())?;
    match aside {
        Some(aside) => say(&format!("the old database was moved to {}", aside.display())),
        None => say("there was nothing to wipe"),
    }
}

fn confirm_force_lead(config: &Config) -> anyhow::Result<()> {
    let name = &config.cluster.name;
    let question = format!(
        "Messages that only the missing servers hold will be missing, and the status will say so for ever.\n\
         Type the cluster's name ({name}) to let this server lead: "
    );
    if ask(&question)? != *name {
        return Err(Usage("not confirmed; nothing was changed".into()).into());
    }
    Ok(())
}

fn ask(question: &str) -> anyhow::Result<String> {
    let mut terminal = io::stderr();
    write!(terminal, "{question}")?;
    terminal.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("reading the answer")?;
    Ok(line.trim().to_owned())
}

fn say(sentence: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{sentence}")?;
    Ok(())
}
