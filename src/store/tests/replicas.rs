//! The same entries make the same tables, however they are cut.

use proptest::prelude::*;

use super::*;
use crate::{
    chat::{ChangePassword, CreateRoom, ResetPassword, RoomId, RoomName, Topic, UpdateRoom},
    store::Applied,
};

/// Some days in the life of three accounts, as updates of which many are refused or repeated.
fn life(bench: &mut Bench, choices: &[(u8, u8, u8)]) -> Vec<Entry> {
    let users = [bench.user("alice"), bench.user("bob"), bench.user("carol")];
    let peers = ["@alice", "@bob", "@carol", "@nobody", "#room"];
    let mut updates: Vec<Update> = Vec::new();
    for (what, who, which) in choices {
        let user = users[usize::from(*who) % users.len()];
        let peer = peers[usize::from(*which) % peers.len()];
        let ids: Vec<MessageId> =
            (0..2).map(|n| MessageId::natural(1, 1, 5 + u64::from(*which % 64) + n)).collect();
        let room = RoomName::parse("room").unwrap();
        let username = Username::parse(["alice", "bob", "carol"][usize::from(*which) % 3]).unwrap();
        let proof = Proof { account: user.account, password_version: 1 };
        let command = match what % 27 {
            0..=2 => send_command(peer, &format!("{what} {who} {which}"), None),
            3 => Command::DeleteMessages(ids[..1].to_vec()),
            4 => Command::AcknowledgeMessages(ids),
            5 => Command::MarkRead { conversation: name(peer), seq: i64::from(*which % 5) },
            6 | 7 => send_command("#room", &format!("{which} @bob and @carol"), None),
            8 | 9 => Command::EditMessage {
                message: ids[0],
                body: Body::parse(format!("edited for @{username}")).unwrap(),
            },
            10 => Command::CreateRoom(CreateRoom {
                room,
                topic: Topic::parse(format!("{which}")).unwrap(),
                private: which % 2 == 0,
                id: RoomId([*which; 16]),
            }),
            11 | 12 => Command::JoinRoom(room),
            13 => Command::LeaveRoom(room),
            14 => Command::AddMember { room, username },
            15 => Command::RemoveMember { room, username },
            16 => {
                let topic = Topic::parse(format!("{which}")).ok();
                Command::UpdateRoom(UpdateRoom { room, topic, private: Some(which % 2 == 0) })
            }
            17 => Command::TransferRoom { room, username },
            18 if which % 8 == 0 => Command::DeleteRoom(room),
            19 => Command::EndSession(users[usize::from(*which) % 3].session),
            20 => Command::ChangePassword(ChangePassword {
                proof: Some(proof),
                password_hash: format!("$argon2id${which}"),
            }),
            21 if which % 4 == 0 => Command::DeleteAccount(Some(proof)),
            22 => {
                updates.push(bench.scribe.login("alice", proof));
                continue;
            }
            24 => {
                let password_hash = format!("$argon2id$reset-{which}");
                Command::ResetPassword(ResetPassword { account: user.account, password_hash })
            }
            25 => Command::SetDisabled { account: user.account, disabled: which % 2 == 0 },
            26 => Command::EndSessions(user.account),
            _ => match updates.get(usize::from(*which)) {
                Some(earlier) => {
                    let repeat = earlier.clone();
                    updates.push(repeat);
                    continue;
                }
                None => Command::TouchSession(user.session),
            },
        };
        let session = command.call().map(|_| user.session);
        updates.push(bench.scribe.call(session, command));
    }
    for update in &updates {
        bench.scribe.update(update);
    }
    bench.scribe.entries.clone()
}

/// What the counters say: unread messages, and those of them that mention the viewer.
fn counts(bench: &Bench, viewer: User, peer: &str) -> (i64, i64) {
    let read = bench.read(|reader| reader.conversation(viewer.account, &name(peer)));
    let Ok(Some(found)) = read else { return (0, 0) };
    (found.unread_count, found.mention_count)
}

fn counts_by_looking(bench: &Bench, viewer: User, peer: &str) -> (i64, i64) {
    let read = bench.read(|reader| reader.conversation(viewer.account, &name(peer)));
    let Ok(Some(conversation)) = read else { return (0, 0) };
    let own = bench.read(|reader| reader.account(viewer.account)).unwrap().username.to_string();
    let history = bench.history(viewer, peer);
    let counts = |message: &&Message| {
        message.seq > conversation.read_seq && message.sender.to_string() != own && !message.deleted
    };
    let mentions = |message: &&Message| message.mentions.iter().any(|name| name.as_str() == own);
    let unread = history.iter().filter(counts).count();
    (unread as i64, history.iter().filter(counts).filter(mentions).count() as i64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn batches_of_any_size_make_equal_digests_and_contents(
        choices in prop::collection::vec(any::<(u8, u8, u8)>(), 1..60),
        cut in 1_usize..20,
    ) {
        let mut one = Bench::new();
        let entries = life(&mut one, &choices);
        let known = one.writer.summary().unwrap().unwrap().last.seq as usize;
        for entry in &entries[known..] {
            one.digest = one.writer.store(std::slice::from_ref(entry), LINEAGE).unwrap();
        }
        let mut other = Bench::new();
        let mut results = Vec::new();
        for batch in entries[1..].chunks(cut) {
            let Applied { digest, results: of_batch, .. } = other.writer.apply(batch).unwrap();
            other.digest = digest;
            results.extend(of_batch);
            other.writer.commit().unwrap();
        }
        prop_assert_eq!(one.digest, other.digest);
        prop_assert_eq!(one.contents(), other.contents());
        prop_assert_eq!(results.len(), entries.len() - 1);

        for viewer in ["alice", "bob", "carol"] {
            let username = Username::parse(viewer).unwrap();
            let found = one.read(|reader| reader.credentials(&username));
            // Whoever is gone counts nothing.
            let Some(found) = found.first() else { continue };
            let user = User { account: found.account.id, session: SessionId([0; 16]) };
            for peer in ["@alice", "@bob", "@carol", "#room"] {
                prop_assert_eq!(
                    counts(&one, user, peer),
                    counts_by_looking(&one, user, peer),
                    "{} of {}", viewer, peer
                );
            }
        }
    }

    #[test]
    fn an_update_reads_back_as_it_was_logged(choices in prop::collection::vec(any::<(u8, u8, u8)>(), 1..20)) {
        let mut bench = Bench::new();
        for entry in life(&mut bench, &choices) {
            if let Payload::Update(payload) = &entry.payload {
                let read = update::decode(payload).unwrap();
                prop_assert_eq!(&update::encode(&read), payload);
            }
        }
    }

    #[test]
    fn garbage_in_an_update_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = update::decode(&bytes);
    }
}

