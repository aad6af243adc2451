//! Passwords, ended sessions and deleted accounts of both sides of a partition.

use super::{
    accounts::{change, create_room, delete, device, gone, hash_of, join, lives, owner_of, proof},
    merges::{stream, take_over},
    *,
};
use crate::chat::{CreateRoom, RoomId, RoomName, Topic, UpdateRoom};

const WINNER: Epoch = Epoch { number: 2, server: ServerId(2) };

/// Alice's room with bob in it, on two servers. Alice is logged in twice.
pub(super) struct Split {
    pub(super) winner: Bench,
    pub(super) loser: Bench,
    common: u64,
    pub(super) alice: User,
    pub(super) phone: User,
    bob: User,
    carol: User,
}

pub(super) fn split() -> Split {
    let mut loser = Bench::new();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| loser.user(name));
    let phone = device(&mut loser, alice);
    create_room(&mut loser, alice, "room");
    join(&mut loser, bob, "room");
    loser.send(alice, "@bob", "old");
    let (winner, common) = (loser.copy(WINNER), loser.end());
    Split { winner, loser, common, alice, phone, bob, carol }
}

impl Split {
    /// Merges, and again, which changes nothing.
    pub(super) fn merge(&mut self) {
        let updates = stream(&self.loser, self.common);
        take_over(&mut self.winner, &updates);
        let before = self.winner.contents();
        take_over(&mut self.winner, &updates);
        assert_eq!(self.winner.contents(), before, "a second stream changes nothing");
    }

    /// The winner's history as a third server gets it that has only the common one.
    pub(super) fn third(&self) -> Bench {
        let folder = TempDir::new().unwrap();
        let Opened { store, mut writer, .. } = open(folder.path()).unwrap();
        let entries = &self.winner.scribe.entries[..self.common as usize];
        let digest = writer.store(entries, LINEAGE).unwrap();
        let epoch = Epoch { number: 7, server: ServerId(3) };
        let scribe = Scribe { entries: entries.to_vec(), epoch, drawn: 3 << 40 };
        let mut third = Bench { folder, store, writer, scribe, changes: Vec::new(), digest };
        take_over(&mut third, &stream(&self.winner, self.common));
        third
    }
}

fn change_password(bench: &mut Bench, user: User, to: &str) {
    let command = change(bench, user, to);
    assert_eq!(bench.act(user, command), Ok(Outcome::PasswordChanged));
}

pub(super) fn hash(text: &str) -> String {
    format!("$argon2id$of-{text}")
}

#[test]
fn a_password_that_the_loser_changed_is_the_accounts_and_ends_what_it_ended() {
    let mut split = split();
    let desk = device(&mut split.winner, split.alice);
    change_password(&mut split.loser, split.alice, "lost");
    let later = device(&mut split.loser, split.alice);
    split.merge();
    let (alice, phone) = (split.alice, split.phone);
    for bench in [&mut split.third(), &mut split.winner] {
        assert_eq!(hash_of(bench, alice), Some((hash("lost"), 2)));
        let alive = [alice, phone, desk, later].map(|device| lives(bench, device));
        assert_eq!(alive, [true, false, false, true], "its maker, and who knows the new one");
    }
}

#[test]
fn of_two_changed_passwords_the_winners_counts_and_both_end_sessions() {
    let mut split = split();
    change_password(&mut split.winner, split.alice, "won");
    let desk = device(&mut split.winner, split.alice);
    change_password(&mut split.loser, split.phone, "lost");
    let later = device(&mut split.loser, split.alice);
    split.merge();
    let (alice, phone) = (split.alice, split.phone);
    for bench in [&mut split.third(), &mut split.winner] {
        assert_eq!(hash_of(bench, alice), Some((hash("won"), 2)));
        let alive = [alice, phone, desk, later].map(|device| lives(bench, device));
        assert_eq!(alive, [false, false, true, false]);
    }
}

