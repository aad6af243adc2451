//! Beginning and ending a user's session, and what arrives in it.

use std::time::Duration;

use tokio::time::{self, Instant};
use tokio_util::task::AbortOnDropHandle;

use super::{Session, is_over};
use crate::{
    cli::{
        advice::{Place, advised},
        answer::Answer,
        console::Console,
        exit::{Failure, output},
        live::{Happening, Live},
        roster::look_around,
        state::Kept,
        text,
    },
    wire::chat::{Conversation, Event, MembershipChanged, Message, event::Kind},
};

/// How long a login waits until live messages are sure to arrive.
const UNTIL_LIVE: Duration = Duration::from_secs(5);
/// How long to wait for more of the same before the server is asked.
const BEFORE_RECOUNT: Duration = Duration::from_millis(200);

impl<C: Console> Session<C> {
    /// Goes on as the user of the kept session.
    pub(super) async fn resume(&mut self) -> Result<(), Failure> {
        if let Some(kept) = self.setting.kept.load()? {
            self.client.set_session_token(Some(kept.token));
            self.note(&format!("logged in as {}", text::harmless(&kept.username))).await?;
            self.take_up(&kept.username).await?;
            self.username = Some(kept.username);
            // Not waited for: the cluster may be away, and the first command tells.
            self.live = Some(Live::begin(&self.client));
            self.look_around();
        } else if self.setting.person {
            self.note("/create USER or /login USER to begin; /help lists what there is").await?;
        }
        Ok(())
    }

    /// A session began: from its answer on, live messages arrive.
    pub(super) async fn begin(&mut self, username: &str) -> Result<(), Failure> {
        if let Some(before) = self.live.take() {
            before.end().await;
        }
        self.take_up(username).await?;
        self.username = Some(username.to_owned());
        self.current = None;
        self.arrived = 0;
        if self.setting.person
            && let Some(token) = self.client.session_token()
        {
            let token = token.as_str().to_owned();
            self.setting.kept.save(&Kept { username: username.to_owned(), token })?;
        }
        let mut live = Live::begin(&self.client);
        // Whatever it is, the stream is open by now, or an outage is under way and will be told.
        let first = time::timeout(UNTIL_LIVE, live.next()).await;
        self.live = Some(live);
        self.look_around();
        match first {
            Ok(Some(happening)) => self.happened(happening).await,
            _ => Ok(()),
        }
    }

    /// Only a person has a use for it.
    fn look_around(&mut self) {
        if self.setting.person {
            let looking = look_around(self.client.clone(), self.setting.words.clone());
            self.around = Some(AbortOnDropHandle::new(tokio::spawn(looking)));
        }
    }

    /// Something happened that only the server can count. Many of these in a row are one.
    fn recount(&mut self) {
        if self.setting.person {
            let client = self.client.clone();
            let counting = async move {
                time::sleep(BEFORE_RECOUNT).await;
                client.all_conversations().await.ok()
            };
            self.recounting = Some(AbortOnDropHandle::new(tokio::spawn(counting)));
        }
    }

    /// Takes over how much is unread.
    pub(super) async fn looked_around(&mut self, seen: Vec<Conversation>) -> Result<(), Failure> {
        seen.iter().for_each(|conversation| self.unread.listed(conversation));
        match self.unread.elsewhere(None) {
            0 => Ok(()),
            count => self.note(&format!("{count} unread; /inbox shows them")).await,
        }
    }

    /// Shows what has come already, and says goodbye.
    pub(super) async fn leave(&mut self) -> Result<(), Failure> {
        while let Some(happening) = self.live.as_mut().and_then(Live::ready) {
            self.happened(happening).await?;
        }
        if let Some(live) = self.live.take() {
            live.end().await;
        }
        Ok(())
    }

    /// Waits until so many live messages came since the last time.
    pub(super) async fn wait(&mut self, count: u64, within: Duration) -> Result<Answer, Failure> {
        let until = Instant::now() + within;
        while self.arrived < count && !is_over(until) {
            if let Ok(next) = time::timeout_at(until, self.next(false)).await {
                self.meets(next?).await?;
            }
        }
        let arrived = std::mem::take(&mut self.arrived);
        if arrived < count {
            let seconds = within.as_secs();
            let words = format!(
                "only {arrived} of {count} live messages came within {seconds} s; /wait {count} SECONDS waits longer"
            );
            return Err(Failure::Refused(words));
        }
        // What came beyond the wanted number counts for the next time.
        self.arrived = arrived - count;
        Ok(Answer::Waited(count))
    }

    /// Shows what happened.
    pub(super) async fn happened(&mut self, happening: Happening) -> Result<(), Failure> {
        match happening {
            Happening::CaughtUp => Ok(()),
            Happening::Message(message) => self.arrives(&message).await,
            Happening::Other(event) => self.changed(&event).await,
            Happening::Reset => {
                self.recount();
                self.note(text::RESET).await
            }
            Happening::Ended(error) => {
                self.live = None;
                let failure = advised(error.into(), None, Place::Session);
                self.note(&format!("live messages have ended: {}", failure.words())).await
            }
        }
    }

    async fn arrives(&mut self, message: &Message) -> Result<(), Failure> {
        self.setting.words.learn_message(message);
        if self.is_me(&message.sender) {
            return Ok(());
        }
        self.arrived += 1;
        self.unread.arrived(message);
        let shown = self.setting.voice.live(message, self.username.as_deref());
        self.console.answer(&shown).await.map_err(output)?;
        if let Some(live) = &self.live {
            live.shown([message]);
        }
        Ok(())
    }

    /// Something else than a new message: a person sees it, a pipe's answers are not disturbed.
    async fn changed(&mut self, event: &Event) -> Result<(), Failure> {
        let own = match &event.kind {
            Some(Kind::ReadMoved(moved)) => {
                self.unread.set(&moved.conversation, moved.unread_count);
                true
            }
            Some(Kind::MessageDeleted(message)) => {
                self.recount();
                self.is_me(&message.sender)
            }
            Some(Kind::MessageChanged(message)) => self.is_me(&message.sender),
            Some(Kind::MembershipChanged(change)) if self.is_me(&change.username) => {
                return self.moved(change, event).await;
            }
            _ => false,
        };
        if own { Ok(()) } else { self.tell(event).await }
    }

    /// The user came into a room, or is in it no more.
    async fn moved(&mut self, change: &MembershipChanged, event: &Event) -> Result<(), Failure> {
        let is_here = self.current.as_deref() == Some(&change.conversation);
        if change.member {
            // Where the user went by a line of this session, that line was answered.
            if is_here || !self.setting.person || self.setting.voice.json {
                return Ok(());
            }
            let room = text::harmless(&change.conversation);
            let words = format!("you are in {room} now; /history {room} shows what was said");
            return self.note(&words).await;
        }
        self.unread.forget(&change.conversation);
        if is_here {
            self.current = None;
        }
        self.tell(event).await
    }

    async fn tell(&mut self, event: &Event) -> Result<(), Failure> {
        if !self.setting.person {
            return Ok(());
        }
        match self.setting.voice.event(event) {
            Some(shown) => self.console.answer(&shown).await.map_err(output),
            None => Ok(()),
        }
    }

    fn is_me(&self, name: &str) -> bool {
        self.username.as_deref() == Some(name)
    }
}
