//! Messages of the other side. What a deleted account sent, or was sent, stands in the history of whoever is
//! left; where nobody is, it stands without its body.

use diesel::{ExpressionMethods as _, RunQueryDsl as _, insert_into};

use super::{
    super::{
        Context, Stop, acknowledge,
        departure::is_read_by_somebody,
        expire, mentions, remove, send,
        surroundings::{Atlas, posted},
    },
    outcomes,
};
use crate::{
    chat::{
        Call, ChangeKind, MergedConversation, MergedMessage, MergedRequest, Message, MessageId,
    },
    store::{
        aliases,
        error::StoreError,
        rows::{self, AccountRow, ConversationRow, DIRECT, MessageRow},
        schema::message_aliases,
    },
    wire::log::stored_outcome::Kind,
};

/// Takes over a message. A new one gets the next seq and keeps its id and its times; one that is here
/// already is received or deleted if it was so there.
pub(super) fn merge(
    context: &mut Context<'_>,
    merged: &MergedMessage,
    request: Option<&MergedRequest>,
) -> Result<(), Stop> {
    if let Some(known) = aliases::message(context.connection, merged.message)? {
        return merge_marks(context, known, merged);
    }
    let Some(sender) = rows::account_by_id(context.connection, merged.sender)? else {
        return Ok(());
    };
    let Some(conversation) = conversation(context, &merged.conversation, &sender)? else {
        return Ok(());
    };
    if let Some(twin) = twin(context, &conversation, request)? {
        note_alias(context, merged.message, twin.id)?;
        return merge_marks(context, twin, merged);
    }
    insert(context, merged, &sender, &conversation)
}

/// The conversation here; a direct one is begun where it is missing.
fn conversation(
    context: &mut Context<'_>,
    merged: &MergedConversation,
    sender: &AccountRow,
) -> Result<Option<ConversationRow>, Stop> {
    if let Some(known) = find_conversation(context, merged)? {
        return Ok(Some(known));
    }
    let MergedConversation::Direct(one, other) = merged else { return Ok(None) };
    let one = rows::account_by_id(context.connection, *one)?;
    let other = rows::account_by_id(context.connection, *other)?;
    match (one, other) {
        (Some(one), Some(other)) if [one.id, other.id].contains(&sender.id) => {
            let key = send::begin_direct(context, &one, &other)?;
            Ok(Some(rows::conversation_by_key(context.connection, key)?))
        }
        _ => Ok(None),
    }
}

/// The conversation here, if it has begun.
pub(super) fn find_conversation(
    context: &mut Context<'_>,
    merged: &MergedConversation,
) -> Result<Option<ConversationRow>, Stop> {
    let connection = &mut *context.connection;
    Ok(match merged {
        MergedConversation::Direct(one, other) => {
            let one = rows::account_by_id(connection, *one)?;
            let other = rows::account_by_id(connection, *other)?;
            match (one, other) {
                (Some(one), Some(other)) => {
                    rows::direct_conversation(connection, one.id, other.id)?
                }
                _ => None,
            }
        }
        MergedConversation::Room(id) => aliases::room(connection, *id)?,
    })
}

/// The message that a repeat of the same call has made here. One that went to another conversation, for
/// its address meant another account there, is a message of its own.
fn twin(
    context: &mut Context<'_>,
    conversation: &ConversationRow,
    request: Option<&MergedRequest>,
) -> Result<Option<MessageRow>, Stop> {
    let Some(request) = request.filter(|request| request.call == Call::SendMessage) else {
        return Ok(None);
    };
    let Some(Kind::Message(message)) = outcomes::known(context, request)? else { return Ok(None) };
    let row = rows::message_by_key(context.connection, message)?;
    Ok(Some(row).filter(|row| row.conversation == conversation.id))
}

fn note_alias(context: &mut Context<'_>, id: MessageId, key: i64) -> Result<(), Stop> {
    insert_into(message_aliases::table)
        .values((message_aliases::message_id.eq(id.0.as_slice()), message_aliases::message.eq(key)))
        .execute(context.connection)
        .map_err(StoreError::database("note where a message stands"))?;
    context.record("message_aliases", &[(&id.0).into(), key.into()]);
    Ok(())
}

fn insert(
    context: &mut Context<'_>,
    merged: &MergedMessage,
    sender: &AccountRow,
    conversation: &ConversationRow,
) -> Result<(), Stop> {
    let is_purged = conversation.kind == DIRECT && !is_read_by_somebody(context, conversation.id)?;
    let body = merged.body.as_ref().filter(|_| !is_purged);
    let message = Message {
        id: merged.message,
        conversation: rows::place(context.connection, conversation)?.seen_by(sender.public_id()?),
        seq: conversation.last_seq + 1,
        sender: sender.name()?,
        body: body.map(|body| body.as_str().to_owned()).unwrap_or_default(),
        reply_to: match merged.reply_to {
            Some(id) => Some(present_id(context, id)?),
            None => None,
        },
        create_time: merged.create_time,
        edit_time: merged.edit_time,
        received_time: merged.received_time,
        deleted: false,
        mentions: Vec::new(),
    };
    send::insert(context, conversation.id, sender, &message)?;
    let edited = merged.edit_time.map(|time| time.0);
    let received = merged.received_time.map(|time| time.0);
    context.record("messages", &[(&merged.message.0).into(), edited.into(), received.into()]);
    if merged.message.log_seq() as i64 != context.position {
        note_alias(context, merged.message, context.position)?;
    }
    if is_purged {
        return expire::blank_messages(context, conversation.id, message.seq - 1, message.seq);
    }
    let row = rows::message_by_key(context.connection, context.position)?;
    let mentioned = mentions::find(context, conversation.id, sender.id, &row.body)?;
    mentions::note(context, (&row).into(), &mentioned)?;
    let around = Atlas::default().around(context, conversation.id)?;
    // Nobody is told of the creation of a message that is gone: only that there is none at its seq.
    if merged.deletion.is_some() {
        return merge_marks(context, row, merged);
    }
    let posted = posted(context, row, &around)?;
    context.tell(around.audience, ChangeKind::MessageCreated(posted));
    Ok(())
}

/// The id under which a message is known here.
fn present_id(context: &mut Context<'_>, id: MessageId) -> Result<MessageId, Stop> {
    match aliases::message(context.connection, id)? {
        Some(row) => Ok(row.public_id()?),
        None => Ok(id),
    }
}

/// What happened to the message on the other side: the first receipt counts, and a deletion wins.
fn merge_marks(
    context: &mut Context<'_>,
    known: MessageRow,
    merged: &MergedMessage,
) -> Result<(), Stop> {
    let around = Atlas::default().around(context, known.conversation)?;
    let mut row = known;
    if let Some(time) = merged.received_time.filter(|time| is_news(&row, time.0)) {
        let key = row.id;
        acknowledge::receive(context, row, time.0, &around)?;
        row = rows::message_by_key(context.connection, key)?;
    }
    let Some((by, time)) = merged.deletion.filter(|_| !row.deleted) else { return Ok(()) };
    let by = match rows::account_by_id(context.connection, by)? {
        Some(by) => by,
        None => rows::account_by_key(context.connection, row.sender)?,
    };
    remove::for_everyone(context, &by, time.0, &around, row)
}

/// Whether a receipt at this time is earlier than what is known.
pub(super) fn is_news(message: &MessageRow, time: i64) -> bool {
    !message.deleted && message.received_time.is_none_or(|known| time < known)
}
