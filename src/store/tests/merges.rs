//! What the other side of a partition did is taken over once, wherever it went.

mod accounts;
mod histories;

use diesel::RunQueryDsl as _;

use super::*;
use crate::{
    chat::{ChangeKind, Happening, Merge, MergeStep},
    store::{Resume, schema},
};

/// The winner's epoch. The old leader goes on in its own one, [`EPOCH`].
const WINNER: Epoch = Epoch { number: 2, server: ServerId(2) };

/// What the loser did after `common`, read in small parts.
pub(super) fn stream(loser: &Bench, common: u64) -> Vec<Update> {
    let (until, mut after, mut updates) = (loser.end(), common, Vec::new());
    while after < until {
        let part = loser.read(|reader| reader.merges(after, until, common, 600));
        assert!(part.until > after, "every part gets on");
        after = part.until;
        updates.extend(part.updates);
    }
    assert!(updates.iter().all(|update| update.len() <= 64 * 1024));
    let decode = |bytes: &bytes::Bytes| {
        let update = update::decode(bytes).unwrap();
        assert_eq!(update::encode(&update), bytes, "it reads back as it was written");
        update
    };
    updates.iter().map(decode).collect()
}

pub(super) fn take_over(winner: &mut Bench, updates: &[Update]) {
    for update in updates {
        assert_eq!(winner.run(update), Ok(Outcome::Merged), "{update:?}");
    }
}

fn merge(winner: &mut Bench, loser: &Bench, common: u64) {
    take_over(winner, &stream(loser, common));
}

/// Two servers with alice and bob, who have one message, and the last entry that both have.
struct Split {
    winner: Bench,
    loser: Bench,
    common: u64,
    alice: User,
    bob: User,
    old: Message,
}

fn split() -> Split {
    let mut loser = Bench::new();
    let (alice, bob) = (loser.user("alice"), loser.user("bob"));
    let old = loser.send(alice, "@bob", "old");
    let (winner, common) = (loser.copy(WINNER), loser.end());
    Split { winner, loser, common, alice, bob, old }
}

fn update_of(bench: &mut Bench, user: User, command: Command) -> Update {
    bench.scribe.call(Some(user.session), command)
}

fn told(bench: &Bench, viewer: User) -> Vec<Happening> {
    bench.changes.iter().filter_map(|change| change.seen_by(viewer.account)).collect()
}

fn mark(conversation: &str, seq: i64) -> Command {
    Command::MarkRead { conversation: name(conversation), seq }
}

fn username(text: &str) -> Username {
    Username::parse(text).unwrap()
}

#[test]
fn messages_of_both_sides_stand_one_after_the_other_with_their_ids_and_times() {
    let Split { mut winner, mut loser, common, alice, bob, old } = split();
    let here = winner.send(bob, "@alice", "winner");
    let lost = loser.send(alice, "@bob", "loser");
    let answer = loser.act(bob, send_command("@alice", "answer", Some(lost.id)));
    let answer = sent(answer);
    let updates = stream(&loser, common);
    take_over(&mut winner, &updates[..2]);
    assert!(matches!(&told(&winner, bob)[..], [Happening::MessageCreated(told)] if told.seq == 3));
    take_over(&mut winner, &updates[2..]);
    let seen = winner.history(bob, "@alice");
    assert_eq!(bodies(&seen), ["old", "winner", "loser", "answer"]);
    let ids: Vec<_> = seen.iter().map(|message| message.id).collect();
    assert_eq!(ids, [old.id, here.id, lost.id, answer.id]);
    assert_eq!(seen[2].create_time, lost.create_time);
    assert_eq!(seen[3].reply_to, Some(lost.id));
    assert_eq!(winner.read(|reader| reader.message(bob.account, lost.id)), Some(seen[2].clone()));
    assert_eq!(winner.unread(bob, "@alice"), 2, "old and loser");

    let before = winner.contents();
    merge(&mut winner, &loser, common);
    assert_eq!(winner.contents(), before, "a second stream changes nothing");
    let reply = winner.act(bob, send_command("@alice", "re", Some(lost.id)));
    assert_eq!(sent(reply).seq, 5);
    winner.act(alice, Command::DeleteMessages(vec![lost.id])).unwrap();
    assert!(winner.history(bob, "@alice")[2].deleted, "a moved message is found by its id");
}

