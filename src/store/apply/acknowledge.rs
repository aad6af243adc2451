//! Marking direct messages as received.

use diesel::{ExpressionMethods as _, QueryDsl as _, update};

use super::{
    Context, Stop,
    surroundings::{Atlas, Surroundings, note_change, posted, targets},
};
use crate::{
    chat::{ChangeKind, MessageId, Outcome},
    store::{
        error::StoreError,
        prepared::run_prepared,
        rows::{AccountRow, MessageRow},
        schema::messages,
    },
};

/// Marks all of these messages as received, or none. What reached a room, was written by the caller,
/// was received before, or is gone stays as it is: devices acknowledge whatever they get.
pub(super) fn acknowledge(
    context: &mut Context<'_>,
    actor: &AccountRow,
    ids: &[MessageId],
) -> Result<Outcome, Stop> {
    let mut atlas = Atlas::default();
    for target in targets(context, actor, ids)? {
        let message = target.message;
        let around = atlas.around(context, message.conversation)?;
        let counts = around.is_direct()
            && message.sender != actor.id
            && message.received_time.is_none()
            && !message.deleted
            && !target.is_hidden;
        if !counts {
            continue;
        }
        let time = context.time;
        receive(context, message, time, &around)?;
    }
    Ok(Outcome::MessagesAcknowledged)
}

/// Notes when a message was received.
pub(super) fn receive(
    context: &mut Context<'_>,
    message: MessageRow,
    time: i64,
    around: &Surroundings,
) -> Result<(), Stop> {
    run_prepared!(
        update(messages::table.find(message.id)).set((
            messages::received_time.eq(time),
            messages::change_position.eq(context.position)
        )),
        context.connection
    )
    .map_err(StoreError::database("mark a message as received"))?;
    context.record("messages", &[(&message.public_id()?.0).into(), time.into()]);
    note_change(context, &message)?;
    let audience = around.viewers_of(context, &message)?;
    let received = MessageRow { received_time: Some(time), ..message };
    let posted = posted(context, received, around)?;
    context.tell(audience, ChangeKind::MessageChanged(posted));
    Ok(())
}
