//! Sending messages.

use std::sync::Arc;

use diesel::{ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, insert_into, update};

use super::{
    Context, Memory, Stop,
    mentions::{self, Spot},
    places::Stand,
};
use crate::{
    chat::{
        AccountName, ChangeKind, ConversationName, Message, MessageId, Outcome, Place, Posted,
        Refusal, SendMessage, Timestamp,
    },
    store::{
        error::StoreError,
        message_ids,
        prepared::run_prepared,
        rows::{self, AccountRow, ConversationRow, DIRECT},
        schema::{conversations, members, messages},
    },
};

/// Where a message goes.
struct Destination {
    /// `None` for a direct conversation that nobody has begun.
    stand: Option<Stand>,
    readers: Readers,
    place: Place,
}

/// Who reads it beside its sender.
enum Readers {
    /// The other side of a direct conversation.
    One(Arc<AccountRow>),
    /// A room's members.
    Room(Box<ConversationRow>),
}

/// Sends a message; the first one begins a direct conversation.
pub(super) fn send(
    context: &mut Context<'_>,
    sender: &AccountRow,
    send: &SendMessage,
) -> Result<Outcome, Stop> {
    let destination = destination(context, sender, &send.conversation)?;
    if let Some(answered) = send.reply_to {
        check_reply(context, sender, destination.stand, answered)?;
    }
    let Stand { conversation, last_seq } = match (destination.stand, &destination.readers) {
        (Some(stand), _) => stand,
        (None, Readers::One(other)) => {
            Stand { conversation: begin_direct(context, sender, other)?, last_seq: 0 }
        }
        (None, Readers::Room(_)) => unreachable!("a room exists before a message reaches it"),
    };
    let body = send.body.as_str();
    let mentioned = mentions::find(context, conversation, sender.id, body)?;
    let message = Message {
        id: MessageId::natural(
            context.epoch.number,
            context.epoch.server.0,
            context.position as u64,
        ),
        conversation: destination.place.seen_by(sender.public_id()?),
        seq: last_seq + 1,
        sender: sender.name()?,
        body: body.into(),
        reply_to: send.reply_to,
        create_time: Timestamp(context.time),
        edit_time: None,
        received_time: None,
        deleted: false,
        mentions: mentioned.values().cloned().collect(),
    };
    insert(context, conversation, sender, &message)?;
    let at = Spot { conversation, message: context.position, seq: message.seq };
    mentions::note(context, at, &mentioned)?;
    let told = match &destination.readers {
        Readers::One(other) => {
            let stand = Stand { conversation, last_seq: message.seq };
            context.memory.places.sent_directly(sender.id, other.id, stand);
            vec![sender.public_id()?, other.public_id()?].into()
        }
        Readers::Room(room) => context.memory.audiences.of(context.connection, room)?,
    };
    let posted = Posted { place: destination.place, message: message.clone() };
    context.tell(told, ChangeKind::MessageCreated(Box::new(posted)));
    Ok(Outcome::MessageSent(Box::new(message)))
}

fn destination(
    context: &mut Context<'_>,
    sender: &AccountRow,
    name: &ConversationName,
) -> Result<Destination, Stop> {
    match name {
        ConversationName::Direct(AccountName::Named(username)) => {
            let Memory { people, places, .. } = context.memory;
            let other = people
                .named(context.connection, username.as_str())?
                .ok_or(Refusal::NoSuchAccount)?;
            let stand = places.direct(context.connection, sender.id, other.id)?;
            let place = Place::Direct([sender.side()?, other.side()?]);
            Ok(Destination { stand, readers: Readers::One(other), place })
        }
        // A deleted account takes no messages.
        ConversationName::Direct(AccountName::Deleted(_)) => Err(Refusal::NoSuchAccount.into()),
        ConversationName::Room(room) => {
            let (row, _) = rows::conversation_of_member(context.connection, sender.id, name)??
                .ok_or(Refusal::NoSuchRoom)?;
            let stand = Some(Stand { conversation: row.id, last_seq: row.last_seq });
            let place = Place::Room(room.clone());
            Ok(Destination { stand, readers: Readers::Room(Box::new(row)), place })
        }
    }
}

