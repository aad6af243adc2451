//! What accounts did to messages on the other side: deleted, received, read.

use std::collections::BTreeMap;

use diesel::{
    ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, SelectableHelper as _,
    SqliteConnection, connection::DefaultLoadingMode,
};

use super::{
    super::{
        Context, Stop, acknowledge, mark_read, remove,
        surroundings::{Atlas, Target},
    },
    messages::{find_conversation, is_news},
};
use crate::{
    chat::{AccountId, LostEpoch, MergedRead, MessageId},
    store::{
        aliases,
        error::StoreError,
        removed,
        rows::{self, ConversationRow, MemberRow, MessageRow},
        schema::messages,
    },
};

/// Deletes an account's own messages for everyone, and removes others' from its view.
pub(super) fn deleted(
    context: &mut Context<'_>,
    account: AccountId,
    ids: &[MessageId],
) -> Result<(), Stop> {
    let Some(account) = rows::account_by_id(context.connection, account)? else { return Ok(()) };
    let mut atlas = Atlas::default();
    for id in ids {
        let Some(message) = aliases::message(context.connection, *id)? else { continue };
        if message.deleted {
            continue;
        }
        let around = atlas.around(context, message.conversation)?;
        if message.sender == account.id {
            let time = context.time;
            remove::for_everyone(context, &account, time, &around, message)?;
            continue;
        }
        let removed = removed::contains(context.connection, account.id, message.id)?;
        let member = rows::member(context.connection, account.id, message.conversation)?;
        if let Some(member) = member.filter(|_| around.is_direct() && !removed) {
            let target = Target { message, member, is_hidden: false };
            remove::for_viewer(context, &account, &around, target)?;
        }
    }
    Ok(())
}

/// Marks direct messages as received; the earliest time counts.
pub(super) fn received(
    context: &mut Context<'_>,
    account: AccountId,
    ids: &[MessageId],
) -> Result<(), Stop> {
    let Some(account) = rows::account_by_id(context.connection, account)? else { return Ok(()) };
    let mut atlas = Atlas::default();
    for id in ids {
        let Some(message) = aliases::message(context.connection, *id)? else { continue };
        let around = atlas.around(context, message.conversation)?;
        let time = context.time;
        if around.is_direct() && message.sender != account.id && is_news(&message, time) {
            acknowledge::receive(context, message, time, &around)?;
        }
    }
    Ok(())
}

/// Lets the read marker rise over what was before the reader's eyes: up to the named message, and not
/// over the first one that only this side had. Returns where it stands.
pub(super) fn read(context: &mut Context<'_>, read: &MergedRead) -> Result<Option<i64>, Stop> {
    let Some(reader) = rows::account_by_id(context.connection, read.account)? else {
        return Ok(None);
    };
    let Some(conversation) = find_conversation(context, &read.conversation)? else {
        return Ok(None);
    };
    let Some(member) = rows::member(context.connection, reader.id, conversation.id)? else {
        return Ok(None);
    };
    let named = aliases::message(context.connection, read.message)?;
    let Some(named) = named.filter(|named| named.conversation == conversation.id) else {
        return Ok(Some(member.read_seq));
    };
    let seen = Seen {
        reader: reader.id,
        common: read.common as i64,
        epochs: read.epochs.iter().map(|seen| (seen.epoch, seen.until)).collect(),
    };
    let read_seq = seen.until(context.connection, &conversation, &member, &named)?;
    if read_seq > member.read_seq {
        mark_read::rise(context, &reader, &conversation, member, read_seq)?;
    }
    Ok(Some(read_seq))
}

/// What the reader's side had.
struct Seen {
    reader: i64,
    common: i64,
    /// Epochs that this side lacks, and up to where that side had them.
    epochs: BTreeMap<LostEpoch, u64>,
}

impl Seen {
    /// The last message before the first unseen one, and not after the named one.
    fn until(
        &self,
        connection: &mut SqliteConnection,
        conversation: &ConversationRow,
        member: &MemberRow,
        named: &MessageRow,
    ) -> Result<i64, Stop> {
        const AT_ONCE: i64 = 500;
        let mut at = member.read_seq;
        while at < named.seq {
            let part: Vec<MessageRow> = messages::table
                .filter(messages::conversation.eq(conversation.id))
                .filter(messages::seq.gt(at))
                .filter(messages::seq.le(named.seq))
                .order(messages::seq)
                .limit(AT_ONCE)
                .select(MessageRow::as_select())
                .load_iter::<MessageRow, DefaultLoadingMode>(connection)
                .and_then(Iterator::collect)
                .map_err(StoreError::database("read what a reader has seen"))?;
            for message in part {
                if !self.has(connection, &message)? {
                    return Ok(at);
                }
                at = message.seq;
            }
        }
        Ok(at)
    }

    /// Whether the message was there, under this id or another, or does not count as unread.
    fn has(&self, connection: &mut SqliteConnection, message: &MessageRow) -> Result<bool, Stop> {
        if message.id <= self.common || message.sender == self.reader || message.deleted {
            return Ok(true);
        }
        if self.is_of_that_side(&message.public_id()?) {
            return Ok(true);
        }
        let others = aliases::of_message(connection, message.id)?;
        Ok(others.iter().any(|id| self.is_of_that_side(id)))
    }

    fn is_of_that_side(&self, id: &MessageId) -> bool {
        let (number, server) = id.epoch();
        let until = self.epochs.get(&LostEpoch { number, server });
        until.is_some_and(|until| id.log_seq() <= *until)
    }
}
