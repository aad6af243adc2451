//! `tail`: what happens, as it happens.

use tokio::io::{AsyncBufRead, AsyncWrite};

use super::{OneShot, handler};
use crate::{
    cli::{exit::Failure, json, session::next_notice, text},
    client::Delivery,
    wire::chat::{Event, Message, event::Kind},
};

impl<Input, Output, Notes> OneShot<Input, Output, Notes>
where
    Input: AsyncBufRead + Unpin,
    Output: AsyncWrite + Unpin,
    Notes: AsyncWrite + Unpin,
{
    /// Prints events as they come, or hands each to a command. When it ends by a failure, the cursor tells
    /// where to go on.
    pub(super) async fn tail(
        &mut self,
        after: &str,
        count: Option<u64>,
        exec: Option<&str>,
    ) -> Result<(), Failure> {
        let mut cursor = after.to_owned();
        let ended = self.follow(&mut cursor, count, exec).await;
        if ended.is_err() && !cursor.is_empty() {
            self.note(&format!("go on with: client tail --after {cursor}")).await?;
        }
        ended
    }

    /// Follows the events; `cursor` is that of the last one that was done with.
    async fn follow(
        &mut self,
        cursor: &mut String,
        count: Option<u64>,
        exec: Option<&str>,
    ) -> Result<(), Failure> {
        let mut notices = self.client.notices();
        let mut subscription = self.client.subscribe(cursor.as_str());
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
            match exec {
                Some(command) => hand_over(command, &event, cursor).await?,
                None => {
                    if let Some(shown) = self.voice.event(&event) {
                        self.write(&shown).await?;
                    }
                }
            }
            if !event.cursor.is_empty() {
                cursor.clone_from(&event.cursor);
            }
            if let Some(Kind::MessageCreated(message)) = &event.kind {
                left -= 1;
                self.received(message).await;
            }
        }
        Ok(())
    }

    /// The messages of others count as received once they are printed or handled.
    async fn received(&self, message: &Message) {
        let own = self.username.as_deref() == Some(message.sender.as_str());
        if own || !message.conversation.starts_with('@') || message.received_time.is_some() {
            return;
        }
        if let Err(error) = self.client.acknowledge(vec![message.message_id.clone()]).await {
            tracing::debug!(%error, "a message stays unacknowledged until another device shows it");
        }
    }
}

/// Hands an event to a command. That everything was delivered is no event for it.
async fn hand_over(command: &str, event: &Event, cursor: &str) -> Result<(), Failure> {
    if matches!(event.kind, Some(Kind::CaughtUp(_))) {
        return Ok(());
    }
    let Some(object) = json::event(event) else { return Ok(()) };
    let handled = handler::run(command, &object).await;
    handled.map_err(|problem| Failure::Handler { problem, cursor: cursor.into() })
}