#[test]
fn a_direct_conversation_that_only_the_loser_has_begins_on_the_winner() {
    let Split { mut winner, mut loser, common, alice, bob, .. } = split();
    loser.send(alice, "@alice", "note");
    let carol = loser.user("carol");
    loser.send(carol, "@bob", "i am new");
    merge(&mut winner, &loser, common);
    assert_eq!(bodies(&winner.history(alice, "@alice")), ["note"]);
    assert_eq!(bodies(&winner.history(bob, "@carol")), ["i am new"]);
    assert_eq!(winner.unread(bob, "@carol"), 1);
    assert_eq!(winner.send(carol, "@bob", "me again").seq, 2, "her session goes on");
}

#[test]
fn a_repeat_of_a_lost_call_finds_its_outcome() {
    let Split { mut winner, mut loser, common, alice, bob, old } = split();
    winner.send(bob, "@alice", "moves the seqs");
    let sending = loser.scribe.send(alice, "@bob", "lost");
    let lost = sent(loser.run(&sending));
    let refused = loser.scribe.send(alice, "@nobody", "too early");
    assert_eq!(loser.run(&refused), Err(Refusal::NoSuchAccount));
    let marking = update_of(&mut loser, bob, mark("@alice", 2));
    loser.run(&marking).unwrap();
    let acknowledging =
        update_of(&mut loser, bob, Command::AcknowledgeMessages(vec![old.id, lost.id]));
    loser.run(&acknowledging).unwrap();
    let deleting = update_of(&mut loser, alice, Command::DeleteMessages(vec![old.id]));
    loser.run(&deleting).unwrap();
    let logout = update_of(&mut loser, bob, Command::Logout);
    loser.run(&logout).unwrap();
    merge(&mut winner, &loser, common);
    winner.user("nobody");
    let before = winner.contents();
    let again = sent(winner.run(&sending));
    assert_eq!((again.id, again.seq), (lost.id, 3));
    assert_eq!(winner.run(&refused), Err(Refusal::NoSuchAccount));
    assert_eq!(winner.run(&deleting), Ok(Outcome::MessagesDeleted));
    assert_eq!(winner.run(&logout), Ok(Outcome::LoggedOut));
    let login = winner.scribe.login("bob", Proof { account: bob.account, password_version: 1 });
    let Ok(Outcome::LoggedIn { session, .. }) = winner.run(&login) else { panic!() };
    let anew = |update: &Update| Update { session: Some(session), ..update.clone() };
    assert_eq!(winner.run(&anew(&acknowledging)), Ok(Outcome::MessagesAcknowledged));
    // Bob wrote the second one himself, and the lost one is his last: all is read here as well.
    assert_eq!(winner.run(&anew(&marking)), Ok(Outcome::ReadMoved { read_seq: 3 }));
    let requests = |contents: &str| contents.lines().filter(|l| l.starts_with("message ")).count();
    assert_eq!(requests(&winner.contents()), requests(&before));
}

#[test]
fn a_send_that_was_repeated_on_the_other_side_is_one_message_under_both_ids() {
    let Split { mut winner, mut loser, common, alice, bob, .. } = split();
    let sending = loser.scribe.send(alice, "@bob", "once");
    let lost = sent(loser.run(&sending));
    let here = sent(winner.run(&sending));
    assert_ne!(lost.id, here.id);
    let answering = send_command("@alice", "answer", Some(lost.id));
    let answer = sent(loser.act(bob, answering));
    loser.act(bob, Command::AcknowledgeMessages(vec![lost.id])).unwrap();
    loser.act(bob, mark("@alice", 2)).unwrap();
    merge(&mut winner, &loser, common);
    assert_eq!(winner.unread(bob, "@alice"), 0, "he has read it there, under its lost id");
    let seen = winner.history(bob, "@alice");
    assert_eq!(bodies(&seen), ["old", "once", "answer"]);
    assert!(seen[1].received_time.is_some(), "what was received there is received here");
    assert_eq!((seen[2].id, seen[2].reply_to), (answer.id, Some(here.id)));
    let found = winner.read(|reader| reader.message(bob.account, lost.id)).unwrap();
    assert_eq!(found.id, here.id);
    winner.act(alice, Command::DeleteMessages(vec![lost.id])).unwrap();
    assert!(winner.history(bob, "@alice")[1].deleted);
}

