//! What an operator does, by the programs and on real servers.

mod accounts;
mod backup;
mod gate;
mod replace;
mod rolling;
mod servers;
mod talk;
mod verify;

use std::process::Stdio;

use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{
    cli::{SOON, Said},
    harness::{Cluster, within},
};

/// Runs the client as an operator does, with the cluster's configuration.
async fn client(cluster: &Cluster, arguments: &[&str]) -> Said {
    let config = cluster.config().display().to_string();
    let all = [&["--config", &config], arguments].concat();
    run(cluster, env!("CARGO_BIN_EXE_client"), &all, "").await
}

/// Runs a command of the server program, with the cluster's configuration and this on its input.
pub(crate) async fn server(cluster: &Cluster, arguments: &[&str], input: &str) -> Said {
    let config = cluster.config().display().to_string();
    let all = [arguments, &["--config", &config]].concat();
    run(cluster, env!("CARGO_BIN_EXE_server"), &all, input).await
}

async fn run(cluster: &Cluster, program: &str, arguments: &[&str], input: &str) -> Said {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(cluster.folder())
        .env("HOME", cluster.folder())
        .env_remove("XDG_STATE_HOME")
        .env_remove("CHINWAG_SESSION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    let what = arguments.join(" ");
    let output = within(&what, SOON, async {
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.expect("our own child")
    });
    Said::new(what.clone(), output.await)
}

/// The one object that a command said.
fn object(said: &Said) -> Value {
    let mut objects = said.objects();
    assert_eq!(objects.len(), 1, "{}", said.stdout);
    objects.remove(0)
}
