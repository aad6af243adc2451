//! Accounts and sessions that both sides of a partition made or ended.

use super::*;

#[test]
fn of_two_accounts_of_one_name_the_losers_is_renamed_and_keeps_what_it_has() {
    let Split { mut winner, mut loser, common, alice, .. } = split();
    let theirs = loser.user("carol");
    loser.send(theirs, "@alice", "from the loser's carol");
    loser.send(alice, "@carol", "to the loser's carol");
    let ours = winner.user("carol");
    winner.send(ours, "@alice", "from the winner's carol");
    let updates = stream(&loser, common);
    take_over(&mut winner, &updates[..2]);
    let renamed = winner.read(|reader| reader.account(theirs.account)).unwrap().username;
    assert!(renamed.as_str().starts_with("carol~") && renamed.as_str().len() == 9, "{renamed}");
    for owner in [theirs, ours] {
        let expected = Happening::AccountChanged { username: renamed.clone(), deleted: false };
        assert_eq!(told(&winner, owner), [expected]);
    }
    take_over(&mut winner, &updates[2..]);
    assert_eq!(
        winner.read(|reader| reader.account(ours.account)).unwrap().username,
        username("carol")
    );
    assert_eq!(bodies(&winner.history(alice, "@carol")), ["from the winner's carol"]);
    let with_renamed = format!("@{renamed}");
    let of_theirs = ["from the loser's carol", "to the loser's carol"];
    assert_eq!(bodies(&winner.history(alice, &with_renamed)), of_theirs);
    assert_eq!(winner.send(theirs, "@alice", "still logged in").seq, 3);

    let meant = winner.read(|reader| reader.credentials(&username("carol")));
    let meant: Vec<_> = meant.iter().map(|found| found.account.id).collect();
    assert_eq!(meant, [ours.account, theirs.account], "either owner may log in as carol");
    let proof = Proof { account: theirs.account, password_version: 1 };
    let login = winner.scribe.login("carol", proof);
    let Ok(Outcome::LoggedIn { account, .. }) = winner.run(&login) else { panic!() };
    assert_eq!((account.id, account.username), (theirs.account, renamed));
    merge(&mut winner, &loser, common);
    assert_eq!(winner.read(|reader| reader.credentials(&username("carol"))).len(), 2);
}

#[test]
fn a_renamed_owner_repeats_the_call_that_created_the_account() {
    let Split { mut winner, mut loser, common, .. } = split();
    let creating = loser.scribe.create("carol");
    let Ok(Outcome::AccountCreated { account, session }) = loser.run(&creating) else { panic!() };
    winner.user("carol");
    merge(&mut winner, &loser, common);
    let mut repeat = winner.scribe.create("carol");
    repeat.request = creating.request;
    if let Command::CreateAccount(create) = &mut repeat.command {
        create.proof = Some(Proof { account: account.id, password_version: 1 });
    }
    let Ok(Outcome::AccountCreated { account: same, session: still }) = winner.run(&repeat) else {
        panic!()
    };
    assert_eq!((same.id, still), (account.id, session));
}

#[test]
fn an_account_whose_creation_was_repeated_on_the_other_side_is_one_account() {
    let Split { mut winner, mut loser, common, bob, .. } = split();
    let there = loser.scribe.create("carol");
    let here = Update { request: there.request, ..winner.scribe.create("carol") };
    let user = |result| match result {
        Ok(Outcome::AccountCreated { account, session }) => User { account: account.id, session },
        other => panic!("{other:?}"),
    };
    let (lost, kept) = (user(loser.run(&there)), user(winner.run(&here)));
    loser.send(lost, "@bob", "from there");
    loser.send(bob, "@carol", "to there");
    winner.send(kept, "@bob", "from here");
    merge(&mut winner, &loser, common);
    assert_eq!(winner.read(|reader| reader.credentials(&username("carol"))).len(), 1);
    assert_eq!(bodies(&winner.history(bob, "@carol")), ["from here", "from there", "to there"]);
    assert_eq!(winner.read(|reader| reader.account(lost.account)).unwrap().id, kept.account);
    let both = winner.read(|reader| reader.sessions(kept.account, 0, "")).unwrap();
    let both: Vec<_> = both.items.iter().map(|session| session.id).collect();
    assert_eq!(both, [kept.session, lost.session]);
    assert_eq!(winner.send(lost, "@bob", "either session goes on").seq, 4);
}