#[test]
fn a_session_that_the_loser_began_with_a_password_that_the_winner_changed_has_ended() {
    let mut split = split();
    change_password(&mut split.winner, split.alice, "won");
    let later = device(&mut split.loser, split.phone);
    let sent = split.loser.send(later, "@bob", "acknowledged");
    split.merge();
    assert!(!lives(&mut split.winner, later) && lives(&mut split.winner, split.alice));
    assert_eq!(split.winner.history(split.bob, "@alice")[1].id, sent.id);
}

#[test]
fn of_two_changes_of_the_loser_the_last_counts() {
    let mut split = split();
    change_password(&mut split.loser, split.alice, "first");
    let later = device(&mut split.loser, split.alice);
    change_password(&mut split.loser, later, "second");
    split.merge();
    assert_eq!(hash_of(&split.winner, split.alice), Some((hash("second"), 3)));
    let alive = [split.alice, split.phone, later].map(|d| lives(&mut split.winner, d));
    assert_eq!(alive, [false, false, true]);
    // What was taken over does not outrank what comes after it.
    change_password(&mut split.winner, later, "third");
    assert_eq!(hash_of(&split.third(), split.alice), Some((hash("third"), 4)));
}

#[test]
fn a_refused_change_is_not_merged() {
    let mut split = split();
    let wrong = crate::chat::ChangePassword { proof: None, password_hash: String::new() };
    let refused = split.loser.act(split.alice, Command::ChangePassword(wrong));
    assert_eq!(refused, Err(Refusal::BadCredentials));
    let deletion = split.loser.act(split.alice, Command::DeleteAccount(None));
    assert_eq!(deletion, Err(Refusal::BadCredentials));
    let before = split.winner.contents();
    split.merge();
    let lines = |contents: &str| {
        let kept = contents.lines().filter(|line| !line.starts_with("divergence "));
        kept.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&split.winner.contents()), lines(&before));
}

#[test]
fn a_session_that_was_ended_on_one_side_has_ended() {
    let mut split = split();
    let ending = Command::EndSession(split.phone.session);
    let ending = split.loser.scribe.call(Some(split.alice.session), ending);
    assert_eq!(split.loser.run(&ending), Ok(Outcome::SessionEnded));
    split.winner.send(split.phone, "@bob", "in use here");
    split.merge();
    assert!(!lives(&mut split.winner, split.phone) && lives(&mut split.winner, split.alice));
    assert_eq!(split.winner.run(&ending), Ok(Outcome::SessionEnded), "a repeat is known");
}

#[test]
fn a_session_that_the_winner_has_long_forgotten_does_not_come_back() {
    let mut split = split();
    split.winner.act(split.phone, Command::Logout).unwrap();
    let far = Timestamp(i64::MAX);
    let expire = crate::chat::Expire {
        requests_before: far,
        deleted_before: far,
        idle_before: Timestamp(0),
    };
    let expire = split.winner.scribe.call(None, Command::Expire(expire));
    split.winner.run(&expire).unwrap();
    let touch = split.loser.scribe.call(None, Command::TouchSession(split.phone.session));
    split.loser.run(&touch).unwrap();
    split.merge();
    assert!(!lives(&mut split.winner, split.phone));
}

#[test]
fn an_account_whose_first_session_is_forgotten_is_merged_all_the_same() {
    let mut split = split();
    let dave = split.loser.user("dave");
    let desk = device(&mut split.loser, dave);
    split.loser.act(dave, Command::Logout).unwrap();
    let far = Timestamp(i64::MAX);
    let expire = crate::chat::Expire {
        requests_before: Timestamp(0),
        deleted_before: far,
        idle_before: Timestamp(0),
    };
    let only_sessions = crate::chat::Expire { requests_before: far, ..expire };
    let expire = split.loser.scribe.call(None, Command::Expire(only_sessions));
    split.loser.run(&expire).unwrap();
    split.merge();
    assert!(split.winner.read(|reader| reader.account(dave.account)).is_some());
    assert!(lives(&mut split.winner, desk) && !lives(&mut split.winner, dave));
}

