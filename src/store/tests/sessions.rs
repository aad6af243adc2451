//! Accounts and sessions.

use super::*;
use crate::chat::{ChangeKind, Expire, Glob};

fn token_of(update: &Update) -> TokenHash {
    match &update.command {
        Command::CreateAccount(create) => create.token,
        Command::Login(login) => login.token,
        other => panic!("{other:?}"),
    }
}

fn proof(user: User) -> Proof {
    Proof { account: user.account, password_version: 1 }
}

#[test]
fn a_new_account_is_logged_in() {
    let mut bench = Bench::new();
    let update = bench.scribe.create("Alice");
    bench.run(&update).unwrap();
    let known = bench.read(|reader| reader.session_by_token(&token_of(&update))).unwrap();
    assert_eq!(known.account.username.as_str(), "alice");
    assert!(!known.ended);
    let found = bench.read(|reader| reader.credentials(&Username::parse("ALICE").unwrap()));
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!((found.password_hash.as_str(), found.password_version), ("$argon2id$of-Alice", 1));
}

#[test]
fn of_two_accounts_created_at_once_with_one_name_one_is_refused() {
    let mut bench = Bench::new();
    let (one, other) = (bench.scribe.create("alice"), bench.scribe.create("alice"));
    let entries = [bench.scribe.update(&one), bench.scribe.update(&other)];
    let applied = bench.writer.apply(&entries).unwrap();
    bench.writer.commit().unwrap();
    assert!(matches!(applied.results[0].1, Ok(Outcome::AccountCreated { .. })));
    assert_eq!(applied.results[1].1, Err(Refusal::NameTaken));
    let listed = bench.read(|reader| reader.accounts(&Glob::parse("").unwrap(), 0, "")).unwrap();
    assert_eq!(listed.items.len(), 1);
}

#[test]
fn an_ended_session_is_good_for_a_repeat_of_its_logout_and_nothing_else() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let logout = bench.scribe.call(Some(alice.session), Command::Logout);
    assert_eq!(bench.run(&logout), Ok(Outcome::LoggedOut));
    assert_eq!(bench.run(&logout), Ok(Outcome::LoggedOut));
    assert_eq!(bench.act(alice, Command::Logout), Err(Refusal::NoSession));
    assert_eq!(bench.act(alice, send_command("@alice", "hi", None)), Err(Refusal::NoSession));
    let mark = Command::MarkRead { conversation: name("@alice"), seq: 1 };
    assert_eq!(bench.act(alice, mark), Err(Refusal::NoSession));
    assert_eq!(
        bench.run(&Update { session: Some(SessionId([0; 16])), ..logout }),
        Err(Refusal::NoSession)
    );
}

#[test]
fn a_logout_survives_a_restart() {
    let mut bench = Bench::new();
    let update = bench.scribe.create("alice");
    let Ok(Outcome::AccountCreated { account, session }) = bench.run(&update) else { panic!() };
    let alice = User { account: account.id, session };
    bench.act(alice, Command::Logout).unwrap();
    assert!(matches!(
        bench.changes[..],
        [crate::chat::Change { kind: ChangeKind::SessionChanged { ended: true, .. }, .. }]
    ));
    let mut bench = bench.restart();
    let known = bench.read(|reader| reader.session_by_token(&token_of(&update))).unwrap();
    assert!(known.ended);
    assert_eq!(bench.act(alice, send_command("@alice", "hi", None)), Err(Refusal::NoSession));
}

#[test]
fn a_login_with_an_outdated_proof_is_refused_and_not_remembered() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let stale = Proof { password_version: 2, ..proof(alice) };
    let mut login = bench.scribe.login("alice", stale);
    let before = bench.contents();
    assert_eq!(bench.run(&login), Err(Refusal::BadCredentials));
    assert_eq!(bench.contents(), before);
    if let Command::Login(login) = &mut login.command {
        login.proof = proof(alice);
    }
    assert!(matches!(bench.run(&login), Ok(Outcome::LoggedIn { .. })));
}

#[test]
fn a_repeated_login_keeps_the_session_and_ends_the_earlier_token() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let first = bench.scribe.login("alice", proof(alice));
    let Ok(Outcome::LoggedIn { session, .. }) = bench.run(&first) else { panic!() };
    let drawn_anew = bench.scribe.login("alice", proof(alice));
    let repeat = Update { request: first.request, ..drawn_anew };
    let Ok(Outcome::LoggedIn { session: again, .. }) = bench.run(&repeat) else { panic!() };
    assert_eq!(session, again);
    assert_eq!(bench.read(|reader| reader.session_by_token(&token_of(&first))), None);
    let known = bench.read(|reader| reader.session_by_token(&token_of(&repeat))).unwrap();
    assert_eq!(known.session, session);
    let sessions = bench.read(|reader| reader.sessions(alice.account, 0, "")).unwrap();
    assert_eq!(sessions.items.len(), 2, "the account's first session and this one");

    bench.act(User { session, ..alice }, Command::Logout).unwrap();
    assert_eq!(bench.run(&repeat), Err(Refusal::BadCredentials));
}

