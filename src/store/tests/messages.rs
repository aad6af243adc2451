//! Sending, deleting, receiving and reading messages, and what subscribers hear of it.

use super::*;
use crate::{chat::Happening, store::Around};

fn pair() -> (Bench, User, User) {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    (bench, alice, bob)
}

fn told(bench: &Bench, viewer: User) -> Vec<Happening> {
    bench.changes.iter().filter_map(|change| change.seen_by(viewer.account)).collect()
}

/// A whole replay in small parts.
fn replay(bench: &Bench, viewer: User, after: u64, limit: usize) -> Vec<(u64, Happening)> {
    let until = bench.read(|reader| reader.last_position()).unwrap().seq;
    let (mut all, mut at) = (Vec::new(), after);
    while at < until {
        let part = bench.read(|reader| reader.replay(viewer.account, at, until, limit));
        assert!(part.told_until > at, "every part gets on");
        at = part.told_until;
        all.extend(part.happenings);
    }
    all
}

#[test]
fn both_sides_see_a_direct_message() {
    let (mut bench, alice, bob) = pair();
    let message = bench.send(alice, "@Bob", "hi");
    assert_eq!((message.seq, message.conversation.to_string()), (1, "@bob".into()));
    let reply = bench.act(bob, send_command("@alice", "ho", Some(message.id)));
    assert_eq!(sent(reply).reply_to, Some(message.id));
    let seen = bench.history(bob, "@alice");
    assert_eq!(bodies(&seen), ["hi", "ho"]);
    assert_eq!(seen[0].sender.to_string(), "alice");
    assert_eq!(seen[0].conversation.to_string(), "@alice");
    assert_eq!(bench.history(alice, "@bob")[0], message);
    assert_eq!(bench.unread(bob, "@alice"), 1, "an own message is not unread");
    assert_eq!(bench.unread(alice, "@bob"), 1);
}

#[test]
fn no_message_reaches_a_third_account() {
    let (mut bench, alice, _) = pair();
    let carol = bench.user("carol");
    let message = bench.send(alice, "@bob", "hi");
    assert_eq!(told(&bench, carol), []);
    assert_eq!(bench.read(|reader| reader.message(carol.account, message.id)), None);
    assert_eq!(bench.history(carol, "@bob"), []);
    assert_eq!(replay(&bench, carol, 0, 10), []);
    for command in [
        Command::DeleteMessages(vec![message.id]),
        Command::AcknowledgeMessages(vec![message.id]),
        send_command("@bob", "re", Some(message.id)),
    ] {
        assert_eq!(bench.act(carol, command), Err(Refusal::NoSuchMessage));
    }
}

#[test]
fn a_message_to_nobody_is_refused() {
    let (mut bench, alice, _) = pair();
    assert_eq!(bench.act(alice, send_command("@nobody", "hi", None)), Err(Refusal::NoSuchAccount));
    assert_eq!(bench.act(alice, send_command("#nowhere", "hi", None)), Err(Refusal::NoSuchRoom));
    let gone = format!("@~{}", alice.account);
    assert_eq!(bench.act(alice, send_command(&gone, "hi", None)), Err(Refusal::NoSuchAccount));
}

#[test]
fn notes_to_oneself_work_and_are_never_unread() {
    let (mut bench, alice, _) = pair();
    let note = bench.send(alice, "@alice", "remember");
    assert_eq!(told(&bench, alice).len(), 1);
    assert_eq!(bench.unread(alice, "@alice"), 0);
    bench.act(alice, Command::DeleteMessages(vec![note.id])).unwrap();
    assert_eq!(bench.unread(alice, "@alice"), 0);
    assert!(bench.history(alice, "@alice")[0].deleted);
}

