//! One command of the command line.

mod export;
mod handler;
mod lines;
mod secrets;
mod tail;
mod watch;

use std::time::Duration;

use clap::CommandFactory as _;
pub(super) use secrets::{ask, password_file};
use tokio::io::{AsyncBufRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    advice::{Place, advised},
    answer::Answer,
    arguments::Arguments,
    command::{self, Command},
    exit::{Exit, Failure, output},
    json, manual,
    perform::{Passwords, perform},
    session::next_notice,
    state::{Kept, SessionFile, Surroundings},
    subcommands::Once,
    text,
    voice::Voice,
};
use crate::client::Client;

/// A body is at most 16 KiB; more need not be read to know that it is too long.
const LONGEST_BODY: u64 = 64 * 1024;

/// What a command runs on.
pub(super) struct OneShot<Input, Output, Notes> {
    client: Client,
    kept: SessionFile,
    username: Option<String>,
    voice: Voice,
    person: bool,
    /// Whether the output is a terminal.
    screen: bool,
    input: Input,
    output: Output,
    notes: Notes,
}

impl<Input, Output, Notes> OneShot<Input, Output, Notes>
where
    Input: AsyncBufRead + Unpin,
    Output: AsyncWrite + Unpin,
    Notes: AsyncWrite + Unpin,
{
    /// Prepares a command with the kept session.
    pub(super) fn new(
        arguments: &Arguments,
        surroundings: &Surroundings,
        input: Input,
        output: Output,
        notes: Notes,
    ) -> Result<Self, Failure> {
        let cluster = arguments.cluster()?;
        let client = arguments.client(&cluster)?;
        let servers = &cluster.servers;
        let voice = Voice { json: arguments.json, paint: surroundings.paint };
        let kept = surroundings.session_file(servers);
        let (person, screen) = (surroundings.person, surroundings.screen);
        Ok(OneShot { client, kept, username: None, voice, person, screen, input, output, notes })
    }

    /// Does it. With `--json`, what went wrong is an object on the output too.
    pub(super) async fn run(mut self, once: &Once) -> Result<Exit, Failure> {
        let done = self.once(once).await;
        if let Err(failure) = &done
            && self.voice.json
        {
            self.write(&json::failure(failure)).await?;
        }
        done.map(|()| Exit::Ok)
    }

    async fn once(&mut self, once: &Once) -> Result<(), Failure> {
        // A damaged session must not keep anybody from logging in again.
        if !matches!(once, Once::Create { .. } | Once::Login { .. } | Once::Status { .. })
            && let Some(kept) = self.kept.load()?
        {
            self.client.set_session_token(Some(kept.token));
            self.username = Some(kept.username);
        }
        match once {
            Once::Tail { after, count, exec } => {
                let ended = self.tail(after, *count, exec.as_deref()).await;
                ended.map_err(|failure| advised(failure, None, Place::Shell))
            }
            Once::Send { conversation, lines: true, request_id, .. } => {
                self.send_lines(conversation, request_id.as_deref()).await
            }
            Once::Export => {
                self.export().await.map_err(|failure| advised(failure, None, Place::Shell))
            }
            Once::Status { watch: Some(seconds) } => {
                self.watch(Duration::from_secs(*seconds)).await
            }
            once => self.call(once).await,
        }
    }

    /// A command that is done by a call or a few, and answered at once.
    async fn call(&mut self, once: &Once) -> Result<(), Failure> {
        let command = self.command(once).await?;
        let passwords = self.passwords(once).await?;
        let token = self.client.session_token();
        let answer = self.perform(&command, &passwords).await?;
        match &answer {
            Answer::LoggedIn { username, .. } => self.keep(username)?,
            Answer::LoggedOut | Answer::AccountDeleted => {
                self.kept.forget(token.as_ref().map_or("", |token| token.as_str()))?;
            }
            _ => {}
        }
        self.write(&self.voice.answer(&answer)).await
    }

    /// What the arguments ask for.
    async fn command(&mut self, once: &Once) -> Result<Command, Failure> {
        Ok(match once {
            Once::Send { conversation, text, request_id, .. } => {
                let body = self.body(text).await?;
                command::send(conversation, &body, request_id.clone())?
            }
            Once::Edit { id, text } => {
                Command::Edit { id: id.clone(), body: self.body(text).await? }
            }
            once => plain(once)?,
        })
    }

    /// The words, or the input for a lone dash.
    async fn body(&mut self, words: &[String]) -> Result<String, Failure> {
        if words != ["-"] {
            return Ok(words.join(" "));
        }
        let mut bytes = Vec::new();
        let mut limited = (&mut self.input).take(LONGEST_BODY);
        limited.read_to_end(&mut bytes).await.map_err(input)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::BadData("the text on the standard input is not UTF-8".into()))?;
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    async fn perform(
        &mut self,
        command: &Command,
        passwords: &Passwords,
    ) -> Result<Answer, Failure> {
        let client = self.client.clone();
        let mut notices = client.notices();
        let mut work = std::pin::pin!(perform(&client, command, passwords));
        loop {
            tokio::select! {
                biased;
                answer = &mut work => {
                    return answer.map_err(|failure| advised(failure, Some(command), Place::Shell));
                }
                notice = next_notice(&mut notices) => self.note(&text::notice(&notice)).await?,
            }
        }
    }

    fn keep(&self, username: &str) -> Result<(), Failure> {
        let token = self.client.session_token().expect("a login brings a session");
        self.kept.save(&Kept { username: username.into(), token: token.as_str().to_owned() })
    }

    async fn write(&mut self, text: &str) -> Result<(), Failure> {
        put(&mut self.output, text).await
    }

    async fn note(&mut self, words: &str) -> Result<(), Failure> {
        put(&mut self.notes, &format!("{words}\n")).await
    }
}

