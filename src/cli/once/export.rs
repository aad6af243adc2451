//! `export`: everything that the account may see, as JSON lines.
//!
//! Page by page, so that memory does not grow with the history. There is nothing to resume: whoever was
//! interrupted begins again, and knows a whole export by its last line.

use tokio::io::{AsyncBufRead, AsyncWrite};

use super::OneShot;
use crate::{
    cli::{exit::Failure, json, rooms},
    client::Page,
    wire::chat::Conversation,
};

/// Most messages of a page.
const PAGE: i32 = 200;

impl<Input, Output, Notes> OneShot<Input, Output, Notes>
where
    Input: AsyncBufRead + Unpin,
    Output: AsyncWrite + Unpin,
    Notes: AsyncWrite + Unpin,
{
    /// Writes it: the account; then every conversation with its members and its messages; then the end.
    pub(super) async fn export(&mut self) -> Result<(), Failure> {
        let account = self.client.get_account().await?;
        self.object(json::account(&account)).await?;
        let mut conversations = self.client.all_conversations().await?;
        conversations.sort_by(|one, other| one.conversation.cmp(&other.conversation));
        let mut messages = 0_usize;
        for conversation in &conversations {
            messages += self.conversation(conversation).await?;
        }
        self.object(serde_json::json!({
            "type": "exported",
            "conversations": conversations.len(),
            "messages": messages,
        }))
        .await
    }

    async fn conversation(&mut self, of: &Conversation) -> Result<usize, Failure> {
        let name = &of.conversation;
        self.object(json::conversation("conversation", of)).await?;
        if name.starts_with('#') {
            for member in rooms::members(&self.client, name).await? {
                self.object(json::member(name, &member)).await?;
            }
        }
        let (mut count, mut after) = (0, 0);
        loop {
            let page = self.client.list_messages(name, Page::After(after), PAGE).await?;
            let objects = page.messages.iter().map(|message| json::message("message", message));
            let lines: String = objects.map(|object| format!("{object}\n")).collect();
            self.write(&lines).await?;
            count += page.messages.len();
            match page.messages.last() {
                Some(last) if page.has_more => after = last.seq,
                _ => return Ok(count),
            }
        }
    }

    async fn object(&mut self, object: serde_json::Value) -> Result<(), Failure> {
        self.write(&format!("{object}\n")).await
    }
}
