//! A viewer's conversations.

use std::collections::BTreeSet;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, OptionalExtension as _,
    QueryDsl as _, RunQueryDsl as _, SelectableHelper as _, SqliteConnection,
};

use super::{
    Answer,
    messages::show,
    page::{self, Page},
};
use crate::{
    chat::{AccountId, Conversation, ConversationName, Message, Refusal},
    store::{
        error::StoreError,
        pool::Reader,
        rows::{self, AccountRow, ConversationRow, MemberRow, MessageRow},
        schema::{conversations, members, messages},
    },
};

impl Reader {
    /// A page of the viewer's conversations, the one that changed last first. It costs a look at each
    /// conversation of the viewer, and none at their messages.
    pub fn conversations(
        &mut self,
        viewer: AccountId,
        page_size: i32,
        page_token: &str,
    ) -> Result<Answer<Page<Conversation>>, StoreError> {
        let numbers = page::read_numbers(page_token);
        let (size, [position, key]) = match (page::size(page_size), numbers) {
            (Ok(size), Ok(before)) => (size, before.unwrap_or([i64::MAX, i64::MAX])),
            (Err(refusal), _) | (_, Err(refusal)) => return Ok(Err(refusal)),
        };
        let connection = &mut self.connection;
        let Some(viewer) = rows::account_by_id(connection, viewer)? else {
            return Ok(Err(Refusal::NoSuchAccount));
        };
        let earlier = conversations::last_position
            .lt(position)
            .or(conversations::last_position.eq(position).and(conversations::id.lt(key)));
        let found: Vec<(MemberRow, ConversationRow)> = members::table
            .inner_join(conversations::table.on(conversations::id.eq(members::conversation)))
            .filter(members::account.eq(viewer.id))
            .filter(earlier)
            .order((conversations::last_position.desc(), conversations::id.desc()))
            .limit(size + 1)
            .select((MemberRow::as_select(), ConversationRow::as_select()))
            .load(connection)
            .map_err(StoreError::database("list conversations"))?;
        let page =
            page::cut(found, size, |(_, last)| page::number_token(&[last.last_position, last.id]));
        let mut items = Vec::with_capacity(page.items.len());
        for (member, conversation) in page.items {
            items.push(view(connection, &viewer, Some(&member), conversation)?);
        }
        Ok(Ok(Page { items, next_page_token: page.next_page_token }))
    }

    /// One conversation from the viewer's side; `None` for a direct one that nobody has begun.
    pub fn conversation(
        &mut self,
        viewer: AccountId,
        name: &ConversationName,
    ) -> Result<Answer<Option<Conversation>>, StoreError> {
        let connection = &mut self.connection;
        let Some(viewer) = rows::account_by_id(connection, viewer)? else {
            return Ok(Err(Refusal::NoSuchAccount));
        };
        match rows::conversation_of_member(connection, viewer.id, name)? {
            Ok(Some((conversation, member))) => {
                view(connection, &viewer, Some(&member), conversation).map(|found| Ok(Some(found)))
            }
            Ok(None) => Ok(Ok(None)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

/// A conversation from the viewer's side; whoever is no member sees what a room is, and no message.
pub(in crate::store) fn view(
    connection: &mut SqliteConnection,
    viewer: &AccountRow,
    member: Option<&MemberRow>,
    conversation: ConversationRow,
) -> Result<Conversation, StoreError> {
    let name = rows::place(connection, &conversation)?.seen_by(viewer.public_id()?);
    let last_message = match member {
        Some(member) => newest(connection, viewer, member, &name, &conversation)?,
        None => None,
    };
    let owner = match conversation.owner {
        Some(owner) => rows::names(connection, &BTreeSet::from([owner]))?.remove(&owner),
        None => None,
    };
    Ok(Conversation {
        name,
        private: conversation.private,
        owner,
        last_seq: conversation.last_seq,
        read_seq: member.map_or(conversation.last_seq, |member| member.read_seq),
        unread_count: member.map_or(0, |member| member.unread(&conversation)),
        mention_count: member.map_or(0, |member| member.mentions_after),
        last_message,
        topic: conversation.topic,
        member: member.is_some(),
    })
}

fn newest(
    connection: &mut SqliteConnection,
    viewer: &AccountRow,
    member: &MemberRow,
    name: &ConversationName,
    conversation: &ConversationRow,
) -> Result<Option<Message>, StoreError> {
    let newest: Option<MessageRow> = messages::table
        .filter(messages::conversation.eq(conversation.id))
        .filter(messages::seq.gt(member.joined_seq))
        .order(messages::seq.desc())
        .select(MessageRow::as_select())
        .first(connection)
        .optional()
        .map_err(StoreError::database("read the newest message"))?;
    let Some(row) = newest else { return Ok(None) };
    Ok(show(connection, viewer.id, name, vec![row])?.pop())
}
