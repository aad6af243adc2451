//! Moving the read marker.

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _,
    dsl::exists, update,
};

use super::{Context, Stop, mentions};
use crate::{
    chat::{ChangeKind, ConversationName, MessageSeq, Outcome},
    store::{
        error::StoreError,
        prepared::run_prepared,
        rows::{self, AccountRow, ConversationRow, MemberRow},
        schema::{hidden, members, messages},
    },
};

/// Moves the read marker forward, at most to the newest message. What is left unread after it is
/// counted anew; that costs what is left, nothing when all is read.
pub(super) fn mark_read(
    context: &mut Context<'_>,
    actor: &AccountRow,
    name: &ConversationName,
    seq: MessageSeq,
) -> Result<Outcome, Stop> {
    let found = rows::conversation_of_member(context.connection, actor.id, name)??;
    let Some((conversation, member)) = found else { return Ok(Outcome::ReadMoved { read_seq: 0 }) };
    let read_seq = seq.min(conversation.last_seq);
    if read_seq <= member.read_seq {
        return Ok(Outcome::ReadMoved { read_seq: member.read_seq });
    }
    rise(context, actor, &conversation, member, read_seq)?;
    Ok(Outcome::ReadMoved { read_seq })
}

/// Moves the marker up to here, which is further than it was.
pub(super) fn rise(
    context: &mut Context<'_>,
    actor: &AccountRow,
    conversation: &ConversationRow,
    member: MemberRow,
    read_seq: MessageSeq,
) -> Result<(), Stop> {
    let (own_after, gone_after) = count_after(context, actor.id, conversation, read_seq)?;
    let mentions_after = mentions::count_after(context, actor.id, conversation.id, read_seq)?;
    let member = MemberRow { read_seq, own_after, gone_after, mentions_after, ..member };
    run_prepared!(
        update(members::table.find((actor.id, conversation.id))).set((
            members::read_seq.eq(read_seq),
            members::read_position.eq(context.position),
            members::own_after.eq(own_after),
            members::gone_after.eq(gone_after),
            members::mentions_after.eq(mentions_after),
        )),
        context.connection
    )
    .map_err(StoreError::database("move a read marker"))?;
    context.memory.places.forget_count(actor.id, conversation.id);
    context.record(
        "members",
        &[
            actor.id.into(),
            conversation.id.into(),
            read_seq.into(),
            own_after.into(),
            gone_after.into(),
            mentions_after.into(),
        ],
    );
    let actor = actor.public_id()?;
    let kind = ChangeKind::ReadMoved {
        conversation: rows::place(context.connection, conversation)?.seen_by(actor),
        read_seq,
        unread_count: member.unread(conversation),
    };
    context.tell(vec![actor], kind);
    Ok(())
}

/// After this seq: the reader's own messages, and others' that are deleted or hidden.
fn count_after(
    context: &mut Context<'_>,
    reader: i64,
    conversation: &ConversationRow,
    seq: MessageSeq,
) -> Result<(i64, i64), Stop> {
    let after = messages::table
        .filter(messages::conversation.eq(conversation.id))
        .filter(messages::seq.gt(seq));
    let own = after
        .filter(messages::sender.eq(reader))
        .count()
        .get_result(context.connection)
        .map_err(StoreError::database("count own messages"))?;
    let is_hidden = exists(
        hidden::table.filter(hidden::account.eq(reader)).filter(hidden::message.eq(messages::id)),
    );
    let gone = after
        .filter(messages::sender.ne(reader))
        .filter(messages::deleted.eq(true).or(is_hidden))
        .count()
        .get_result(context.connection)
        .map_err(StoreError::database("count deleted messages"))?;
    Ok((own, gone))
}
