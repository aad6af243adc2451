//! Sessions: who calls, and on which devices an account is logged in.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, RunQueryDsl as _,
    SelectableHelper as _,
};

use super::{
    Answer,
    page::{self, Page},
};
use crate::{
    chat::{Account, AccountId, Refusal, Session, SessionId, Timestamp, TokenHash},
    store::{
        error::StoreError,
        pool::Reader,
        rows::{self, SessionRow},
        schema::{session_tokens, sessions},
    },
};

/// The session that a token proves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownSession {
    /// Names it.
    pub session: SessionId,
    /// Whose it is.
    pub account: Account,
    /// Whether it has ended; then it is good for a repeat of the call that ended it, and nothing else.
    pub ended: bool,
    /// When its use was last noted.
    pub last_used: Timestamp,
}

impl Reader {
    /// The session that this token proves, ended ones included.
    pub fn session_by_token(
        &mut self,
        token: &TokenHash,
    ) -> Result<Option<KnownSession>, StoreError> {
        let key: Option<i64> = session_tokens::table
            .find(token.0.as_slice())
            .select(session_tokens::session)
            .first(&mut self.connection)
            .optional()
            .map_err(StoreError::database("find a session by its token"))?;
        let Some(key) = key else { return Ok(None) };
        let row: SessionRow = sessions::table
            .find(key)
            .select(SessionRow::as_select())
            .first(&mut self.connection)
            .map_err(StoreError::database("read a token's session"))?;
        let account = rows::account_by_key(&mut self.connection, row.account)?;
        Ok(Some(KnownSession {
            session: row.public_id()?,
            ended: row.end_time.is_some() || !account.lets_in(),
            account: account.view()?,
            last_used: Timestamp(row.last_used),
        }))
    }

    /// A page of the account's live sessions, the oldest first.
    pub fn sessions(
        &mut self,
        account: AccountId,
        page_size: i32,
        page_token: &str,
    ) -> Result<Answer<Page<Session>>, StoreError> {
        let (size, [after]) = match (page::size(page_size), page::read_numbers(page_token)) {
            (Ok(size), Ok(after)) => (size, after.unwrap_or([0])),
            (Err(refusal), _) | (_, Err(refusal)) => return Ok(Err(refusal)),
        };
        let Some(account) = rows::account_by_id(&mut self.connection, account)? else {
            return Ok(Err(Refusal::NoSuchAccount));
        };
        let found: Vec<SessionRow> = sessions::table
            .filter(sessions::account.eq(account.id))
            .filter(sessions::end_time.is_null())
            .filter(sessions::id.gt(after))
            .order(sessions::id)
            .limit(size + 1)
            .select(SessionRow::as_select())
            .load(&mut self.connection)
            .map_err(StoreError::database("list sessions"))?;
        let page = page::cut(found, size, |last| page::number_token(&[last.id]));
        let items = page.items.into_iter().map(view).collect::<Result<_, _>>()?;
        Ok(Ok(Page { items, next_page_token: page.next_page_token }))
    }
}

fn view(row: SessionRow) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.public_id()?,
        create_time: Timestamp(row.create_time),
        last_used_time: Timestamp(row.last_used),
        device_name: row.device_name,
    })
}