#[test]
fn what_was_carried_out_on_one_side_outranks_a_refusal_on_the_other() {
    let Split { mut winner, mut loser, common, alice, .. } = split();
    let sending = loser.scribe.send(alice, "@carol", "hi");
    loser.user("carol");
    let lost = sent(loser.run(&sending));
    assert_eq!(winner.run(&sending), Err(Refusal::NoSuchAccount));
    merge(&mut winner, &loser, common);
    assert_eq!(sent(winner.run(&sending)).id, lost.id);
}

#[test]
fn a_deletion_on_either_side_wins() {
    let Split { mut winner, mut loser, common, alice, bob, old } = split();
    let other = loser.send(bob, "@alice", "gone before it came");
    loser.act(bob, Command::DeleteMessages(vec![other.id])).unwrap();
    loser.act(alice, Command::DeleteMessages(vec![old.id])).unwrap();
    winner.act(bob, Command::AcknowledgeMessages(vec![old.id])).unwrap();
    winner.act(bob, send_command("@alice", "re", Some(old.id))).unwrap();
    for update in &stream(&loser, common) {
        winner.run(update).unwrap();
        let seen = winner.history(alice, "@bob");
        assert!(!bodies(&seen).contains(&"gone before it came"), "it is never seen");
        let tells_creation = |told: &Happening| matches!(told, Happening::MessageCreated(_));
        assert!(!told(&winner, alice).iter().any(tells_creation), "{:?}", winner.changes);
    }
    let seen = winner.history(alice, "@bob");
    let gone: Vec<_> = seen.iter().map(|message| message.deleted).collect();
    assert_eq!((bodies(&seen), gone), (vec!["", "re", ""], vec![true, false, true]));
    assert_eq!((winner.unread(alice, "@bob"), winner.unread(bob, "@alice")), (1, 0));

    // The other way round: the winner deleted what the loser only received.
    let Split { mut winner, mut loser, common, alice, bob, old } = split();
    loser.act(bob, Command::AcknowledgeMessages(vec![old.id])).unwrap();
    winner.act(alice, Command::DeleteMessages(vec![old.id])).unwrap();
    merge(&mut winner, &loser, common);
    assert!(winner.history(bob, "@alice")[0].deleted);
    assert_eq!(winner.history(bob, "@alice")[0].received_time, None);
}

#[test]
fn what_a_viewer_removed_stays_removed_and_the_first_receipt_counts() {
    let Split { mut winner, mut loser, common, alice, bob, old } = split();
    let lost = loser.send(alice, "@bob", "spam");
    loser.act(bob, Command::DeleteMessages(vec![lost.id])).unwrap();
    let early = update_of(&mut loser, bob, Command::AcknowledgeMessages(vec![old.id]));
    loser.run(&early).unwrap();
    winner.act(bob, Command::AcknowledgeMessages(vec![old.id])).unwrap();
    let late = winner.history(alice, "@bob")[0].received_time;
    assert!(late > Some(early.time), "the winner's clock is ahead");
    merge(&mut winner, &loser, common);
    assert_eq!(winner.history(alice, "@bob")[0].received_time, Some(early.time));
    assert_eq!(bodies(&winner.history(bob, "@alice")), ["old", ""]);
    assert_eq!(bodies(&winner.history(alice, "@bob")), ["old", "spam"]);
    assert_eq!(winner.unread(bob, "@alice"), 1);
}

