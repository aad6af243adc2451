//! A command that handles events, one process an event: how it ends is its word that the event is done, and
//! what it leaves behind dies with it.

use std::{io, process::Stdio};

use tokio::{io::AsyncWriteExt as _, process::Command};

/// Runs a command of the shell with this line on its standard input; its output and its complaints go
/// where those of this program go. An error says how it failed.
pub(super) async fn run(command: &str, line: &str) -> Result<(), String> {
    let child =
        Command::new("sh").arg("-c").arg(command).stdin(Stdio::piped()).kill_on_drop(true).spawn();
    let mut child = child.map_err(|error| format!("the command does not start: {error}"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    match stdin.write_all(line.as_bytes()).await {
        // It need not read what it does not want.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(format!("the command does not take the event: {error}"));
        }
        _ => drop(stdin),
    }
    let status = child.wait().await.map_err(|error| format!("the command is lost: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the command failed with {status}")) }
}
