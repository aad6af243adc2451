//! Who is told of what happens in a room, and what that costs.

use super::*;

#[test]
fn the_audience_in_memory_is_that_of_the_tables_after_a_roll_back() {
    let Scene { mut bench, alice, bob, carol } = scene(false);
    let command = add("room", "carol");
    let update = bench.scribe.call(Some(alice.session), command);
    let entry = bench.scribe.update(&update);
    bench.writer.apply(std::slice::from_ref(&entry)).unwrap();
    bench.writer.rollback().unwrap();
    bench.scribe.entries.pop();
    bench.send(alice, "#room", "not for carol");
    assert_eq!(bench.told(carol), []);
    assert_eq!(bench.told(bob).len(), 1);
    let mut bench = bench.restart();
    bench.send(alice, "#room", "after a restart");
    assert_eq!(bench.told(bob).len(), 1);
}

#[test]
fn a_message_in_a_room_of_a_thousand_touches_its_senders_row_alone() {
    let Scene { mut bench, alice, bob, .. } = scene(false);
    for number in 0..998 {
        let member = format!("m{number}");
        bench.user(&member);
        bench.act(alice, add("room", &member)).unwrap();
    }
    bench.send(alice, "#room", "first");
    let heard = plans::Statements::default();
    plans::listen(&mut bench.writer.connection, &heard);
    let message = bench.send(alice, "#room", "second");
    let statements = heard.lock().unwrap().clone();
    assert_eq!(bench.changes[0].audience.accounts().len(), 1_000);
    let lists = |statement: &&String| {
        statement.contains("members") && !statement.contains("`members`.`account` = ?")
    };
    assert_eq!(statements.iter().filter(lists).collect::<Vec<_>>(), Vec::<&String>::new());
    let changed = bench.contents();
    let touched = |line: &&str| line.starts_with("member ") && line.contains(" own=2 ");
    assert_eq!(changed.lines().filter(touched).count(), 1);
    assert_eq!(bench.counts(bob, "#room"), (2, 0));
    bench.act(alice, Command::DeleteMessages(vec![message.id])).unwrap();
    assert_eq!(bench.counts(bob, "#room"), (1, 0));
}

#[test]
fn signs_are_for_members_and_for_those_who_share_a_conversation() {
    let Scene { mut bench, alice, bob, carol } = scene(false);
    let dave = bench.user("dave");
    bench.send(dave, "@alice", "hi");
    let typing = |viewer: User, place: &str| {
        bench.read(|reader| reader.typing(viewer.account, &name(place)))
    };
    let in_room = typing(alice, "#room").unwrap().unwrap();
    assert_eq!(
        in_room.seen_by(bob.account).as_ref().map(shown),
        Some("alice types in #room".into())
    );
    assert_eq!(in_room.seen_by(alice.account), None, "whoever types knows");
    let direct = typing(alice, "@dave").unwrap().unwrap();
    assert_eq!(
        direct.seen_by(dave.account).as_ref().map(shown),
        Some("alice types in @alice".into())
    );
    assert_eq!(direct.seen_by(bob.account), None);
    assert_eq!(typing(carol, "#room"), Err(Refusal::NotAllowed));
    assert_eq!(typing(carol, "@alice"), Ok(None));
    assert_eq!(typing(carol, "@nobody"), Err(Refusal::NoSuchAccount));
    let here = bench.read(|reader| reader.presence(alice.account, true)).unwrap();
    let told: Vec<bool> =
        [alice, bob, carol, dave].map(|user| here.seen_by(user.account).is_some()).into();
    assert_eq!(told, [false, true, false, true]);
}
