//! A line-oriented session: a line, its answer, and between them what arrives.
//!
//! A pipe's lines are done one by one, each answered before the next is read. A person's messages go
//! through the outbox (see `outgoing`), so that an outage takes the line being typed from nobody.

mod arriving;
mod outgoing;

use std::{collections::BTreeSet, io};

use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    advice::{Place, advised, next_step},
    answer::Answer,
    command::{self, Command, Secrets},
    console::{Console, Line},
    exit::{Exit, Failure, output},
    live::{self, Happening, Live},
    outbox::{Outbox, Outboxes, Settled},
    perform::{Passwords, perform},
    roster::{Unread, Words},
    state::SessionFile,
    text,
    voice::Voice,
};
use crate::{
    client::{Client, Notice},
    wire::chat::Conversation,
};

/// What a session works with.
pub(super) struct Setting {
    /// The kept login.
    pub(super) kept: SessionFile,
    /// Where unsent lines are kept.
    pub(super) outboxes: Outboxes,
    /// How it speaks.
    pub(super) voice: Voice,
    /// Names for completion.
    pub(super) words: Words,
    /// Whether a person sits here, whose logins and unsent lines are kept for the next program.
    pub(super) person: bool,
}

/// An open session.
pub(super) struct Session<C> {
    client: Client,
    console: C,
    setting: Setting,
    username: Option<String>,
    current: Option<String>,
    live: Option<Live>,
    notices: Receiver<Notice>,
    /// Live messages since the last `/wait`.
    arrived: u64,
    unread: Unread,
    outbox: Outbox,
    /// The look around at a person's login, while it is under way.
    around: Option<AbortOnDropHandle<Vec<Conversation>>>,
    /// The look at what is unread after something that this program cannot count, while it is under way.
    recounting: Option<AbortOnDropHandle<Option<Vec<Conversation>>>>,
    /// The last marker that is on its way to the leader.
    marking: Option<AbortOnDropHandle<()>>,
    /// Whether the user was told that lines would stay unsent.
    warned: bool,
    /// The next steps that the user was told.
    advised: BTreeSet<&'static str>,
    first_failure: Exit,
}

/// What a session meets next.
enum Next {
    Line(io::Result<Line>),
    Happening(Happening),
    Notice(Notice),
    Settled(Settled),
    Around(Vec<Conversation>),
    Recounted(Vec<Conversation>),
}

impl<C: Console> Session<C> {
    /// A session that goes on with the kept login, if there is one.
    pub(super) fn new(client: Client, console: C, setting: Setting) -> Self {
        let notices = client.notices();
        Session {
            client,
            console,
            setting,
            username: None,
            current: None,
            live: None,
            notices,
            arrived: 0,
            unread: Unread::default(),
            outbox: Outbox::default(),
            around: None,
            recounting: None,
            marking: None,
            warned: false,
            advised: BTreeSet::new(),
            first_failure: Exit::Ok,
        }
    }

    /// Answers every line until the end; returns the first failure of a script. A person has seen the
    /// failures, and a session that ends as the person wants it is none.
    pub(super) async fn run(mut self) -> Result<Exit, Failure> {
        self.resume().await?;
        loop {
            match self.next(true).await? {
                Next::Line(line) => {
                    if !self.line(line.map_err(output)?).await? {
                        break;
                    }
                }
                other => self.meets(other).await?,
            }
        }
        self.leave().await?;
        Ok(if self.setting.person { Exit::Ok } else { self.first_failure })
    }

    /// Waits for whatever comes next, a line only if one is wanted. May be dropped and called again.
    async fn next(&mut self, lines: bool) -> Result<Next, Failure> {
        let prompt = if lines { self.prompt() } else { String::new() };
        Ok(tokio::select! {
            biased;
            happening = live::next_of(&mut self.live) => Next::Happening(happening),
            settled = self.outbox.next(&self.client) => Next::Settled(settled?),
            notice = next_notice(&mut self.notices) => Next::Notice(notice),
            conversations = look_of(&mut self.around) => Next::Around(conversations),
            conversations = recount_of(&mut self.recounting) => Next::Recounted(conversations),
            line = self.console.line(&prompt), if lines => Next::Line(line),
        })
    }

