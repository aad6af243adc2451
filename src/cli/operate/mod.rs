//! What an operator does: backups, comparing the servers, the choice of the leader, accounts.
//!
//! These commands speak to a server of this machine over the socket in its data folder, which only the user
//! who runs the server can open; so they are run on one of the servers' machines, by that user. Which
//! server it is matters little: it asks the leader where need be.

mod accounts;
mod backup;
mod restore;
mod server;
mod verify;

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::{
    arguments::Arguments,
    exit::{Exit, Failure, output},
    json,
    subcommands::Once,
};
use crate::{
    client::{self, Admin},
    config::Config,
};

pub use server::{
    Admin as AdminArguments, AdminCommand, Place, Restore, ServerCommand, run_server,
};

/// The socket's name in a server's data folder.
const SOCKET: &str = "admin.sock";

/// Which server of this machine is asked.
#[derive(Debug, Default, Args)]
pub struct Whom {
    /// Ask this one of the configured servers; otherwise the first that runs on this machine.
    #[arg(long, value_name = "N", global = true)]
    pub id: Option<u32>,
    /// Ask the server with this socket, which lies in its data folder as `admin.sock`.
    #[arg(long, value_name = "FILE", conflicts_with = "id", global = true)]
    pub socket: Option<PathBuf>,
}

impl Whom {
    /// Connects to the server that is meant.
    async fn reach(
        &self,
        config: impl FnOnce() -> Result<Config, Failure>,
    ) -> Result<Admin, Failure> {
        if let Some(socket) = &self.socket {
            return connect(socket).await;
        }
        let config = config()?;
        let meant = |id: &u32| self.id.is_none_or(|meant| meant == *id);
        let ids: Vec<u32> = config.servers.keys().map(|id| id.0).filter(meant).collect();
        if let (Some(id), true) = (self.id, ids.is_empty()) {
            config.server(crate::cluster::ServerId(id))?;
        }
        let mut looked = Vec::new();
        for id in ids {
            let socket = config.server_dir(crate::cluster::ServerId(id)).join(SOCKET);
            match connect(&socket).await {
                Err(Failure::Call(client::Error::NoServer { .. })) => looked.push(socket),
                reached => return reached,
            }
        }
        let looked: Vec<String> = looked.iter().map(|path| path.display().to_string()).collect();
        let detail = format!(
            "nobody listens at {}; run this on a server's machine, with its configuration",
            looked.join(", ")
        );
        Err(client::Error::NoServer { detail }.into())
    }
}

async fn connect(socket: &Path) -> Result<Admin, Failure> {
    match tokio::net::UnixStream::connect(socket).await {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let socket = socket.display();
            let words = format!("{socket} is not yours; run this as the user who runs the server");
            Err(Failure::Refused(words))
        }
        _ => Ok(Admin::connect(socket).await?),
    }
}

/// Says what was done, in words or as an object.
struct Report {
    words: String,
    objects: Vec<serde_json::Value>,
    exit: Exit,
}

impl Report {
    /// One object a line.
    fn lines(&self) -> String {
        self.objects.iter().map(|object| format!("{object}\n")).collect()
    }
}

/// Does what the client was asked for.
pub(super) async fn run(
    arguments: &Arguments,
    once: &Once,
    mut to: impl AsyncWrite + Unpin,
) -> Result<Exit, Failure> {
    let config = || arguments.config();
    let done = match once {
        Once::Backup { file, whom } => backup::take(&whom.reach(config).await?, file).await,
        Once::Verify { whom } => verify::compare(&whom.reach(config).await?).await,
        Once::Lead { server, whom } => lead(&whom.reach(config).await?, *server).await,
        other => unreachable!("{other:?} is no operator's"),
    };
    tell(done, arguments.json, &mut to).await
}

/// `client lead N`.
async fn lead(admin: &Admin, server: u32) -> Result<Report, Failure> {
    let began = tokio::time::Instant::now();
    let client::HandedOver { epoch, led_before } = admin.hand_over(server).await?;
    let words = match led_before {
        true => format!("server {server} leads already, in epoch {epoch}"),
        false => {
            let took = began.elapsed().as_millis();
            format!("server {server} leads, in epoch {epoch}; the hand-over took {took} ms")
        }
    };
    let object = serde_json::json!({
        "type": "handed_over",
        "server_id": server,
        "epoch": epoch,
        "led_before": led_before,
    });
    Ok(Report { words, objects: vec![object], exit: Exit::Ok })
}

async fn tell(
    done: Result<Report, Failure>,
    in_json: bool,
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<Exit, Failure> {
    let said = match (&done, in_json) {
        (Ok(report), true) => report.lines(),
        (Ok(report), false) => format!("{}\n", report.words),
        (Err(failure), true) => json::failure(failure),
        (Err(_), false) => String::new(),
    };
    to.write_all(said.as_bytes()).await.map_err(output)?;
    to.flush().await.map_err(output)?;
    done.map(|report| report.exit)
}
