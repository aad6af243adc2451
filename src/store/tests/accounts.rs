//! Accounts that change their password, end sessions, or go.

use super::*;
use crate::chat::{ChangePassword, CreateRoom, Expire, Glob, Happening, RoomId, RoomName, Topic};

pub(super) fn proof(bench: &Bench, user: User) -> Option<Proof> {
    let known = bench.read(|reader| reader.credentials_of(user.account))?;
    Some(Proof { account: user.account, password_version: known.password_version })
}

/// The caller proved its password, and wants this one.
pub(super) fn change(bench: &Bench, user: User, to: &str) -> Command {
    let password_hash = format!("$argon2id$of-{to}");
    Command::ChangePassword(ChangePassword { proof: proof(bench, user), password_hash })
}

pub(super) fn delete(bench: &mut Bench, user: User) {
    let command = Command::DeleteAccount(proof(bench, user));
    assert_eq!(bench.act(user, command), Ok(Outcome::AccountDeleted));
}

/// Logs the user in on another device.
pub(super) fn device(bench: &mut Bench, user: User) -> User {
    let login = bench.scribe.login("whoever", proof(bench, user).unwrap());
    match bench.run(&login) {
        Ok(Outcome::LoggedIn { session, .. }) => User { session, ..user },
        other => panic!("{other:?}"),
    }
}

pub(super) fn lives(bench: &mut Bench, user: User) -> bool {
    let found = bench.read(|reader| {
        let known = crate::store::rows::session_by_id(&mut reader.connection, user.session)?;
        Ok(known.is_some_and(|session| session.end_time.is_none()))
    });
    let works = bench.act(user, Command::AcknowledgeMessages(vec![])).is_ok();
    assert_eq!(found, works, "the table says what the rules do");
    works
}

pub(super) fn hash_of(bench: &Bench, user: User) -> Option<(String, i64)> {
    let known = bench.read(|reader| reader.credentials_of(user.account))?;
    Some((known.password_hash, known.password_version))
}

pub(super) fn gone(user: User) -> String {
    format!("@~{}", user.account)
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub(super) fn create_room(bench: &mut Bench, owner: User, name: &str) {
    let id = RoomId(bench.scribe.draw_id());
    let topic = Topic::default();
    let create = CreateRoom { room: room(name), topic, private: false, id };
    bench.act(owner, Command::CreateRoom(create)).unwrap();
}

pub(super) fn join(bench: &mut Bench, user: User, name: &str) {
    bench.act(user, Command::JoinRoom(room(name))).unwrap();
}

pub(super) fn owner_of(bench: &Bench, viewer: User, room: &str) -> Option<String> {
    let found = bench.read(|reader| reader.conversation(viewer.account, &name(room)));
    found.unwrap().unwrap().owner.map(|owner| owner.to_string())
}

fn told(bench: &Bench, viewer: User) -> Vec<String> {
    let happenings = bench.changes.iter().filter_map(|change| change.seen_by(viewer.account));
    happenings.map(|happening| shown(&happening)).collect()
}

fn shown(happening: &Happening) -> String {
    match happening {
        Happening::MembershipChanged { room, account, member } => {
            format!("{account} {} {room}", if *member { "in" } else { "out of" })
        }
        Happening::RoomChanged(state) => {
            format!("{} is {}'s", state.room, state.owner.as_ref().unwrap())
        }
        Happening::AccountChanged { username, deleted: true } => format!("{username} is gone"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_changed_password_ends_all_other_sessions_and_proofs_of_the_old_one() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let phone = device(&mut bench, alice);
    let old = proof(&bench, alice).unwrap();
    let late = bench.scribe.login("alice", old);
    let command = change(&bench, alice, "new");
    assert_eq!(bench.act(alice, command.clone()), Ok(Outcome::PasswordChanged));
    let ended: Vec<_> = bench.changes.iter().map(|change| &change.kind).collect();
    let kind = crate::chat::ChangeKind::SessionChanged { session: phone.session, ended: true };
    assert_eq!(ended, [&kind]);
    assert!(lives(&mut bench, alice) && !lives(&mut bench, phone) && lives(&mut bench, bob));
    assert_eq!(hash_of(&bench, alice), Some(("$argon2id$of-new".into(), 2)));
    assert_eq!(bench.run(&late), Err(Refusal::BadCredentials), "proved before, used after");
    assert_eq!(bench.act(alice, command), Err(Refusal::BadCredentials));
    device(&mut bench, alice);
}

#[test]
fn a_password_is_changed_by_whoever_proved_it_alone() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let before = bench.contents();
    let hash = || "$argon2id$of-evil".to_owned();
    for proof in [None, proof(&bench, bob)] {
        let command = Command::ChangePassword(ChangePassword { proof, password_hash: hash() });
        assert_eq!(bench.act(alice, command), Err(Refusal::BadCredentials));
        assert_eq!(bench.act(alice, Command::DeleteAccount(proof)), Err(Refusal::BadCredentials));
    }
    assert_eq!(bench.contents(), before);
}

#[test]
fn a_repeated_change_needs_no_proof_and_changes_nothing() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let command = change(&bench, alice, "new");
    let first = bench.scribe.call(Some(alice.session), command);
    bench.run(&first).unwrap();
    // The old password proves nothing by now.
    let unproved = ChangePassword { proof: None, password_hash: String::new() };
    let repeat = Update { command: Command::ChangePassword(unproved), ..first.clone() };
    let before = bench.contents();
    assert_eq!(bench.run(&repeat), Ok(Outcome::PasswordChanged));
    assert_eq!(bench.contents(), before);
    let other = bench.scribe.call(Some(alice.session), repeat.command);
    assert_eq!(bench.run(&other), Err(Refusal::BadCredentials));
}

#[test]
fn a_repeated_login_after_a_changed_password_is_refused() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let login = bench.scribe.login("alice", proof(&bench, alice).unwrap());
    bench.run(&login).unwrap();
    let command = change(&bench, alice, "new");
    bench.act(alice, command).unwrap();
    assert_eq!(bench.run(&login), Err(Refusal::BadCredentials));
    let renewed = bench.scribe.login("alice", proof(&bench, alice).unwrap());
    let renewed = Update { request: login.request, ..renewed };
    assert_eq!(bench.run(&renewed), Err(Refusal::BadCredentials), "its session has ended");
}

