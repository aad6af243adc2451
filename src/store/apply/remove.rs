//! Deleting messages: the author's for everyone, a received direct one from the own view.

use diesel::{ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, insert_into, update};

use super::{
    Context, Stop, mentions,
    surroundings::{Atlas, Surroundings, Target, insert_change, note_change, posted, targets},
};
use crate::{
    chat::{ChangeKind, MessageId, Outcome, Refusal},
    store::{
        error::StoreError,
        prepared::{Prepare as _, run_prepared},
        removed,
        rows::{AccountRow, MessageRow},
        schema::{deleted_messages, hidden, members, messages},
    },
};

/// Deletes all of these messages, or none.
pub(super) fn delete(
    context: &mut Context<'_>,
    actor: &AccountRow,
    ids: &[MessageId],
) -> Result<Outcome, Stop> {
    let targets = targets(context, actor, ids)?;
    let mut atlas = Atlas::default();
    for target in &targets {
        let around = atlas.around(context, target.message.conversation)?;
        if target.message.sender != actor.id && !around.is_direct() {
            return Err(Refusal::NotAllowed.into());
        }
    }
    for target in targets {
        if target.message.deleted || target.is_hidden {
            continue;
        }
        let around = atlas.around(context, target.message.conversation)?;
        if target.message.sender == actor.id {
            let time = context.time;
            for_everyone(context, actor, time, &around, target.message)?;
        } else {
            for_viewer(context, actor, &around, target)?;
        }
    }
    Ok(Outcome::MessagesDeleted)
}

/// Deletes a message that is not deleted yet. The body is archived unless the account that did it is gone.
pub(super) fn for_everyone(
    context: &mut Context<'_>,
    by: &AccountRow,
    time: i64,
    around: &Surroundings,
    message: MessageRow,
) -> Result<(), Stop> {
    insert_into(deleted_messages::table)
        .values((
            deleted_messages::message.eq(message.id),
            deleted_messages::body.eq(Some(message.body.as_str()).filter(|_| !by.deleted)),
            deleted_messages::deleted_by.eq(by.id),
            deleted_messages::delete_time.eq(time),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("archive a deleted message"))?;
    run_prepared!(
        update(messages::table.find(message.id)).set((
            messages::body.eq(""),
            messages::deleted.eq(true),
            messages::change_position.eq(context.position),
        )),
        context.connection
    )
    .map_err(StoreError::database("delete a message"))?;
    let id = message.public_id()?;
    context.record("deleted_messages", &[(&id.0).into(), by.id.into(), time.into()]);
    uncount(context, around, &message)?;
    mentions::clear(context, (&message).into())?;
    note_change(context, &message)?;
    let audience = around.audience_of(context, &message)?;
    let gone = MessageRow { body: String::new(), deleted: true, ..message };
    let posted = posted(context, gone, around)?;
    context.tell(audience, ChangeKind::MessageDeleted(posted));
    Ok(())
}

/// The message is no longer unread to those who have not read it.
fn uncount(
    context: &mut Context<'_>,
    around: &Surroundings,
    message: &MessageRow,
) -> Result<(), Stop> {
    let mut not_counting = vec![message.sender];
    // Only the recipient of a direct message can have removed it already.
    let sides = [around.conversation.low_account, around.conversation.high_account];
    for side in sides.into_iter().flatten().filter(|side| *side != message.sender) {
        if removed::contains(context.connection, side, message.id)? {
            not_counting.push(side);
        }
    }
    let mut counts: Vec<(i64, i64)> = update(
        members::table
            .filter(members::conversation.eq(message.conversation))
            .filter(members::read_seq.lt(message.seq))
            .filter(members::account.ne_all(not_counting)),
    )
    .set(members::gone_after.eq(members::gone_after + 1))
    .returning((members::account, members::gone_after))
    .get_results(context.connection)
    .map_err(StoreError::database("count a deleted message"))?;
    counts.sort_unstable();
    for (account, gone_after) in counts {
        let conversation = message.conversation;
        context.record("members", &[account.into(), conversation.into(), gone_after.into()]);
    }
    Ok(())
}

/// Removes a message from a viewer's own view, where it still is.
pub(super) fn for_viewer(
    context: &mut Context<'_>,
    actor: &AccountRow,
    around: &Surroundings,
    target: Target,
) -> Result<(), Stop> {
    let Target { message, member, .. } = target;
    mentions::uncount(context, (&message).into(), actor.id)?;
    insert_into(hidden::table)
        .values((hidden::account.eq(actor.id), hidden::message.eq(message.id)))
        .execute(context.connection)
        .map_err(StoreError::database("remove a message from a view"))?;
    context.record("hidden", &[actor.id.into(), (&message.public_id()?.0).into()]);
    // The viewer's own position moves, not the conversation's: the other side is not to notice.
    let uncounted = i64::from(member.read_seq < message.seq);
    let gone_after: i64 = update(members::table.find((actor.id, message.conversation)))
        .set((
            members::gone_after.eq(members::gone_after + uncounted),
            members::read_position.eq(context.position),
        ))
        .returning(members::gone_after)
        .prepared()
        .get_result(context.connection)
        .map_err(StoreError::database("count a removed message"))?;
    let conversation = message.conversation;
    context.record("members", &[actor.id.into(), conversation.into(), gone_after.into()]);
    insert_change(context, &message, Some(actor.id))?;
    let posted = posted(context, message, around)?;
    context.tell(vec![actor.public_id()?], ChangeKind::MessageDeleted(posted));
    Ok(())
}
