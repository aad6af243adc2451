//! Doing what a command says.

use std::env;

use super::{answer::Answer, command::Command, exit::Failure, inbox};
use crate::client::Client;

/// Makes the calls of a command. `password` belongs to the commands that need one.
///
/// `/wait`, `/help` and `/quit` are no calls; whoever reads lines does them.
pub(super) async fn perform(
    client: &Client,
    command: &Command,
    password: Option<&str>,
) -> Result<Answer, Failure> {
    match command {
        Command::Create { username } => {
            let account = client.create_account(username, password.unwrap_or_default()).await?;
            Ok(Answer::LoggedIn { username: account.username, created: true })
        }
        Command::Login { username } => {
            let password = password.unwrap_or_default();
            let account = client.login(username, password, &device_name()).await?;
            Ok(Answer::LoggedIn { username: account.username, created: false })
        }
        Command::Logout => {
            client.logout().await?;
            Ok(Answer::LoggedOut)
        }
        Command::Users { pattern } => users(client, pattern).await,
        Command::Send { conversation, body, request_id } => {
            let sent = match request_id {
                Some(id) => client.send_as(id, conversation, body).await?,
                None => client.send(conversation, body).await?,
            };
            Ok(Answer::Sent(sent))
        }
        Command::Inbox => inbox::inbox(client).await,
        Command::History { conversation, count } => {
            inbox::history(client, conversation, *count).await
        }
        Command::Read { conversation } => inbox::read(client, conversation).await,
        Command::Delete { ids } => {
            client.delete(ids.clone()).await?;
            Ok(Answer::Deleted(ids.len()))
        }
        Command::Status => status(client).await,
        Command::Wait { .. } | Command::Help | Command::Quit => {
            unreachable!("{command:?} is done by whoever reads lines")
        }
    }
}

async fn users(client: &Client, pattern: &str) -> Result<Answer, Failure> {
    let mut accounts = Vec::new();
    let mut token = String::new();
    loop {
        let page = client.list_accounts(pattern, &token).await?;
        accounts.extend(page.accounts);
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(Answer::Accounts(accounts));
        }
    }
}

async fn status(client: &Client) -> Result<Answer, Failure> {
    let answers = client.status().await;
    if let Some(first) = answers.first()
        && answers.iter().all(|answer| answer.status.is_err())
    {
        let detail = first.status.clone().expect_err("none answered");
        let detail = format!("{}: {detail}", first.address);
        return Err(crate::client::Error::NoServer { detail }.into());
    }
    Ok(Answer::Status(answers))
}

/// How this device shows itself in the list of sessions.
fn device_name() -> String {
    let name = env::var("HOSTNAME").unwrap_or_else(|_| "command line".into());
    name.chars().filter(|c| !c.is_control()).take(16).collect()
}
