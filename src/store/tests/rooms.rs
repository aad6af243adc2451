//! Rooms: who is in, who sees what, and what it costs.

mod audiences;
mod mentions;

use super::*;
use crate::chat::{
    CreateRoom, Glob, Happening, MAX_MENTIONS, Outcome, RoomId, RoomName, Topic, UpdateRoom,
};

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn username(name: &str) -> Username {
    Username::parse(name).unwrap()
}

fn create_command(scribe: &mut Scribe, name: &str, private: bool) -> Command {
    Command::CreateRoom(CreateRoom {
        room: room(name),
        topic: Topic::parse("about").unwrap(),
        private,
        id: RoomId(scribe.draw_id()),
    })
}

fn add(name: &str, account: &str) -> Command {
    Command::AddMember { room: room(name), username: username(account) }
}

fn remove(name: &str, account: &str) -> Command {
    Command::RemoveMember { room: room(name), username: username(account) }
}

fn transfer(name: &str, account: &str) -> Command {
    Command::TransferRoom { room: room(name), username: username(account) }
}

fn update_private(name: &str, private: bool) -> Command {
    Command::UpdateRoom(UpdateRoom { room: room(name), topic: None, private: Some(private) })
}

fn edit(message: &Message, body: &str) -> Command {
    Command::EditMessage { message: message.id, body: Body::parse(body).unwrap() }
}

fn mark(conversation: &str, seq: i64) -> Command {
    Command::MarkRead { conversation: name(conversation), seq }
}

/// A room of alice's, with bob in it; carol is a stranger.
struct Scene {
    bench: Bench,
    alice: User,
    bob: User,
    carol: User,
}

fn scene(private: bool) -> Scene {
    let mut bench = Bench::new();
    let (alice, bob, carol) = (bench.user("alice"), bench.user("bob"), bench.user("carol"));
    let command = create_command(&mut bench.scribe, "room", private);
    bench.act(alice, command).unwrap();
    bench.act(alice, add("room", "bob")).unwrap();
    Scene { bench, alice, bob, carol }
}

impl Bench {
    fn told(&self, viewer: User) -> Vec<Happening> {
        self.changes.iter().filter_map(|change| change.seen_by(viewer.account)).collect()
    }

    fn counts(&self, viewer: User, conversation: &str) -> (i64, i64) {
        let found = self.read(|r| r.conversation(viewer.account, &name(conversation)));
        let found = found.unwrap().unwrap();
        (found.unread_count, found.mention_count)
    }

    fn room_names(&self, viewer: User) -> Vec<String> {
        let all = Glob::parse("").unwrap();
        let page = self.read(|reader| reader.rooms(viewer.account, &all, 0, "")).unwrap();
        page.items.iter().map(|room| format!("{} {}", room.name, room.member)).collect()
    }

    fn list(&self, viewer: User, conversation: &str) -> Result<Vec<i64>, Refusal> {
        let around = crate::store::Around::Latest;
        let page = self.read(|r| r.messages(viewer.account, &name(conversation), around, 0));
        Ok(page?.messages.iter().map(|message| message.seq).collect())
    }

    fn replayed(&self, viewer: User, after: u64) -> Vec<String> {
        let until = self.read(|reader| reader.last_position()).unwrap().seq;
        let (mut all, mut at) = (Vec::new(), after);
        while at < until {
            let part = self.read(|reader| reader.replay(viewer.account, at, until, 3));
            assert!(part.told_until > at, "every part gets on");
            at = part.told_until;
            all.extend(part.happenings.iter().map(|(_, happening)| shown(happening)));
        }
        all
    }

    fn now(&self) -> u64 {
        self.read(|reader| reader.last_position()).unwrap().seq
    }
}

fn shown(happening: &Happening) -> String {
    match happening {
        Happening::MessageCreated(message) => format!("+{}", message.body),
        Happening::MessageChanged(message) => format!("~{}", message.body),
        Happening::MessageDeleted(message) => format!("-{}", message.seq),
        Happening::ReadMoved { conversation, read_seq, .. } => format!("{conversation}:{read_seq}"),
        Happening::MembershipChanged { room, account, member } => {
            format!("{account} {} {room}", if *member { "in" } else { "out of" })
        }
        Happening::AccountChanged { username, .. } => format!("={username}"),
        Happening::Typing { conversation, account } => format!("{account} types in {conversation}"),
        Happening::Presence { account, online } => format!("{account} online={online}"),
        Happening::RoomChanged(state) => format!("{} is about {:?}", state.room, state.topic),
    }
}

