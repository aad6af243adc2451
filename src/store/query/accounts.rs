//! Accounts by name, by id, by glob.

use diesel::{
    ExpressionMethods as _, JoinOnDsl as _, QueryDsl as _, RunQueryDsl as _, SelectableHelper as _,
    dsl::{count_star, max},
    sql_types::Bool,
    sqlite::Sqlite,
};

use super::{
    Answer,
    page::{self, Page},
};
use crate::{
    chat::{Account, AccountId, AdministeredAccount, Glob, Timestamp, Username},
    store::{
        error::StoreError,
        pool::Reader,
        prepared::no,
        rows::{self, AccountRow},
        schema::{accounts, aliases, sessions},
    },
};

diesel::infix_operator!(Matches, " GLOB ", Bool, backend: Sqlite);

/// What verifying a password needs.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Whose.
    pub account: Account,
    /// The Argon2id hash in PHC form.
    pub password_hash: String,
    /// Which of the account's passwords it is.
    pub password_version: i64,
}

/// The hash is not for logs.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Reader {
    /// The living accounts that somebody may mean who logs in under this name, with what verifying
    /// their passwords needs: the one of this name first, then those from which a merge took it.
    pub fn credentials(&mut self, name: &Username) -> Result<Vec<Credentials>, StoreError> {
        let connection = &mut self.connection;
        let own = rows::account_by_username(connection, name.as_str())?;
        let renamed: Vec<AccountRow> = aliases::table
            .inner_join(accounts::table.on(accounts::id.eq(aliases::account)))
            .filter(aliases::old_name.eq(name.as_str()))
            .order(accounts::id)
            .select(AccountRow::as_select())
            .load(connection)
            .map_err(StoreError::database("find accounts by an old name"))?;
        let known = own.as_ref().map(|own| own.id);
        let renamed = renamed.into_iter().filter(|row| !row.deleted && Some(row.id) != known);
        own.into_iter().chain(renamed).map(credentials).collect()
    }

    /// What verifying the password of the living account with this id needs.
    pub fn credentials_of(&mut self, id: AccountId) -> Result<Option<Credentials>, StoreError> {
        let row = rows::account_by_id(&mut self.connection, id)?;
        row.filter(|row| !row.deleted).map(credentials).transpose()
    }

    /// The living account with this id.
    pub fn account(&mut self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let row = rows::account_by_id(&mut self.connection, id)?;
        row.filter(|row| !row.deleted).map(|row| row.view()).transpose()
    }

    /// A page of the accounts whose name matches, in the order of their names.
    pub fn accounts(
        &mut self,
        pattern: &Glob,
        page_size: i32,
        page_token: &str,
    ) -> Result<Answer<Page<Account>>, StoreError> {
        let page = match self.account_rows(pattern, page_size, page_token)? {
            Ok(page) => page,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let items = page.items.iter().map(AccountRow::view).collect::<Result<_, _>>()?;
        Ok(Ok(Page { items, next_page_token: page.next_page_token }))
    }

    /// The same as an operator sees them.
    pub fn administered_accounts(
        &mut self,
        pattern: &Glob,
        page_size: i32,
        page_token: &str,
    ) -> Result<Answer<Page<AdministeredAccount>>, StoreError> {
        let page = match self.account_rows(pattern, page_size, page_token)? {
            Ok(page) => page,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let items =
            page.items.iter().map(|row| self.administered(row)).collect::<Result<_, _>>()?;
        Ok(Ok(Page { items, next_page_token: page.next_page_token }))
    }

    fn administered(&mut self, row: &AccountRow) -> Result<AdministeredAccount, StoreError> {
        let (sessions, last_used): (i64, Option<i64>) = sessions::table
            .filter(sessions::account.eq(row.id))
            .filter(sessions::end_time.is_null())
            .select((count_star(), max(sessions::last_used)))
            .first(&mut self.connection)
            .map_err(StoreError::database("count an account's sessions"))?;
        Ok(AdministeredAccount {
            account: row.view()?,
            disabled: row.is_disabled(),
            sessions,
            last_used: last_used.map(Timestamp),
        })
    }

    /// The living account of this name.
    pub fn account_named(&mut self, name: &Username) -> Result<Option<AccountId>, StoreError> {
        let row = rows::account_by_username(&mut self.connection, name.as_str())?;
        row.map(|row| row.public_id()).transpose()
    }

    fn account_rows(
        &mut self,
        pattern: &Glob,
        page_size: i32,
        page_token: &str,
    ) -> Result<Answer<Page<AccountRow>>, StoreError> {
        let (size, after) = match page::size_and_name(page_size, page_token) {
            Ok(asked) => asked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let found: Vec<AccountRow> = accounts::table
            .filter(accounts::deleted.eq(no()))
            .filter(accounts::username.gt(after))
            .filter(Matches::new(
                accounts::username,
                diesel::dsl::sql::<diesel::sql_types::Text>("")
                    .bind::<diesel::sql_types::Text, _>(page::glob(pattern)),
            ))
            .order(accounts::username)
            .limit(size + 1)
            .select(AccountRow::as_select())
            .load(&mut self.connection)
            .map_err(StoreError::database("list accounts"))?;
        Ok(Ok(page::cut(found, size, |last| page::token(last.username.as_bytes()))))
    }
}

fn credentials(row: AccountRow) -> Result<Credentials, StoreError> {
    Ok(Credentials {
        account: row.view()?,
        password_version: row.password_version,
        password_hash: row.password_hash,
    })
}