#[test]
fn a_read_marker_rises_over_what_its_side_had_and_no_further() {
    let Split { mut winner, mut loser, common, alice, bob, .. } = split();
    let carol = loser.user("carol");
    let unseen = winner.send(alice, "@bob", "only the winner had this");
    for body in ["1", "2", "3"] {
        loser.send(alice, "@bob", body);
        loser.send(carol, "@bob", body);
    }
    loser.act(bob, mark("@alice", 3)).unwrap();
    loser.act(bob, mark("@carol", 2)).unwrap();
    merge(&mut winner, &loser, common);
    let read = |winner: &Bench, peer| {
        let read = winner.read(|reader| reader.conversation(bob.account, &name(peer)));
        read.unwrap().unwrap().read_seq
    };
    assert_eq!(read(&winner, "@alice"), unseen.seq - 1, "not over what he has not seen");
    assert_eq!(winner.unread(bob, "@alice"), 4);
    assert_eq!(read(&winner, "@carol"), 2);
    assert_eq!(winner.unread(bob, "@carol"), 1);
    winner.act(bob, mark("@alice", unseen.seq)).unwrap();
    merge(&mut winner, &loser, common);
    assert_eq!(read(&winner, "@alice"), 4, "the two that he has read there, and not the third");
    assert_eq!(winner.unread(bob, "@alice"), 1);
}

#[test]
fn a_read_marker_does_not_rise_over_what_another_loser_had() {
    let Split { mut winner, mut loser, common, alice, bob, .. } = split();
    let mut third = winner.copy(Epoch { number: 2, server: ServerId(3) });
    third.send(alice, "@bob", "third");
    loser.send(alice, "@bob", "loser");
    loser.act(bob, mark("@alice", 2)).unwrap();
    merge(&mut winner, &third, common);
    merge(&mut winner, &loser, common);
    assert_eq!(bodies(&winner.history(bob, "@alice")), ["old", "third", "loser"]);
    assert_eq!(winner.unread(bob, "@alice"), 2);
}

#[test]
fn a_read_marker_does_not_rise_over_what_another_loser_had_more_of_the_same_epoch() {
    let Split { mut winner, mut loser, common, alice, bob, .. } = split();
    loser.send(alice, "@bob", "both losers have this");
    let mut third = loser.copy(Epoch { number: 2, server: ServerId(3) });
    loser.send(alice, "@bob", "only the first has this");
    third.send(alice, "@bob", "the last of the second");
    third.act(bob, mark("@alice", 3)).unwrap();
    merge(&mut winner, &loser, common);
    merge(&mut winner, &third, common);
    assert_eq!(winner.history(bob, "@alice").len(), 4);
    assert_eq!(winner.unread(bob, "@alice"), 2, "the first one's, and what stands after it");
}

#[test]
fn entries_that_are_no_longer_in_the_log_are_an_error_and_no_silence() {
    let Split { mut loser, common, alice, .. } = split();
    for _ in 0..5 {
        loser.send(alice, "@bob", "x");
    }
    loser.writer.trim(common + 2).unwrap();
    let end = loser.end();
    let read = |after| loser.store.read_now(|reader| reader.merges(after, end, common, 1 << 20));
    assert!(matches!(read(common), Err(StoreError::BadEntry { .. })));
    assert_eq!(read(common + 2).unwrap().until, end);
    assert_eq!(read(end).unwrap().updates.len(), 0);
}

#[test]
fn a_step_about_what_nobody_knows_is_taken_over_as_nothing() {
    let Split { mut winner, mut loser, common, .. } = split();
    let carol = loser.user("carol");
    let message = loser.send(carol, "@carol", "hi");
    loser.act(carol, Command::DeleteMessages(vec![message.id])).unwrap();
    loser.act(carol, mark("@carol", 1)).unwrap();
    loser.act(carol, Command::Logout).unwrap();
    let before = winner.contents();
    // Without the entries on which they stand.
    take_over(&mut winner, &stream(&loser, common)[2..]);
    assert_eq!(winner.contents(), before);
    let count = |bench: &mut Bench| -> i64 {
        use diesel::QueryDsl as _;
        schema::messages::table.count().get_result(&mut bench.writer.connection).unwrap()
    };
    assert_eq!(count(&mut winner), 1);
}