/// The answered message stands in the same conversation, and the sender may see it.
fn check_reply(
    context: &mut Context<'_>,
    sender: &AccountRow,
    stand: Option<Stand>,
    answered: MessageId,
) -> Result<(), Stop> {
    let found = rows::visible_message(context.connection, sender.id, answered)?;
    let conversation = stand.map(|stand| stand.conversation);
    match found {
        Some((message, _)) if Some(message.conversation) == conversation => Ok(()),
        _ => Err(Refusal::NoSuchMessage.into()),
    }
}

/// Begins a direct conversation. A deleted account, which only a merge brings here, takes no part in it.
pub(super) fn begin_direct(
    context: &mut Context<'_>,
    sender: &AccountRow,
    other: &AccountRow,
) -> Result<i64, Stop> {
    let (low, high) = (sender.id.min(other.id), sender.id.max(other.id));
    insert_into(conversations::table)
        .values((
            conversations::id.eq(context.position),
            conversations::kind.eq(DIRECT),
            conversations::low_account.eq(low),
            conversations::high_account.eq(high),
            conversations::create_time.eq(context.time),
            conversations::last_seq.eq(0),
            conversations::last_position.eq(context.position),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("begin a direct conversation"))?;
    context.record("conversations", &[DIRECT.into(), low.into(), high.into()]);
    let mut sides = vec![sender, other];
    sides.sort_by_key(|side| side.id);
    sides.dedup_by_key(|side| side.id);
    for side in sides.into_iter().filter(|side| !side.deleted) {
        insert_member(context, side.id)?;
    }
    Ok(context.position)
}

fn insert_member(context: &mut Context<'_>, account: i64) -> Result<(), Stop> {
    insert_into(members::table)
        .values((
            members::account.eq(account),
            members::conversation.eq(context.position),
            members::joined_seq.eq(0),
            members::join_time.eq(context.time),
            members::read_seq.eq(0),
            members::read_position.eq(0),
            members::own_after.eq(0),
            members::gone_after.eq(0),
            members::mentions_after.eq(0),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("add a member"))?;
    context.record("members", &[account.into(), context.position.into()]);
    Ok(())
}

/// Writes the message, the conversation's end, and the own count of a sender who is a member.
pub(super) fn insert(
    context: &mut Context<'_>,
    conversation: i64,
    sender: &AccountRow,
    message: &Message,
) -> Result<(), Stop> {
    insert_into(messages::table)
        .values((
            messages::id.eq(context.position),
            messages::message_id.eq(message_ids::stored(&message.id, context.position)),
            messages::conversation.eq(conversation),
            messages::seq.eq(message.seq),
            messages::sender.eq(sender.id),
            messages::body.eq(message.body.as_str()),
            messages::reply_to.eq(message.reply_to.as_ref().map(|id| id.0.as_slice())),
            messages::create_time.eq(message.create_time.0),
            messages::edit_time.eq(message.edit_time.map(|time| time.0)),
            messages::received_time.eq(message.received_time.map(|time| time.0)),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("write a message"))?;
    run_prepared!(
        update(conversations::table.find(conversation)).set((
            conversations::last_seq.eq(message.seq),
            conversations::last_position.eq(context.position),
        )),
        context.connection
    )
    .map_err(StoreError::database("move a conversation's end"))?;
    let own_after = count_own(context, sender, conversation)?;
    context.recorder.row(
        "messages",
        &[
            (&message.id.0).into(),
            conversation.into(),
            message.seq.into(),
            sender.id.into(),
            message.body.as_str().into(),
            message.reply_to.as_ref().map(|id| &id.0).into(),
            message.create_time.0.into(),
        ],
    );
    context.record("members", &[sender.id.into(), conversation.into(), own_after.into()]);
    Ok(())
}

/// One message more that the sender need not read. (Two statements, for one that returns what it wrote makes
/// a table for it each time.)
fn count_own(
    context: &mut Context<'_>,
    sender: &AccountRow,
    conversation: i64,
) -> Result<Option<i64>, Stop> {
    let places = &mut context.memory.places;
    let before = places.own_after(context.connection, sender.id, conversation)?;
    let Some(count) = before.map(|before| before + 1) else { return Ok(None) };
    let membership = members::table.find((sender.id, conversation));
    run_prepared!(update(membership).set(members::own_after.eq(count)), context.connection)
        .map_err(StoreError::database("count an own message"))?;
    places.counted_own(sender.id, conversation, count);
    Ok(Some(count))
}
