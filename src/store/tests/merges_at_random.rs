//! Many lives on both sides of a partition, merged in many orders.

mod checks;

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Binary},
};
use proptest::prelude::*;

use super::{
    merges::{stream, take_over},
    *,
};
use crate::{
    chat::{CreateRoom, ResetPassword, RoomId, RoomName, Topic},
    store::rows,
};

use checks::*;

type Choice = (u8, u8, u8);

const PAST_ACCOUNTS: [&str; 3] = ["alice", "bob", "carol"];
const PEERS: [&str; 6] = ["@alice", "@bob", "@carol", "@dave", "@erin", "#room"];

fn room() -> RoomName {
    RoomName::parse("room").unwrap()
}

/// What clients know of one server.
#[derive(Clone, Default)]
struct Life {
    users: Vec<User>,
    messages: Vec<MessageId>,
    /// Calls that had an answer.
    calls: Vec<(Update, Result<Outcome, Refusal>)>,
    /// Calls that clients make on every side, under the same request ids.
    shared: Vec<Update>,
}

impl Life {
    fn call(&mut self, bench: &mut Bench, update: Update) {
        let result = bench.run(&update);
        match &result {
            Ok(Outcome::MessageSent(message)) => self.messages.push(message.id),
            Ok(
                Outcome::AccountCreated { account, session }
                | Outcome::LoggedIn { account, session },
            ) => {
                self.users.push(User { account: account.id, session: *session });
            }
            _ => {}
        }
        if update.request.is_some() {
            self.calls.push((update, result));
        }
    }

    fn live(&mut self, bench: &mut Bench, choices: &[Choice]) {
        for choice in choices {
            let update = self.choose(bench, *choice);
            self.call(bench, update);
        }
    }

    fn choose(&self, bench: &mut Bench, (what, who, which): Choice) -> Update {
        let user = self.users[usize::from(who) % self.users.len()];
        let session = Some(user.session);
        let peer = PEERS[usize::from(which) % PEERS.len()];
        let message = |n: u8| match self.messages.len() {
            0 => MessageId([1; 16]),
            len => self.messages[usize::from(n) % len],
        };
        let command = match what % 23 {
            0..=4 => send_command(peer, &format!("{what} {who} {which}"), None),
            5 => send_command(peer, "re", Some(message(which))),
            6 => Command::DeleteMessages(vec![message(which)]),
            7 => Command::AcknowledgeMessages(vec![message(which)]),
            8 => Command::MarkRead { conversation: name(peer), seq: i64::from(which % 9) },
            9 if which % 3 == 0 => Command::Logout,
            9 => return bench.scribe.call(None, Command::TouchSession(user.session)),
            10 => return bench.scribe.create(if which % 2 == 0 { "dave" } else { "erin" }),
            11 => {
                let stale = Proof { account: user.account, password_version: 1 };
                let proof = accounts::proof(bench, user).unwrap_or(stale);
                return bench.scribe.login("alice", proof);
            }
            13 => Command::EndSession(self.users[usize::from(which) % self.users.len()].session),
            14 => accounts::change(bench, user, &format!("{who}-{which}")),
            15 if which % 3 == 0 => Command::DeleteAccount(accounts::proof(bench, user)),
            16 => {
                let id = RoomId(bench.scribe.draw_id());
                let (topic, private) = (Topic::default(), which % 4 == 0);
                Command::CreateRoom(CreateRoom { room: room(), topic, private, id })
            }
            17 => Command::JoinRoom(room()),
            18 => Command::TransferRoom {
                room: room(),
                username: Username::parse(peer.trim_start_matches(['@', '#'])).unwrap(),
            },
            20 => {
                let password_hash = format!("$argon2id$reset-{which}");
                let reset = ResetPassword { account: user.account, password_hash };
                return bench.scribe.call(None, Command::ResetPassword(reset));
            }
            21 => {
                let disabled = which % 2 == 0;
                return bench
                    .scribe
                    .call(None, Command::SetDisabled { account: user.account, disabled });
            }
            22 => return bench.scribe.call(None, Command::EndSessions(user.account)),
            12 if !self.calls.is_empty() => {
                return self.calls[usize::from(which) % self.calls.len()].0.clone();
            }
            _ => return self.shared(bench, which),
        };
        bench.scribe.call(session, command)
    }

    /// One of the shared calls, the first of them often, with what this side draws for it.
    fn shared(&self, bench: &mut Bench, which: u8) -> Update {
        let index = usize::from(which.saturating_sub(64)) % self.shared.len();
        let shared = self.shared[index].clone();
        let own = match &shared.command {
            Command::CreateAccount(create) => bench.scribe.create(create.username.as_str()),
            Command::Login(login) => bench.scribe.login(login.username.as_str(), login.proof),
            _ => return shared,
        };
        Update { request: shared.request, ..own }
    }
}

