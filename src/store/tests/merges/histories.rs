//! Histories that lose again after they won, and cursors of lost ones.

use super::*;

#[test]
fn a_history_that_was_merged_and_loses_later_is_merged_again() {
    let Split { winner: mut second, mut loser, common, alice, bob, .. } = split();
    let mut third = second.copy(Epoch { number: 3, server: ServerId(3) });
    let theirs = loser.user("carol");
    let lost = loser.send(theirs, "@bob", "lost once");
    let doomed = loser.send(theirs, "@bob", "doomed");
    loser.act(bob, Command::AcknowledgeMessages(vec![lost.id])).unwrap();
    second.user("carol");
    let own = second.send(alice, "@bob", "of the second");
    merge(&mut second, &loser, common);
    second.act(theirs, Command::DeleteMessages(vec![doomed.id])).unwrap();
    second.act(bob, mark("@alice", 2)).unwrap();
    third.send(bob, "@bob", "of the third");
    merge(&mut third, &second, common);
    let renamed = second.read(|reader| reader.account(theirs.account)).unwrap().username;
    assert_eq!(third.read(|reader| reader.account(theirs.account)).unwrap().username, renamed);
    assert_eq!(third.read(|reader| reader.credentials(&username("carol"))).len(), 2);
    let seen = third.history(bob, &format!("@{renamed}"));
    assert_eq!((seen[0].id, bodies(&seen)), (lost.id, vec!["lost once", ""]));
    assert!(seen[0].received_time.is_some());
    assert_eq!(third.history(bob, "@alice")[1].id, own.id);
    assert_eq!(third.unread(bob, "@alice"), 0);
    let before = third.contents();
    // The first loser comes to the third one as well.
    merge(&mut third, &loser, common);
    merge(&mut third, &second, common);
    assert_eq!(third.contents(), before);
    for epoch in [EPOCH, WINNER] {
        let resume = third.read(|reader| reader.resume(epoch, 1_000));
        assert_eq!(resume, Resume::Merged(EPOCH, common), "{epoch:?}");
    }
}

#[test]
fn what_a_history_lost_before_it_lost_itself_is_lost_from_the_earlier_point() {
    let Split { winner: mut third, loser: mut second, common, alice, bob, .. } = split();
    second.scribe.epoch = Epoch { number: 3, server: ServerId(3) };
    second.send(alice, "@bob", "of the second");
    let mut first = second.copy(Epoch { number: 3, server: ServerId(1) });
    let parted = first.end();
    first.send(alice, "@bob", "of the first");
    merge(&mut second, &first, parted);
    let lost = Epoch { number: 3, server: ServerId(1) };
    let resume = |bench: &Bench, seq| bench.read(|reader| reader.resume(lost, seq));
    let there = Epoch { number: 3, server: ServerId(3) };
    assert_eq!(resume(&second, 99), Resume::Merged(there, parted));
    second.act(bob, mark("@alice", 3)).unwrap();
    merge(&mut third, &second, common);
    assert_eq!(resume(&third, 99), Resume::Merged(EPOCH, common));
    assert_eq!(bodies(&third.history(bob, "@alice")), ["old", "of the second", "of the first"]);
    assert_eq!(third.unread(bob, "@alice"), 0, "he has read what was merged there as well");
}

#[test]
fn a_cursor_of_a_lost_history_stands_for_the_point_of_divergence_once_that_is_known() {
    let Split { mut winner, mut loser, common, alice, bob, .. } = split();
    let lost = loser.send(alice, "@bob", "lost");
    winner.send(bob, "@alice", "one");
    winner.send(bob, "@alice", "two");
    let at = loser.end();
    assert_eq!(at, common + 1);
    let resume = |bench: &Bench, epoch, seq| bench.read(|reader| reader.resume(epoch, seq));
    assert_eq!(resume(&winner, EPOCH, at), Resume::Unknown, "not before it is reconciled");
    assert_eq!(resume(&winner, EPOCH, common), Resume::There);
    assert_eq!(resume(&winner, WINNER, at), Resume::There);
    merge(&mut winner, &loser, common);
    assert_eq!(resume(&winner, EPOCH, at), Resume::Merged(EPOCH, common));
    assert_eq!(resume(&winner, EPOCH, at + 500), Resume::Merged(EPOCH, common));
    assert_eq!(resume(&winner, EPOCH, common), Resume::There);
    assert_eq!(resume(&winner, WINNER, winner.end() + 1), Resume::Unknown);
    assert_eq!(resume(&winner, Epoch { number: 9, server: ServerId(1) }, at), Resume::Unknown);
    let replay =
        winner.read(|reader| reader.replay(bob.account, common, winner.end(), 100)).happenings;
    let moved: Vec<_> = replay
        .iter()
        .filter_map(|(_, happening)| match happening {
            Happening::MessageCreated(message) if message.id == lost.id => Some(message.seq),
            _ => None,
        })
        .collect();
    assert_eq!(moved, [4], "the message comes again with the same id and its new seq");
}

#[test]
fn the_earliest_divergence_of_an_epoch_counts() {
    let Split { mut winner, .. } = split();
    let diverged = |winner: &mut Bench, common| {
        let epochs = vec![crate::chat::LostEpoch { number: 7, server: 1 }];
        let merge = Merge { step: MergeStep::Diverged { common, epochs }, request: None };
        let update = winner.scribe.call(None, Command::Merge(Box::new(merge)));
        winner.run(&update).unwrap();
        let epoch = Epoch { number: 7, server: ServerId(1) };
        winner.read(|reader| reader.resume(epoch, 900))
    };
    assert_eq!(diverged(&mut winner, 3), Resume::Merged(EPOCH, 3));
    assert_eq!(diverged(&mut winner, 2), Resume::Merged(EPOCH, 2));
    assert_eq!(diverged(&mut winner, 3), Resume::Merged(EPOCH, 2));
}
