//! What a person typed and no leader has taken yet.
//!
//! Lines go out in the order in which they were typed, each under the request id that it was given when it
//! was typed, so that a repeat, by this program or by the next one, is never a second message. Until there
//! is an answer a line stands in a journal on disk too (see `journal`), for neither a closed window nor a
//! power cut may eat it. A refusal is an answer: the line is taken out and shown.

mod journal;

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time;
use tokio_util::task::AbortOnDropHandle;

use self::journal::Journal;
use super::{
    advice::{Place, advice},
    command::Command,
    exit::Failure,
};
use crate::{
    client::{Client, Error},
    wire::chat::Message,
};

/// Servers keep outcomes for seven days; a repeat after that could be a second message.
const SAFE_TO_REPEAT: Duration = Duration::from_secs(6 * 24 * 60 * 60);
/// After a call has given up, the next one begins a little later.
const PAUSE: Duration = Duration::from_millis(250);

/// A line that waits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(super) struct Unsent {
    /// Under which it is sent, as often as it takes.
    pub(super) request_id: String,
    /// Where it goes.
    pub(super) conversation: String,
    /// The text.
    pub(super) body: String,
    /// When it was typed, in seconds since 1970.
    typed: i64,
}

/// Where the outboxes of a cluster's users are kept; nowhere without a folder for state.
#[derive(Clone, Debug)]
pub(super) struct Outboxes {
    /// The folder, and how the files' names begin.
    pub(super) place: Option<(PathBuf, String)>,
}

/// A user's outbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lines: VecDeque<Unsent>,
    journal: Option<Journal>,
    attempt: Option<AbortOnDropHandle<Result<Message, Error>>>,
    /// Nothing goes out before the user has logged in again.
    held: bool,
}

impl Unsent {
    /// What can be done when it is refused.
    pub(super) fn advice(&self, error: &Error) -> Option<String> {
        let (conversation, body) = (self.conversation.clone(), String::new());
        let command = Command::Send { conversation, body, request_id: None };
        advice(error, Some(&command), Place::Session)
    }
}

/// What became of the oldest line.
#[derive(Debug)]
pub(super) enum Settled {
    /// It is in its conversation.
    Sent(Message),
    /// It will never be: it is no longer in the outbox.
    Refused(Unsent, Error),
    /// The session has ended; the line is kept.
    Held(Error),
}

impl Outboxes {
    /// Opens a user's outbox with what another run of this program left behind, and tells what of it is too
    /// old to be sent.
    pub(super) fn open(&self, username: &str) -> Result<(Outbox, Vec<Unsent>), Failure> {
        let Some((folder, prefix)) = &self.place else {
            return Ok((Outbox::default(), Vec::new()));
        };
        let (journal, lines) = Journal::open(folder, prefix, username)?;
        let oldest = Timestamp::now().as_second() - SAFE_TO_REPEAT.as_secs().cast_signed();
        let (fresh, stale): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.typed >= oldest);
        let mut outbox =
            Outbox { lines: fresh.into(), journal: Some(journal), ..Outbox::default() };
        for line in &stale {
            outbox.forget(&line.request_id)?;
        }
        Ok((outbox, stale))
    }
}

impl Outbox {
    /// How many lines wait.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Those that wait, the oldest first.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Unsent> {
        self.lines.iter()
    }

    /// Whether the lines outlive this program.
    pub(super) fn is_kept(&self) -> bool {
        self.journal.is_some()
    }

    /// Takes a line; it is sent by [`Outbox::next`].
    pub(super) fn push(&mut self, conversation: &str, body: &str) -> Result<(), Failure> {
        let line = Unsent {
            request_id: Client::new_request_id(),
            conversation: conversation.into(),
            body: body.into(),
            typed: Timestamp::now().as_second(),
        };
        let written = self.journal.as_mut().map_or(Ok(()), |journal| journal.add(&line));
        // What cannot be kept is sent all the same.
        self.lines.push_back(line);
        written
    }

    /// The user has logged in again: lines go out.
    pub(super) fn release(&mut self) {
        self.held = false;
    }

    /// Gives up all lines; returns them.
    pub(super) fn drop_all(&mut self) -> Result<Vec<Unsent>, Failure> {
        self.attempt = None;
        let lines: Vec<Unsent> = self.lines.drain(..).collect();
        for line in &lines {
            self.forget(&line.request_id)?;
        }
        Ok(lines)
    }

    /// Sends the oldest line, until something definite is known of it; waits for ever when there is none.
    /// May be dropped and called again.
    pub(super) async fn next(&mut self, client: &Client) -> Result<Settled, Failure> {
        loop {
            let Some(line) = self.lines.front().filter(|_| !self.held) else {
                return std::future::pending().await;
            };
            let attempt = self.attempt.get_or_insert_with(|| send(client.clone(), line.clone()));
            let outcome = attempt.await;
            self.attempt = None;
            match outcome {
                Ok(Ok(message)) => {
                    self.pop()?;
                    return Ok(Settled::Sent(message));
                }
                Ok(Err(error @ Error::NotLoggedIn { .. })) => {
                    self.held = true;
                    return Ok(Settled::Held(error));
                }
                Ok(Err(error)) if is_definite(&error) => {
                    let line = self.pop()?;
                    return Ok(Settled::Refused(line, error));
                }
                // Nobody knows: the same again. The client's notices tell of the outage.
                _ => time::sleep(PAUSE).await,
            }
        }
    }

    /// Takes out the oldest line, of which something definite is known.
    fn pop(&mut self) -> Result<Unsent, Failure> {
        let line = self.lines.pop_front().expect("the oldest line was being sent");
        self.forget(&line.request_id)?;
        Ok(line)
    }

    fn forget(&mut self, request_id: &str) -> Result<(), Failure> {
        let empty = self.lines.is_empty();
        self.journal.as_mut().map_or(Ok(()), |journal| journal.done(request_id, empty))
    }
}

fn is_definite(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal) if refusal.reason != "RATE_LIMITED")
}

fn send(client: Client, line: Unsent) -> AbortOnDropHandle<Result<Message, Error>> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        client.send_as(&line.request_id, &line.conversation, &line.body).await
    }))
}
