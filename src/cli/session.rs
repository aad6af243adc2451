//! A line-oriented session: a line, its answer, and between them what arrives.

use std::{io, time::Duration};

use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{self, Instant},
};
use zeroize::Zeroizing;

use super::{
    answer::Answer,
    command::{self, Command},
    console::{Console, Line},
    exit::{Exit, Failure, output},
    json, live,
    live::{Happening, Live},
    perform::perform,
    state::{Kept, SessionFile},
    text,
};
use crate::{
    client::{Client, Notice},
    wire::chat::Message,
};

/// How long a login waits until live messages are sure to arrive.
const UNTIL_LIVE: Duration = Duration::from_secs(5);

/// An open session.
pub(super) struct Session<C> {
    client: Client,
    console: C,
    kept: SessionFile,
    json: bool,
    /// Whether a person sits here, whose logins are kept for the next program.
    person: bool,
    username: Option<String>,
    current: Option<String>,
    live: Option<Live>,
    notices: Receiver<Notice>,
    /// Live messages since the last `/wait`.
    arrived: u64,
    first_failure: Exit,
}

/// What a session meets next.
enum Next {
    Line(io::Result<Line>),
    Happening(Happening),
    Notice(Notice),
}

impl<C: Console> Session<C> {
    /// A session that goes on with the kept login, if there is one.
    pub(super) fn new(
        client: Client,
        console: C,
        kept: SessionFile,
        json: bool,
        person: bool,
    ) -> Self {
        let notices = client.notices();
        Session {
            client,
            console,
            kept,
            json,
            person,
            username: None,
            current: None,
            live: None,
            notices,
            arrived: 0,
            first_failure: Exit::Ok,
        }
    }

    /// Answers every line until the end; returns the first failure of a script. A person has seen the
    /// failures, and a session that ends as the person wants it is none.
    pub(super) async fn run(mut self) -> Result<Exit, Failure> {
        self.resume().await?;
        loop {
            let prompt = self.prompt();
            let next = tokio::select! {
                biased;
                happening = live::next_of(&mut self.live) => Next::Happening(happening),
                notice = next_notice(&mut self.notices) => Next::Notice(notice),
                line = self.console.line(&prompt) => Next::Line(line),
            };
            match next {
                Next::Happening(happening) => self.happened(happening).await?,
                Next::Notice(notice) => self.note(&text::notice(&notice)).await?,
                Next::Line(line) => {
                    if !self.line(line.map_err(output)?).await? {
                        break;
                    }
                }
            }
        }
        self.leave().await?;
        Ok(if self.person { Exit::Ok } else { self.first_failure })
    }

    /// Goes on as the user of the kept session.
    async fn resume(&mut self) -> Result<(), Failure> {
        if let Some(kept) = self.kept.load()? {
            self.client.set_session_token(Some(kept.token));
            self.note(&format!("logged in as {}", text::harmless(&kept.username))).await?;
            self.username = Some(kept.username);
            // Not waited for: the cluster may be away, and the first command tells.
            self.live = Some(Live::begin(&self.client));
        } else if self.person {
            self.note("/create USER or /login USER to begin; /help lists what there is").await?;
        }
        Ok(())
    }

    /// Shows what has come already, and says goodbye.
    async fn leave(&mut self) -> Result<(), Failure> {
        while let Some(happening) = self.live.as_mut().and_then(Live::ready) {
            self.happened(happening).await?;
        }
        if let Some(live) = self.live.take() {
            live.end().await;
        }
        Ok(())
    }

    fn prompt(&self) -> String {
        match (&self.username, &self.current) {
            (None, _) => "> ".into(),
            (Some(user), None) => format!("{user}> "),
            (Some(user), Some(current)) => format!("{user} {current}> "),
        }
    }

    /// Answers a line; false at the end.
    async fn line(&mut self, line: Line) -> Result<bool, Failure> {
        let parsed = match line {
            Line::End => return Ok(false),
            Line::Garbage => {
                Err(Failure::BadData("a line must be UTF-8 and at most 64 KiB long".into()))
            }
            Line::Text(line) => command::parse(&line, self.current.as_deref()),
        };
        let command = match parsed {
            Ok(None) => return Ok(true),
            Ok(Some(Command::Quit)) => return Ok(false),
            Ok(Some(command)) => command,
            Err(failure) => {
                self.failed(&failure).await?;
                return Ok(true);
            }
        };
        match self.command(&command).await {
            Ok(answer) => self.answer(&answer).await?,
            Err(failure) => self.failed(&failure).await?,
        }
        Ok(true)
    }

    async fn command(&mut self, command: &Command) -> Result<Answer, Failure> {
        if let Some(conversation) = command.conversation() {
            self.current = Some(conversation.to_owned());
        }
        match command {
            Command::Help => Ok(Answer::Help),
            Command::Wait { count, within } => self.wait(*count, *within).await,
            command => {
                let password = self.password(command).await?;
                let token = self.client.session_token();
                let answer = self.perform(command, password.as_ref()).await?;
                self.follow_up(&answer, token.as_ref().map_or("", |token| token.as_str())).await?;
                Ok(answer)
            }
        }
    }