#[test]
fn the_author_deletes_for_everyone() {
    let (mut bench, alice, bob) = pair();
    let message = bench.send(alice, "@bob", "oops");
    bench.send(alice, "@bob", "fine");
    bench.act(alice, Command::DeleteMessages(vec![message.id, message.id])).unwrap();
    for (viewer, peer) in [(alice, "@bob"), (bob, "@alice")] {
        assert!(matches!(told(&bench, viewer)[..], [Happening::MessageDeleted(_)]));
        let seen = bench.history(viewer, peer);
        assert_eq!(bodies(&seen), ["", "fine"], "the seq stays, without a gap");
        assert!(seen[0].deleted && !seen[1].deleted);
    }
    assert_eq!(bench.unread(bob, "@alice"), 1);
}

#[test]
fn the_recipient_removes_from_the_own_view_alone() {
    let (mut bench, alice, bob) = pair();
    let message = bench.send(alice, "@bob", "spam");
    bench.act(bob, Command::DeleteMessages(vec![message.id])).unwrap();
    assert!(matches!(told(&bench, bob)[..], [Happening::MessageDeleted(_)]));
    assert_eq!(told(&bench, alice), [], "the author is not told");
    assert_eq!(bodies(&bench.history(bob, "@alice")), [""]);
    assert_eq!(bodies(&bench.history(alice, "@bob")), ["spam"]);
    assert_eq!(bench.unread(bob, "@alice"), 0);
    bench.act(alice, Command::DeleteMessages(vec![message.id])).unwrap();
    assert_eq!(bench.unread(bob, "@alice"), 0, "one message is not counted off twice");
}

#[test]
fn all_messages_are_deleted_or_none() {
    let (mut bench, alice, _) = pair();
    let message = bench.send(alice, "@bob", "stay");
    let before = bench.history(alice, "@bob");
    let mixed = Command::DeleteMessages(vec![message.id, MessageId([1; 16])]);
    assert_eq!(bench.act(alice, mixed), Err(Refusal::NoSuchMessage));
    let of_another_epoch = MessageId::natural(9, 1, message.id.log_seq());
    let wrong = Command::DeleteMessages(vec![of_another_epoch]);
    assert_eq!(bench.act(alice, wrong), Err(Refusal::NoSuchMessage));
    assert_eq!(bench.history(alice, "@bob"), before);
    let many = Command::DeleteMessages(vec![message.id; 501]);
    assert!(matches!(bench.act(alice, many), Err(Refusal::BadField { .. })));
}

#[test]
fn the_author_sees_when_a_message_was_received() {
    let (mut bench, alice, bob) = pair();
    let message = bench.send(alice, "@bob", "hi");
    let acknowledge = Command::AcknowledgeMessages(vec![message.id]);
    bench.act(alice, acknowledge.clone()).unwrap();
    assert_eq!(bench.history(alice, "@bob")[0].received_time, None, "the author receives nothing");
    bench.act(bob, acknowledge.clone()).unwrap();
    assert!(matches!(told(&bench, alice)[..], [Happening::MessageChanged(_)]));
    let first = bench.history(alice, "@bob")[0].received_time;
    assert!(first.is_some());
    bench.act(bob, acknowledge).unwrap();
    assert_eq!(bench.history(alice, "@bob")[0].received_time, first, "the first time counts");
}

