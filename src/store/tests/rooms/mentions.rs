//! Edits, and whom a body mentions.

use super::*;

#[test]
fn an_author_edits_and_a_deletion_wins() {
    let Scene { mut bench, alice, bob, .. } = scene(false);
    let message = bench.send(alice, "#room", "frist");
    let start = bench.now();
    assert_eq!(bench.act(bob, edit(&message, "mine")), Err(Refusal::NotAllowed));
    let Ok(Outcome::MessageEdited(edited)) = bench.act(alice, edit(&message, "first")) else {
        panic!("an edit");
    };
    assert_eq!((edited.body.as_str(), edited.seq, edited.id), ("first", 1, message.id));
    assert!(edited.edit_time.is_some());
    assert_eq!(bench.history(bob, "#room")[0], Message { conversation: name("#room"), ..*edited });
    assert_eq!(all_shown(&bench.told(bob)), ["~first"]);
    assert_eq!(bench.replayed(bob, start), ["~first"]);
    assert_eq!(bench.counts(bob, "#room"), (1, 0), "an edit makes nothing unread");
    bench.act(alice, Command::DeleteMessages(vec![message.id])).unwrap();
    assert_eq!(bench.act(alice, edit(&message, "again")), Err(Refusal::NoSuchMessage));
    assert_eq!(bench.replayed(bob, start), ["-1"]);
    bench.act(alice, Command::DeleteRoom(room("room"))).unwrap();
}

#[test]
fn mentions_are_counted_and_follow_edits_deletions_and_read_markers() {
    let Scene { mut bench, alice, bob, carol } = scene(false);
    let first = bench.send(alice, "#room", "hi @Bob and @carol, @alice, @nobody");
    let named =
        |message: &Message| message.mentions.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(named(&first), ["bob"], "members other than the author");
    assert_eq!(named(&bench.history(bob, "#room")[0]), ["bob"]);
    let second = bench.send(alice, "#room", "nobody in particular");
    let third = bench.send(alice, "#room", "@bob. @bob!");
    assert_eq!(bench.counts(bob, "#room"), (3, 2));
    assert_eq!(bench.counts(alice, "#room"), (0, 0));
    let Ok(Outcome::MessageEdited(edited)) = bench.act(alice, edit(&second, "@bob?")) else {
        panic!("an edit");
    };
    assert_eq!(named(&edited), ["bob"]);
    assert_eq!(bench.counts(bob, "#room"), (3, 3));
    bench.act(alice, edit(&second, "@bob indeed")).unwrap();
    assert_eq!(bench.counts(bob, "#room"), (3, 3), "counted once");
    bench.act(bob, mark("#room", 1)).unwrap();
    assert_eq!(bench.counts(bob, "#room"), (2, 2));
    bench.act(alice, edit(&first, "@nobody")).unwrap();
    assert_eq!(bench.counts(bob, "#room"), (2, 2), "it was read");
    bench.act(alice, edit(&second, "never mind")).unwrap();
    assert_eq!(bench.counts(bob, "#room"), (2, 1));
    bench.act(alice, Command::DeleteMessages(vec![third.id])).unwrap();
    assert_eq!(bench.counts(bob, "#room"), (1, 0));
    assert_eq!(named(&bench.history(bob, "#room")[2]), Vec::<String>::new());
    bench.act(bob, mark("#room", 3)).unwrap();
    bench.act(alice, edit(&second, "@bob")).unwrap();
    assert_eq!(bench.counts(bob, "#room"), (0, 0), "it was read without the mention");
    bench.act(alice, add("room", "carol")).unwrap();
    assert_eq!(bench.counts(carol, "#room"), (0, 0));
}

#[test]
fn a_direct_message_that_was_removed_from_the_own_view_mentions_nobody_there() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let message = bench.send(alice, "@bob", "@bob");
    bench.send(alice, "@bob", "more");
    assert_eq!(bench.counts(bob, "@alice"), (2, 1));
    bench.act(bob, Command::DeleteMessages(vec![message.id])).unwrap();
    assert_eq!(bench.counts(bob, "@alice"), (1, 0));
    assert_eq!(bench.history(bob, "@alice")[0].mentions, []);
    assert_eq!(bench.history(alice, "@bob")[0].mentions.len(), 1);
    for body in ["nobody", "@bob again"] {
        bench.act(alice, edit(&message, body)).unwrap();
        assert_eq!(bench.counts(bob, "@alice"), (1, 0), "{body}");
        let tells = |viewer: User| {
            bench.changes.iter().any(|change| change.seen_by(viewer.account).is_some())
        };
        assert!(tells(alice) && !tells(bob), "what was removed does not come back by an edit");
    }
    bench.act(alice, Command::DeleteMessages(vec![message.id])).unwrap();
    assert_eq!(bench.counts(bob, "@alice"), (1, 0));
}

#[test]
fn a_body_full_of_names_mentions_a_bounded_number() {
    let Scene { mut bench, alice, .. } = scene(false);
    let mut body = String::new();
    for number in 0..MAX_MENTIONS + 20 {
        let member = format!("m{number}");
        bench.user(&member);
        bench.act(alice, add("room", &member)).unwrap();
        body.push_str(&format!("@{member} "));
    }
    assert_eq!(bench.send(alice, "#room", &body).mentions.len(), MAX_MENTIONS);
}
