//! Editing a message.
//!
//! When two histories are merged, the winner's edit stands if it was made after the divergence, else the
//! loser's; a deletion wins over any edit.

use diesel::{ExpressionMethods as _, QueryDsl as _, update};

use super::{
    Context, Stop, mentions,
    surroundings::{Atlas, note_change, posted},
};
use crate::{
    chat::{Body, ChangeKind, Message, MessageId, Outcome, Refusal},
    store::{
        error::StoreError,
        prepared::run_prepared,
        rows::{self, AccountRow, MessageRow},
        schema::messages,
    },
};

/// Changes the body of an own message. One that is deleted is no message any more.
pub(super) fn edit(
    context: &mut Context<'_>,
    actor: &AccountRow,
    id: MessageId,
    body: &Body,
) -> Result<Outcome, Stop> {
    let found = rows::visible_message(context.connection, actor.id, id)?;
    let (message, _) = found.ok_or(Refusal::NoSuchMessage)?;
    if message.sender != actor.id {
        return Err(Refusal::NotAllowed.into());
    }
    if message.deleted {
        return Err(Refusal::NoSuchMessage.into());
    }
    // Another leader's clock may be behind; the time of the edit is never before the message's own.
    let edit_time = context.time.max(message.edit_time.unwrap_or(message.create_time));
    context.subject = message.id;
    let edited = write(context, message, body, edit_time)?;
    Ok(Outcome::MessageEdited(Box::new(edited)))
}

/// Gives a message that is not deleted another body, and tells of it; returns it as its author sees it.
pub(super) fn write(
    context: &mut Context<'_>,
    message: MessageRow,
    body: &Body,
    edit_time: i64,
) -> Result<Message, Stop> {
    let mentioned = mentions::find(context, message.conversation, message.sender, body.as_str())?;
    run_prepared!(
        update(messages::table.find(message.id)).set((
            messages::body.eq(body.as_str()),
            messages::edit_time.eq(edit_time),
            messages::change_position.eq(context.position),
            messages::edit_position.eq(context.position),
        )),
        context.connection
    )
    .map_err(StoreError::database("edit a message"))?;
    let text = body.as_str();
    let id = message.public_id()?;
    context.record("messages", &[(&id.0).into(), text.into(), edit_time.into()]);
    mentions::change(context, (&message).into(), &mentioned)?;
    note_change(context, &message)?;
    let around = Atlas::default().around(context, message.conversation)?;
    let audience = around.viewers_of(context, &message)?;
    let edited = MessageRow { body: text.into(), edit_time: Some(edit_time), ..message };
    let posted = posted(context, edited, &around)?;
    context.tell(audience, ChangeKind::MessageChanged(posted.clone()));
    Ok(posted.message)
}
