//! Who is told of what happens in a room, in memory: a message must not cost a look at each member.
//!
//! It belongs to the writer and follows its open transaction; after a roll-back it begins anew. Direct
//! conversations are not kept: their two sides are known without it.

use std::collections::BTreeMap;

use diesel::{
    ExpressionMethods as _, JoinOnDsl as _, QueryDsl as _, RunQueryDsl as _, SqliteConnection,
};

use super::Stop;
use crate::{
    chat::{AccountId, Audience},
    store::{
        error::StoreError,
        rows::{self, ConversationRow, DIRECT, MessageRow},
        schema::{accounts, members},
    },
};

/// So many accounts are held in all rooms together, 4 MiB; then all are forgotten.
const LIMIT: usize = 262_144;

/// See the file's header.
#[derive(Default)]
pub(in crate::store) struct Audiences {
    rooms: BTreeMap<i64, Known>,
    held: usize,
}

struct Known {
    audience: Audience,
    /// No member's view begins after it.
    joined_seq: i64,
}

impl Audiences {
    /// Everybody in the conversation.
    pub(super) fn of(
        &mut self,
        connection: &mut SqliteConnection,
        conversation: &ConversationRow,
    ) -> Result<Audience, Stop> {
        if let Some(known) = self.rooms.get(&conversation.id) {
            return Ok(known.audience.clone());
        }
        let (audience, joined_seq) = load(connection, conversation.id, i64::MAX)?;
        if conversation.kind != DIRECT {
            self.keep(conversation.id, Known { audience: audience.clone(), joined_seq });
        }
        Ok(audience)
    }

    /// Those of this audience of the message's conversation whose view begins before it.
    pub(super) fn of_message(
        &mut self,
        connection: &mut SqliteConnection,
        message: &MessageRow,
        all: &Audience,
    ) -> Result<Audience, Stop> {
        match self.rooms.get(&message.conversation) {
            Some(known) if known.joined_seq >= message.seq => {
                Ok(load(connection, message.conversation, message.seq)?.0)
            }
            _ => Ok(all.clone()),
        }
    }

    /// Somebody came whose view begins after this seq.
    pub(super) fn add(&mut self, conversation: i64, account: AccountId, joined_seq: i64) {
        if let Some(known) = self.rooms.remove(&conversation) {
            self.held -= known.audience.accounts().len();
            let joined_seq = known.joined_seq.max(joined_seq);
            self.keep(conversation, Known { audience: known.audience.with(account), joined_seq });
        }
    }

    /// Somebody left.
    pub(super) fn remove(&mut self, conversation: i64, account: AccountId) {
        if let Some(known) = self.rooms.remove(&conversation) {
            self.held -= known.audience.accounts().len();
            self.keep(conversation, Known { audience: known.audience.without(account), ..known });
        }
    }

    /// The room is gone.
    pub(super) fn forget(&mut self, conversation: i64) {
        if let Some(known) = self.rooms.remove(&conversation) {
            self.held -= known.audience.accounts().len();
        }
    }

    fn keep(&mut self, conversation: i64, known: Known) {
        if self.held + known.audience.accounts().len() > LIMIT {
            *self = Audiences::default();
        }
        self.held += known.audience.accounts().len();
        self.rooms.insert(conversation, known);
    }
}

/// The members whose view begins before this seq, and where the latest of them begins.
fn load(
    connection: &mut SqliteConnection,
    conversation: i64,
    before: i64,
) -> Result<(Audience, i64), Stop> {
    let found: Vec<(Vec<u8>, i64)> = members::table
        .inner_join(accounts::table.on(accounts::id.eq(members::account)))
        .filter(members::conversation.eq(conversation))
        .filter(members::joined_seq.lt(before))
        .select((accounts::account_id, members::joined_seq))
        .load(connection)
        .map_err(StoreError::database("read the members of a conversation"))?;
    let mut ids = Vec::with_capacity(found.len());
    for (id, _) in &found {
        ids.push(AccountId::from_slice(id).ok_or_else(|| rows::malformed("account id"))?);
    }
    let joined_seq = found.iter().map(|(_, joined_seq)| *joined_seq).max().unwrap_or(0);
    Ok((Audience::from(ids), joined_seq))
}