async fn put(to: &mut (impl AsyncWrite + Unpin), text: &str) -> Result<(), Failure> {
    to.write_all(text.as_bytes()).await.map_err(output)?;
    to.flush().await.map_err(output)
}

/// A command that needs no servers: what it prints. `None` for all others.
pub(super) fn offline(once: &Once) -> Option<Result<Vec<u8>, Failure>> {
    match once {
        Once::Completions { shell } => Some(Ok(manual::completions(*shell))),
        Once::Man(manual) => Some(
            manual
                .write(Arguments::command())
                .map_err(|error| Failure::System { what: "cannot write the manual".into(), error }),
        ),
        _ => None,
    }
}

/// The commands whose arguments say everything.
fn plain(once: &Once) -> Result<Command, Failure> {
    Ok(match once {
        Once::Create { username, .. } => Command::Create { username: command::username(username) },
        Once::Login { username, .. } => Command::Login { username: command::username(username) },
        Once::Logout => Command::Logout,
        Once::Users { pattern } => Command::Users { pattern: pattern.clone() },
        Once::Inbox => Command::Inbox,
        Once::History { conversation, count } => command::history(conversation, *count)?,
        Once::Read { conversation } => {
            Command::Read { conversation: command::conversation(conversation)? }
        }
        Once::Delete { ids } => Command::Delete { ids: ids.clone() },
        Once::Search { words, conversation } => {
            let conversation = conversation.as_deref().map(command::conversation).transpose()?;
            let conversation = conversation.unwrap_or_default();
            Command::Search { query: words.join(" "), conversation }
        }
        Once::Status { .. } => Command::Status,
        Once::Sessions => Command::Sessions,
        Once::EndSession { id } => Command::EndSession { id: id.clone() },
        Once::Passwd { .. } => Command::ChangePassword,
        Once::DeleteAccount { .. } => Command::DeleteAccount,
        once => in_room(once)?,
    })
}

/// The commands about rooms.
fn in_room(once: &Once) -> Result<Command, Failure> {
    let (room, username) = (command::room, command::username);
    Ok(match once {
        Once::Rooms { pattern } => Command::Rooms { pattern: pattern.clone() },
        Once::Room { room: name, topic, private } => {
            Command::CreateRoom { room: room(name)?, topic: topic.join(" "), private: *private }
        }
        Once::Join { room: name } => Command::Join { room: room(name)? },
        Once::Leave { room: name } => Command::Leave { room: room(name)? },
        Once::CloseRoom { room: name } => Command::CloseRoom { room: room(name)? },
        Once::Who { room: name } => Command::Who { room: name.as_deref().map(room).transpose()? },
        Once::Invite { username: whom, room: name } => {
            Command::Invite { username: username(whom), room: room(name)? }
        }
        Once::Kick { username: whom, room: name } => {
            Command::Kick { username: username(whom), room: room(name)? }
        }
        Once::Topic { room: name, topic } => {
            Command::Topic { room: room(name)?, topic: topic.join(" ") }
        }
        Once::Transfer { room: name, username: whom } => {
            Command::Transfer { room: room(name)?, username: username(whom) }
        }
        once => unreachable!("{once:?} is done elsewhere"),
    })
}

fn input(error: std::io::Error) -> Failure {
    Failure::System { what: "cannot read the input".into(), error }
}
