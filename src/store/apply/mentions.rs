//! Mentions: who is named in a body, and how many of them each member has yet to read.
//!
//! A mention is a row in the order in which its reader counts: a read marker that moves counts what is
//! left after it, and nothing else is ever counted. Rows that a sender, an edit or a deletion touches are
//! those of the members whom it names.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _,
    RunQueryDsl as _, delete,
    dsl::{exists, not},
    insert_into, update,
};

use super::{Context, Stop};
use crate::{
    chat::{AccountName, MAX_MENTIONS, Username, mentionable},
    store::{
        error::StoreError,
        prepared::Prepare as _,
        removed,
        rows::{self, MessageRow},
        schema::{hidden, members, mentions},
    },
};

/// Those whom a message mentions, by the keys of their accounts.
pub(super) type Mentioned = BTreeMap<i64, Username>;

/// Where a message stands.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub(super) conversation: i64,
    pub(super) message: i64,
    pub(super) seq: i64,
}

impl From<&MessageRow> for Spot {
    fn from(row: &MessageRow) -> Spot {
        Spot { conversation: row.conversation, message: row.id, seq: row.seq }
    }
}

/// Whom this body mentions: members of the conversation other than its author.
pub(super) fn find(
    context: &mut Context<'_>,
    conversation: i64,
    author: i64,
    body: &str,
) -> Result<Mentioned, Stop> {
    let mut found = Mentioned::new();
    for names in mentionable(body) {
        for name in names {
            let account = context.memory.people.named(context.connection, name.as_str())?;
            let Some(account) = account else { continue };
            if rows::member(context.connection, account.id, conversation)?.is_some() {
                if let AccountName::Named(username) = account.name()?
                    && account.id != author
                {
                    found.insert(account.id, username);
                }
                break;
            }
        }
    }
    debug_assert!(found.len() <= MAX_MENTIONS, "no more places are looked at");
    Ok(found)
}

/// Notes whom a message mentions, and counts it for those who have not read it.
pub(super) fn note(context: &mut Context<'_>, at: Spot, mentioned: &Mentioned) -> Result<(), Stop> {
    for account in mentioned.keys() {
        insert(context, at, *account)?;
    }
    Ok(())
}

/// A body was changed: whoever is named no more loses the mention, whoever is named now gets it.
pub(super) fn change(
    context: &mut Context<'_>,
    at: Spot,
    mentioned: &Mentioned,
) -> Result<(), Stop> {
    let before = of(context, at)?;
    for account in before.iter().filter(|account| !mentioned.contains_key(account)) {
        remove(context, at, *account)?;
    }
    for account in mentioned.keys().filter(|account| !before.contains(account)) {
        insert(context, at, *account)?;
    }
    Ok(())
}

/// A message is gone for everyone, and with it whatever it mentioned.
pub(super) fn clear(context: &mut Context<'_>, at: Spot) -> Result<(), Stop> {
    change(context, at, &Mentioned::new())
}

/// A message is about to go from one member's view: it counts no more there, and stands for its author.
pub(super) fn uncount(context: &mut Context<'_>, at: Spot, account: i64) -> Result<(), Stop> {
    if of(context, at)?.contains(&account) {
        add(context, at, account, -1)?;
    }
    Ok(())
}

/// How many mentions the reader has after this seq, what is removed from the own view aside.
pub(super) fn count_after(
    context: &mut Context<'_>,
    reader: i64,
    conversation: i64,
    seq: i64,
) -> Result<i64, Stop> {
    let is_hidden = exists(
        hidden::table
            .filter(hidden::account.eq(reader))
            .filter(hidden::message.eq(mentions::message)),
    );
    Ok(mentions::table
        .filter(mentions::account.eq(reader))
        .filter(mentions::conversation.eq(conversation))
        .filter(mentions::seq.gt(seq))
        .filter(not(is_hidden))
        .count()
        .get_result(context.connection)
        .map_err(StoreError::database("count mentions"))?)
}

fn of(context: &mut Context<'_>, at: Spot) -> Result<BTreeSet<i64>, Stop> {
    let found: Vec<i64> = mentions::table
        .filter(mentions::message.eq(at.message))
        .select(mentions::account)
        .load(context.connection)
        .map_err(StoreError::database("read whom a message mentions"))?;
    Ok(found.into_iter().collect())
}

fn insert(context: &mut Context<'_>, at: Spot, account: i64) -> Result<(), Stop> {
    insert_into(mentions::table)
        .values((
            mentions::account.eq(account),
            mentions::conversation.eq(at.conversation),
            mentions::seq.eq(at.seq),
            mentions::message.eq(at.message),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("note a mention"))?;
    context
        .record("mentions", &[account.into(), at.conversation.into(), at.seq.into(), true.into()]);
    add(context, at, account, 1)
}

fn remove(context: &mut Context<'_>, at: Spot, account: i64) -> Result<(), Stop> {
    delete(mentions::table.find((account, at.conversation, at.seq)))
        .execute(context.connection)
        .map_err(StoreError::database("forget a mention"))?;
    context.record("mentions", &[account.into(), at.conversation.into(), at.seq.into()]);
    add(context, at, account, -1)
}

/// Counts it for a member who has not read so far, and sees the message.
fn add(context: &mut Context<'_>, at: Spot, account: i64, more: i64) -> Result<(), Stop> {
    if removed::contains(context.connection, account, at.message)? {
        return Ok(());
    }
    let unread = members::account
        .eq(account)
        .and(members::conversation.eq(at.conversation))
        .and(members::read_seq.lt(at.seq));
    let mentions_after: Option<i64> = update(members::table.filter(unread))
        .set(members::mentions_after.eq(members::mentions_after + more))
        .returning(members::mentions_after)
        .prepared()
        .get_result(context.connection)
        .optional()
        .map_err(StoreError::database("count a mention"))?;
    if let Some(count) = mentions_after {
        context.record("members", &[account.into(), at.conversation.into(), count.into()]);
    }
    Ok(())
}