#[test]
fn sessions_end_on_both_sides_and_a_login_made_on_both_leaves_two_sessions() {
    let Split { mut winner, mut loser, common, alice, bob, .. } = split();
    let proof = Proof { account: alice.account, password_version: 1 };
    let token = |update: &Update| match &update.command {
        Command::Login(login) => login.token,
        other => panic!("{other:?}"),
    };
    // One login on both sides, which draw a session and a token each.
    let login = loser.scribe.login("alice", proof);
    let there = Update { request: login.request, ..loser.scribe.login("alice", proof) };
    let here = Update { request: login.request, ..winner.scribe.login("alice", proof) };
    loser.run(&there).unwrap();
    winner.run(&here).unwrap();
    loser.act(bob, Command::Logout).unwrap();
    let touch = loser.scribe.call(None, Command::TouchSession(alice.session));
    loser.run(&touch).unwrap();
    merge(&mut winner, &loser, common);
    for update in [&there, &here] {
        let known = winner.read(|reader| reader.session_by_token(&token(update))).unwrap();
        assert!(!known.ended && known.account.id == alice.account);
    }
    assert_eq!(winner.act(bob, send_command("@alice", "hi", None)), Err(Refusal::NoSession));
    let sessions = winner.read(|reader| reader.sessions(alice.account, 0, "")).unwrap();
    assert_eq!(sessions.items.len(), 3);
    assert_eq!(sessions.items[0].last_used_time, touch.time);
}

#[test]
fn a_session_from_before_that_was_renewed_on_the_losers_side_keeps_its_new_token() {
    let mut loser = Bench::new();
    let alice = loser.user("alice");
    let proof = Proof { account: alice.account, password_version: 1 };
    let login = loser.scribe.login("alice", proof);
    loser.run(&login).unwrap();
    let (mut winner, common) = (loser.copy(WINNER), loser.end());
    let there = Update { request: login.request, ..loser.scribe.login("alice", proof) };
    let here = Update { request: login.request, ..winner.scribe.login("alice", proof) };
    loser.run(&there).unwrap();
    winner.run(&here).unwrap();
    merge(&mut winner, &loser, common);
    for update in [&there, &here] {
        let Command::Login(login) = &update.command else { panic!() };
        assert!(winner.read(|reader| reader.session_by_token(&login.token)).is_some());
    }
    let Command::Login(first) = &login.command else { panic!() };
    let known = winner.read(|reader| reader.session_by_token(&first.token));
    assert_eq!(known, None, "the token that both sides ended");
    // The next repeat renews it as ever: one token is left, and no later stream brings another back.
    let again = Update { request: login.request, ..winner.scribe.login("alice", proof) };
    winner.run(&again).unwrap();
    merge(&mut winner, &loser, common);
    let Command::Login(login) = &there.command else { panic!() };
    assert_eq!(winner.read(|reader| reader.session_by_token(&login.token)), None);
}

#[test]
fn a_token_that_the_loser_ended_is_ended_on_the_winner() {
    let mut loser = Bench::new();
    let alice = loser.user("alice");
    let proof = Proof { account: alice.account, password_version: 1 };
    let login = loser.scribe.login("alice", proof);
    let Ok(Outcome::LoggedIn { session, .. }) = loser.run(&login) else { panic!() };
    let (mut winner, common) = (loser.copy(WINNER), loser.end());
    let again = Update { request: login.request, ..loser.scribe.login("alice", proof) };
    loser.run(&again).unwrap();
    merge(&mut winner, &loser, common);
    let changed = ChangeKind::SessionChanged { session, ended: false };
    assert!(winner.changes.iter().any(|change| change.kind == changed), "who has it in memory");
    let Command::Login(login) = &login.command else { panic!() };
    assert_eq!(winner.read(|reader| reader.session_by_token(&login.token)), None);
}

#[test]
fn a_logout_that_is_merged_ends_what_is_kept_of_the_session_in_memory() {
    let Split { mut winner, mut loser, common, bob, .. } = split();
    loser.act(bob, Command::Logout).unwrap();
    let updates = stream(&loser, common);
    take_over(&mut winner, &updates);
    let ended = ChangeKind::SessionChanged { session: bob.session, ended: true };
    assert_eq!(winner.changes.iter().map(|change| &change.kind).collect::<Vec<_>>(), [&ended]);
}
