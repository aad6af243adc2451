//! What must hold once all lives are merged into one.

use super::*;

pub(super) fn number(bench: &mut Bench, query: &str) -> i64 {
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

pub(super) fn message_of(bench: &Bench, id: MessageId) -> Option<crate::store::rows::MessageRow> {
    bench.read(|reader| crate::store::aliases::message(&mut reader.connection, id))
}

/// What each account has read, by message id: others' undeleted messages at or before its marker, in direct
/// conversations. (Whoever joins a room begins with nothing unread, of what came before too.)
pub(super) fn read_by(bench: &Bench) -> BTreeSet<(Vec<u8>, MessageId)> {
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
pub(super) fn without_markers(bench: &Bench) -> String {
    let contents = bench.contents();
    contents.lines().filter(|line| !line.starts_with("member ")).collect::<Vec<_>>().join("\n")
}

pub(super) fn check(winner: &mut Bench, lives: &[&Life]) -> Result<(), TestCaseError> {
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
pub(super) fn check_ends(winner: &mut Bench, lives: &[&Life]) -> Result<(), TestCaseError> {
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
pub(super) fn repeat_all(winner: &mut Bench, lives: &[&Life]) -> Result<(), TestCaseError> {
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
