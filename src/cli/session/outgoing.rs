//! A person's messages on their way out.

use std::time::Duration;

use tokio::time::{self, Instant};
use tokio_util::task::AbortOnDropHandle;

use super::{Session, next_notice};
use crate::{
    cli::{
        answer::Answer,
        console::Console,
        exit::Failure,
        outbox::{Outbox, Settled},
        text,
    },
    wire::chat::Message,
};

/// A healthy leader has answered by then; after it the next line can be typed.
const AT_ONCE: Duration = Duration::from_millis(400);

impl<C: Console> Session<C> {
    /// Whether a message is queued: a pipe waits for the answer instead, and nobody is anybody's.
    pub(super) fn goes_to_outbox(&self) -> bool {
        self.setting.person && self.username.is_some()
    }

    /// Queues a message, and waits a moment until everything is out.
    pub(super) async fn queue(
        &mut self,
        conversation: &str,
        body: &str,
    ) -> Result<Option<Answer>, Failure> {
        if let Err(failure) = self.outbox.push(conversation, body) {
            self.note(&format!("{}; it is sent all the same", failure.words())).await?;
        }
        let until = Instant::now() + AT_ONCE;
        while self.outbox.len() > 0 {
            tokio::select! {
                biased;
                settled = self.outbox.next(&self.client) => self.settled(settled?).await?,
                notice = next_notice(&mut self.notices) => self.notice(&notice).await?,
                () = time::sleep_until(until) => {
                    return Ok(Some(Answer::Queued(self.outbox.len())));
                }
            }
        }
        Ok(None)
    }

    /// Tells what became of a queued message.
    pub(super) async fn settled(&mut self, settled: Settled) -> Result<(), Failure> {
        match settled {
            Settled::Sent(message) => {
                self.setting.words.learn_message(&message);
                self.mark_read(&message);
                self.answer(&Answer::Sent(message)).await
            }
            Settled::Refused(line, error) => {
                let place = text::harmless(&line.conversation);
                let advice = line.advice(&error).map(|advice| format!("; {advice}"));
                let advice = advice.unwrap_or_default();
                let words = format!("{error}{advice}; not sent to {place}: {}", line.body);
                if Failure::from(error).is_outside() && self.current == Some(line.conversation) {
                    self.current = None;
                }
                self.failed(&Failure::Refused(words)).await
            }
            Settled::Held(error) => {
                let count = text::counted(self.outbox.len(), "line");
                let words = format!("{error}; {count} unsent until you /login again");
                self.failed(&Failure::Refused(words)).await
            }
        }
    }

    /// Who writes in a conversation has read it.
    fn mark_read(&mut self, message: &Message) {
        if self.unread.of(&message.conversation) == 0 {
            return;
        }
        self.unread.set(&message.conversation, 0);
        let (client, conversation, seq) =
            (self.client.clone(), message.conversation.clone(), message.seq);
        self.marking = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = client.mark_read(&conversation, seq).await {
                tracing::debug!(%error, "a marker was not moved; the next one moves it");
            }
        })));
    }

    /// Takes up a user's outbox; the user has proved to be it.
    pub(super) async fn take_up(&mut self, username: &str) -> Result<(), Failure> {
        if !self.setting.person {
            return Ok(());
        }
        if self.username.as_deref() == Some(username) {
            self.outbox.release();
            return Ok(());
        }
        self.set_aside().await?;
        let (outbox, stale) = match self.setting.outboxes.open(username) {
            Ok(opened) => opened,
            Err(failure) => {
                self.note(&format!("{}; lines are not kept", failure.words())).await?;
                Default::default()
            }
        };
        self.outbox = outbox;
        for line in stale {
            let (place, body) = (text::harmless(&line.conversation), text::harmless(&line.body));
            self.note(&format!("too old to be sent now, to {place}: {body}")).await?;
        }
        match self.outbox.len() {
            0 => Ok(()),
            count => {
                let lines = text::counted(count, "line");
                self.note(&format!("{lines} unsent the last time; sending now")).await
            }
        }
    }

    /// Leaves a user's outbox as it is, on disk where it can be.
    pub(super) async fn set_aside(&mut self) -> Result<(), Failure> {
        let outbox = std::mem::take(&mut self.outbox);
        if outbox.len() == 0 {
            return Ok(());
        }
        self.note(&fate(&outbox)).await
    }

    /// Whether the session goes on though its user wants to leave: once, for what is unsent.
    pub(super) async fn stays(&mut self) -> Result<bool, Failure> {
        if self.outbox.len() == 0 || self.warned {
            return Ok(false);
        }
        self.warned = true;
        let fate = fate(&self.outbox);
        self.note(&format!("{fate} /quit again to leave, /outbox to see them")).await?;
        Ok(true)
    }
}

/// What will become of the lines of an outbox that its user leaves.
fn fate(outbox: &Outbox) -> String {
    let lines = text::counted(outbox.len(), "line");
    match outbox.is_kept() {
        true => format!("{lines} unsent: kept until you log in here again, then sent first."),
        false => format!("{lines} unsent, and LOST when you leave: there is no folder for state."),
    }
}