    async fn password(&mut self, command: &Command) -> Result<Option<Zeroizing<String>>, Failure> {
        if !command.needs_password() {
            return Ok(None);
        }
        let asked = if matches!(command, Command::Create { .. }) {
            self.console.new_password().await
        } else {
            self.console.password("password: ").await
        };
        match asked.map_err(output)? {
            Some(password) => Ok(Some(password)),
            None => {
                Err(Failure::Usage("the password is missing: it comes on the next line".into()))
            }
        }
    }

    /// Makes the calls of a command, and tells meanwhile what person them.
    async fn perform(
        &mut self,
        command: &Command,
        password: Option<&Zeroizing<String>>,
    ) -> Result<Answer, Failure> {
        let client = self.client.clone();
        let password = password.map(|password| password.as_str());
        let mut work = std::pin::pin!(perform(&client, command, password));
        loop {
            tokio::select! {
                biased;
                answer = &mut work => return answer,
                notice = next_notice(&mut self.notices) => {
                    self.note(&text::notice(&notice)).await?;
                }
            }
        }
    }

    /// What else changes with an answer; `token` is that of the session before it.
    async fn follow_up(&mut self, answer: &Answer, token: &str) -> Result<(), Failure> {
        match answer {
            Answer::LoggedIn { username, .. } => self.begin(username).await,
            Answer::LoggedOut => {
                self.username = None;
                self.live = None;
                self.kept.forget(token)
            }
            answer => {
                if let Some(live) = &self.live {
                    let me = self.username.as_deref();
                    let messages = answer.messages();
                    live.shown(messages.into_iter().filter(|m| Some(m.sender.as_str()) != me));
                }
                Ok(())
            }
        }
    }

    /// A session began: from its answer on, live messages arrive.
    async fn begin(&mut self, username: &str) -> Result<(), Failure> {
        if let Some(before) = self.live.take() {
            before.end().await;
        }
        self.username = Some(username.to_owned());
        self.current = None;
        self.arrived = 0;
        if self.person
            && let Some(token) = self.client.session_token()
        {
            let token = token.as_str().to_owned();
            self.kept.save(&Kept { username: username.to_owned(), token })?;
        }
        let mut live = Live::begin(&self.client);
        // Whatever it is, the stream is open by now, or an outage is under way and will be told.
        let first = time::timeout(UNTIL_LIVE, live.next()).await;
        self.live = Some(live);
        match first {
            Ok(Some(happening)) => self.happened(happening).await,
            _ => Ok(()),
        }
    }

    /// Waits until so many live messages came since the last time.
    async fn wait(&mut self, count: u64, within: Duration) -> Result<Answer, Failure> {
        let until = Instant::now() + within;
        while self.arrived < count {
            let next = tokio::select! {
                biased;
                happening = live::next_of(&mut self.live) => Next::Happening(happening),
                notice = next_notice(&mut self.notices) => Next::Notice(notice),
                () = time::sleep_until(until) => break,
            };
            match next {
                Next::Happening(happening) => self.happened(happening).await?,
                Next::Notice(notice) => self.note(&text::notice(&notice)).await?,
                Next::Line(_) => unreachable!("no line is read while waiting"),
            }
        }
        let arrived = std::mem::take(&mut self.arrived);
        if arrived < count {
            let seconds = within.as_secs();
            let words = format!("only {arrived} of {count} live messages came within {seconds} s");
            return Err(Failure::Refused(words));
        }
        // What came beyond the wanted number counts for the next time.
        self.arrived = arrived - count;
        Ok(Answer::Waited(count))
    }

    async fn happened(&mut self, happening: Happening) -> Result<(), Failure> {
        match happening {
            Happening::CaughtUp => Ok(()),
            Happening::Message(message) => self.arrives(&message).await,
            Happening::Reset => self.note(text::RESET).await,
            Happening::Ended(error) => {
                self.live = None;
                self.note(&format!("live messages have ended: {error}")).await
            }
        }
    }

    async fn arrives(&mut self, message: &Message) -> Result<(), Failure> {
        if self.username.as_deref() == Some(message.sender.as_str()) {
            return Ok(());
        }
        self.arrived += 1;
        let shown = if self.json { json::live(message) } else { text::live(message) };
        self.console.answer(&shown).await.map_err(output)?;
        if let Some(live) = &self.live {
            live.shown([message]);
        }
        Ok(())
    }

    async fn answer(&mut self, answer: &Answer) -> Result<(), Failure> {
        let written = if self.json { json::answer(answer) } else { text::answer(answer) };
        self.console.answer(&written).await.map_err(output)
    }

    /// A line that was not done has its answer too.
    async fn failed(&mut self, failure: &Failure) -> Result<(), Failure> {
        if self.first_failure == Exit::Ok {
            self.first_failure = failure.exit();
        }
        let written =
            if self.json { json::failure(failure) } else { format!("error: {failure}\n") };
        self.console.answer(&written).await.map_err(output)
    }

    async fn note(&mut self, words: &str) -> Result<(), Failure> {
        self.console.note(words).await.map_err(output)
    }
}

/// The next notice; those that were missed don't matter any more.
pub(super) async fn next_notice(notices: &mut Receiver<Notice>) -> Notice {
    loop {
        match notices.recv().await {
            Ok(notice) => return notice,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