#[test]
fn an_account_that_the_loser_deleted_is_deleted_with_what_it_did_on_the_winner() {
    let mut split = split();
    let desk = device(&mut split.winner, split.alice);
    split.winner.send(desk, "@bob", "not for long");
    split.winner.send(split.bob, "@alice", "hello?");
    create_room(&mut split.winner, desk, "lonely");
    create_room(&mut split.winner, desk, "new");
    join(&mut split.winner, split.carol, "new");
    let deletion = Command::DeleteAccount(proof(&split.loser, split.alice));
    let deletion = split.loser.scribe.call(Some(split.alice.session), deletion);
    split.loser.run(&deletion).unwrap();
    split.merge();
    assert_eq!(split.winner.run(&deletion), Ok(Outcome::AccountDeleted), "a repeat is known");
    let (alice, bob, carol, phone) = (split.alice, split.bob, split.carol, split.phone);
    for bench in [&mut split.third(), &mut split.winner] {
        assert_eq!([alice, phone, desk].map(|d| lives(bench, d)), [false; 3]);
        let seen = bench.history(bob, &gone(alice));
        assert_eq!(bodies(&seen), ["old", "not for long", "hello?"]);
        assert_eq!(owner_of(bench, bob, "#room").as_deref(), Some("bob"));
        assert_eq!(owner_of(bench, carol, "#new").as_deref(), Some("carol"));
        let lonely = bench.act(carol, Command::JoinRoom(RoomName::parse("lonely").unwrap()));
        assert_eq!(lonely, Err(Refusal::NoSuchRoom), "it is closed");
        bench.user("alice");
    }
}

#[test]
fn what_an_account_that_the_winner_deleted_did_on_the_loser_stands_with_the_others() {
    let mut split = split();
    delete(&mut split.winner, split.alice);
    let another = split.winner.user("alice");
    let said = split.loser.send(split.alice, "@bob", "said there");
    split.loser.send(split.bob, "@alice", "answered there");
    split.loser.send(split.alice, "@carol", "first word");
    split.loser.send(split.alice, "@alice", "note to self");
    split.loser.send(split.alice, "#room", "to the room");
    create_room(&mut split.loser, split.alice, "new");
    split.loser.send(split.alice, "#new", "before you came");
    join(&mut split.loser, split.carol, "new");
    create_room(&mut split.loser, split.alice, "alone");
    create_room(&mut split.loser, split.carol, "carols");
    let add = |room: &str, username: &str| Command::AddMember {
        room: RoomName::parse(room).unwrap(),
        username: Username::parse(username).unwrap(),
    };
    split.loser.act(split.carol, add("carols", "alice")).unwrap();
    let later = device(&mut split.loser, split.alice);
    split.merge();
    let (alice, bob, carol) = (split.alice, split.bob, split.carol);
    for bench in [&mut split.third(), &mut split.winner] {
        assert!(!lives(bench, alice) && !lives(bench, later));
        let seen = bench.history(bob, &gone(alice));
        assert_eq!(bodies(&seen), ["old", "said there", "answered there"]);
        assert_eq!(seen[1].id, said.id);
        assert_eq!(bodies(&bench.history(carol, &gone(alice))), ["first word"]);
        assert!(!bench.contents().contains("body=6E6F746520"), "nobody reads the notes");
        assert_eq!(bodies(&bench.history(bob, "#room")), ["to the room"]);
        assert_eq!(bodies(&bench.history(carol, "#new")), ["before you came"]);
        assert_eq!(owner_of(bench, bob, "#room").as_deref(), Some("bob"));
        assert_eq!(owner_of(bench, carol, "#new").as_deref(), Some("carol"));
        let room = RoomName::parse("carols").unwrap();
        let page = bench.read(|r| r.members(carol.account, &room, 0, "")).unwrap();
        assert_eq!(page.items.len(), 1, "whoever is gone comes into no room");
        assert!(bench.history(another, "@bob").is_empty(), "the name is another's");
        // Nobody is in this one, so its name is anybody's.
        create_room(bench, bob, "alone");
    }
}

