//! Rooms, their members, and sessions, a line each.

use super::{harmless::harmless, time};
use crate::{
    cli::{
        answer::{MemberNews, RoomNews},
        paint::Paint,
    },
    wire::chat::{Conversation, Member, Session},
};

/// A room of a list.
pub(super) fn room(room: &Conversation, paint: Paint) -> String {
    let name = paint.name(&harmless(&room.conversation));
    let owner = match room.owner.as_str() {
        "" => String::new(),
        owner => format!("  of {}", harmless(owner)),
    };
    let private = if room.private { ", private" } else { "" };
    let topic = match room.topic.as_str() {
        "" => String::new(),
        topic => format!("  {}", harmless(topic)),
    };
    format!("{name}{owner}{private}{topic}")
}

/// What happened to a room.
pub(super) fn news(news: RoomNews, of: &Conversation, paint: Paint) -> String {
    let what = match news {
        RoomNews::Created => "created",
        RoomNews::Joined => "joined",
        RoomNews::Changed => "changed",
        RoomNews::Left => "left",
        RoomNews::Closed => "closed",
    };
    format!("{what} {}", room(of, paint))
}

/// What happened to a room that is out of sight.
pub(super) fn gone(news: RoomNews, room: &str) -> String {
    let what = if news == RoomNews::Closed { "closed" } else { "left" };
    format!("{what} {}", harmless(room))
}

/// What happened to somebody in a room.
pub(super) fn member_news(room: &str, username: &str, news: MemberNews) -> String {
    let (room, username) = (harmless(room), harmless(username));
    match news {
        MemberNews::Added => format!("{username} is in {room}"),
        MemberNews::Removed => format!("{username} is no longer in {room}"),
        MemberNews::Owner => format!("{username} owns {room} now"),
    }
}

/// A member of a list.
pub(super) fn member(member: &Member, paint: Paint) -> String {
    let name = paint.name(&harmless(&member.username));
    format!("{name}  since {}", time(member.join_time.as_ref(), "%Y-%m-%d %H:%M"))
}

/// A session of a list.
pub(super) fn session(session: &Session) -> String {
    let device = match session.device_name.as_str() {
        "" => "(no name)".into(),
        name => harmless(name),
    };
    let begun = time(session.create_time.as_ref(), "%Y-%m-%d %H:%M");
    let used = time(session.last_used_time.as_ref(), "%Y-%m-%d %H:%M");
    let this = if session.current { "  this one" } else { "" };
    format!("{}  {device}, since {begun}, last used {used}{this}", harmless(&session.session_id))
}