#[test]
fn a_session_is_ended_from_another_one_and_by_its_own_account_alone() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let phone = device(&mut bench, alice);
    let end = Command::EndSession(phone.session);
    assert_eq!(bench.act(bob, end.clone()), Err(Refusal::NoSuchSession));
    assert!(lives(&mut bench, phone));
    assert_eq!(bench.act(alice, end.clone()), Ok(Outcome::SessionEnded));
    assert!(!lives(&mut bench, phone) && lives(&mut bench, alice));
    assert_eq!(bench.act(alice, end), Ok(Outcome::SessionEnded), "it has ended");
    assert_eq!(bench.changes, [], "nobody is told twice");
    let unknown = Command::EndSession(SessionId([0; 16]));
    assert_eq!(bench.act(alice, unknown), Err(Refusal::NoSuchSession));
}

#[test]
fn an_ended_session_is_good_for_a_repeat_of_the_call_that_ended_it_alone() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let (phone, desk) = (device(&mut bench, alice), device(&mut bench, alice));
    let own = bench.scribe.call(Some(phone.session), Command::EndSession(phone.session));
    assert_eq!(bench.run(&own), Ok(Outcome::SessionEnded));
    assert_eq!(bench.run(&own), Ok(Outcome::SessionEnded));
    let again = bench.act(phone, Command::EndSession(phone.session));
    assert_eq!(again, Err(Refusal::NoSession), "another request id is another call");

    let others = bench.scribe.call(Some(desk.session), Command::EndSession(phone.session));
    assert_eq!(bench.run(&others), Ok(Outcome::SessionEnded));
    bench.act(desk, Command::Logout).unwrap();
    assert_eq!(bench.run(&others), Err(Refusal::NoSession), "it did not end its own session");

    let last = Command::DeleteAccount(proof(&bench, alice));
    let last = bench.scribe.call(Some(alice.session), last);
    assert_eq!(bench.run(&last), Ok(Outcome::AccountDeleted));
    let unproved = Update { command: Command::DeleteAccount(None), ..last };
    let before = bench.contents();
    assert_eq!(bench.run(&unproved), Ok(Outcome::AccountDeleted));
    assert_eq!(bench.contents(), before);
    for command in [Command::DeleteAccount(None), Command::Logout, send_command("@a", "hi", None)] {
        assert_eq!(bench.act(alice, command), Err(Refusal::NoSession));
    }
}

