//! A conversation's messages from one viewer's side.

use std::collections::BTreeSet;

use diesel::{
    ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, SelectableHelper as _,
    SqliteConnection, connection::DefaultLoadingMode,
};

use super::{Answer, page};
use crate::{
    chat::{AccountId, ConversationName, Message, MessageId, MessageSeq, Refusal},
    store::{
        error::StoreError,
        mentions,
        pool::Reader,
        removed,
        rows::{self, MessageRow},
        schema::messages,
    },
};

/// Leaves room for everything around the bodies in an answer of 1 MiB.
const MAX_PAGE_BYTES: usize = 900 * 1024;
/// What a message's other fields take at most.
const MESSAGE_OVERHEAD: usize = 512;

/// Where a page lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Around {
    /// The newest messages.
    Latest,
    /// The newest ones with a smaller seq.
    Before(MessageSeq),
    /// The oldest ones with a greater seq.
    After(MessageSeq),
    /// On both sides of this one, itself included.
    Seq(MessageSeq),
}

/// A page of one conversation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessagePage {
    /// In the order of `seq`; every seq that the viewer may see, deleted ones included.
    pub messages: Vec<Message>,
    /// Whether there are more in the direction asked for: older ones for the latest, either for
    /// [`Around::Seq`].
    pub has_more: bool,
}

impl Reader {
    /// A page of a conversation: at most `page_size` messages and 1 MiB, one at least if there is one.
    pub fn messages(
        &mut self,
        viewer: AccountId,
        name: &ConversationName,
        around: Around,
        page_size: i32,
    ) -> Result<Answer<MessagePage>, StoreError> {
        let size = match page::size(page_size) {
            Ok(size) => size as usize,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let connection = &mut self.connection;
        let Some(viewer) = rows::account_by_id(connection, viewer)? else {
            return Ok(Err(Refusal::NoSuchAccount));
        };
        let (conversation, member) =
            match rows::conversation_of_member(connection, viewer.id, name)? {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(Ok(MessagePage::default())),
                Err(refusal) => return Ok(Err(refusal)),
            };
        let mut range = Range {
            connection,
            conversation: conversation.id,
            first: member.joined_seq + 1,
            bytes: MAX_PAGE_BYTES,
        };
        let (found, has_more) = match around {
            Around::Latest => range.older(i64::MAX, size)?,
            Around::Before(seq) => range.older(seq, size)?,
            Around::After(seq) => range.newer(seq, size)?,
            Around::Seq(seq) => range.both_sides(seq, size)?,
        };
        let name = rows::place(connection, &conversation)?.seen_by(viewer.public_id()?);
        let messages = show(connection, viewer.id, &name, found)?;
        Ok(Ok(MessagePage { messages, has_more }))
    }

    /// One message from the viewer's side; `None` if there is none that the viewer may see.
    pub fn message(
        &mut self,
        viewer: AccountId,
        id: MessageId,
    ) -> Result<Option<Message>, StoreError> {
        let connection = &mut self.connection;
        let Some(viewer) = rows::account_by_id(connection, viewer)? else { return Ok(None) };
        let Some((row, _)) = rows::visible_message(connection, viewer.id, id)? else {
            return Ok(None);
        };
        let conversation = rows::conversation_by_key(connection, row.conversation)?;
        let name = rows::place(connection, &conversation)?.seen_by(viewer.public_id()?);
        Ok(show(connection, viewer.id, &name, vec![row])?.pop())
    }
}

/// The messages of one conversation as the viewer sees them, in the order given.
pub(super) fn show(
    connection: &mut SqliteConnection,
    viewer: i64,
    name: &ConversationName,
    found: Vec<MessageRow>,
) -> Result<Vec<Message>, StoreError> {
    let keys: Vec<i64> = found.iter().map(|row| row.id).collect();
    let hidden = removed::among(connection, viewer, &keys)?;
    let senders: BTreeSet<i64> = found.iter().map(|row| row.sender).collect();
    let names = rows::names(connection, &senders)?;
    let may_mention: Vec<i64> =
        found.iter().filter(|row| row.body.contains('@')).map(|row| row.id).collect();
    let mut mentioned = mentions::of(connection, &may_mention)?;
    let mut shown = Vec::with_capacity(found.len());
    for row in found {
        let sender = names.get(&row.sender).cloned().ok_or_else(|| rows::malformed("sender"))?;
        let is_hidden = hidden.contains(&row.id);
        let mentions = mentioned.remove(&row.id).unwrap_or_default();
        let message = row.view(name.clone(), sender, is_hidden)?;
        // What is gone mentions nobody.
        shown.push(if message.deleted { message } else { Message { mentions, ..message } });
    }
    Ok(shown)
}

/// What a viewer may see of one conversation, and the bytes left for the answer.
struct Range<'a> {
    connection: &'a mut SqliteConnection,
    conversation: i64,
    first: MessageSeq,
    bytes: usize,
}

type Found = (Vec<MessageRow>, bool);

impl Range<'_> {
    /// The newest ones before `seq`, ascending, and whether there are older ones.
    fn older(&mut self, seq: MessageSeq, size: usize) -> Result<Found, StoreError> {
        let rows = messages::table
            .filter(messages::conversation.eq(self.conversation))
            .filter(messages::seq.lt(seq))
            .filter(messages::seq.ge(self.first))
            .order(messages::seq.desc())
            .limit(size as i64 + 1)
            .select(MessageRow::as_select())
            .load_iter::<MessageRow, DefaultLoadingMode>(self.connection)
            .map_err(StoreError::database("read messages"))?;
        let (mut found, more) = take(rows, size, &mut self.bytes)?;
        found.reverse();
        Ok((found, more))
    }

    /// The oldest ones after `seq`, and whether there are newer ones.
    fn newer(&mut self, seq: MessageSeq, size: usize) -> Result<Found, StoreError> {
        let rows = messages::table
            .filter(messages::conversation.eq(self.conversation))
            .filter(messages::seq.gt(seq))
            .filter(messages::seq.ge(self.first))
            .order(messages::seq)
            .limit(size as i64 + 1)
            .select(MessageRow::as_select())
            .load_iter::<MessageRow, DefaultLoadingMode>(self.connection)
            .map_err(StoreError::database("read messages"))?;
        take(rows, size, &mut self.bytes)
    }

    /// Half a page on each side; what one side lacks is not given to the other.
    fn both_sides(&mut self, seq: MessageSeq, size: usize) -> Result<Found, StoreError> {
        let before = (size - 1) / 2;
        let all = self.bytes;
        self.bytes = all / 2;
        let (mut found, older) = match before {
            0 => (Vec::new(), seq > self.first),
            _ => self.older(seq, before)?,
        };
        self.bytes += all / 2;
        let (newer, more) = self.newer(seq.saturating_sub(1), size - before)?;
        found.extend(newer);
        Ok((found, older || more))
    }
}

/// Takes rows while they fit, one at least; and says whether one is left.
fn take(
    rows: impl Iterator<Item = diesel::QueryResult<MessageRow>>,
    size: usize,
    bytes: &mut usize,
) -> Result<Found, StoreError> {
    let mut found = Vec::new();
    for row in rows {
        let row = row.map_err(StoreError::database("read messages"))?;
        let cost = row.body.len() + MESSAGE_OVERHEAD;
        if found.len() == size || (cost > *bytes && !found.is_empty()) {
            return Ok((found, true));
        }
        *bytes = bytes.saturating_sub(cost);
        found.push(row);
    }
    Ok((found, false))
}
