//! `server admin`: accounts.

use std::io::{self, BufRead as _, IsTerminal as _};

use zeroize::Zeroizing;

use super::{Report, server::AdminCommand};
use crate::{
    cli::{
        command,
        exit::{Exit, Failure},
        once::{ask, password_file},
        subcommands::PasswordSource,
    },
    client::Admin,
    wire::admin::AdministeredAccount,
};

/// Does it, with a password where one is needed.
pub(super) async fn administer(
    admin: &Admin,
    what: &AdminCommand,
    password: &str,
) -> Result<Report, Failure> {
    let (username, kind, words) = match what {
        AdminCommand::List { pattern } => return Ok(list(&admin.accounts(pattern).await?)),
        AdminCommand::ResetPassword { username, .. } => {
            admin.reset_password(&command::username(username), password).await?;
            (username, "password_reset", "has another password; its devices are logged out")
        }
        AdminCommand::Disable { username } => {
            admin.disable(&command::username(username)).await?;
            (username, "disabled", "is disabled: its devices are logged out, and nobody can log in")
        }
        AdminCommand::Enable { username } => {
            admin.enable(&command::username(username)).await?;
            (username, "enabled", "is enabled: its user can log in")
        }
        AdminCommand::EndSessions { username } => {
            admin.end_sessions(&command::username(username)).await?;
            (username, "sessions_ended", "is logged out on all devices")
        }
    };
    // As the servers fold it.
    let username = command::username(username).to_lowercase();
    Ok(Report {
        objects: vec![serde_json::json!({ "type": kind, "username": username })],
        words: format!("{username} {words}"),
        exit: Exit::Ok,
    })
}

fn list(accounts: &[AdministeredAccount]) -> Report {
    let lines: Vec<String> = accounts.iter().map(line).collect();
    let words = if lines.is_empty() { "no account matches".into() } else { lines.join("\n") };
    Report { words, objects: accounts.iter().map(object).collect(), exit: Exit::Ok }
}

fn line(account: &AdministeredAccount) -> String {
    let AdministeredAccount { username, disabled, sessions, .. } = account;
    let state = if *disabled { ", disabled" } else { "" };
    let devices = match sessions {
        0 => "logged in nowhere".into(),
        1 => "1 device".into(),
        count => format!("{count} devices"),
    };
    let used = time(account.last_used_time.as_ref());
    let used = used.map_or(String::new(), |used| format!(", last used {used}"));
    let created = time(account.create_time.as_ref()).unwrap_or_default();
    format!("{username}: created {created}, {devices}{used}{state}")
}

fn object(account: &AdministeredAccount) -> serde_json::Value {
    serde_json::json!({
        "type": "account",
        "username": account.username,
        "create_time": time(account.create_time.as_ref()),
        "disabled": account.disabled,
        "sessions": account.sessions,
        "last_used_time": time(account.last_used_time.as_ref()),
    })
}

fn time(time: Option<&prost_types::Timestamp>) -> Option<String> {
    let time = time?;
    jiff::Timestamp::new(time.seconds, time.nanos).ok().map(|time| time.to_string())
}

/// Reads the new password from where it was said to be, or asks a person for it twice.
pub(super) fn new_password(source: &PasswordSource) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = &source.password_file {
        return password_file(path);
    }
    if source.password_stdin {
        let mut line = Zeroizing::new(String::new());
        let read = io::stdin().lock().read_line(&mut line);
        read.map_err(|error| Failure::System { what: "cannot read the input".into(), error })?;
        let password = line.trim_end_matches(['\n', '\r']);
        if password.is_empty() {
            return Err(Failure::Usage("there is no password on the input".into()));
        }
        return Ok(Zeroizing::new(password.to_owned()));
    }
    if !io::stdin().is_terminal() {
        let words = "no password: give --password-stdin or --password-file FILE";
        return Err(Failure::Usage(words.into()));
    }
    let first = ask("new password (8 bytes or more): ")?;
    if first == ask("the same again: ")? {
        return Ok(first);
    }
    Err(Failure::Usage("these were two different ones; nothing was changed".into()))
}
