//! What stands around a message: its conversation, who is told, and the marks that a change leaves.

use std::collections::BTreeMap;

use diesel::{
    ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, delete, insert_into, update,
};

use super::{Context, Stop};
use crate::{
    chat::{Audience, MAX_IDS, Malformed, MessageId, Place, Posted, Refusal},
    store::{
        error::StoreError,
        mentions,
        prepared::run_prepared,
        removed,
        rows::{self, AccountRow, ConversationRow, DIRECT, MemberRow, MessageRow},
        schema::{changes, conversations},
    },
};

/// A conversation with everything that telling of a change needs.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) conversation: ConversationRow,
    pub(super) place: Place,
    pub(super) audience: Audience,
}

impl Surroundings {
    pub(super) fn is_direct(&self) -> bool {
        self.conversation.kind == DIRECT
    }

    /// Those who may see this message: who came to a private room later is told nothing of it.
    pub(super) fn audience_of(
        &self,
        context: &mut Context<'_>,
        message: &MessageRow,
    ) -> Result<Audience, Stop> {
        context.memory.audiences.of_message(context.connection, message, &self.audience)
    }

    /// Those of them who have not removed it from their view: to whoever did, it does not come back.
    pub(super) fn viewers_of(
        &self,
        context: &mut Context<'_>,
        message: &MessageRow,
    ) -> Result<Audience, Stop> {
        let mut viewers = self.audience_of(context, message)?;
        let sides = [self.conversation.low_account, self.conversation.high_account];
        for side in sides.into_iter().flatten().filter(|side| *side != message.sender) {
            if removed::contains(context.connection, side, message.id)? {
                let side = rows::account_by_key(context.connection, side)?.public_id()?;
                viewers = viewers.without(side);
            }
        }
        Ok(viewers)
    }
}

/// A message that an account may see, as found by its id.
pub(super) struct Target {
    pub(super) message: MessageRow,
    pub(super) member: MemberRow,
    pub(super) is_hidden: bool,
}

/// Finds all of these messages or refuses; each once, however often it is named.
pub(super) fn targets(
    context: &mut Context<'_>,
    actor: &AccountRow,
    ids: &[MessageId],
) -> Result<Vec<Target>, Stop> {
    if ids.len() > MAX_IDS {
        let malformed = Malformed { allowed: "at most 500 ids" };
        return Err(Refusal::BadField { field: "message_ids", malformed }.into());
    }
    let mut found = BTreeMap::new();
    for id in ids {
        let (message, member) = rows::visible_message(context.connection, actor.id, *id)?
            .ok_or(Refusal::NoSuchMessage)?;
        found.insert(message.id, (message, member));
    }
    let keys: Vec<i64> = found.keys().copied().collect();
    let hidden = removed::among(context.connection, actor.id, &keys)?;
    let target =
        |(key, (message, member))| Target { message, member, is_hidden: hidden.contains(&key) };
    Ok(found.into_iter().map(target).collect())
}

/// The surroundings of the messages of one command, each conversation read once.
#[derive(Default)]
pub(super) struct Atlas(BTreeMap<i64, Surroundings>);

impl Atlas {
    pub(super) fn around(
        &mut self,
        context: &mut Context<'_>,
        conversation: i64,
    ) -> Result<Surroundings, Stop> {
        if let Some(known) = self.0.get(&conversation) {
            return Ok(known.clone());
        }
        let row = rows::conversation_by_key(context.connection, conversation)?;
        let surroundings = Surroundings {
            place: rows::place(context.connection, &row)?,
            audience: context.memory.audiences.of(context.connection, &row)?,
            conversation: row,
        };
        self.0.insert(conversation, surroundings.clone());
        Ok(surroundings)
    }
}

/// The message as its author sees it, for telling.
pub(super) fn posted(
    context: &mut Context<'_>,
    message: MessageRow,
    surroundings: &Surroundings,
) -> Result<Box<Posted>, Stop> {
    let author = rows::account_by_key(context.connection, message.sender)?;
    let conversation = surroundings.place.seen_by(author.public_id()?);
    let key = message.id;
    let mut message = message.view(conversation, author.name()?, false)?;
    mentions::fill(context.connection, key, &mut message)?;
    Ok(Box::new(Posted { place: surroundings.place.clone(), message }))
}

/// Notes for replays that an old message changed, for everybody; only the newest change is kept.
pub(super) fn note_change(context: &mut Context<'_>, message: &MessageRow) -> Result<(), Stop> {
    if let Some(earlier) = message.change_position {
        delete(changes::table.find((message.conversation, earlier, message.id)))
            .execute(context.connection)
            .map_err(StoreError::database("forget an earlier change"))?;
    }
    insert_change(context, message, None)?;
    run_prepared!(
        update(conversations::table.find(message.conversation))
            .set(conversations::last_position.eq(context.position)),
        context.connection
    )
    .map_err(StoreError::database("note a conversation's change"))?;
    Ok(())
}

/// Notes for replays that an old message changed for one viewer alone.
pub(super) fn insert_change(
    context: &mut Context<'_>,
    message: &MessageRow,
    viewer: Option<i64>,
) -> Result<(), Stop> {
    insert_into(changes::table)
        .values((
            changes::conversation.eq(message.conversation),
            changes::position.eq(context.position),
            changes::message.eq(message.id),
            changes::viewer.eq(viewer),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("note a change"))?;
    context.record("changes", &[(&message.public_id()?.0).into(), viewer.into()]);
    Ok(())
}