#[test]
fn repeats_of_a_login_in_any_order_leave_the_token_of_the_last_one() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let first = bench.scribe.login("alice", proof(alice));
    let second = Update { request: first.request, ..bench.scribe.login("alice", proof(alice)) };
    for last in [&first, &first, &second, &first, &second, &second, &first] {
        bench.run(last).unwrap();
        for update in [&first, &second] {
            let known = bench.read(|reader| reader.session_by_token(&token_of(update)));
            assert_eq!(known.is_some(), token_of(update) == token_of(last));
        }
    }
}

#[test]
fn a_repeated_create_account_proves_the_password_again() {
    let mut bench = Bench::new();
    let first = bench.scribe.create("alice");
    let Ok(Outcome::AccountCreated { account, session }) = bench.run(&first) else { panic!() };
    let repeat = |bench: &mut Bench, proof: Option<Proof>| {
        let mut update = bench.scribe.create("alice");
        update.request = first.request;
        if let Command::CreateAccount(create) = &mut update.command {
            (create.proof, create.password_hash) = (proof, String::new());
        }
        (bench.run(&update), token_of(&update))
    };
    assert_eq!(repeat(&mut bench, None).0, Err(Refusal::ProofNeeded));
    let other = Proof { account: AccountId([0; 16]), password_version: 1 };
    assert_eq!(repeat(&mut bench, Some(other)).0, Err(Refusal::BadCredentials));
    let known = bench.read(|reader| reader.session_by_token(&token_of(&first)));
    assert!(known.is_some(), "nobody without the password ends the token");

    let right = Proof { account: account.id, password_version: 1 };
    let (result, token) = repeat(&mut bench, Some(right));
    assert_eq!(result, Ok(Outcome::AccountCreated { account, session }));
    assert_eq!(bench.read(|reader| reader.session_by_token(&token)).unwrap().session, session);
    assert_eq!(bench.read(|reader| reader.session_by_token(&token_of(&first))), None);
}

#[test]
fn the_use_of_a_session_is_noted_and_never_goes_back() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let mut touch = bench.scribe.call(None, Command::TouchSession(alice.session));
    assert_eq!(bench.run(&touch), Ok(Outcome::SessionTouched));
    let noted = touch.time;
    touch.time = Timestamp(1);
    bench.run(&touch).unwrap();
    let sessions = bench.read(|reader| reader.sessions(alice.account, 0, "")).unwrap();
    assert_eq!(sessions.items[0].last_used_time, noted);
    let unknown = bench.scribe.call(None, Command::TouchSession(SessionId([0; 16])));
    assert_eq!(bench.run(&unknown), Err(Refusal::NoSession));
}

#[test]
fn accounts_are_listed_by_glob_page_by_page() {
    let mut bench = Bench::new();
    for username in ["carol", "bob", "bo", "b.b", "alice"] {
        bench.user(username);
    }
    let list = |pattern: &str, size: i32| {
        let (mut names, mut token) = (Vec::new(), String::new());
        loop {
            let pattern = Glob::parse(pattern).unwrap();
            let page = bench.read(|reader| reader.accounts(&pattern, size, &token)).unwrap();
            names.extend(page.items.iter().map(|account| account.username.to_string()));
            if page.next_page_token.is_empty() {
                return names;
            }
            token = page.next_page_token;
        }
    };
    assert_eq!(list("", 2), ["alice", "b.b", "bo", "bob", "carol"]);
    assert_eq!(list("B*", 1), ["b.b", "bo", "bob"]);
    assert_eq!(list("b?b", 0), ["b.b", "bob"]);
    assert_eq!(list("*o*", 0), ["bo", "bob", "carol"]);
    assert!(list("[a-z]*", 0).is_empty(), "brackets stand for themselves");
    assert!(list("%", 0).is_empty());
    let bad = bench.read(|reader| reader.accounts(&Glob::parse("").unwrap(), 0, "zz"));
    assert!(matches!(bad, Err(Refusal::BadField { field: "page_token", .. })));
}

#[test]
fn sessions_that_nobody_uses_end_and_those_in_use_go_on() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let touch = bench.scribe.call(None, Command::TouchSession(bob.session));
    bench.run(&touch).unwrap();
    let expire = |idle_before| {
        let never = Timestamp(0);
        Command::Expire(Expire { requests_before: never, deleted_before: never, idle_before })
    };
    for (idle_before, alice_lives) in
        [(Timestamp(0), true), (touch.time, false), (touch.time, false)]
    {
        let expire = bench.scribe.call(None, expire(idle_before));
        let entry = bench.scribe.update(&expire);
        let applied = bench.writer.apply(&[entry]).unwrap();
        bench.writer.commit().unwrap();
        assert_eq!(applied.results[0].1, Ok(Outcome::Expired { more: false }));
        let sent = bench.act(alice, send_command("@alice", "hi", None));
        assert_eq!(sent.is_ok(), alice_lives, "{sent:?}");
        bench.act(bob, send_command("@bob", "hi", None)).expect("it was used just then");
    }
    let ended = bench.read(|reader| reader.sessions(alice.account, 0, "")).unwrap();
    assert!(ended.items.is_empty(), "it is no device of hers any more");
}
