//! Many lives on both sides of a partition, merged in many orders.

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

fn number(bench: &mut Bench, query: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        value: i64,
    }
    let query = format!("SELECT ({query}) AS value");
    sql_query(query).get_result::<Row>(&mut bench.writer.connection).unwrap().value
}

/// Members whose counters are not what counting says.
const WRONG_COUNTERS: &str = "SELECT count(*) FROM members m WHERE
    own_after <> (SELECT count(*) FROM messages x WHERE x.conversation = m.conversation
        AND x.seq > m.read_seq AND x.sender = m.account)
    OR gone_after <> (SELECT count(*) FROM messages x WHERE x.conversation = m.conversation
        AND x.seq > m.read_seq AND x.sender <> m.account AND (x.deleted OR EXISTS
            (SELECT 1 FROM hidden h WHERE h.account = m.account AND h.message = x.id)))";

/// Conversations with a gap, or in which places and seqs do not rise together.
const BROKEN_CONVERSATIONS: &str = "SELECT count(*) FROM conversations c WHERE
    last_seq <> (SELECT count(*) FROM messages x WHERE x.conversation = c.id)
    OR last_seq <> (SELECT ifnull(max(seq), 0) FROM messages x WHERE x.conversation = c.id)
    OR EXISTS (SELECT 1 FROM messages x JOIN messages y ON x.conversation = y.conversation
        WHERE x.conversation = c.id AND x.seq < y.seq AND x.id >= y.id)";

fn message_of(bench: &Bench, id: MessageId) -> Option<crate::store::rows::MessageRow> {
    bench.read(|reader| crate::store::aliases::message(&mut reader.connection, id))
}

/// What each account has read, by message id: others' undeleted messages at or before its marker, in direct
/// conversations. (Whoever joins a room begins with nothing unread, of what came before too.)
fn read_by(bench: &Bench) -> BTreeSet<(Vec<u8>, MessageId)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        account_id: Vec<u8>,
        #[diesel(sql_type = BigInt)]
        message: i64,
    }
    let query = "SELECT a.account_id, x.id AS message FROM members m
        JOIN accounts a ON a.id = m.account JOIN messages x ON x.conversation = m.conversation
        JOIN conversations c ON c.id = m.conversation
        WHERE c.name IS NULL AND x.seq <= m.read_seq AND x.sender <> m.account AND NOT x.deleted";
    bench.read(|reader| {
        let rows = sql_query(query).load::<Row>(&mut reader.connection).unwrap();
        let mut id =
            |key| rows::message_by_key(&mut reader.connection, key).and_then(|row| row.public_id());
        rows.into_iter().map(|row| Ok((row.account_id, id(row.message)?))).collect()
    })
}

/// What there is, apart from how far it was read.
fn without_markers(bench: &Bench) -> String {
    let contents = bench.contents();
    contents.lines().filter(|line| !line.starts_with("member ")).collect::<Vec<_>>().join("\n")
}

fn check(winner: &mut Bench, lives: &[&Life]) -> Result<(), TestCaseError> {
    prop_assert_eq!(number(winner, WRONG_COUNTERS), 0, "counters");
    prop_assert_eq!(number(winner, BROKEN_CONVERSATIONS), 0, "seqs");
    // Every acknowledged message is there, and one call is one message.
    let mut bodies: BTreeMap<RequestId, &str> = BTreeMap::new();
    let mut rows = BTreeSet::new();
    for (update, result) in lives.iter().flat_map(|life| &life.calls) {
        let (Command::SendMessage(send), Ok(Outcome::MessageSent(message))) =
            (&update.command, result)
        else {
            continue;
        };
        let Some(row) = message_of(winner, message.id) else {
            return Err(TestCaseError::fail(format!("lost {message:?}")));
        };
        prop_assert!(row.deleted || row.body == send.body.as_str());
        bodies.insert(update.request.unwrap().id, send.body.as_str());
        rows.insert(row.id);
    }
    prop_assert_eq!(number(winner, "SELECT count(*) FROM messages") as usize, rows.len());
    prop_assert_eq!(bodies.len(), rows.len(), "one message a request");
    let calls = lives.iter().flat_map(|life| &life.calls);
    let created: BTreeSet<RequestId> = calls
        .filter(|(_, result)| matches!(result, Ok(Outcome::AccountCreated { .. })))
        .map(|(update, _)| update.request.unwrap().id)
        .collect();
    let accounts = number(winner, "SELECT count(*) FROM accounts") as usize;
    prop_assert_eq!(accounts, PAST_ACCOUNTS.len() + created.len(), "one account a request");
    prop_assert_eq!(number(winner, LEFT_BY_THE_DELETED), 0, "what the deleted left");
    prop_assert_eq!(number(winner, SESSIONS_OF_THE_DISABLED), 0, "sessions of the disabled");
    Ok(())
}