fn all_shown(happenings: &[Happening]) -> Vec<String> {
    happenings.iter().map(shown).collect()
}

#[test]
fn a_creator_owns_the_room_and_its_name_is_taken() {
    let Scene { mut bench, alice, bob, carol } = scene(false);
    let again = create_command(&mut bench.scribe, "room", true);
    assert_eq!(bench.act(carol, again), Err(Refusal::NameTaken));
    let found = bench.read(|r| r.conversation(alice.account, &name("#room"))).unwrap().unwrap();
    assert_eq!(found.owner.unwrap().to_string(), "alice");
    assert_eq!((found.topic.as_str(), found.private, found.member), ("about", false, true));
    let members = bench.read(|r| r.members(bob.account, &room("room"), 0, "")).unwrap().items;
    let shown: Vec<_> = members.iter().map(|m| (m.username.to_string(), m.owner)).collect();
    assert_eq!(shown, [("alice".into(), true), ("bob".into(), false)]);
    let refused = bench.read(|r| r.members(carol.account, &room("room"), 0, ""));
    assert_eq!(refused, Err(Refusal::NotAllowed));
}

#[test]
fn members_and_rooms_are_paged_in_the_order_of_their_names() {
    let Scene { mut bench, alice, .. } = scene(false);
    for member in ["dave", "anna", "zoe"] {
        bench.user(member);
        bench.act(alice, add("room", member)).unwrap();
        let command = create_command(&mut bench.scribe, &format!("{member}s"), member == "anna");
        bench.act(alice, command).unwrap();
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = bench.read(|r| r.members(alice.account, &room("room"), 2, &token)).unwrap();
        seen.extend(page.items.into_iter().map(|member| member.username.to_string()));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["alice", "anna", "bob", "dave", "zoe"]);
    let bad = bench.read(|r| r.members(alice.account, &room("room"), 2, "xyz"));
    assert!(matches!(bad, Err(Refusal::BadField { field: "page_token", .. })));
    let glob = Glob::parse("?*s").unwrap();
    let first = bench.read(|r| r.rooms(alice.account, &glob, 2, "")).unwrap();
    let next = bench.read(|r| r.rooms(alice.account, &glob, 2, &first.next_page_token)).unwrap();
    let names: Vec<_> =
        first.items.iter().chain(&next.items).map(|room| room.name.to_string()).collect();
    assert_eq!(names, ["#annas", "#daves", "#zoes"]);
    assert_eq!(next.next_page_token, "");
}

#[test]
fn a_private_room_does_not_exist_for_a_stranger() {
    let Scene { mut bench, alice, bob, carol } = scene(true);
    let message = bench.send(alice, "#room", "secret");
    let unknown = Err(Refusal::NoSuchRoom);
    for command in [
        Command::JoinRoom(room("room")),
        Command::LeaveRoom(room("room")),
        Command::DeleteRoom(room("room")),
        add("room", "carol"),
        remove("room", "bob"),
        transfer("room", "carol"),
        update_private("room", false),
        send_command("#room", "hi", None),
        mark("#room", 1),
    ] {
        assert_eq!(bench.act(carol, command.clone()), unknown, "{command:?}");
    }
    for command in [
        edit(&message, "mine"),
        Command::DeleteMessages(vec![message.id]),
        Command::AcknowledgeMessages(vec![message.id]),
        send_command("@bob", "re", Some(message.id)),
    ] {
        assert_eq!(bench.act(carol, command.clone()), Err(Refusal::NoSuchMessage), "{command:?}");
    }
    assert_eq!(bench.list(carol, "#room"), Err(Refusal::NoSuchRoom));
    let refused = bench.read(|r| r.members(carol.account, &room("room"), 0, ""));
    assert_eq!(refused, Err(Refusal::NoSuchRoom));
    assert_eq!(bench.read(|r| r.typing(carol.account, &name("#room"))), Err(Refusal::NoSuchRoom));
    assert_eq!(bench.read(|r| r.message(carol.account, message.id)), None);
    assert_eq!(bench.room_names(carol), Vec::<String>::new());
    assert_eq!(bench.room_names(bob), ["#room true"]);
    assert_eq!(bench.replayed(carol, 0), Vec::<String>::new());
    assert_eq!(bench.act(bob, add("room", "carol")), Err(Refusal::NotAllowed), "the owner alone");
}

