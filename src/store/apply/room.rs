//! Rooms: making, changing, handing on and closing them.
//!
//! A private room is unknown to whoever is no member: the first look at it refuses with `NO_SUCH_ROOM`,
//! whatever was asked. A closed room keeps its row and its messages' rows, which nobody reaches any more;
//! the bodies go after the retention period, as those of deleted messages do.
//!
//! When two histories are merged, a room is the same one on both sides if its `room_id` is. Two rooms of
//! one name: the losing side's is renamed `name~xyz`, as an account is. Topic, privacy and owner are the
//! winner's where it changed them after the divergence (`room_position`), else the loser's. A room that
//! one side closed is closed; one that was closed for its owner's account was deleted goes on with the members
//! whom it has on the other side. A room whose owner was deleted on the winning side comes without members, is
//! its first comer's, and gives up its name as long as nobody is in it.

use std::collections::BTreeMap;

use diesel::{
    ExpressionMethods as _, JoinOnDsl as _, QueryDsl as _, RunQueryDsl as _, SelectableHelper as _,
    delete as delete_from, insert_into, update as update_row,
};

use super::{
    Context, Stop,
    departure::is_read_by_somebody,
    membership::{admit, note_membership},
};
use crate::{
    chat::{
        ChangeKind, ConversationName, CreateRoom, Outcome, Refusal, RoomId, RoomName, Topic,
        UpdateRoom, Username,
    },
    store::{
        error::StoreError,
        query::conversation_view,
        rooms,
        rows::{self, AccountRow, ConversationRow, MemberRow, ROOM},
        schema::{accounts, conversations, members},
    },
};

/// Creates a room with its owner as the only member.
pub(super) fn create(
    context: &mut Context<'_>,
    actor: &AccountRow,
    create: &CreateRoom,
) -> Result<Outcome, Stop> {
    if let Some(holder) = rows::room(context.connection, &create.room)? {
        if is_read_by_somebody(context, holder.id)? {
            return Err(Refusal::NameTaken.into());
        }
        let time = context.time;
        close(context, &holder, time)?;
    }
    let new = NewRoom {
        id: create.id,
        name: &create.room,
        topic: &create.topic,
        private: create.private,
        time: context.time,
    };
    let room = insert(context, &new, actor)?;
    stands(context, actor, room.id)
}

/// A room to be made.
pub(super) struct NewRoom<'a> {
    pub(super) id: RoomId,
    /// Nobody else has it.
    pub(super) name: &'a RoomName,
    pub(super) topic: &'a Topic,
    pub(super) private: bool,
    pub(super) time: i64,
}

