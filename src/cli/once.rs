//! One command of the command line.

use std::{fs, path::Path};

use tokio::io::{AsyncBufRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

use super::{
    answer::Answer,
    arguments::{Arguments, Once, PasswordSource},
    command::{self, Command},
    console::{Line, read_line},
    exit::{Exit, Failure, output},
    json,
    perform::perform,
    session::next_notice,
    state::{Kept, SessionFile, Surroundings},
    text,
};
use crate::{
    client::{Client, Delivery},
    wire::chat::{Message, event::Kind},
};

/// A body is at most 16 KiB; more need not be read to know that it is too long.
const LONGEST_BODY: u64 = 64 * 1024;

/// What a command runs on.
pub(super) struct OneShot<Input, Output, Notes> {
    client: Client,
    kept: SessionFile,
    username: Option<String>,
    json: bool,
    person: bool,
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
        let servers = arguments.servers()?;
        let client = arguments.client(&servers)?;
        let (json, person) = (arguments.json, surroundings.person);
        let kept = surroundings.session_file(&servers);
        Ok(OneShot { client, kept, username: None, json, person, input, output, notes })
    }

    /// Does it. With `--json`, what went wrong is an object on the output too.
    pub(super) async fn run(mut self, once: &Once) -> Result<Exit, Failure> {
        let done = self.once(once).await;
        if let Err(failure) = &done
            && self.json
        {
            self.write(&json::failure(failure)).await?;
        }
        done.map(|()| Exit::Ok)
    }

    async fn once(&mut self, once: &Once) -> Result<(), Failure> {
        // A damaged session must not keep anybody from logging in again.
        if !matches!(once, Once::Create { .. } | Once::Login { .. } | Once::Status)
            && let Some(kept) = self.kept.load()?
        {
            self.client.set_session_token(Some(kept.token));
            self.username = Some(kept.username);
        }
        if let Once::Tail { after, count } = once {
            return self.tail(after, *count).await;
        }
        let (command, password) = self.command(once).await?;
        let token = self.client.session_token();
        let answer = self.perform(&command, password.as_ref()).await?;
        match &answer {
            Answer::LoggedIn { username, .. } => self.keep(username)?,
            Answer::LoggedOut => {
                self.kept.forget(token.as_ref().map_or("", |token| token.as_str()))?;
            }
            _ => {}
        }
        let written = if self.json { json::answer(&answer) } else { text::answer(&answer) };
        self.write(&written).await
    }

    /// What the arguments ask for, with the password that belongs to it.
    async fn command(
        &mut self,
        once: &Once,
    ) -> Result<(Command, Option<Zeroizing<String>>), Failure> {
        let command = match once {
            Once::Create { username, password } => {
                let command = Command::Create { username: command::username(username) };
                return Ok((command, Some(self.password(password).await?)));
            }
            Once::Login { username, password } => {
                let command = Command::Login { username: command::username(username) };
                return Ok((command, Some(self.password(password).await?)));
            }
            Once::Logout => Command::Logout,
            Once::Users { pattern } => Command::Users { pattern: pattern.clone() },
            Once::Send { conversation, text, request_id } => {
                let body = self.body(text).await?;
                command::send(conversation, &body, request_id.clone())?
            }
            Once::Inbox => Command::Inbox,
            Once::History { conversation, count } => command::history(conversation, *count)?,
            Once::Read { conversation } => {
                Command::Read { conversation: command::conversation(conversation)? }
            }
            Once::Delete { ids } => Command::Delete { ids: ids.clone() },
            Once::Status => Command::Status,
            Once::Later { .. } => return Err(command::later("this command")),
            Once::Tail { .. } => unreachable!("tail is no single call"),
        };
        Ok((command, None))
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

    async fn password(&mut self, source: &PasswordSource) -> Result<Zeroizing<String>, Failure> {
        if let Some(path) = &source.password_file {
            return password_file(path);
        }
        if source.password_stdin {
            return match read_line(&mut self.input, &mut Vec::new()).await.map_err(input)? {
                Line::Text(password) => Ok(Zeroizing::new(password)),
                Line::Garbage => Err(Failure::BadData("the password is not UTF-8".into())),
                Line::End => Err(Failure::Usage("there is no password on the input".into())),
            };
        }
        if !self.person {
            let words = "no password: give --password-stdin or --password-file FILE";
            return Err(Failure::Usage(words.into()));
        }
        rpassword::prompt_password("password: ").map(Zeroizing::new).map_err(input)
    }

    async fn perform(
        &mut self,
        command: &Command,
        password: Option<&Zeroizing<String>>,
    ) -> Result<Answer, Failure> {
        let client = self.client.clone();
        let mut notices = client.notices();
        let password = password.map(|password| password.as_str());
        let mut work = std::pin::pin!(perform(&client, command, password));
        loop {
            tokio::select! {
                biased;
                answer = &mut work => return answer,
                notice = next_notice(&mut notices) => self.note(&text::notice(&notice)).await?,
            }
        }
    }

    fn keep(&self, username: &str) -> Result<(), Failure> {
        let token = self.client.session_token().expect("a login brings a session");
        self.kept.save(&Kept { username: username.into(), token: token.as_str().to_owned() })
    }

    /// Prints events as they come. The messages of others count as received once they are printed.
    async fn tail(&mut self, after: &str, count: Option<u64>) -> Result<(), Failure> {
        let mut notices = self.client.notices();
        let mut subscription = self.client.subscribe(after);
        let mut left = count.unwrap_or(u64::MAX);
        while left > 0 {
            let delivery = tokio::select! {
                biased;
                notice = next_notice(&mut notices) => {
                    self.note(&text::notice(&notice)).await?;
                    continue;
                }
                delivery = subscription.next() => delivery?,
            };
            let Delivery::Event(event) = delivery else { continue };
            let shown = if self.json { json::event(&event) } else { text::event(&event) };
            if let Some(shown) = shown {
                self.write(&shown).await?;
            }
            if let Some(Kind::MessageCreated(message)) = &event.kind {
                left -= 1;
                self.received(message).await;
            }
        }
        Ok(())
    }

    async fn received(&self, message: &Message) {
        let own = self.username.as_deref() == Some(message.sender.as_str());
        if own || !message.conversation.starts_with('@') || message.received_time.is_some() {
            return;
        }
        if let Err(error) = self.client.acknowledge(vec![message.message_id.clone()]).await {
            tracing::debug!(%error, "a message stays unacknowledged until another device shows it");
        }
    }

    async fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.output.write_all(text.as_bytes()).await.map_err(output)?;
        self.output.flush().await.map_err(output)
    }

    async fn note(&mut self, words: &str) -> Result<(), Failure> {
        self.notes.write_all(format!("{words}\n").as_bytes()).await.map_err(output)?;
        self.notes.flush().await.map_err(output)
    }
}

fn password_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = fs::read(path).map(Zeroizing::new).map_err(|error| {
        Failure::Usage(format!("cannot read the password from {}: {error}", path.display()))
    })?;
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = first.strip_suffix(b"\r").unwrap_or(first);
    let text = std::str::from_utf8(first).map_err(|_| {
        Failure::BadData(format!("the password in {} is not UTF-8", path.display()))
    })?;
    Ok(Zeroizing::new(text.into()))
}

fn input(error: std::io::Error) -> Failure {
    Failure::System { what: "cannot read the input".into(), error }
}