#[test]
fn a_read_marker_only_moves_forward_and_not_past_the_end() {
    let (mut bench, alice, bob) = pair();
    for body in ["1", "2", "3", "4"] {
        bench.send(alice, "@bob", body);
    }
    let own = bench.send(bob, "@alice", "5");
    let doomed = bench.history(bob, "@alice")[3].id;
    bench.act(alice, Command::DeleteMessages(vec![doomed])).unwrap();
    let removed = bench.history(bob, "@alice")[2].id;
    bench.act(bob, Command::DeleteMessages(vec![removed])).unwrap();
    let mark = |bench: &mut Bench, seq| {
        let command = Command::MarkRead { conversation: name("@alice"), seq };
        bench.act(bob, command).unwrap()
    };
    assert_eq!(bench.unread(bob, "@alice"), 2);
    assert_eq!(mark(&mut bench, 1), Outcome::ReadMoved { read_seq: 1 });
    assert_eq!(bench.unread(bob, "@alice"), 1, "3 is removed, 4 is deleted, 5 is the own one");
    assert!(matches!(told(&bench, bob)[..], [Happening::ReadMoved { unread_count: 1, .. }]));
    assert_eq!(told(&bench, alice), []);
    assert_eq!(mark(&mut bench, 99), Outcome::ReadMoved { read_seq: own.seq });
    assert_eq!(bench.unread(bob, "@alice"), 0);
    assert_eq!(mark(&mut bench, 2), Outcome::ReadMoved { read_seq: own.seq });
    assert_eq!(mark(&mut bench, -7), Outcome::ReadMoved { read_seq: own.seq });
    let nowhere = Command::MarkRead { conversation: name("@bob"), seq: 1 };
    assert_eq!(bench.act(bob, nowhere), Ok(Outcome::ReadMoved { read_seq: 0 }));
}

#[test]
fn conversations_are_listed_the_last_changed_first() {
    let (mut bench, alice, bob) = pair();
    let carol = bench.user("carol");
    bench.send(bob, "@alice", "from bob");
    bench.send(carol, "@alice", "from carol");
    bench.send(alice, "@alice", "note");
    bench.send(bob, "@alice", "again");
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = bench.read(|reader| reader.conversations(alice.account, 1, &token)).unwrap();
        seen.extend(page.items);
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
    }
    let names: Vec<_> = seen.iter().map(|conversation| conversation.name.to_string()).collect();
    assert_eq!(names, ["@bob", "@alice", "@carol"]);
    assert_eq!((seen[0].last_seq, seen[0].unread_count), (2, 2));
    assert_eq!(seen[0].last_message.as_ref().unwrap().body, "again");
}

#[test]
fn history_is_paged_in_every_direction() {
    let (mut bench, alice, _) = pair();
    for number in 1..=10 {
        bench.send(alice, "@bob", &number.to_string());
    }
    let page = |around, size| {
        let page = bench.read(|reader| reader.messages(alice.account, &name("@bob"), around, size));
        let page = page.unwrap();
        let seqs: Vec<i64> = page.messages.iter().map(|message| message.seq).collect();
        (seqs, page.has_more)
    };
    assert_eq!(page(Around::Latest, 3), (vec![8, 9, 10], true));
    assert_eq!(page(Around::Before(4), 3), (vec![1, 2, 3], false));
    assert_eq!(page(Around::After(7), 3), (vec![8, 9, 10], false));
    assert_eq!(page(Around::After(0), 3), (vec![1, 2, 3], true));
    assert_eq!(page(Around::Seq(5), 4), (vec![4, 5, 6, 7], true));
    assert_eq!(page(Around::Seq(5), 1), (vec![5], true));
    assert_eq!(page(Around::Seq(i64::MIN), 100).0.len(), 10);
    assert_eq!(page(Around::Latest, 200), ((1..=10).collect(), false));
    let negative =
        bench.read(|reader| reader.messages(alice.account, &name("@bob"), Around::Latest, -1));
    assert!(matches!(negative, Err(Refusal::BadField { field: "page_size", .. })));
}

#[test]
fn an_inbox_of_more_than_4_mib_is_read_in_pages_that_fit_an_answer() {
    let (mut bench, alice, bob) = pair();
    let body = "x".repeat(16 * 1024);
    let updates: Vec<_> = (0..300).map(|_| bench.scribe.send(alice, "@bob", &body)).collect();
    let entries: Vec<_> = updates.iter().map(|update| bench.scribe.update(update)).collect();
    bench.writer.store(&entries, LINEAGE).unwrap();
    let page = bench
        .read(|reader| reader.messages(bob.account, &name("@alice"), Around::Latest, 200))
        .unwrap();
    let bytes: usize = page.messages.iter().map(|message| message.body.len()).sum();
    assert!(bytes <= 1024 * 1024 && page.has_more, "{bytes}");
    assert_eq!(page.messages.last().unwrap().seq, 300, "the latest page ends with the latest");
    let all = bench.history(bob, "@alice");
    assert_eq!(all.len(), 300);
    assert!(all.windows(2).all(|two| two[1].seq == two[0].seq + 1), "no gap");
    let unread = bench.unread(bob, "@alice");
    assert_eq!(unread, 300, "reading pages marks nothing as read");
    assert_eq!(replay(&bench, bob, 0, 1_000).len(), 300);
}