/// Makes a room with its owner as the only member; a deleted one is none.
pub(super) fn insert(
    context: &mut Context<'_>,
    new: &NewRoom<'_>,
    owner: &AccountRow,
) -> Result<ConversationRow, Stop> {
    let (name, topic, private) = (new.name.as_str(), new.topic.as_str(), new.private);
    insert_into(conversations::table)
        .values((
            conversations::id.eq(context.position),
            conversations::kind.eq(ROOM),
            conversations::name.eq(name),
            conversations::topic.eq(topic),
            conversations::private.eq(private),
            conversations::owner.eq(owner.id),
            conversations::create_time.eq(new.time),
            conversations::last_seq.eq(0),
            conversations::last_position.eq(context.position),
            conversations::room_id.eq(new.id.0.as_slice()),
            conversations::room_position.eq(context.position),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("create a room"))?;
    context.recorder.row(
        "conversations",
        &[
            ROOM.into(),
            (&new.id.0).into(),
            name.into(),
            topic.into(),
            private.into(),
            owner.id.into(),
            new.time.into(),
        ],
    );
    let room = rows::conversation_by_key(context.connection, context.position)?;
    if !owner.deleted {
        admit(context, &room, owner)?;
    }
    Ok(room)
}

/// The owner changes the topic, or who may come in.
pub(super) fn update(
    context: &mut Context<'_>,
    actor: &AccountRow,
    wanted: &UpdateRoom,
) -> Result<Outcome, Stop> {
    let (room, _) = of_owner(context, actor, &wanted.room)?;
    let topic = wanted.topic.as_ref().map_or(room.topic.as_str(), |topic| topic.as_str());
    let private = wanted.private.unwrap_or(room.private);
    context.subject = room.id;
    if topic != room.topic || private != room.private {
        // What was said in private stays with those who were there.
        let open_seq = if room.private && !private { room.last_seq } else { room.open_seq };
        let changed = ConversationRow { topic: topic.into(), private, open_seq, ..room };
        write(context, &changed)?;
    }
    stands(context, actor, context.subject)
}

/// The owner hands the room to another member.
pub(super) fn transfer(
    context: &mut Context<'_>,
    actor: &AccountRow,
    room: &RoomName,
    username: &Username,
) -> Result<Outcome, Stop> {
    let (room, _) = of_owner(context, actor, room)?;
    let heir = rows::account_by_username(context.connection, username.as_str())?
        .ok_or(Refusal::NoSuchAccount)?;
    if rows::member(context.connection, heir.id, room.id)?.is_none() {
        return Err(Refusal::NoMember.into());
    }
    if heir.id != actor.id {
        write(context, &ConversationRow { owner: Some(heir.id), ..room })?;
    }
    Ok(Outcome::RoomChanged)
}

/// The owner closes the room: nobody is a member any more, and its name is free.
pub(super) fn delete(
    context: &mut Context<'_>,
    actor: &AccountRow,
    name: &RoomName,
) -> Result<Outcome, Stop> {
    let (room, _) = of_owner(context, actor, name)?;
    let time = context.time;
    close(context, &room, time)?;
    Ok(Outcome::RoomChanged)
}

/// Closes a room that is open.
pub(super) fn close(
    context: &mut Context<'_>,
    room: &ConversationRow,
    time: i64,
) -> Result<(), Stop> {
    let audience = context.memory.audiences.of(context.connection, room)?;
    let members = everybody(context, room)?;
    update_row(conversations::table.find(room.id))
        .set((
            conversations::deleted.eq(true),
            conversations::delete_time.eq(time),
            conversations::last_position.eq(context.position),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("close a room"))?;
    context.record("conversations", &[room.id.into(), time.into()]);
    delete_from(members::table.filter(members::conversation.eq(room.id)))
        .execute(context.connection)
        .map_err(StoreError::database("let everybody out of a room"))?;
    let mut names = BTreeMap::new();
    for member in members {
        context.record("members", &[member.id.into(), room.id.into()]);
        note_membership(context, room, member.id, false)?;
        names.insert(member.public_id()?, member.name()?);
    }
    context.memory.audiences.forget(room.id);
    let kind = ChangeKind::RoomDeleted { room: rooms::room_name(room)?, members: names };
    context.tell(audience, kind);
    Ok(())
}

/// The answer of a call that made the room so, from current rows: the room may be gone by now.
pub(super) fn stands(
    context: &mut Context<'_>,
    actor: &AccountRow,
    room: i64,
) -> Result<Outcome, Stop> {
    let row = rows::conversation_by_key(context.connection, room)?;
    let member = rows::member(context.connection, actor.id, room)?;
    let view = conversation_view(context.connection, actor, member.as_ref(), row)?;
    Ok(Outcome::RoomStands(Box::new(view)))
}

/// The room as its member finds it by its name; refused to all others.
pub(super) fn of_member(
    context: &mut Context<'_>,
    actor: &AccountRow,
    room: &RoomName,
) -> Result<(ConversationRow, MemberRow), Stop> {
    let name = ConversationName::Room(room.clone());
    let found = rows::conversation_of_member(context.connection, actor.id, &name)??;
    Ok(found.ok_or(Refusal::NoSuchRoom)?)
}

/// The room as its owner finds it by its name; refused to all others.
pub(super) fn of_owner(
    context: &mut Context<'_>,
    actor: &AccountRow,
    room: &RoomName,
) -> Result<(ConversationRow, MemberRow), Stop> {
    let (room, member) = of_member(context, actor, room)?;
    if room.owner != Some(actor.id) {
        return Err(Refusal::NotAllowed.into());
    }
    Ok((room, member))
}

/// Writes what owners change, and tells all members.
pub(super) fn write(context: &mut Context<'_>, room: &ConversationRow) -> Result<(), Stop> {
    update_row(conversations::table.find(room.id))
        .set((
            conversations::topic.eq(room.topic.as_str()),
            conversations::private.eq(room.private),
            conversations::owner.eq(room.owner),
            conversations::open_seq.eq(room.open_seq),
            conversations::room_position.eq(context.position),
            conversations::last_position.eq(context.position),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("change a room"))?;
    let (owner, open_seq) = (room.owner, room.open_seq);
    context.recorder.row(
        "conversations",
        &[
            room.id.into(),
            room.topic.as_str().into(),
            room.private.into(),
            owner.into(),
            open_seq.into(),
        ],
    );
    let audience = context.memory.audiences.of(context.connection, room)?;
    let kind = ChangeKind::RoomChanged(Box::new(rooms::room_state(context.connection, room)?));
    context.tell(audience, kind);
    Ok(())
}

fn everybody(context: &mut Context<'_>, room: &ConversationRow) -> Result<Vec<AccountRow>, Stop> {
    Ok(members::table
        .inner_join(accounts::table.on(accounts::id.eq(members::account)))
        .filter(members::conversation.eq(room.id))
        .order(members::account)
        .select(AccountRow::as_select())
        .load(context.connection)
        .map_err(StoreError::database("read everybody in a room"))?)
}