    /// Deals with what is no line.
    async fn meets(&mut self, next: Next) -> Result<(), Failure> {
        match next {
            Next::Happening(happening) => self.happened(happening).await,
            Next::Notice(notice) => self.notice(&notice).await,
            Next::Settled(settled) => self.settled(settled).await,
            Next::Around(conversations) => self.looked_around(conversations).await,
            Next::Recounted(conversations) => {
                self.unread.all_listed(conversations.iter());
                Ok(())
            }
            Next::Line(_) => unreachable!("lines are answered by `line`"),
        }
    }

    /// Who, where, and what waits for the user elsewhere or was not sent yet.
    fn prompt(&self) -> String {
        let unread = self.unread.elsewhere(self.current.as_deref());
        let counts: Vec<String> = [
            (unread > 0).then(|| format!("{unread} unread")),
            (self.outbox.len() > 0).then(|| format!("{} unsent", self.outbox.len())),
        ]
        .into_iter()
        .flatten()
        .collect();
        let counts =
            if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
        match (&self.username, &self.current) {
            (None, _) => "> ".into(),
            (Some(user), None) => text::harmless(&format!("{user}{counts}> ")),
            (Some(user), Some(current)) => text::harmless(&format!("{user} {current}{counts}> ")),
        }
    }

    /// Answers a line; false at the end.
    async fn line(&mut self, line: Line) -> Result<bool, Failure> {
        let parsed = match line {
            Line::End => return self.stays().await,
            Line::Garbage => {
                Err(Failure::BadData("a line must be UTF-8 and at most 64 KiB long".into()))
            }
            Line::Text(line) => command::parse(&line, self.current.as_deref()),
        };
        let command = match parsed {
            Ok(None) => return Ok(true),
            Ok(Some(Command::Quit)) => return self.stays().await,
            Ok(Some(command)) => command,
            Err(failure) => {
                self.failed(&failure).await?;
                return Ok(true);
            }
        };
        self.warned = false;
        match self.command(&command).await {
            Ok(Some(answer)) => {
                self.answer(&answer).await?;
                self.next_step(&answer).await?;
            }
            Ok(None) => {}
            Err(failure) => {
                self.stays_out(&command, &failure);
                self.failed(&failure).await?;
            }
        }
        Ok(true)
    }

    /// Where the user cannot be is no current conversation. Nor is the one before: what is typed next is not
    /// meant for it.
    fn stays_out(&mut self, command: &Command, failure: &Failure) {
        let enters = matches!(command, Command::Join { .. } | Command::CreateRoom { .. });
        let is_refused = matches!(failure.exit(), Exit::Refused | Exit::BadData);
        if (enters && is_refused || failure.is_outside()) && command.conversation().is_some() {
            self.current = None;
        }
    }

    /// Does a command; `None` if its answer was given already.
    async fn command(&mut self, command: &Command) -> Result<Option<Answer>, Failure> {
        if let Some(conversation) = command.conversation() {
            self.current = Some(conversation.to_owned());
        }
        match command {
            Command::Help => Ok(Some(Answer::Help)),
            Command::Wait { count, within } => self.wait(*count, *within).await.map(Some),
            Command::Outbox => Ok(Some(Answer::Outbox(self.outbox.lines().cloned().collect()))),
            Command::DropOutbox => Ok(Some(Answer::Dropped(self.outbox.drop_all()?.len()))),
            Command::Send { conversation, body, .. } if self.goes_to_outbox() => {
                self.queue(conversation, body).await
            }
            command => {
                let passwords = self.passwords(command).await?;
                let token = self.client.session_token();
                let answer = self.perform(command, &passwords).await?;
                if command.leaves().is_some() && command.leaves() == self.current.as_deref() {
                    self.current = None;
                }
                self.follow_up(&answer, token.as_ref().map_or("", |token| token.as_str())).await?;
                Ok(Some(answer))
            }
        }
    }