#[test]
fn a_deleted_account_is_gone_and_its_messages_stay_with_the_others() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let phone = device(&mut bench, alice);
    let said = bench.send(alice, "@bob", "remember me");
    bench.send(bob, "@alice", "I do");
    bench.send(alice, "@bob", "a last word");
    bench.act(bob, Command::MarkRead { conversation: name("@alice"), seq: 1 }).unwrap();
    delete(&mut bench, alice);
    assert_eq!(told(&bench, bob), ["alice is gone"]);
    assert!(!lives(&mut bench, alice) && !lives(&mut bench, phone));
    assert_eq!(bench.read(|reader| reader.account(alice.account)), None);
    let found = bench.read(|reader| reader.credentials(&Username::parse("alice").unwrap()));
    assert_eq!(found, []);
    assert!(!bench.contents().contains("of-alice"), "nothing is left of the password");
    let listed = bench.read(|reader| reader.accounts(&Glob::parse("").unwrap(), 0, "")).unwrap();
    assert_eq!(listed.items.len(), 1);

    let deleted = gone(alice);
    let seen = bench.history(bob, &deleted);
    assert_eq!(bodies(&seen), ["remember me", "I do", "a last word"]);
    assert_eq!(format!("@{}", seen[0].sender), deleted);
    assert_eq!(bench.unread(bob, &deleted), 1);
    let list = bench.read(|reader| reader.conversations(bob.account, 0, "")).unwrap();
    assert_eq!(list.items[0].name.to_string(), deleted);
    for to in ["@alice", &deleted] {
        let refused = bench.act(bob, send_command(to, "where are you?", None));
        assert_eq!(refused, Err(Refusal::NoSuchAccount), "{to}");
    }
    // Its reader has the say over the own view as ever.
    bench.act(bob, Command::MarkRead { conversation: name(&deleted), seq: 3 }).unwrap();
    bench.act(bob, Command::AcknowledgeMessages(vec![said.id])).unwrap();
    bench.act(bob, Command::DeleteMessages(vec![said.id])).unwrap();
    assert!(bench.history(bob, &deleted)[0].deleted);
}

#[test]
fn the_name_of_a_deleted_account_is_free_for_another_one() {
    let mut bench = Bench::new();
    let first = bench.scribe.create("alice");
    let Ok(Outcome::AccountCreated { account, session }) = bench.run(&first) else { panic!() };
    let (alice, bob) = (User { account: account.id, session }, bench.user("bob"));
    bench.send(bob, "@alice", "to the first");
    delete(&mut bench, alice);
    assert_eq!(bench.run(&first), Err(Refusal::BadCredentials), "its session has ended");
    let another = bench.user("alice");
    assert_ne!(another.account, alice.account);
    assert!(bench.history(another, "@bob").is_empty());
    assert_eq!(bench.send(bob, "@alice", "to the second").seq, 1);
    assert_eq!(bodies(&bench.history(another, "@bob")), ["to the second"]);
    assert_eq!(bodies(&bench.history(bob, &gone(alice))), ["to the first"]);
    delete(&mut bench, another);
    assert_eq!(bodies(&bench.history(bob, &gone(another))), ["to the second"]);
}

#[test]
fn a_deleted_account_leaves_its_rooms_to_whoever_was_there_longest() {
    let mut bench = Bench::new();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| bench.user(name));
    for name in ["shared", "own", "bobs"] {
        create_room(&mut bench, if name == "bobs" { bob } else { alice }, name);
    }
    join(&mut bench, carol, "shared");
    join(&mut bench, bob, "shared");
    join(&mut bench, alice, "bobs");
    let start = bench.end();
    bench.send(alice, "#shared", "hi @bob and @carol");
    bench.send(carol, "#shared", "hi @alice");
    delete(&mut bench, alice);
    let of_shared = ["shared is carol's", "alice out of shared"];
    assert_eq!(told(&bench, carol), [of_shared[0], of_shared[1], "alice is gone"]);
    let of_bob = ["shared is carol's", "alice out of shared", "alice out of bobs", "alice is gone"];
    assert_eq!(told(&bench, bob), of_bob);
    assert_eq!(owner_of(&bench, bob, "#shared").as_deref(), Some("carol"));
    assert_eq!(owner_of(&bench, bob, "#bobs").as_deref(), Some("bob"));
    let all = Glob::parse("").unwrap();
    let rooms = bench.read(|reader| reader.rooms(bob.account, &all, 0, "")).unwrap();
    assert_eq!(rooms.items.len(), 2, "a room that nobody is left in is closed");
    let members = bench.read(|reader| reader.members(bob.account, &room("shared"), 0, "")).unwrap();
    assert_eq!(members.items.len(), 2);
    let seen = bench.history(bob, "#shared");
    assert_eq!(format!("@{}", seen[0].sender), gone(alice));
    assert_eq!(seen[1].mentions, [], "whoever is gone is mentioned no more");
    let (end, viewer) = (bench.end(), bob.account);
    let replay = bench.read(|reader| reader.replay(viewer, start, end, 100));
    let out = |(_, happening): &(u64, Happening)| {
        matches!(happening, Happening::MembershipChanged { account, member: false, .. }
            if format!("@{account}") == gone(alice))
    };
    assert_eq!(replay.happenings.iter().filter(|item| out(item)).count(), 2);
    bench.act(carol, Command::DeleteRoom(room("shared"))).unwrap();
}

