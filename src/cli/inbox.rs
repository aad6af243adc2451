//! Reading conversations page by page.

use super::{
    answer::{Answer, InboxEntry},
    exit::Failure,
};
use crate::{
    client::{Client, Page},
    wire::chat::{Conversation, Message},
};

/// Most messages of a page.
const PAGE: u32 = 200;
/// So many unread messages of a conversation are shown; its history has the rest.
const SHOWN: i32 = 50;

/// The user's conversations with what is unread.
pub(super) async fn inbox(client: &Client) -> Result<Answer, Failure> {
    let mut entries = Vec::new();
    for conversation in client.all_conversations().await? {
        let unread = unread(client, &conversation).await?;
        entries.push(InboxEntry { conversation, unread });
    }
    Ok(Answer::Inbox(entries))
}

async fn unread(client: &Client, of: &Conversation) -> Result<Vec<Message>, Failure> {
    if of.unread_count == 0 {
        return Ok(Vec::new());
    }
    let page = client.list_messages(&of.conversation, Page::After(of.read_seq), SHOWN).await?;
    let others = |message: &Message| {
        // Of a direct conversation the other side is known by its name.
        let direct = of.conversation.strip_prefix('@');
        !message.deleted && direct.is_none_or(|other| other == message.sender)
    };
    Ok(page.messages.into_iter().filter(others).collect())
}

/// The newest `count` messages, by rising seq.
pub(super) async fn history(
    client: &Client,
    conversation: &str,
    count: u32,
) -> Result<Answer, Failure> {
    let mut messages: Vec<Message> = Vec::new();
    let mut left = count;
    loop {
        let page = messages.first().map_or(Page::Latest, |oldest| Page::Before(oldest.seq));
        let size = i32::try_from(left.min(PAGE)).expect("a page is small");
        let answer = client.list_messages(conversation, page, size).await?;
        let got = u32::try_from(answer.messages.len()).expect("a page is small");
        messages.splice(0..0, answer.messages);
        left = left.saturating_sub(got);
        if left == 0 || got == 0 || !answer.has_more {
            return Ok(Answer::History { messages, has_more: answer.has_more });
        }
    }
}

/// Marks everything in a conversation as read.
pub(super) async fn read(client: &Client, conversation: &str) -> Result<Answer, Failure> {
    let page = client.list_messages(conversation, Page::Latest, 1).await?;
    let read_seq = match page.messages.last() {
        Some(newest) => client.mark_read(conversation, newest.seq).await?,
        None => 0,
    };
    Ok(Answer::Read { conversation: conversation.into(), read_seq })
}