#[test]
fn a_public_room_is_open_to_all_and_its_owner_has_the_say() {
    let Scene { mut bench, alice, bob, carol } = scene(false);
    assert_eq!(bench.room_names(carol), ["#room false"]);
    let not_allowed = Err(Refusal::NotAllowed);
    assert_eq!(bench.act(carol, send_command("#room", "hi", None)), not_allowed);
    assert_eq!(bench.act(carol, Command::LeaveRoom(room("room"))), not_allowed);
    assert_eq!(bench.list(carol, "#room"), Err(Refusal::NotAllowed));
    assert!(bench.act(carol, Command::JoinRoom(room("room"))).is_ok());
    assert_eq!(bench.changes.len(), 1);
    assert!(bench.act(carol, Command::JoinRoom(room("room"))).is_ok(), "a member stays one");
    assert_eq!(bench.changes, []);
    for command in [
        remove("room", "carol"),
        transfer("room", "bob"),
        update_private("room", true),
        Command::DeleteRoom(room("room")),
    ] {
        assert_eq!(bench.act(bob, command.clone()), Err(Refusal::NotAllowed), "{command:?}");
    }
    bench.user("dave");
    assert_eq!(bench.act(bob, add("room", "dave")), Ok(Outcome::RoomChanged), "any member");
    assert_eq!(bench.act(bob, add("room", "nobody")), Err(Refusal::NoSuchAccount));
    assert_eq!(bench.act(bob, add("nowhere", "dave")), Err(Refusal::NoSuchRoom));
    assert_eq!(bench.act(alice, remove("room", "dave")), Ok(Outcome::RoomChanged));
    assert_eq!(bench.act(alice, remove("room", "dave")), Ok(Outcome::RoomChanged), "it is so");
    assert_eq!(bench.changes, []);
}

#[test]
fn the_owner_hands_the_room_on_before_leaving() {
    let Scene { mut bench, alice, bob, .. } = scene(true);
    assert_eq!(bench.act(alice, Command::LeaveRoom(room("room"))), Err(Refusal::OwnerStays));
    assert_eq!(bench.act(alice, remove("room", "alice")), Err(Refusal::OwnerStays));
    assert_eq!(bench.act(alice, transfer("room", "carol")), Err(Refusal::NoMember));
    assert_eq!(bench.act(alice, transfer("room", "nobody")), Err(Refusal::NoSuchAccount));
    assert_eq!(bench.act(alice, transfer("room", "alice")), Ok(Outcome::RoomChanged));
    assert_eq!(bench.changes, []);
    bench.act(alice, transfer("room", "bob")).unwrap();
    let told = bench.told(bob);
    assert!(matches!(&told[..], [Happening::RoomChanged(state)]
        if state.owner.as_ref().unwrap().to_string() == "bob"));
    assert_eq!(bench.act(alice, transfer("room", "alice")), Err(Refusal::NotAllowed));
    assert_eq!(bench.act(alice, Command::LeaveRoom(room("room"))), Ok(Outcome::RoomChanged));
    assert_eq!(bench.list(alice, "#room"), Err(Refusal::NoSuchRoom));
}

#[test]
fn a_newcomer_sees_a_public_room_whole_and_a_private_one_from_the_coming_on() {
    for private in [false, true] {
        let Scene { mut bench, alice, bob, carol } = scene(private);
        let early = bench.send(alice, "#room", "early @carol");
        bench.send(bob, "#room", "early too");
        bench.act(alice, add("room", "carol")).unwrap();
        assert_eq!(bench.counts(carol, "#room"), (0, 0), "unread starts at zero");
        bench.send(alice, "#room", "late");
        assert_eq!(bench.counts(carol, "#room"), (1, 0));
        let expected: &[i64] = if private { &[3] } else { &[1, 2, 3] };
        assert_eq!(bench.list(carol, "#room").unwrap(), expected);
        let reply = bench.act(carol, send_command("#room", "re", Some(early.id)));
        assert_eq!(reply.is_ok(), !private, "what she cannot see she cannot answer");
        // What becomes of the old message is told to those who see it.
        for command in [edit(&early, "edited"), Command::DeleteMessages(vec![early.id])] {
            let before = bench.now();
            bench.act(alice, command).unwrap();
            assert_eq!(bench.told(bob).len(), 1);
            assert_eq!(bench.told(carol).len(), usize::from(!private));
            assert_eq!(bench.replayed(carol, before).len(), usize::from(!private));
            assert_eq!(bench.counts(carol, "#room"), (1, 0));
        }
    }
}

