//! Who acts and who is addressed, in memory: sessions and accounts change seldom, and every message would
//! look for three of their rows.
//!
//! It belongs to the writer and follows its open transaction; after a roll-back it begins anew. A command that
//! may write such a row forgets them all, which is little work to repeat and leaves nothing to go wrong.

use std::{collections::HashMap, sync::Arc};

use diesel::SqliteConnection;

use super::session::Actor;
use crate::{
    chat::{Command, SessionId},
    store::{
        error::StoreError,
        rows::{self, AccountRow},
    },
};

/// So many rows of each kind are held, 2 MiB; then all are forgotten.
const LIMIT: usize = 4_096;

/// See the file's header.
#[derive(Default)]
pub(super) struct People {
    actors: HashMap<SessionId, Arc<Actor>>,
    named: HashMap<String, Arc<AccountRow>>,
}

impl People {
    /// A session with its account, whether they have ended or not.
    pub(super) fn actor(
        &mut self,
        connection: &mut SqliteConnection,
        id: SessionId,
    ) -> Result<Option<Arc<Actor>>, StoreError> {
        if let Some(known) = self.actors.get(&id) {
            return Ok(Some(known.clone()));
        }
        let Some(session) = rows::session_by_id(connection, id)? else { return Ok(None) };
        let account = rows::account_by_key(connection, session.account)?;
        let actor = Arc::new(Actor { account, session });
        keep(&mut self.actors, id, &actor);
        Ok(Some(actor))
    }

    /// The living account of this name.
    pub(super) fn named(
        &mut self,
        connection: &mut SqliteConnection,
        username: &str,
    ) -> Result<Option<Arc<AccountRow>>, StoreError> {
        if let Some(known) = self.named.get(username) {
            return Ok(Some(known.clone()));
        }
        let Some(account) = rows::account_by_username(connection, username)? else {
            return Ok(None);
        };
        let account = Arc::new(account);
        keep(&mut self.named, username.to_owned(), &account);
        Ok(Some(account))
    }

    /// This command was carried out.
    pub(super) fn heed(&mut self, command: &Command) {
        if writes_people(command) {
            *self = People::default();
        }
    }
}

fn keep<Key, Row>(known: &mut HashMap<Key, Arc<Row>>, key: Key, row: &Arc<Row>)
where
    Key: Eq + std::hash::Hash,
{
    if known.len() == LIMIT {
        known.clear();
    }
    known.insert(key, row.clone());
}

/// Whether a command may write a row of an account or a session.
fn writes_people(command: &Command) -> bool {
    match command {
        Command::CreateAccount(_)
        | Command::Login(_)
        | Command::Logout
        | Command::EndSession(_)
        | Command::ChangePassword(_)
        | Command::DeleteAccount(_)
        | Command::TouchSession(_)
        | Command::ResetPassword(_)
        | Command::SetDisabled { .. }
        | Command::EndSessions(_)
        | Command::Expire(_)
        | Command::Merge(_) => true,
        Command::Mark(_)
        | Command::SendMessage(_)
        | Command::DeleteMessages(_)
        | Command::AcknowledgeMessages(_)
        | Command::MarkRead { .. }
        | Command::EditMessage { .. }
        | Command::CreateRoom(_)
        | Command::JoinRoom(_)
        | Command::LeaveRoom(_)
        | Command::AddMember { .. }
        | Command::RemoveMember { .. }
        | Command::UpdateRoom(_)
        | Command::TransferRoom { .. }
        | Command::DeleteRoom(_) => false,
    }
}
