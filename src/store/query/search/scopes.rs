//! Where a viewer may look, and whose messages are meant.

use std::collections::BTreeSet;

use diesel::{
    ExpressionMethods as _, JoinOnDsl as _, OptionalExtension as _, QueryDsl as _,
    RunQueryDsl as _, SqliteConnection,
};

use crate::{
    chat::{AccountName, ConversationName, Refusal},
    store::{
        aliases,
        error::StoreError,
        query::Answer,
        rows::{self, AccountRow},
        schema::{conversations, members, messages},
    },
};

/// A conversation to look into.
pub(super) struct Scope {
    pub(super) conversation: i64,
    /// The viewer sees what comes after it.
    pub(super) joined_seq: i64,
    /// No message of the conversation is newer.
    pub(super) last_position: i64,
}

/// Everybody who is meant: the present holder of a name, and who had it before a merge gave it away.
pub(super) fn authors(
    connection: &mut SqliteConnection,
    names: &[AccountName],
) -> Result<Answer<Vec<i64>>, StoreError> {
    let mut authors = BTreeSet::new();
    for name in names {
        let present = rows::account_by_name(connection, name)?.map(|account| account.id);
        let former = match name {
            AccountName::Named(username) => aliases::former(connection, username)?,
            AccountName::Deleted(_) => Vec::new(),
        };
        if present.is_none() && former.is_empty() {
            return Ok(Err(Refusal::NoSuchAccount));
        }
        authors.extend(present.into_iter().chain(former));
    }
    Ok(Ok(authors.into_iter().collect()))
}

/// Where the viewer may look, the conversation that changed last first.
pub(super) fn scopes(
    connection: &mut SqliteConnection,
    viewer: &AccountRow,
    only: Option<&ConversationName>,
) -> Result<Answer<Vec<Scope>>, StoreError> {
    if let Some(name) = only {
        let found = rows::conversation_of_member(connection, viewer.id, name)?;
        return Ok(found.map(|found| {
            let scope = found.map(|(conversation, member)| Scope {
                conversation: conversation.id,
                joined_seq: member.joined_seq,
                last_position: conversation.last_position,
            });
            scope.into_iter().collect()
        }));
    }
    let found: Vec<(i64, i64, i64)> = members::table
        .inner_join(conversations::table.on(conversations::id.eq(members::conversation)))
        .filter(members::account.eq(viewer.id))
        .order((conversations::last_position.desc(), conversations::id.desc()))
        .select((conversations::id, members::joined_seq, conversations::last_position))
        .load(connection)
        .map_err(StoreError::database("find where to search"))?;
    let scope = |(conversation, joined_seq, last_position)| Scope {
        conversation,
        joined_seq,
        last_position,
    };
    Ok(Ok(found.into_iter().map(scope).collect()))
}

/// The key of the first message there that the viewer may see; older ones need not be looked for.
pub(super) fn first_visible(
    connection: &mut SqliteConnection,
    scope: &Scope,
) -> Result<i64, StoreError> {
    if scope.joined_seq == 0 {
        return Ok(0);
    }
    let first: Option<i64> = messages::table
        .filter(messages::conversation.eq(scope.conversation))
        .filter(messages::seq.gt(scope.joined_seq))
        .order(messages::seq)
        .select(messages::id)
        .first(connection)
        .optional()
        .map_err(StoreError::database("find the first visible message"))?;
    Ok(first.unwrap_or(i64::MAX))
}
