//! Rooms and edits of both sides of a partition.

use super::{
    merges::{stream, take_over},
    *,
};
use crate::chat::{CreateRoom, Glob, RoomId, RoomName, Topic, UpdateRoom};

const WINNER: Epoch = Epoch { number: 2, server: ServerId(2) };

/// Alice's room with bob in it, on two servers; carol and dave are not in it.
struct Split {
    winner: Bench,
    loser: Bench,
    common: u64,
    alice: User,
    bob: User,
    carol: User,
    old: Message,
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn username(name: &str) -> Username {
    Username::parse(name).unwrap()
}

fn create(bench: &mut Bench, name: &str, private: bool) -> Command {
    let id = RoomId(bench.scribe.draw_id());
    Command::CreateRoom(CreateRoom { room: room(name), topic: Topic::default(), private, id })
}

fn add(account: &str) -> Command {
    Command::AddMember { room: room("room"), username: username(account) }
}

fn remove(account: &str) -> Command {
    Command::RemoveMember { room: room("room"), username: username(account) }
}

fn topic(text: &str) -> Command {
    let topic = Some(Topic::parse(text).unwrap());
    Command::UpdateRoom(UpdateRoom { room: room("room"), topic, private: None })
}

fn edit(message: &Message, body: &str) -> Command {
    Command::EditMessage { message: message.id, body: Body::parse(body).unwrap() }
}

fn split() -> Split {
    let mut loser = Bench::new();
    let (alice, bob, carol) = (loser.user("alice"), loser.user("bob"), loser.user("carol"));
    let command = create(&mut loser, "room", true);
    loser.act(alice, command).unwrap();
    loser.act(alice, add("bob")).unwrap();
    let old = loser.send(alice, "#room", "old");
    let (winner, common) = (loser.copy(WINNER), loser.end());
    Split { winner, loser, common, alice, bob, carol, old }
}

impl Split {
    /// Merges, and again, which changes nothing.
    fn merge(&mut self) {
        let updates = stream(&self.loser, self.common);
        take_over(&mut self.winner, &updates);
        let before = self.winner.contents();
        take_over(&mut self.winner, &updates);
        assert_eq!(self.winner.contents(), before, "a second stream changes nothing");
    }

    fn members(&self) -> Vec<String> {
        let page = self.winner.read(|r| r.members(self.alice.account, &room("room"), 0, ""));
        page.unwrap().items.iter().map(|member| member.username.to_string()).collect()
    }