/// What no deleted account has: a live session, a password, a place in a conversation, a room with members.
const LEFT_BY_THE_DELETED: &str = "SELECT count(*) FROM accounts a WHERE a.deleted AND (
    a.password_hash <> ''
    OR EXISTS (SELECT 1 FROM sessions s WHERE s.account = a.id AND s.end_time IS NULL)
    OR EXISTS (SELECT 1 FROM members m WHERE m.account = a.id)
    OR EXISTS (SELECT 1 FROM mentions m WHERE m.account = a.id)
    OR EXISTS (SELECT 1 FROM conversations c JOIN members m ON m.conversation = c.id
        WHERE c.owner = a.id AND NOT c.deleted))";

/// Nobody is there whom an operator let in no more.
const SESSIONS_OF_THE_DISABLED: &str = "SELECT count(*) FROM sessions s
    JOIN accounts a ON a.id = s.account WHERE a.disabled_changes % 2 = 1 AND s.end_time IS NULL";

/// Whoever ended a session, or was told that an account is gone, is not told otherwise by a merge.
fn check_ends(winner: &mut Bench, lives: &[&Life]) -> Result<(), TestCaseError> {
    for (update, result) in lives.iter().flat_map(|life| &life.calls) {
        let ended = match (&update.command, result) {
            (Command::EndSession(session), Ok(Outcome::SessionEnded)) => Some(*session),
            (Command::Logout, Ok(Outcome::LoggedOut)) => update.session,
            (Command::DeleteAccount(Some(proof)), Ok(Outcome::AccountDeleted)) => {
                let gone = winner.read(|reader| reader.account(proof.account));
                prop_assert_eq!(gone, None, "a deleted account is back");
                update.session
            }
            _ => None,
        };
        let Some(ended) = ended else { continue };
        let found =
            winner.read(|reader| crate::store::rows::session_by_id(&mut reader.connection, ended));
        prop_assert!(found.is_none_or(|found| found.end_time.is_some()), "{:?} is back", ended);
    }
    Ok(())
}

/// Every call of the losers that was carried out is known: its repeat makes nothing new.
fn repeat_all(winner: &mut Bench, lives: &[&Life]) -> Result<(), TestCaseError> {
    let mut sessions: BTreeMap<AccountId, SessionId> = BTreeMap::new();
    let calls: Vec<_> = lives.iter().flat_map(|life| life.calls.clone()).collect();
    for (update, result) in calls {
        let (
            Command::SendMessage(_)
            | Command::DeleteMessages(_)
            | Command::AcknowledgeMessages(_)
            | Command::MarkRead { .. },
            Ok(first),
        ) = (&update.command, &result)
        else {
            continue;
        };
        let actor = lives.iter().flat_map(|life| &life.users);
        let actor =
            actor.clone().find(|user| Some(user.session) == update.session).unwrap().account;
        // Whoever is gone asks no more.
        let Some(account) = winner.read(|reader| reader.account(actor)) else { continue };
        let session = match sessions.get(&account.id) {
            Some(session) => *session,
            None => {
                let known = winner.read(|reader| reader.credentials_of(account.id)).unwrap();
                let password_version = known.password_version;
                let proof = Proof { account: account.id, password_version };
                let login = winner.scribe.login(account.username.as_str(), proof);
                let session = match winner.run(&login) {
                    Ok(Outcome::LoggedIn { session, .. }) => session,
                    Err(Refusal::AccountDisabled) => continue,
                    other => return Err(TestCaseError::fail(format!("no login: {other:?}"))),
                };
                sessions.insert(account.id, session);
                session
            }
        };
        let before = winner.contents();
        let again = winner.run(&Update { session: Some(session), ..update.clone() });
        prop_assert_eq!(winner.contents(), before, "{:?}", update);
        match (first, again) {
            (Outcome::MessageSent(first), Ok(Outcome::MessageSent(again))) => {
                prop_assert_eq!(
                    message_of(winner, first.id).unwrap().public_id().unwrap(),
                    again.id
                );
            }
            (Outcome::ReadMoved { .. }, Ok(Outcome::ReadMoved { .. })) => {}
            (first, again) => prop_assert_eq!(Ok(first.clone()), again),
        }
    }
    Ok(())
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