#[test]
fn a_replay_tells_what_was_told_live_in_any_cut() {
    let (mut bench, alice, bob) = pair();
    let carol = bench.user("carol");
    let start = bench.read(|reader| reader.last_position()).unwrap().seq;
    let mut live = Vec::new();
    let mut act = |bench: &mut Bench, user, command| {
        bench.act(user, command).unwrap();
        live.extend(bench.changes.iter().filter_map(|change| {
            change.seen_by(bob.account).map(|happening| (change.log_seq, happening))
        }));
    };
    act(&mut bench, alice, send_command("@bob", "one", None));
    act(&mut bench, carol, send_command("@bob", "two", None));
    act(&mut bench, alice, send_command("@carol", "not for bob", None));
    act(&mut bench, bob, send_command("@alice", "three", None));
    let one = bench.history(bob, "@alice")[0].id;
    let two = bench.history(bob, "@carol")[0].id;
    act(&mut bench, bob, Command::AcknowledgeMessages(vec![one, two]));
    act(&mut bench, bob, Command::MarkRead { conversation: name("@carol"), seq: 1 });
    act(&mut bench, carol, Command::DeleteMessages(vec![two]));
    let kinds = |happenings: &[(u64, Happening)]| {
        let kind = |happening: &Happening| match happening {
            Happening::MessageCreated(message) => format!("+{}", message.id),
            Happening::MessageChanged(message) => format!("~{}", message.id),
            Happening::MessageDeleted(message) => format!("-{}", message.id),
            Happening::ReadMoved { conversation, read_seq, .. } => {
                format!("{conversation}:{read_seq}")
            }
            Happening::AccountChanged { username, .. } => format!("={username}"),
            other => panic!("{other:?}"),
        };
        happenings.iter().map(|(seq, happening)| (*seq, kind(happening))).collect::<Vec<_>>()
    };
    // Only the newest change of a message is replayed: the receipt of `two` gave way to its deletion.
    let superseded = format!("~{two}");
    let mut expected = kinds(&live);
    expected.retain(|(_, kind)| *kind != superseded);
    assert_eq!(expected.len(), 6);
    for limit in 1..=8 {
        assert_eq!(kinds(&replay(&bench, bob, start, limit)), expected, "in parts of {limit}");
    }
    let middle = expected[2].0;
    assert_eq!(kinds(&replay(&bench, bob, middle, 3)), expected[3..]);
}

#[test]
fn old_outcomes_and_deleted_bodies_expire_by_the_logged_time() {
    let (mut bench, alice, _) = pair();
    let message = bench.send(alice, "@bob", "secret");
    bench.act(alice, Command::DeleteMessages(vec![message.id])).unwrap();
    let kept = bench.scribe.send(alice, "@bob", "kept");
    bench.run(&kept).unwrap();
    let body = "body=736563726574";
    assert!(bench.contents().contains(body), "the archive has it");
    let expire = crate::chat::Expire {
        requests_before: kept.time,
        deleted_before: kept.time,
        idle_before: Timestamp(0),
    };
    let update = bench.scribe.call(None, Command::Expire(expire));
    assert_eq!(bench.run(&update), Ok(Outcome::Expired { more: false }));
    assert!(!bench.contents().contains(body));
    assert_eq!(bench.contents().lines().filter(|line| line.starts_with("request ")).count(), 1);
    let first = sent(bench.run(&kept));
    assert_eq!(first.seq, 2, "what is young enough is still known");
}
