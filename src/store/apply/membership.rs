//! Who is in a room: joining, leaving, adding and removing.
//!
//! A newcomer of a public room sees it from the beginning (or from where it was private last), one of a
//! private room from the coming on; unread starts at zero. Whoever left and comes again is a newcomer.
//! The newest coming or going of each account is kept, for replays: also for those who left, who are told
//! that, and nothing later.
//!
//! When two histories are merged, the members are those of both sides, except whom either side removed
//! after the divergence.

use diesel::{
    ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, delete, insert_into, update,
};

use super::{
    Context, Stop,
    room::{self, of_member, of_owner, stands},
};
use crate::{
    chat::{AccountName, ChangeKind, Outcome, Refusal, RoomName, Username},
    store::{
        error::StoreError,
        prepared::run_prepared,
        rooms,
        rows::{self, AccountRow, ConversationRow},
        schema::{conversations, members, membership_changes},
    },
};

/// Enters a public room. A member stays one, in whatever room.
pub(super) fn join(
    context: &mut Context<'_>,
    actor: &AccountRow,
    name: &RoomName,
) -> Result<Outcome, Stop> {
    let room = rows::room(context.connection, name)?.ok_or(Refusal::NoSuchRoom)?;
    context.subject = room.id;
    if rows::member(context.connection, actor.id, room.id)?.is_none() {
        if room.private {
            return Err(Refusal::NoSuchRoom.into());
        }
        come(context, &room, actor)?;
    }
    stands(context, actor, room.id)
}

/// Leaves a room; the owner does not.
pub(super) fn leave(
    context: &mut Context<'_>,
    actor: &AccountRow,
    name: &RoomName,
) -> Result<Outcome, Stop> {
    let (room, _) = of_member(context, actor, name)?;
    if room.owner == Some(actor.id) {
        return Err(Refusal::OwnerStays.into());
    }
    go(context, &room, actor)?;
    Ok(Outcome::RoomChanged)
}

/// Adds an account: any member to a public room, the owner to a private one.
pub(super) fn add(
    context: &mut Context<'_>,
    actor: &AccountRow,
    name: &RoomName,
    username: &Username,
) -> Result<Outcome, Stop> {
    let (room, _) = of_member(context, actor, name)?;
    if room.private && room.owner != Some(actor.id) {
        return Err(Refusal::NotAllowed.into());
    }
    let account = rows::account_by_username(context.connection, username.as_str())?
        .ok_or(Refusal::NoSuchAccount)?;
    if rows::member(context.connection, account.id, room.id)?.is_none() {
        come(context, &room, &account)?;
    }
    Ok(Outcome::RoomChanged)
}

/// The owner removes an account. Nothing changes when it is no member.
pub(super) fn remove(
    context: &mut Context<'_>,
    actor: &AccountRow,
    name: &RoomName,
    username: &Username,
) -> Result<Outcome, Stop> {
    let (room, _) = of_owner(context, actor, name)?;
    let account = rows::account_by_username(context.connection, username.as_str())?
        .ok_or(Refusal::NoSuchAccount)?;
    if account.id == actor.id {
        return Err(Refusal::OwnerStays.into());
    }
    if rows::member(context.connection, account.id, room.id)?.is_some() {
        go(context, &room, &account)?;
    }
    Ok(Outcome::RoomChanged)
}

/// Makes the account, which is none, a member, and tells everybody, the newcomer included.
pub(super) fn admit(
    context: &mut Context<'_>,
    room: &ConversationRow,
    account: &AccountRow,
) -> Result<(), Stop> {
    let joined_seq = if room.private { room.last_seq } else { room.open_seq };
    insert_into(members::table)
        .values((
            members::account.eq(account.id),
            members::conversation.eq(room.id),
            members::joined_seq.eq(joined_seq),
            members::join_time.eq(context.time),
            members::read_seq.eq(room.last_seq),
            members::read_position.eq(0),
            members::own_after.eq(0),
            members::gone_after.eq(0),
            members::mentions_after.eq(0),
            members::join_position.eq(context.position),
        ))
        .execute(context.connection)
        .map_err(StoreError::database("add a member"))?;
    let (time, read_seq) = (context.time, room.last_seq);
    context.record(
        "members",
        &[account.id.into(), room.id.into(), joined_seq.into(), read_seq.into(), time.into()],
    );
    note_membership(context, room, account.id, true)?;
    context.memory.audiences.add(room.id, account.public_id()?, joined_seq);
    tell(context, room, account, true)
}

/// Notes for replays that an account came or went.
pub(super) fn note_membership(
    context: &mut Context<'_>,
    room: &ConversationRow,
    account: i64,
    member: bool,
) -> Result<(), Stop> {
    let now =
        (membership_changes::position.eq(context.position), membership_changes::member.eq(member));
    insert_into(membership_changes::table)
        .values((
            membership_changes::account.eq(account),
            membership_changes::conversation.eq(room.id),
            now,
        ))
        .on_conflict((membership_changes::account, membership_changes::conversation))
        .do_update()
        .set(now)
        .execute(context.connection)
        .map_err(StoreError::database("note a membership's change"))?;
    let position = context.position;
    context.record(
        "membership_changes",
        &[account.into(), room.id.into(), position.into(), member.into()],
    );
    Ok(())
}

/// The account becomes a member, and the owner of a room that has none.
pub(super) fn come(
    context: &mut Context<'_>,
    room: &ConversationRow,
    account: &AccountRow,
) -> Result<(), Stop> {
    touch(context, room)?;
    admit(context, room, account)?;
    if is_owned(context, room)? {
        return Ok(());
    }
    room::write(context, &ConversationRow { owner: Some(account.id), ..room.clone() })
}

/// Whether the owner is in the room. A merge may bring a room whose owner was deleted on this side: whoever
/// comes first has it.
fn is_owned(context: &mut Context<'_>, room: &ConversationRow) -> Result<bool, Stop> {
    match room.owner {
        Some(owner) => Ok(rows::member(context.connection, owner, room.id)?.is_some()),
        None => Ok(false),
    }
}

/// The account, which is a member, is none any more; everybody is told, whoever goes included.
pub(super) fn go(
    context: &mut Context<'_>,
    room: &ConversationRow,
    account: &AccountRow,
) -> Result<(), Stop> {
    touch(context, room)?;
    delete(members::table.find((account.id, room.id)))
        .execute(context.connection)
        .map_err(StoreError::database("remove a member"))?;
    context.memory.places.forget_count(account.id, room.id);
    context.record("members", &[account.id.into(), room.id.into()]);
    note_membership(context, room, account.id, false)?;
    tell(context, room, account, false)?;
    context.memory.audiences.remove(room.id, account.public_id()?);
    Ok(())
}

/// The room's newest change is here: that is where a replay looks.
fn touch(context: &mut Context<'_>, room: &ConversationRow) -> Result<(), Stop> {
    run_prepared!(
        update(conversations::table.find(room.id))
            .set(conversations::last_position.eq(context.position)),
        context.connection
    )
    .map_err(StoreError::database("note a room's change"))?;
    let position = context.position;
    context.record("conversations", &[room.id.into(), position.into()]);
    Ok(())
}

fn tell(
    context: &mut Context<'_>,
    room: &ConversationRow,
    account: &AccountRow,
    member: bool,
) -> Result<(), Stop> {
    let audience =
        context.memory.audiences.of(context.connection, room)?.with(account.public_id()?);
    let name = rooms::room_name(room)?;
    let account: AccountName = account.name()?;
    context.tell(audience, ChangeKind::MembershipChanged { room: name, account, member });
    Ok(())
}
