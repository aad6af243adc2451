//! Rooms from outside: each call, good and bad, with the reason that it gives; what is told of it, and to
//! whom; edits; signs that are not stored; and one long mixture across a killed leader.

mod calls;
mod devices;
mod edits;
mod signs;
mod visibility;

use std::time::Duration;

use chinwag::wire::chat::{
    AddMemberRequest, Conversation, CreateRoomRequest, DeleteMessagesRequest, DeleteRoomRequest,
    EditMessageRequest, Event, JoinRoomRequest, LeaveRoomRequest, ListConversationsRequest,
    ListMembersRequest, ListRoomsRequest, Message, RemoveMemberRequest, TransferRoomRequest,
    UpdateRoomRequest, event::Kind,
};
use tonic::{Code, Status, Streaming};

use crate::harness::{User, reason, request_id, within};

/// A live event arrives within this.
const LIVE: Duration = Duration::from_secs(5);

/// Calls again under the same request id until there is a definite answer.
macro_rules! call {
    ($user:expr, $service:ident . $method:ident ( $request:expr )) => {{
        let request = $request;
        let answer = $user.call(|door| {
            let request = request.clone();
            async move { door.$service().$method(request).await }
        });
        answer.await.map(tonic::Response::into_inner)
    }};
}
use call;

pub(crate) async fn create(user: &User, room: &str, private: bool) -> Result<Conversation, Status> {
    let (request_id, room) = (request_id(), room.into());
    let request = CreateRoomRequest { request_id, room, topic: "about".into(), private };
    Ok(call!(user, conversations.create_room(request))?.conversation.expect("the room"))
}

pub(crate) async fn join(user: &User, room: &str) -> Result<Conversation, Status> {
    let request = JoinRoomRequest { request_id: request_id(), room: room.into() };
    Ok(call!(user, conversations.join_room(request))?.conversation.expect("the room"))
}

async fn leave(user: &User, room: &str) -> Result<(), Status> {
    let request = LeaveRoomRequest { request_id: request_id(), room: room.into() };
    call!(user, conversations.leave_room(request)).map(drop)
}

async fn add(user: &User, room: &str, username: &str) -> Result<(), Status> {
    let (request_id, room, username) = (request_id(), room.into(), username.into());
    let request = AddMemberRequest { request_id, room, username };
    call!(user, conversations.add_member(request)).map(drop)
}

async fn remove(user: &User, room: &str, username: &str) -> Result<(), Status> {
    let (request_id, room, username) = (request_id(), room.into(), username.into());
    let request = RemoveMemberRequest { request_id, room, username };
    call!(user, conversations.remove_member(request)).map(drop)
}

async fn transfer(user: &User, room: &str, username: &str) -> Result<(), Status> {
    let (request_id, room, username) = (request_id(), room.into(), username.into());
    let request = TransferRoomRequest { request_id, room, username };
    call!(user, conversations.transfer_room(request)).map(drop)
}

async fn update(
    user: &User,
    room: &str,
    topic: Option<&str>,
    private: Option<bool>,
) -> Result<Conversation, Status> {
    let (request_id, room, topic) = (request_id(), room.into(), topic.map(Into::into));
    let request = UpdateRoomRequest { request_id, room, topic, private };
    Ok(call!(user, conversations.update_room(request))?.conversation.expect("the room"))
}

async fn delete_room(user: &User, room: &str) -> Result<(), Status> {
    let request = DeleteRoomRequest { request_id: request_id(), room: room.into() };
    call!(user, conversations.delete_room(request)).map(drop)
}

async fn rooms(user: &User, pattern: &str) -> Vec<Conversation> {
    let request = ListRoomsRequest { pattern: pattern.into(), ..Default::default() };
    call!(user, conversations.list_rooms(request)).expect("a session").conversations
}

async fn members(user: &User, room: &str) -> Result<Vec<String>, Status> {
    let request = ListMembersRequest { room: room.into(), ..Default::default() };
    let members = call!(user, conversations.list_members(request))?.members;
    Ok(members.into_iter().map(|member| member.username).collect())
}

async fn inbox(user: &User) -> Vec<Conversation> {
    let request = ListConversationsRequest::default();
    call!(user, conversations.list_conversations(request)).expect("a session").conversations
}

async fn edit(user: &User, message: &Message, body: &str) -> Result<Message, Status> {
    let (request_id, message_id) = (request_id(), message.message_id.clone());
    let request = EditMessageRequest { request_id, message_id, body: body.into() };
    Ok(call!(user, messages.edit_message(request))?.message.expect("the message"))
}

async fn delete(user: &User, message: &Message) -> Result<(), Status> {
    let message_ids = vec![message.message_id.clone()];
    let request = DeleteMessagesRequest { request_id: request_id(), message_ids };
    call!(user, messages.delete_messages(request)).map(drop)
}

/// Asserts that a call was refused so.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, why: &str) {
    let status = answer.expect_err(why);
    assert_eq!((status.code(), reason(&status).as_str()), (code, why), "{status:?}");
}

#[track_caller]
fn unknown<T: std::fmt::Debug>(answer: Result<T, Status>) {
    refused(answer, Code::NotFound, "NO_SUCH_ROOM");
}

#[track_caller]
fn not_allowed<T: std::fmt::Debug>(answer: Result<T, Status>) {
    refused(answer, Code::PermissionDenied, "NOT_ALLOWED");
}

/// A stream that is live, and its cursor.
async fn live(user: &User) -> (Streaming<Event>, String) {
    let mut events = user.subscribe("").await;
    let first = next(&mut events).await;
    assert!(matches!(first.kind, Some(Kind::CaughtUp(_))), "{first:?}");
    (events, first.cursor)
}

/// The next event that is no heartbeat.
async fn next(events: &mut Streaming<Event>) -> Event {
    loop {
        let event = within("the next event", LIVE, events.message()).await;
        let event = event.expect("the stream goes on").expect("the stream does not end");
        if !matches!(event.kind, Some(Kind::Heartbeat(_))) {
            return event;
        }
    }
}

/// The next event in short.
async fn told(events: &mut Streaming<Event>) -> String {
    short(next(events).await.kind.expect("of some kind"))
}

fn short(kind: Kind) -> String {
    match kind {
        Kind::MessageCreated(message) => format!("+{}", message.body),
        Kind::MessageChanged(message) => format!("~{}", message.body),
        Kind::MessageDeleted(message) => format!("-{}", message.seq),
        Kind::ReadMoved(moved) => format!("{} read {}", moved.conversation, moved.read_seq),
        Kind::MembershipChanged(change) => {
            let sign = if change.member { '+' } else { '-' };
            format!("{} {sign}{}", change.conversation, change.username)
        }
        Kind::RoomChanged(room) => {
            format!("{} {:?} {} {}", room.conversation, room.topic, room.private, room.owner)
        }
        Kind::Typing(typing) => format!("{} types in {}", typing.username, typing.conversation),
        Kind::Presence(presence) => format!("{} {}", presence.username, presence.online),
        other => format!("{other:?}"),
    }
}

/// What is replayed after a cursor.
async fn replayed(user: &User, cursor: &str) -> Vec<String> {
    let mut events = user.subscribe(cursor).await;
    let mut all = Vec::new();
    loop {
        match next(&mut events).await.kind.expect("of some kind") {
            Kind::CaughtUp(_) => return all,
            kind => all.push(short(kind)),
        }
    }
}