/// Accounts with a past, and calls that clients will make on every side.
fn past(choices: &[Choice]) -> (Bench, Life) {
    let mut bench = Bench::new();
    let users: Vec<User> = PAST_ACCOUNTS.map(|name| bench.user(name)).into();
    let mut life = Life { users: users.clone(), ..Life::default() };
    let mut shared = vec![bench.scribe.create("frank")];
    for user in &users {
        shared.push(bench.scribe.send(*user, "@bob", "on every side"));
        shared.push(bench.scribe.send(*user, "@frank", "to frank"));
        let mark = Command::MarkRead { conversation: name("@alice"), seq: 3 };
        shared.push(bench.scribe.call(Some(user.session), mark));
        let proof = Proof { account: user.account, password_version: 1 };
        shared.push(bench.scribe.login("alice", proof));
        shared.push(bench.scribe.call(Some(user.session), Command::Logout));
    }
    life.shared = shared;
    life.live(&mut bench, choices);
    (bench, life)
}

fn choices(most: usize) -> impl Strategy<Value = Vec<Choice>> {
    prop::collection::vec(any::<Choice>(), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_order_of_two_losers_streams_keeps_all_that_was_acknowledged_once(
        before in choices(20),
        of_winner in choices(30),
        of_both_losers in choices(20),
        of_first in choices(20),
        of_second in choices(20),
        order in prop::collection::vec(any::<(u8, Choice)>(), 0..80),
    ) {
        let (mut first, mut life_of_first) = past(&before);
        let common = first.end();
        let mut winner = first.copy(Epoch { number: 2, server: ServerId(2) });
        let mut life_of_winner = Life { calls: Vec::new(), ..life_of_first.clone() };
        life_of_first.live(&mut first, &of_both_losers);
        let mut second = first.copy(Epoch { number: 2, server: ServerId(3) });
        let mut life_of_second = life_of_first.clone();
        life_of_first.live(&mut first, &of_first);
        life_of_second.live(&mut second, &of_second);
        life_of_winner.live(&mut winner, &of_winner);

        let streams = [stream(&first, common), stream(&second, common)];
        let mut at = [0, 0];
        for (what, choice) in order {
            let which = usize::from(what % 2);
            match what % 8 {
                0 | 1 => {
                    let update = life_of_winner.choose(&mut winner, choice);
                    // No marks: what is read below was read before.
                    if !matches!(update.command, Command::MarkRead { .. }) {
                        life_of_winner.call(&mut winner, update);
                    }
                }
                2 if choice.0 < 40 => at[which] = 0,
                _ => {
                    if let Some(update) = streams[which].get(at[which]) {
                        take_over(&mut winner, std::slice::from_ref(update));
                        at[which] += 1;
                    }
                }
            }
        }
        let mut read: BTreeSet<_> = read_by(&winner);
        for loser in [&first, &second] {
            read.extend(read_by(loser));
        }
        for which in [0, 1] {
            take_over(&mut winner, &streams[which][at[which]..]);
        }
        let lives = [&life_of_first, &life_of_second, &life_of_winner];
        check(&mut winner, &lives)?;
        check_ends(&mut winner, &lives)?;

        // What is deleted on one side is gone.
        for loser in [&first, &second] {
            for id in &life_of_first.messages {
                if message_of(loser, *id).is_some_and(|row| row.deleted) {
                    prop_assert!(message_of(&winner, *id).unwrap().deleted, "{}", id);
                }
            }
        }
        // A second stream changes nothing, but that a marker that stopped at what one loser lacked may go
        // on from where the other one's readers had got.
        let after = without_markers(&winner);
        for updates in &streams {
            take_over(&mut winner, updates);
        }
        prop_assert_eq!(without_markers(&winner), after);
        check(&mut winner, &lives)?;

        // Nobody has read what was never before their eyes. (Ids of calls that were made on more than
        // one side differ, so names are compared where both sides know the message.)
        let known = |id| message_of(&winner, id);
        let seen: BTreeSet<_> = read
            .iter()
            .filter_map(|(account, id)| {
                let account = AccountId::from_slice(account).unwrap();
                // Of whoever is deleted, nothing is left to be read.
                let account = winner.read(|reader| reader.account(account))?.id;
                known(*id).map(|row| (account.0.to_vec(), row.public_id().unwrap()))
            })
            .collect();
        for pair in read_by(&winner) {
            prop_assert!(seen.contains(&pair), "{:?} was never read", pair);
        }

        // Another server applies the same log in batches.
        let mut replica = Bench::new();
        for batch in winner.scribe.entries[1..].chunks(7) {
            replica.digest = replica.writer.store(batch, LINEAGE).unwrap();
        }
        prop_assert_eq!(replica.digest, winner.digest);
        prop_assert_eq!(replica.contents(), winner.contents());

        // The winner loses to a third history, and so do the losers, in the other order.
        let mut third = past(&before).0.copy(Epoch { number: 9, server: ServerId(4) });
        take_over(&mut third, &streams[1]);
        take_over(&mut third, &stream(&winner, common));
        take_over(&mut third, &streams[0]);
        check(&mut third, &lives)?;
        check_ends(&mut third, &lives)?;
        repeat_all(&mut third, &lives)?;
        repeat_all(&mut winner, &lives)?;
        check(&mut winner, &lives)?;
    }
}