#[test]
fn what_was_said_in_private_stays_there_when_a_room_is_opened() {
    let Scene { mut bench, alice, bob, carol } = scene(true);
    bench.send(alice, "#room", "secret");
    bench.act(alice, update_private("room", false)).unwrap();
    assert_eq!(bench.told(bob).len(), 1);
    bench.send(alice, "#room", "open");
    bench.act(carol, Command::JoinRoom(room("room"))).unwrap();
    assert_eq!(bench.list(carol, "#room").unwrap(), [2]);
    assert_eq!(bench.list(bob, "#room").unwrap(), [1, 2]);
}

#[test]
fn whoever_is_removed_is_told_that_and_nothing_later() {
    let Scene { mut bench, alice, bob, .. } = scene(false);
    let start = bench.now();
    let message = bench.send(alice, "#room", "before");
    bench.act(alice, remove("room", "bob")).unwrap();
    assert_eq!(all_shown(&bench.told(bob)), ["bob out of room"]);
    assert_eq!(all_shown(&bench.told(alice)), ["bob out of room"]);
    bench.send(alice, "#room", "after");
    assert_eq!(bench.told(bob), []);
    bench.act(alice, edit(&message, "changed")).unwrap();
    assert_eq!(bench.told(bob), []);
    assert_eq!(bench.replayed(bob, start), ["bob out of room"]);
    assert_eq!(bench.replayed(alice, start), ["+changed", "bob out of room", "+after", "~changed"]);
    assert_eq!(bench.list(bob, "#room"), Err(Refusal::NotAllowed));
    bench.act(bob, Command::JoinRoom(room("room"))).unwrap();
    assert_eq!(bench.replayed(bob, start), ["bob in room"], "the newest is what counts");
    assert_eq!(bench.counts(bob, "#room"), (0, 0));
}

#[test]
fn a_replay_tells_who_came_and_what_the_room_became() {
    let Scene { mut bench, alice, bob, .. } = scene(false);
    let start = bench.now();
    bench.act(alice, add("room", "carol")).unwrap();
    let topic = Some(Topic::parse("news").unwrap());
    let update = UpdateRoom { room: room("room"), topic, private: None };
    bench.act(alice, Command::UpdateRoom(update.clone())).unwrap();
    assert_eq!(all_shown(&bench.told(bob)), ["room is about \"news\""]);
    bench.act(alice, Command::UpdateRoom(update)).unwrap();
    assert_eq!(bench.changes, [], "nothing changed");
    bench.send(bob, "#room", "hi");
    let expected = ["carol in room", "room is about \"news\"", "+hi"];
    assert_eq!(bench.replayed(bob, start), expected);
}

#[test]
fn a_closed_room_is_gone_for_all_and_its_name_is_free() {
    let Scene { mut bench, alice, bob, carol } = scene(true);
    let start = bench.now();
    let message = bench.send(bob, "#room", "history");
    bench.act(alice, Command::DeleteRoom(room("room"))).unwrap();
    assert_eq!(all_shown(&bench.told(bob)), ["bob out of room"], "each reads the own name");
    assert_eq!(all_shown(&bench.told(alice)), ["alice out of room"]);
    assert_eq!(bench.told(carol), []);
    assert_eq!(bench.replayed(bob, start), ["bob out of room"]);
    for viewer in [alice, bob] {
        assert_eq!(bench.list(viewer, "#room"), Err(Refusal::NoSuchRoom));
        assert_eq!(bench.read(|r| r.message(viewer.account, message.id)), None);
        assert_eq!(bench.room_names(viewer), Vec::<String>::new());
    }
    assert_eq!(bench.act(bob, edit(&message, "no")), Err(Refusal::NoSuchMessage));
    let command = create_command(&mut bench.scribe, "room", false);
    bench.act(carol, command).unwrap();
    assert_eq!(bench.send(carol, "#room", "new").seq, 1);
    assert_eq!(bench.list(bob, "#room"), Err(Refusal::NotAllowed), "it is another room");
    // The bodies go after the retention period.
    let far = Timestamp(i64::MAX);
    let expire = crate::chat::Expire {
        requests_before: Timestamp(0),
        deleted_before: far,
        idle_before: Timestamp(0),
    };
    let text = "body=686973746F7279";
    assert!(bench.contents().contains(text));
    let update = bench.scribe.call(None, Command::Expire(expire));
    assert_eq!(bench.run(&update), Ok(Outcome::Expired { more: true }));
    let update = bench.scribe.call(None, Command::Expire(expire));
    assert_eq!(bench.run(&update), Ok(Outcome::Expired { more: false }));
    assert!(!bench.contents().contains(text));
    assert_eq!(bodies(&bench.history(carol, "#room")), ["new"]);
}