#[test]
fn the_inbox_of_a_deleted_account_goes_at_once() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    bench.send(alice, "@alice", "note to self");
    let withdrawn = bench.send(alice, "@bob", "withdrawn");
    bench.act(alice, Command::DeleteMessages(vec![withdrawn.id])).unwrap();
    let unwanted = bench.send(bob, "@alice", "between the two");
    bench.act(alice, Command::DeleteMessages(vec![unwanted.id])).unwrap();
    let has = |bench: &Bench, text: &str| {
        let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
        bench.contents().contains(&format!("body={hex}"))
    };
    delete(&mut bench, alice);
    assert!(!has(&bench, "note to self") && !has(&bench, "withdrawn"));
    assert_eq!(bodies(&bench.history(bob, &gone(alice))), ["", "between the two"]);
    let rows = |bench: &Bench, table: &str| {
        let contents = bench.contents();
        contents.lines().filter(|line| line.starts_with(table)).count()
    };
    assert_eq!((rows(&bench, "member "), rows(&bench, "hidden ")), (1, 0));
    delete(&mut bench, bob);
    assert!(!has(&bench, "between the two"), "nobody is left to read it");
    assert_eq!(rows(&bench, "member "), 0);
}

#[test]
fn an_inbox_larger_than_one_entry_takes_goes_with_the_next_expiry() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    for _ in 0..crate::store::apply::BODIES_WITH_AN_ACCOUNT + 10 {
        bench.send(alice, "@alice", "x");
    }
    delete(&mut bench, alice);
    let left = |bench: &Bench| {
        let contents = bench.contents();
        contents.lines().filter(|line| line.ends_with("body=78")).count()
    };
    assert_eq!(left(&bench), 10);
    let expire = Expire {
        requests_before: Timestamp(0),
        deleted_before: Timestamp(0),
        idle_before: Timestamp(0),
    };
    let expire = bench.scribe.call(None, Command::Expire(expire));
    bench.run(&expire).unwrap();
    assert_eq!(left(&bench), 0);
}

#[test]
fn sessions_that_ended_long_ago_are_forgotten_with_their_tokens() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let login = bench.scribe.login("alice", proof(&bench, alice).unwrap());
    let Ok(Outcome::LoggedIn { session, .. }) = bench.run(&login) else { panic!() };
    let renewed = bench.scribe.login("alice", proof(&bench, alice).unwrap());
    bench.run(&Update { request: login.request, ..renewed }).unwrap();
    let logout = bench.scribe.call(Some(session), Command::Logout);
    bench.run(&logout).unwrap();
    let rows = |bench: &Bench| {
        let contents = bench.contents();
        let of = |table: &str| contents.lines().filter(|line| line.starts_with(table)).count();
        (of("session "), of("token "), of("ended token "))
    };
    assert_eq!(rows(&bench), (2, 2, 1));
    let mut expire = |before: i64| {
        let (requests_before, deleted_before) = (Timestamp(before), Timestamp(0));
        let expire =
            Command::Expire(Expire { requests_before, deleted_before, idle_before: Timestamp(0) });
        let update = bench.scribe.call(None, expire);
        bench.run(&update).unwrap();
        rows(&bench)
    };
    assert_eq!(expire(logout.time.0), (2, 2, 1), "the logout can be repeated still");
    assert_eq!(expire(logout.time.0 + 1), (1, 1, 0));
    assert_eq!(bench.run(&logout), Err(Refusal::NoSession));
    assert!(lives(&mut bench, alice));
}
