//! Doing what a command says.

use std::{env, iter};

use zeroize::Zeroizing;

use super::{
    answer::{Answer, FoundMessage, MemberNews, RoomNews},
    command::Command,
    exit::Failure,
    inbox, rooms,
};
use crate::{client::Client, wire::chat::Snippet};

/// So many messages are found at once; more of them help nobody.
const FOUND: i32 = 50;

/// The passwords that belong to a command.
#[derive(Default)]
pub(super) struct Passwords {
    /// The one there is.
    pub(super) current: Zeroizing<String>,
    /// The chosen one.
    pub(super) new: Zeroizing<String>,
}

/// Makes the calls of a command. `passwords` are those that its `secrets` name.
///
/// `/wait`, `/outbox`, `/help` and `/quit` are no calls; whoever reads lines does them.
pub(super) async fn perform(
    client: &Client,
    command: &Command,
    passwords: &Passwords,
) -> Result<Answer, Failure> {
    match command {
        Command::Create { username } => {
            let account = client.create_account(username, &passwords.new).await?;
            Ok(Answer::LoggedIn { username: account.username, created: true })
        }
        Command::Login { username } => {
            let account = client.login(username, &passwords.current, &device_name()).await?;
            Ok(Answer::LoggedIn { username: account.username, created: false })
        }
        Command::Logout => {
            client.logout().await?;
            Ok(Answer::LoggedOut)
        }
        Command::Users { pattern } => users(client, pattern).await,
        Command::Sessions => Ok(Answer::Sessions(client.all_sessions().await?)),
        Command::EndSession { id } => {
            client.end_session(id).await?;
            Ok(Answer::SessionEnded(id.clone()))
        }
        Command::ChangePassword => {
            client.change_password(&passwords.current, &passwords.new).await?;
            Ok(Answer::PasswordChanged)
        }
        Command::DeleteAccount => {
            client.delete_account(&passwords.current).await?;
            Ok(Answer::AccountDeleted)
        }
        Command::Status => status(client).await,
        command => with_messages(client, command).await,
    }
}

/// The commands about messages and conversations.
async fn with_messages(client: &Client, command: &Command) -> Result<Answer, Failure> {
    match command {
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
        Command::Edit { id, body } => Ok(Answer::Edited(client.edit(id, body).await?)),
        Command::Search { query, conversation } => search(client, query, conversation).await,
        command => with_rooms(client, command).await,
    }
}

/// The commands about rooms.
async fn with_rooms(client: &Client, command: &Command) -> Result<Answer, Failure> {
    let member = |room: &String, username: &String, news| Answer::Member {
        room: room.clone(),
        username: username.clone(),
        news,
    };
    Ok(match command {
        Command::Rooms { pattern } => Answer::Rooms(rooms::all(client, pattern).await?),
        Command::Who { room: Some(room) } => {
            let members = rooms::members(client, room).await?;
            Answer::Members { room: room.clone(), members }
        }
        Command::Who { room: None } => Answer::Me(client.get_account().await?),
        Command::CreateRoom { room, topic, private } => {
            let room = client.create_room(room, topic, *private).await?;
            Answer::Room(RoomNews::Created, room)
        }
        Command::Join { room } => Answer::Room(RoomNews::Joined, client.join_room(room).await?),
        Command::Topic { room, topic } => {
            let room = client.update_room(room, Some(topic), None).await?;
            Answer::Room(RoomNews::Changed, room)
        }
        Command::Leave { room } => {
            client.leave_room(room).await?;
            Answer::Gone(RoomNews::Left, room.clone())
        }
        Command::CloseRoom { room } => {
            client.delete_room(room).await?;
            Answer::Gone(RoomNews::Closed, room.clone())
        }
        Command::Invite { username, room } => {
            client.add_member(room, username).await?;
            member(room, username, MemberNews::Added)
        }
        Command::Kick { username, room } => {
            client.remove_member(room, username).await?;
            member(room, username, MemberNews::Removed)
        }
        Command::Transfer { room, username } => {
            client.transfer_room(room, username).await?;
            member(room, username, MemberNews::Owner)
        }
        command => unreachable!("{command:?} is done by whoever reads lines"),
    })
}

/// The best messages that hold these words; goes on while pages are empty.
async fn search(client: &Client, query: &str, conversation: &str) -> Result<Answer, Failure> {
    let (mut messages, mut token) = (Vec::new(), String::new());
    loop {
        let page = client.search(query, conversation, FOUND, &token).await?;
        let snippets = page.snippets.into_iter().chain(iter::repeat(Snippet::default()));
        let found = page.messages.into_iter().zip(snippets);
        messages.extend(found.map(|(message, snippet)| FoundMessage { message, snippet }));
        token = page.next_page_token;
        if token.is_empty() || !messages.is_empty() {
            return Ok(Answer::Found { messages, has_more: !token.is_empty() });
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
