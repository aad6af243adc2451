//! Rooms by name, their members, and who shares a conversation with whom.

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, QueryDsl as _,
    RunQueryDsl as _, SelectableHelper as _, SqliteConnection,
    dsl::{exists, sql},
    sql_types::Text,
};

use super::{
    Answer,
    accounts::Matches,
    conversations::view,
    page::{self, Page},
};
use crate::{
    chat::{
        AccountId, AccountName, Audience, Conversation, ConversationName, Glob, Member, Refusal,
        RoomName, Signal, SignalKind, Timestamp,
    },
    store::{
        error::StoreError,
        pool::Reader,
        prepared::{no, number},
        rows::{self, AccountRow, ConversationRow, ROOM},
        schema::{accounts, conversations, members},
    },
};

impl Reader {
    /// A page of the rooms that the viewer may know of, public ones and the own, in the order of their
    /// names.
    pub fn rooms(
        &mut self,
        viewer: AccountId,
        pattern: &Glob,
        page_size: i32,
        page_token: &str,
    ) -> Result<Answer<Page<Conversation>>, StoreError> {
        let (size, after) = match page::size_and_name(page_size, page_token) {
            Ok(asked) => asked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let connection = &mut self.connection;
        let Some(viewer) = rows::account_by_id(connection, viewer)? else {
            return Ok(Err(Refusal::NoSuchAccount));
        };
        let own = exists(
            members::table
                .filter(members::account.eq(viewer.id))
                .filter(members::conversation.eq(conversations::id)),
        );
        let found: Vec<ConversationRow> = conversations::table
            .filter(conversations::kind.eq(number::<ROOM>()))
            .filter(conversations::deleted.eq(no()))
            .filter(conversations::name.gt(after))
            .filter(Matches::new(
                conversations::name,
                sql::<Text>("").bind::<Text, _>(page::glob(pattern)),
            ))
            .filter(conversations::private.eq(false).or(own))
            .order(conversations::name)
            .limit(size + 1)
            .select(ConversationRow::as_select())
            .load(connection)
            .map_err(StoreError::database("list rooms"))?;
        let page = page::cut(found, size, |last| {
            page::token(last.name.as_deref().unwrap_or_default().as_bytes())
        });
        let mut items = Vec::with_capacity(page.items.len());
        for room in page.items {
            let member = rows::member(connection, viewer.id, room.id)?;
            items.push(view(connection, &viewer, member.as_ref(), room)?);
        }
        Ok(Ok(Page { items, next_page_token: page.next_page_token }))
    }

    /// A page of a room's members, in the order of their names, for one of them. (It sorts the members of
    /// the room: one who pages through all of a large room pays for that once a page.)
    pub fn members(
        &mut self,
        viewer: AccountId,
        room: &RoomName,
        page_size: i32,
        page_token: &str,
    ) -> Result<Answer<Page<Member>>, StoreError> {
        let (size, after) = match page::size_and_name(page_size, page_token) {
            Ok(asked) => asked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let room = match self.room_of(viewer, room)? {
            Ok(room) => room,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let found: Vec<(AccountRow, i64)> = members::table
            .inner_join(accounts::table.on(accounts::id.eq(members::account)))
            .filter(members::conversation.eq(room.id))
            .filter(accounts::deleted.eq(false))
            .filter(accounts::username.gt(after))
            .order(accounts::username)
            .limit(size + 1)
            .select((AccountRow::as_select(), members::join_time))
            .load(&mut self.connection)
            .map_err(StoreError::database("list members"))?;
        let page = page::cut(found, size, |(last, _)| page::token(last.username.as_bytes()));
        let mut items = Vec::with_capacity(page.items.len());
        for (account, join_time) in page.items {
            items.push(Member {
                username: account.view()?.username,
                join_time: Timestamp(join_time),
                owner: room.owner == Some(account.id),
            });
        }
        Ok(Ok(Page { items, next_page_token: page.next_page_token }))
    }

    /// The sign that the viewer is typing there; `None` in a direct conversation that nobody has begun.
    pub fn typing(
        &mut self,
        viewer: AccountId,
        name: &ConversationName,
    ) -> Result<Answer<Option<Signal>>, StoreError> {
        let connection = &mut self.connection;
        let Some(viewer) = rows::account_by_id(connection, viewer)? else {
            return Ok(Err(Refusal::NoSuchAccount));
        };
        let conversation = match rows::conversation_of_member(connection, viewer.id, name)? {
            Ok(Some((conversation, _))) => conversation,
            Ok(None) => return Ok(Ok(None)),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let audience = Audience::from(others(connection, viewer.id, conversation.id)?);
        let kind = SignalKind::Typing(rows::place(connection, &conversation)?);
        Ok(Ok(Some(Signal { audience, account: viewer.name()?, kind })))
    }

    /// The sign that this account is there, or no longer, for whoever shares a conversation with it.
    pub fn presence(
        &mut self,
        account: AccountId,
        online: bool,
    ) -> Result<Option<Signal>, StoreError> {
        let connection = &mut self.connection;
        let Some(account) = rows::account_by_id(connection, account)? else { return Ok(None) };
        let shared: Vec<i64> = members::table
            .filter(members::account.eq(account.id))
            .select(members::conversation)
            .load(connection)
            .map_err(StoreError::database("read own conversations"))?;
        let mut ids = Vec::new();
        // One after the other: a list of all of them may be longer than a statement takes.
        for conversation in shared {
            ids.extend(others(connection, account.id, conversation)?);
        }
        let (audience, kind) = (Audience::from(ids), SignalKind::Presence { online });
        Ok(Some(Signal { audience, account: account.name()?, kind }))
    }

    /// How this account is called.
    pub fn name(&mut self, id: AccountId) -> Result<Option<AccountName>, StoreError> {
        rows::account_by_id(&mut self.connection, id)?.map(|row| row.name()).transpose()
    }

    fn room_of(
        &mut self,
        viewer: AccountId,
        room: &RoomName,
    ) -> Result<Answer<ConversationRow>, StoreError> {
        let connection = &mut self.connection;
        let Some(viewer) = rows::account_by_id(connection, viewer)? else {
            return Ok(Err(Refusal::NoSuchAccount));
        };
        let name = ConversationName::Room(room.clone());
        let found = rows::conversation_of_member(connection, viewer.id, &name)?;
        Ok(found.and_then(|found| found.map(|(room, _)| room).ok_or(Refusal::NoSuchRoom)))
    }
}

/// Everybody else in a conversation.
fn others(
    connection: &mut SqliteConnection,
    account: i64,
    conversation: i64,
) -> Result<Vec<AccountId>, StoreError> {
    let ids: Vec<Vec<u8>> = members::table
        .inner_join(accounts::table.on(accounts::id.eq(members::account)))
        .filter(members::conversation.eq(conversation))
        .filter(members::account.ne(account))
        .select(accounts::account_id)
        .load(connection)
        .map_err(StoreError::database("read who is told of a sign"))?;
    let parsed =
        ids.iter().map(|id| AccountId::from_slice(id).ok_or_else(|| rows::malformed("account id")));
    parsed.collect()
}