#[test]
fn a_rolled_back_batch_leaves_nothing() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let before = (bench.contents(), bench.writer.summary().unwrap());
    let update = bench.scribe.send(alice, "@alice", "never");
    let entry = bench.scribe.update(&update);
    bench.writer.apply(std::slice::from_ref(&entry)).unwrap();
    assert_eq!(bench.contents(), before.0, "readers see committed state only");
    bench.writer.rollback().unwrap();
    assert_eq!((bench.contents(), bench.writer.summary().unwrap()), before);
    bench.scribe.entries.pop();
    assert_eq!(bench.send(alice, "@alice", "now").seq, 1);
}

#[test]
fn an_entry_that_cannot_be_applied_rolls_the_batch_back_and_the_writer_goes_on() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let before = bench.contents();
    let good = bench.scribe.send(alice, "@alice", "good");
    let good = bench.scribe.update(&good);
    let garbage = bench.scribe.append(Payload::Update(bytes::Bytes::from_static(b"\xff\xff")));
    assert!(matches!(bench.writer.apply(&[good, garbage]), Err(StoreError::BadEntry { .. })));
    assert_eq!(bench.contents(), before);
    bench.scribe.entries.truncate(bench.scribe.entries.len() - 2);
    assert_eq!(bench.send(alice, "@alice", "after").seq, 1);
}

#[test]
fn an_entry_that_does_not_follow_the_log_is_an_error() {
    let mut bench = Bench::new();
    let last = bench.scribe.entries.last().unwrap().position();
    let gap = Entry::after(last.hash, last.seq + 2, EPOCH, Payload::Noop);
    let forked = Entry::after(LINEAGE, last.seq + 1, EPOCH, Payload::Noop);
    let again = bench.scribe.entries[0].clone();
    for wrong in [gap, forked, again] {
        assert!(matches!(bench.writer.store(&[wrong], LINEAGE), Err(StoreError::BadEntry { .. })));
    }
}

#[test]
fn views_and_noops_touch_no_chat_table_and_no_digest() {
    let mut bench = Bench::new();
    bench.user("alice");
    let before = (bench.contents(), bench.digest);
    bench.scribe.epoch = Epoch { number: 2, server: ServerId(3) };
    let view = View { members: [ServerId(3)].into(), forced: true };
    let entries =
        [bench.scribe.append(Payload::View(view.clone())), bench.scribe.append(Payload::Noop)];
    let digest = bench.writer.store(&entries, LINEAGE).unwrap();
    assert_eq!((bench.contents(), digest), before);
    let summary = bench.writer.summary().unwrap().unwrap();
    assert_eq!(summary.views.last(), Some(&(3, view)));
    let firsts: Vec<_> = summary.boundaries.iter().map(|b| (b.epoch.number, b.first)).collect();
    assert_eq!(firsts, [(1, 1), (2, 3)]);
    assert_eq!(summary.last, entries[1].position());
}

#[test]
fn the_log_is_read_in_parts_and_survives_trimming() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    for _ in 0..20 {
        bench.send(alice, "@alice", &"x".repeat(1_000));
    }
    let all = bench.scribe.entries.clone();
    let mut fetched: Vec<Entry> = Vec::new();
    while fetched.len() < all.len() {
        let from = fetched.last().map_or(1, |last| last.seq + 1);
        let part = bench.read(|reader| reader.entries(from, u64::MAX >> 1, 4_000));
        assert!((1..=3).contains(&part.len()) || from < 3, "{} entries", part.len());
        fetched.extend(part);
    }
    assert_eq!(fetched, all);
    let before = (bench.contents(), bench.digest);
    bench.writer.trim(10).unwrap();
    let summary = bench.writer.summary().unwrap().unwrap();
    assert_eq!((summary.first, summary.views.len(), summary.boundaries.len()), (11, 1, 1));
    assert_eq!(summary.recent.first().unwrap().0, 11);
    bench.writer.trim(1_000).unwrap();
    let summary = bench.writer.summary().unwrap().unwrap();
    assert_eq!(summary.first, summary.last.seq, "the newest entry stays");
    assert_eq!(summary.recent, [(summary.last.seq, summary.last.hash)]);
    assert_eq!((bench.contents(), bench.digest), before);
    assert_eq!(bench.restart().send(alice, "@alice", "on").seq, 21);
}