    async fn passwords(&mut self, command: &Command) -> Result<Passwords, Failure> {
        let mut passwords = Passwords::default();
        let secrets = command.secrets();
        if matches!(secrets, Secrets::Current | Secrets::Both) {
            let prompt = match (command, &self.username) {
                (Command::DeleteAccount, Some(user)) => {
                    format!("password of {user}, to delete the account for good: ")
                }
                (Command::ChangePassword, _) => "old password: ".into(),
                _ => "password: ".into(),
            };
            let prompt = text::harmless(&prompt);
            let asked = self.console.password(&prompt).await.map_err(output)?;
            passwords.current = asked.ok_or_else(no_password)?;
        }
        if matches!(secrets, Secrets::New | Secrets::Both) {
            let asked = self.console.new_password().await.map_err(output)?;
            passwords.new = asked.ok_or_else(no_password)?;
        }
        Ok(passwords)
    }

    /// Makes the calls of a command, and tells meanwhile how the cluster is.
    async fn perform(
        &mut self,
        command: &Command,
        passwords: &Passwords,
    ) -> Result<Answer, Failure> {
        let client = self.client.clone();
        let mut work = std::pin::pin!(perform(&client, command, passwords));
        loop {
            tokio::select! {
                biased;
                answer = &mut work => {
                    return answer.map_err(|failure| advised(failure, Some(command), Place::Session));
                }
                notice = next_notice(&mut self.notices) => self.notice(&notice).await?,
            }
        }
    }

    /// What else changes with an answer; `token` is that of the session before it.
    async fn follow_up(&mut self, answer: &Answer, token: &str) -> Result<(), Failure> {
        self.setting.words.learn_answer(answer);
        self.unread.learn(answer);
        match answer {
            Answer::LoggedIn { username, .. } => self.begin(username).await,
            Answer::LoggedOut => {
                self.set_aside().await?;
                self.end(token)
            }
            Answer::AccountDeleted => {
                self.outbox.drop_all()?;
                self.end(token)
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

    /// The session is over.
    fn end(&mut self, token: &str) -> Result<(), Failure> {
        (self.username, self.live, self.around) = (None, None, None);
        self.recounting = None;
        self.unread = Unread::default();
        self.setting.kept.forget(token)
    }

    async fn answer(&mut self, answer: &Answer) -> Result<(), Failure> {
        let written = self.setting.voice.answer(answer);
        self.console.answer(&written).await.map_err(output)
    }

    /// Tells a person what can be done next; the same thing once a session.
    async fn next_step(&mut self, answer: &Answer) -> Result<(), Failure> {
        match next_step(answer).filter(|_| self.setting.person && !self.setting.voice.json) {
            Some(step) if self.advised.insert(step) => self.note(step).await,
            _ => Ok(()),
        }
    }

    /// A line that was not done has its answer too.
    async fn failed(&mut self, failure: &Failure) -> Result<(), Failure> {
        if self.first_failure == Exit::Ok {
            self.first_failure = failure.exit();
        }
        let written = self.setting.voice.failure(failure);
        self.console.answer(&written).await.map_err(output)
    }

    async fn notice(&mut self, notice: &Notice) -> Result<(), Failure> {
        let mut words = text::notice(notice);
        // A pipe's line is answered by itself.
        if self.setting.person && matches!(notice, Notice::Moved { .. } | Notice::Back { .. }) {
            words += &match self.outbox.len() {
                0 => ", nothing unsent".into(),
                count => format!(", {} on the way", text::counted(count, "line")),
            };
        }
        self.note(&words).await
    }

    async fn note(&mut self, words: &str) -> Result<(), Failure> {
        self.console.note(words).await.map_err(output)
    }
}

fn no_password() -> Failure {
    Failure::Usage("the password is missing: it comes on the next line".into())
}

/// What a look around brings; for ever if there is none.
async fn look_of(around: &mut Option<AbortOnDropHandle<Vec<Conversation>>>) -> Vec<Conversation> {
    if let Some(looking) = around {
        let seen = looking.await.unwrap_or_default();
        *around = None;
        return seen;
    }
    std::future::pending().await
}

/// What a recount brings; for ever if there is none, or it failed.
async fn recount_of(
    recounting: &mut Option<AbortOnDropHandle<Option<Vec<Conversation>>>>,
) -> Vec<Conversation> {
    if let Some(counting) = recounting {
        let counted = counting.await;
        *recounting = None;
        if let Ok(Some(counted)) = counted {
            return counted;
        }
    }
    std::future::pending().await
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

/// Whether a moment has come.
fn is_over(until: Instant) -> bool {
    Instant::now() >= until
}
