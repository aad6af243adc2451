//! Where people write to each other, in memory: every message would look for its conversation and for its
//! sender's count before it moves them on.
//!
//! It belongs to the writer and follows its open transaction; after a roll-back it begins anew. Messages keep it
//! up to date, and whatever changes a count otherwise takes it out; any other command that may write such a row
//! forgets it all. A debug build compares what is remembered with the rows.

use std::collections::HashMap;

use diesel::{OptionalExtension as _, QueryDsl as _, RunQueryDsl as _, SqliteConnection};

use crate::{
    chat::{Command, MessageSeq},
    store::{error::StoreError, rows, schema::members},
};

/// So many conversations and so many counts are held, 1 MiB; then all are forgotten.
const LIMIT: usize = 8_192;

/// A conversation and the seq of its newest message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stand {
    pub(super) conversation: i64,
    pub(super) last_seq: MessageSeq,
}

/// See the file's header.
#[derive(Default)]
pub(super) struct Places {
    /// By the accounts of both sides, the lower first.
    direct: HashMap<(i64, i64), Stand>,
    /// By account and conversation.
    own_after: HashMap<(i64, i64), i64>,
}

impl Places {
    /// The direct conversation of two accounts; `None` if nobody has begun it.
    pub(super) fn direct(
        &mut self,
        connection: &mut SqliteConnection,
        one: i64,
        other: i64,
    ) -> Result<Option<Stand>, StoreError> {
        let sides = (one.min(other), one.max(other));
        let known = self.direct.get(&sides).copied();
        if known.is_some() && !cfg!(debug_assertions) {
            return Ok(known);
        }
        let row = rows::direct_conversation(connection, one, other)?;
        let stand = row.map(|row| Stand { conversation: row.id, last_seq: row.last_seq });
        assert!(known.is_none() || known == stand, "{known:?} is remembered of {stand:?}");
        if let Some(stand) = stand {
            keep(&mut self.direct, sides, stand);
        }
        Ok(stand)
    }

    /// A message was written to the direct conversation of two accounts.
    pub(super) fn sent_directly(&mut self, one: i64, other: i64, stand: Stand) {
        keep(&mut self.direct, (one.min(other), one.max(other)), stand);
    }

    /// How many messages of its own an account has after its read marker; `None` if it is no member.
    pub(super) fn own_after(
        &mut self,
        connection: &mut SqliteConnection,
        account: i64,
        conversation: i64,
    ) -> Result<Option<i64>, StoreError> {
        let known = self.own_after.get(&(account, conversation)).copied();
        if known.is_some() && !cfg!(debug_assertions) {
            return Ok(known);
        }
        let count = members::table
            .find((account, conversation))
            .select(members::own_after)
            .first(connection)
            .optional()
            .map_err(StoreError::database("read the count of own messages"))?;
        assert!(known.is_none() || known == count, "{known:?} is remembered of {count:?}");
        Ok(count)
    }

    /// The count was written.
    pub(super) fn counted_own(&mut self, account: i64, conversation: i64, count: i64) {
        keep(&mut self.own_after, (account, conversation), count);
    }

    /// The account's read marker moved there, or the account left.
    pub(super) fn forget_count(&mut self, account: i64, conversation: i64) {
        self.own_after.remove(&(account, conversation));
    }

    /// This command was carried out.
    pub(super) fn heed(&mut self, command: &Command) {
        if writes_places(command) {
            *self = Places::default();
        }
    }
}

fn keep<Value>(known: &mut HashMap<(i64, i64), Value>, key: (i64, i64), value: Value) {
    if known.len() == LIMIT && !known.contains_key(&key) {
        known.clear();
    }
    known.insert(key, value);
}

/// Whether a command may write a conversation's end or a member's own count, other than as said above.
fn writes_places(command: &Command) -> bool {
    match command {
        Command::DeleteAccount(_)
        | Command::CreateRoom(_)
        | Command::JoinRoom(_)
        | Command::LeaveRoom(_)
        | Command::AddMember { .. }
        | Command::RemoveMember { .. }
        | Command::UpdateRoom(_)
        | Command::TransferRoom { .. }
        | Command::DeleteRoom(_)
        | Command::Expire(_)
        | Command::Merge(_) => true,
        Command::SendMessage(_)
        | Command::MarkRead { .. }
        | Command::DeleteMessages(_)
        | Command::AcknowledgeMessages(_)
        | Command::EditMessage { .. }
        | Command::CreateAccount(_)
        | Command::Login(_)
        | Command::Logout
        | Command::EndSession(_)
        | Command::ChangePassword(_)
        | Command::ResetPassword(_)
        | Command::SetDisabled { .. }
        | Command::EndSessions(_)
        | Command::TouchSession(_)
        | Command::Mark(_) => false,
    }
}