#[test]
fn a_room_that_was_closed_with_its_owners_account_goes_on_with_its_members_elsewhere() {
    let mut split = split();
    create_room(&mut split.loser, split.carol, "carols");
    let (mut loser, carol, bob) = (split.loser, split.carol, split.bob);
    let (winner, common) = (loser.copy(WINNER), loser.end());
    create_room(&mut loser, carol, "never");
    let update = UpdateRoom {
        room: RoomName::parse("carols").unwrap(),
        topic: Some(Topic::parse("about").unwrap()),
        private: None,
    };
    loser.act(carol, Command::UpdateRoom(update)).unwrap();
    delete(&mut loser, carol);
    let mut split = Split { winner, loser, common, ..split };
    join(&mut split.winner, bob, "carols");
    split.winner.send(bob, "#carols", "still here");
    split.merge();
    assert_eq!(owner_of(&split.winner, bob, "#carols").as_deref(), Some("bob"));
    assert_eq!(bodies(&split.winner.history(bob, "#carols")), ["still here"]);
    create_room(&mut split.winner, bob, "never");
}

#[test]
fn what_the_heir_made_of_a_room_is_merged_with_it() {
    let mut split = split();
    delete(&mut split.loser, split.alice);
    let update = UpdateRoom {
        room: RoomName::parse("room").unwrap(),
        topic: Some(Topic::parse("bob's own").unwrap()),
        private: None,
    };
    split.loser.act(split.bob, Command::UpdateRoom(update)).unwrap();
    split.merge();
    let found = split.winner.read(|r| r.conversation(split.bob.account, &name("#room")));
    let found = found.unwrap().unwrap();
    assert_eq!(
        (found.topic.as_str(), found.owner.unwrap().to_string()),
        ("bob's own", "bob".into())
    );
}

#[test]
fn an_account_that_both_sides_made_of_one_call_is_deleted_if_either_deleted_it() {
    let mut split = split();
    let create = split.loser.scribe.create("dave");
    let own = split.winner.scribe.create("dave");
    let own = Update { request: create.request, ..own };
    let Ok(Outcome::AccountCreated { account, session }) = split.loser.run(&create) else {
        panic!()
    };
    let lost = User { account: account.id, session };
    let Ok(Outcome::AccountCreated { account, session }) = split.winner.run(&own) else { panic!() };
    let dave = User { account: account.id, session };
    split.winner.send(dave, "@bob", "me");
    delete(&mut split.loser, lost);
    split.merge();
    assert!(!lives(&mut split.winner, dave));
    assert_eq!(bodies(&split.winner.history(split.bob, &gone(dave))), ["me"]);
    assert_eq!(split.winner.run(&own), Err(Refusal::BadCredentials));
    split.winner.user("dave");
}

#[test]
fn a_name_that_was_given_away_again_on_the_loser_is_free_on_the_winner() {
    let mut split = split();
    delete(&mut split.loser, split.carol);
    let another = split.loser.user("carol");
    split.winner.send(split.carol, "@bob", "the first carol");
    split.loser.send(another, "@bob", "the second");
    split.merge();
    assert_eq!(bodies(&split.winner.history(split.bob, "@carol")), ["the second"]);
    assert_eq!(bodies(&split.winner.history(split.bob, &gone(split.carol))), ["the first carol"]);
}

#[test]
fn a_room_whose_later_owner_came_later_brings_all_its_messages() {
    let mut split = split();
    let id = RoomId(split.loser.scribe.draw_id());
    let room = RoomName::parse("new").unwrap();
    let create = CreateRoom { room: room.clone(), topic: Topic::default(), private: false, id };
    split.loser.act(split.alice, Command::CreateRoom(create)).unwrap();
    split.loser.send(split.alice, "#new", "before dave was born");
    let dave = split.loser.user("dave");
    join(&mut split.loser, dave, "new");
    let username = Username::parse("dave").unwrap();
    split.loser.act(split.alice, Command::TransferRoom { room, username }).unwrap();
    split.merge();
    assert_eq!(bodies(&split.winner.history(dave, "#new")), ["before dave was born"]);
    assert_eq!(owner_of(&split.winner, dave, "#new").as_deref(), Some("dave"));
}
