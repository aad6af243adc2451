//! What an operator does to accounts, on one server and on both sides of a partition.

use super::{
    account_merges::{Split, hash, split},
    accounts::{device, hash_of, lives, proof},
    *,
};
use crate::chat::ResetPassword;

/// An operator's command.
fn administer(bench: &mut Bench, command: Command) -> Result<Outcome, Refusal> {
    let update = bench.scribe.call(None, command);
    bench.run(&update)
}

fn done(bench: &mut Bench, command: Command) {
    assert_eq!(administer(bench, command), Ok(Outcome::Administered));
}

fn reset(user: User, to: &str) -> Command {
    Command::ResetPassword(ResetPassword { account: user.account, password_hash: hash(to) })
}

pub(super) fn disable(user: User) -> Command {
    Command::SetDisabled { account: user.account, disabled: true }
}

fn enable(user: User) -> Command {
    Command::SetDisabled { account: user.account, disabled: false }
}

fn log_in(bench: &mut Bench, user: User) -> Result<Outcome, Refusal> {
    let login = bench.scribe.login("whoever", proof(bench, user).unwrap());
    bench.run(&login)
}

#[test]
fn a_reset_password_is_the_only_one_and_nobody_is_logged_in_any_more() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    let old = proof(&bench, alice).unwrap();
    done(&mut bench, reset(alice, "new"));
    assert_eq!(hash_of(&bench, alice), Some((hash("new"), 2)));
    assert!(!lives(&mut bench, alice));
    let login = bench.scribe.login("alice", old);
    assert_eq!(bench.run(&login), Err(Refusal::BadCredentials), "it was proved too early");
    let again = device(&mut bench, alice);
    assert!(lives(&mut bench, again));
}

#[test]
fn a_disabled_account_lets_nobody_in_until_it_is_enabled_and_keeps_what_it_said() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let said = bench.send(alice, "@bob", "before");
    done(&mut bench, disable(alice));
    assert!(!lives(&mut bench, alice), "its sessions ended");
    assert_eq!(log_in(&mut bench, alice), Err(Refusal::AccountDisabled));
    bench.send(bob, "@alice", "can you read this?");
    assert_eq!(bench.history(bob, "@alice")[0].id, said.id);

    let before = bench.contents();
    done(&mut bench, disable(alice));
    assert_eq!(bench.contents(), before, "once is enough");
    done(&mut bench, enable(alice));
    let again = device(&mut bench, alice);
    assert!(!lives(&mut bench, alice) && lives(&mut bench, again));
    assert_eq!(bench.unread(again, "@bob"), 1, "it came meanwhile");
}

#[test]
fn a_repeat_of_a_login_that_was_refused_is_looked_at_anew() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    done(&mut bench, disable(alice));
    let login = bench.scribe.login("alice", proof(&bench, alice).unwrap());
    assert_eq!(bench.run(&login), Err(Refusal::AccountDisabled));
    done(&mut bench, enable(alice));
    assert!(matches!(bench.run(&login), Ok(Outcome::LoggedIn { .. })));
}

#[test]
fn all_devices_of_an_account_are_logged_out_and_no_other() {
    let mut bench = Bench::new();
    let (alice, bob) = (bench.user("alice"), bench.user("bob"));
    let phone = device(&mut bench, alice);
    done(&mut bench, Command::EndSessions(alice.account));
    let alive = [alice, phone, bob].map(|user| lives(&mut bench, user));
    assert_eq!(alive, [false, false, true]);
}

#[test]
fn nothing_is_done_to_accounts_that_are_not_there() {
    let mut bench = Bench::new();
    let alice = bench.user("alice");
    super::accounts::delete(&mut bench, alice);
    let nobody = User { account: AccountId([9; 16]), ..alice };
    for user in [alice, nobody] {
        for command in [reset(user, "new"), disable(user), Command::EndSessions(user.account)] {
            assert_eq!(administer(&mut bench, command), Err(Refusal::NoSuchAccount));
        }
    }
}

#[test]
fn a_password_that_the_losers_operator_set_is_the_accounts_and_ends_all_sessions() {
    let mut split = split();
    let desk = device(&mut split.winner, split.alice);
    done(&mut split.loser, reset(split.alice, "lost"));
    let later = device(&mut split.loser, split.alice);
    split.merge();
    let (alice, phone) = (split.alice, split.phone);
    for bench in [&mut split.third(), &mut split.winner] {
        assert_eq!(hash_of(bench, alice), Some((hash("lost"), 2)));
        let alive = [alice, phone, desk, later].map(|device| lives(bench, device));
        assert_eq!(alive, [false, false, false, true], "only who knows the new one");
    }
}

#[test]
fn an_account_that_one_side_disabled_is_so_and_nobody_of_it_is_there() {
    for of_loser in [true, false] {
        let mut split = split();
        let desk = device(&mut split.winner, split.alice);
        let later = device(&mut split.loser, split.phone);
        let Split { winner, loser, alice, .. } = &mut split;
        done(if of_loser { loser } else { winner }, disable(*alice));
        split.merge();
        for bench in [&mut split.third(), &mut split.winner] {
            let devices = [split.alice, split.phone, desk, later];
            let alive = devices.map(|device| lives(bench, device));
            assert_eq!(alive, [false; 4], "by the loser: {of_loser}");
            assert_eq!(log_in(bench, split.alice), Err(Refusal::AccountDisabled));
        }
    }
}

#[test]
fn of_two_sides_that_disabled_or_enabled_the_one_that_did_so_more_often_counts() {
    let mut split = split();
    done(&mut split.winner, disable(split.alice));
    done(&mut split.loser, disable(split.alice));
    done(&mut split.loser, enable(split.alice));
    split.merge();
    for bench in [&mut split.third(), &mut split.winner] {
        assert!(log_in(bench, split.alice).is_ok());
    }
}

#[test]
fn an_account_that_the_loser_created_and_disabled_comes_disabled() {
    let mut split = split();
    let dave = split.loser.user("dave");
    done(&mut split.loser, disable(dave));
    split.merge();
    for bench in [&mut split.third(), &mut split.winner] {
        assert_eq!(log_in(bench, dave), Err(Refusal::AccountDisabled));
    }
}

#[test]
fn sessions_that_the_losers_operator_ended_have_ended_and_later_ones_live() {
    let mut split = split();
    let desk = device(&mut split.winner, split.alice);
    let ended = device(&mut split.loser, split.alice);
    done(&mut split.loser, Command::EndSessions(split.alice.account));
    let later = device(&mut split.loser, split.alice);
    split.merge();
    for bench in [&mut split.third(), &mut split.winner] {
        let devices = [split.alice, split.phone, ended, desk, later];
        let alive = devices.map(|device| lives(bench, device));
        assert_eq!(alive, [false, false, false, true, true]);
    }
}
