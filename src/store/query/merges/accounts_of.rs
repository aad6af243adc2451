//! What an entry did to accounts: passwords that it changed, accounts that it ended.

use diesel::{
    ExpressionMethods as _, JoinOnDsl as _, QueryDsl as _, RunQueryDsl as _, SelectableHelper as _,
};

use super::{Translator, rooms_of::Found};
use crate::{
    chat::{AccountId, Command, Merge, MergeStep, MergedPassword, Proof, SessionId, Update},
    store::{
        error::StoreError,
        rows::{self, AccountRow, ConversationRow},
        schema::{conversations, membership_changes},
    },
};

/// So many rooms of an account that is gone are told with their heirs; of others the side that takes over
/// finds heirs of its own.
const ROOMS_AT_ONCE: i64 = 500;

impl Translator<'_> {
    /// The password if this entry's change is its newest one; a later one ended all sessions that this did.
    pub(super) fn changed_password(
        &mut self,
        session: Option<SessionId>,
        proof: Option<Proof>,
    ) -> Result<Option<MergeStep>, StoreError> {
        let (Some(account), Some(spared)) = (self.proved(proof)?, session) else {
            return Ok(None);
        };
        if account.deleted || account.password_position != self.position {
            return Ok(None);
        }
        self.password(&account, Some(spared), self.position as u64).map(Some)
    }

    /// The same for a password that an operator set.
    pub(super) fn reset_password(
        &mut self,
        account: AccountId,
    ) -> Result<Option<MergeStep>, StoreError> {
        match self.account(account)? {
            Some(account) if !account.deleted && account.password_position == self.position => {
                self.password(&account, None, self.position as u64).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// How often an account was disabled or enabled by now.
    pub(super) fn disabled(&mut self, account: AccountId) -> Result<Option<MergeStep>, StoreError> {
        let account = self.account(account)?.filter(|account| !account.deleted);
        let told = account.map(|account| {
            let changes = account.disabled_changes;
            Ok(MergeStep::Disabled { account: account.public_id()?, changes })
        });
        told.transpose()
    }

    /// All sessions that there were; those that only this side knows are told with their ends.
    pub(super) fn sessions_ended(&self, account: AccountId) -> MergeStep {
        MergeStep::SessionsEnded { account, known: self.side.common }
    }

    /// A change that this history took over, with the password that came of it.
    pub(super) fn taken_password(
        &mut self,
        taken: &MergedPassword,
    ) -> Result<Option<MergeStep>, StoreError> {
        match rows::account_by_id(&mut self.reader.connection, taken.account)? {
            Some(account) if !account.deleted => {
                self.password(&account, taken.spared, taken.known).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn password(
        &mut self,
        account: &AccountRow,
        spared: Option<SessionId>,
        known: u64,
    ) -> Result<MergeStep, StoreError> {
        Ok(MergeStep::Password(MergedPassword {
            account: account.public_id()?,
            password_hash: account.password_hash.clone(),
            password_version: account.password_version,
            spared,
            // Later ones are told with their ends.
            known: known.min(self.side.common),
            common: self.side.common,
        }))
    }

    /// The account that the entry's call ended, or an equal one did.
    pub(super) fn departed(
        &mut self,
        proof: Option<Proof>,
    ) -> Result<Option<MergeStep>, StoreError> {
        let account = self.proved(proof)?.filter(|account| account.deleted);
        account.map(|account| Ok(MergeStep::AccountDeleted(account.public_id()?))).transpose()
    }

    /// The rooms that the entry handed on because their owner's account ended. They come before that end, so
    /// that they have the same heirs on both sides.
    pub(super) fn left_rooms(&mut self, update: &Update) -> Result<Vec<MergeStep>, StoreError> {
        let account = match &update.command {
            Command::DeleteAccount(proof) => self.proved(*proof)?,
            Command::Merge(merge) => match **merge {
                Merge { step: MergeStep::AccountDeleted(account), .. } => self.account(account)?,
                _ => None,
            },
            _ => None,
        };
        let Some(account) = account.filter(|account| account.deleted) else {
            return Ok(Vec::new());
        };
        let found: Vec<Found> = membership_changes::table
            .inner_join(
                conversations::table.on(conversations::id.eq(membership_changes::conversation)),
            )
            .filter(membership_changes::position.eq(self.position))
            .filter(conversations::room_position.ge(self.position))
            .order(conversations::id)
            .limit(ROOMS_AT_ONCE)
            .select((
                ConversationRow::as_select(),
                conversations::create_time,
                conversations::delete_time,
            ))
            .load(&mut self.reader.connection)
            .map_err(StoreError::database("read the rooms that an entry handed on"))?;
        let gone = Some((account.public_id()?, false));
        let mut rooms = Vec::new();
        for room in found {
            rooms.extend(self.merged_room(room, gone)?);
        }
        Ok(rooms.into_iter().map(|room| MergeStep::Room(Box::new(room))).collect())
    }

    fn account(&mut self, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
        rows::account_by_id(&mut self.reader.connection, id)
    }

    fn proved(&mut self, proof: Option<Proof>) -> Result<Option<AccountRow>, StoreError> {
        match proof {
            Some(proof) => self.account(proof.account),
            None => Ok(None),
        }
    }
}