    fn topic(&self) -> String {
        let found = self.winner.read(|r| r.conversation(self.alice.account, &name("#room")));
        found.unwrap().unwrap().topic
    }
}

#[test]
fn messages_in_a_room_stand_one_after_the_other_and_mention_its_members() {
    let mut split = split();
    split.winner.send(split.bob, "#room", "winner");
    let lost = split.loser.send(split.alice, "#room", "lost @bob");
    split.merge();
    let seen = split.winner.history(split.bob, "#room");
    assert_eq!(bodies(&seen), ["old", "winner", "lost @bob"]);
    assert_eq!((seen[2].id, seen[2].mentions.len()), (lost.id, 1));
    let found = split.winner.read(|r| r.conversation(split.bob.account, &name("#room")));
    assert_eq!(found.unwrap().unwrap().mention_count, 1);
}

#[test]
fn of_two_rooms_of_one_name_the_losers_is_renamed_with_all_that_is_in_it() {
    let mut split = split();
    let Split { winner, loser, alice, bob, carol, .. } = &mut split;
    let command = create(winner, "news", false);
    winner.act(*carol, command).unwrap();
    winner.send(*carol, "#news", "here");
    let command = create(loser, "news", true);
    let making = loser.scribe.call(Some(alice.session), command);
    loser.run(&making).unwrap();
    let news = |account| Command::AddMember { room: room("news"), username: username(account) };
    loser.act(*alice, news("bob")).unwrap();
    loser.send(*bob, "#news", "there");
    let (alice, bob, carol) = (*alice, *bob, *carol);
    split.merge();
    let glob = Glob::parse("news*").unwrap();
    let names = |viewer: User| {
        let page = split.winner.read(|r| r.rooms(viewer.account, &glob, 0, "")).unwrap();
        page.items.iter().map(|room| room.name.to_string()).collect::<Vec<_>>()
    };
    let of_bob = names(bob);
    assert_eq!((names(carol), of_bob.len()), (vec!["#news".to_owned()], 2));
    assert!(of_bob[1].starts_with("#news~"));
    assert_eq!(bodies(&split.winner.history(bob, &of_bob[1])), ["there"]);
    assert_eq!(bodies(&split.winner.history(alice, &of_bob[1])), ["there"]);
    assert_eq!(bodies(&split.winner.history(carol, "#news")), ["here"]);
    let Ok(Outcome::RoomStands(again)) = split.winner.run(&making) else { panic!("a repeat") };
    assert_eq!(again.name.to_string(), of_bob[1]);
}

#[test]
fn a_room_whose_creation_was_repeated_on_the_other_side_is_one_room() {
    let mut split = split();
    let Split { winner, loser, alice, .. } = &mut split;
    let command = create(loser, "news", false);
    let making = loser.scribe.call(Some(alice.session), command);
    loser.run(&making).unwrap();
    loser.send(*alice, "#news", "there");
    let mut again = making.clone();
    let Command::CreateRoom(new) = &mut again.command else { panic!("a room") };
    new.id = RoomId([9; 16]);
    winner.run(&again).unwrap();
    winner.send(*alice, "#news", "here");
    let alice = *alice;
    split.merge();
    assert_eq!(bodies(&split.winner.history(alice, "#news")), ["here", "there"]);
}

#[test]
fn the_members_are_those_of_both_sides_and_a_removal_wins() {
    let mut split = split();
    for name in ["dave", "erin"] {
        split.winner.user(name);
    }
    let alice = split.alice;
    split.winner.act(alice, add("dave")).unwrap();
    split.loser.act(alice, add("carol")).unwrap();
    split.loser.act(alice, remove("bob")).unwrap();
    split.merge();
    assert_eq!(split.members(), ["alice", "carol", "dave"]);
    // Who comes again after the merge is not removed by its repetition.
    split.winner.act(alice, add("bob")).unwrap();
    split.merge();
    assert_eq!(split.members(), ["alice", "bob", "carol", "dave"]);
}

#[test]
fn whom_the_winner_removed_the_loser_does_not_bring_back() {
    let mut split = split();
    let (alice, bob) = (split.alice, split.bob);
    split.winner.act(alice, remove("bob")).unwrap();
    split.loser.act(bob, Command::LeaveRoom(room("room"))).unwrap();
    split.loser.act(alice, add("bob")).unwrap();
    let lost = split.loser.send(bob, "#room", "i am here");
    split.merge();
    assert_eq!(split.members(), ["alice"]);
    let seen = split.winner.history(alice, "#room");
    assert_eq!(seen.last().unwrap().id, lost.id, "what was acknowledged stays");
    assert_eq!(split.winner.read(|r| r.message(bob.account, lost.id)), None);
}

#[test]
fn what_the_owner_wrote_is_the_winners_if_it_changed_there_else_the_losers() {
    let mut both = split();
    both.winner.act(both.alice, topic("winner")).unwrap();
    both.loser.act(both.alice, topic("loser")).unwrap();
    both.merge();
    assert_eq!(both.topic(), "winner");
    let mut one = split();
    let hand_on = Command::TransferRoom { room: room("room"), username: username("carol") };
    one.loser.act(one.alice, topic("loser")).unwrap();
    one.loser.act(one.alice, add("carol")).unwrap();
    one.loser.act(one.alice, hand_on).unwrap();
    one.merge();
    assert_eq!(one.topic(), "loser");
    assert_eq!(one.winner.act(one.carol, topic("mine")).map(drop), Ok(()), "it is hers by now");
}

#[test]
fn a_room_that_one_side_closed_is_closed() {
    let mut split = split();
    split.winner.send(split.bob, "#room", "winner");
    split.loser.send(split.bob, "#room", "loser");
    split.loser.act(split.alice, Command::DeleteRoom(room("room"))).unwrap();
    split.merge();
    let glob = Glob::parse("").unwrap();
    let page = split.winner.read(|r| r.rooms(split.bob.account, &glob, 0, "")).unwrap();
    assert_eq!(page.items, []);
    let mut other = self::split();
    let sending = other.loser.scribe.send(other.bob, "#room", "loser");
    let lost = sent(other.loser.run(&sending));
    other.winner.act(other.alice, Command::DeleteRoom(room("room"))).unwrap();
    other.merge();
    assert_eq!(sent(other.winner.run(&sending)).id, lost.id, "a repeat is answered all the same");
    assert_eq!(other.winner.read(|r| r.message(other.bob.account, lost.id)), None);
}

#[test]
fn an_edit_is_the_winners_if_it_was_made_there_else_the_losers_and_a_deletion_wins() {
    let mut split = split();
    let alice = split.alice;
    let mut texts = |winner: Option<&str>, loser: &str| {
        let old = split.loser.send(alice, "#room", "fresh");
        split.loser.act(alice, edit(&old, loser)).unwrap();
        split.loser.act(alice, edit(&split.old, loser)).unwrap();
        if let Some(text) = winner {
            split.winner.act(alice, edit(&split.old, text)).unwrap();
        }
        split.merge();
        let seen = split.winner.history(alice, "#room");
        (seen[0].body.clone(), seen.last().unwrap().body.clone())
    };
    assert_eq!(texts(None, "loser @bob"), ("loser @bob".into(), "loser @bob".into()));
    assert_eq!(texts(Some("winner"), "late"), ("winner".into(), "late".into()));
    let mut split = self::split();
    split.winner.act(alice, Command::DeleteMessages(vec![split.old.id])).unwrap();
    split.loser.act(alice, edit(&split.old, "never")).unwrap();
    split.merge();
    assert!(split.winner.history(alice, "#room")[0].deleted);
}
