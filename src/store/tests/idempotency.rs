//! A retry never makes a duplicate.

use super::*;
use crate::chat::{ChangePassword, CreateRoom, RoomId, RoomName, Topic, UpdateRoom};

/// One update of every call, in an order in which each is carried out.
fn story(bench: &mut Bench) -> Vec<Update> {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| bench.user(name));
    let message = bench.send(alice, "@bob", "first");
    let other = bench.send(alice, "@bob", "second");
    let third = bench.send(alice, "@bob", "third");
    let (room, username) = (RoomName::parse("room").unwrap(), Username::parse("bob").unwrap());
    let (topic, id) = (Topic::default(), RoomId([1; 16]));
    let create = CreateRoom { room: room.clone(), topic, private: false, id };
    let topic = Some(Topic::parse("news").unwrap());
    let update = UpdateRoom { room: room.clone(), topic, private: Some(true) };
    let calls = [
        (alice, send_command("@bob", "hi", None)),
        (bob, send_command("@alice", "re", Some(message.id))),
        (bob, Command::AcknowledgeMessages(vec![message.id, other.id])),
        (bob, Command::MarkRead { conversation: name("@alice"), seq: 2 }),
        (bob, Command::DeleteMessages(vec![other.id])),
        (alice, Command::DeleteMessages(vec![message.id])),
        (alice, send_command("@nobody", "hi", None)),
        (alice, Command::DeleteMessages(vec![MessageId([3; 16])])),
        (alice, Command::EditMessage { message: third.id, body: Body::parse("new").unwrap() }),
        (alice, Command::CreateRoom(create.clone())),
        (bob, Command::CreateRoom(CreateRoom { id: RoomId([2; 16]), ..create })),
        (bob, Command::JoinRoom(room.clone())),
        (bob, Command::LeaveRoom(room.clone())),
        (bob, Command::LeaveRoom(room.clone())),
        (alice, Command::LeaveRoom(room.clone())),
        (alice, Command::TransferRoom { room: room.clone(), username: username.clone() }),
        (alice, Command::AddMember { room: room.clone(), username: username.clone() }),
        (alice, Command::UpdateRoom(update)),
        (alice, Command::RemoveMember { room: room.clone(), username: username.clone() }),
        (alice, Command::AddMember { room: room.clone(), username: username.clone() }),
        (alice, Command::TransferRoom { room: room.clone(), username }),
        (bob, Command::DeleteRoom(room)),
        (bob, Command::EndSession(SessionId([4; 16]))),
        (bob, change_password(bob, 1)),
        (bob, Command::EndSession(bob.session)),
        (
            alice,
            Command::DeleteAccount(Some(Proof { account: alice.account, password_version: 1 })),
        ),
        (carol, Command::Logout),
    ];
    calls
        .into_iter()
        .map(|(user, command)| bench.scribe.call(Some(user.session), command))
        .collect()
}

fn change_password(user: User, password_version: i64) -> Command {
    Command::ChangePassword(ChangePassword {
        proof: Some(Proof { account: user.account, password_version }),
        password_hash: "$argon2id$of-another".into(),
    })
}

#[test]
fn a_repeat_of_any_call_changes_nothing_and_answers_the_same() {
    let mut bench = Bench::new();
    let updates = story(&mut bench);
    for update in updates {
        let first = bench.run(&update);
        let before = bench.contents();
        // Another leader takes the repeat later, in another epoch.
        bench.scribe.epoch = Epoch { number: bench.scribe.epoch.number + 1, server: ServerId(2) };
        let later = Update { time: Timestamp(update.time.0 + 1_000_000), ..update.clone() };
        let again = bench.run(&later);
        assert_eq!(again, first, "{update:?}");
        assert_eq!(bench.contents(), before, "{update:?}");
        assert_eq!(bench.changes, [], "nobody is told twice");
    }
}

#[test]
fn a_retry_of_an_acknowledged_send_is_stored_once_and_answered_as_before() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let update = bench.scribe.send(alice, "@bob", "once");
    let message = sent(bench.run(&update));
    let mut bench = bench.restart();
    assert_eq!(sent(bench.run(&update)), message);
    assert_eq!(bodies(&bench.history(bob, "@alice")), ["once"]);
}

#[test]
fn a_repeat_in_the_same_batch_is_known_too() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let update = bench.scribe.send(alice, "@bob", "once");
    let entries = [bench.scribe.update(&update), bench.scribe.update(&update)];
    let applied = bench.writer.apply(&entries).unwrap();
    bench.writer.commit().unwrap();
    assert_eq!(applied.results[0].1, applied.results[1].1);
    assert_eq!(applied.changes.len(), 1);
    assert_eq!(bench.history(bob, "@alice").len(), 1);
}

#[test]
fn a_request_id_with_another_payload_is_refused() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    bench.user("bob");
    let first = bench.scribe.send(alice, "@bob", "one");
    bench.run(&first).unwrap();
    let mut other = bench.scribe.send(alice, "@bob", "two");
    other.request.as_mut().unwrap().id = first.request.unwrap().id;
    let before = bench.contents();
    assert_eq!(bench.run(&other), Err(Refusal::RequestIdReused));
    assert_eq!(bench.contents(), before);
}

#[test]
fn a_request_id_counts_per_account_and_per_call() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let first = bench.scribe.send(alice, "@bob", "one");
    let message = sent(bench.run(&first));
    let id = first.request.unwrap().id;
    let mut of_bob = bench.scribe.send(bob, "@alice", "two");
    of_bob.request.as_mut().unwrap().id = id;
    assert_eq!(sent(bench.run(&of_bob)).seq, 2);
    let command = Command::DeleteMessages(vec![message.id]);
    let mut another_call = bench.scribe.call(Some(alice.session), command);
    another_call.request.as_mut().unwrap().id = id;
    assert_eq!(bench.run(&another_call), Ok(Outcome::MessagesDeleted));
}

#[test]
fn a_refusal_that_passed_through_the_log_is_repeated_even_when_it_would_not_be_given_now() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let early = bench.scribe.send(alice, "@bob", "too early");
    assert_eq!(bench.run(&early), Err(Refusal::NoSuchAccount));
    let bob = bench.user("bob");
    assert_eq!(bench.run(&early), Err(Refusal::NoSuchAccount));
    assert_eq!(bench.history(bob, "@alice"), []);
    let taken = bench.scribe.create("bob");
    assert_eq!(bench.run(&taken), Err(Refusal::NameTaken));
    assert_eq!(bench.run(&taken), Err(Refusal::NameTaken));
}

#[test]
fn ids_are_never_reused_across_epochs_and_restarts() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let mut ids = std::collections::BTreeSet::new();
    for number in 2..5 {
        ids.insert(bench.send(alice, "@alice", "note").id);
        bench = bench.restart();
        bench.scribe.epoch = Epoch { number, server: ServerId(number as u32) };
        ids.insert(bench.send(alice, "@alice", "note").id);
    }
    assert_eq!(ids.len(), 6);
    let seqs: Vec<i64> = bench.history(alice, "@alice").iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=6).collect::<Vec<_>>());
}
