//! How lines are read and answers are written.

use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use crate::{
    cli::{
        Arguments,
        command::{Command, parse},
        status, text,
    },
    client::{Notice, ServerAnswer},
    wire::chat::{DivergedFile, GetStatusResponse, Role, ServerStatus},
};

fn command(line: &str) -> Command {
    parse(line, Some("#general")).unwrap().unwrap()
}

fn says(line: &str, words: &str) {
    let failure = parse(line, None).unwrap_err().to_string();
    assert!(failure.contains(words), "{failure}");
}

fn send(conversation: &str, body: &str) -> Command {
    Command::Send { conversation: conversation.into(), body: body.into(), request_id: None }
}

#[test]
fn a_line_without_a_slash_goes_to_the_current_conversation() {
    assert_eq!(command("hello"), send("#general", "hello"));
    assert_eq!(command("  two  words "), send("#general", "  two  words "));
    assert_eq!(command("//shrug"), send("#general", "/shrug"), "two slashes are one");
    assert_eq!(parse("", None).unwrap(), None);
    assert_eq!(parse(" \r\n", None).unwrap(), None);
    says("hello", "no current conversation");
}

#[test]
fn every_command_is_read() {
    assert_eq!(command("/msg @bob  hi  there"), send("@bob", "hi  there"));
    assert_eq!(command("/msg  @b  @b"), send("@b", "@b"));
    assert_eq!(command("/login @alice"), Command::Login { username: "alice".into() });
    assert_eq!(command("/users a*"), Command::Users { pattern: "a*".into() });
    let history = |count| Command::History { conversation: "@bob".into(), count };
    assert_eq!(command("/history @bob"), history(20));
    assert_eq!(command("/history @bob 3"), history(3));
    let wait = |count, seconds| Command::Wait { count, within: Duration::from_secs(seconds) };
    assert_eq!(command("/wait"), wait(1, 30));
    assert_eq!(command("/wait 5 2"), wait(5, 2));
    assert_eq!(command("/delete a b"), Command::Delete { ids: vec!["a".into(), "b".into()] });
}

#[test]
fn a_command_that_is_written_wrongly_is_answered_with_its_form() {
    says("/msg @bob", "/msg @USER|#ROOM TEXT");
    says("/login", "/login USER");
    says("/history bob", "\"bob\" is no conversation");
    says("/history @bob many", "\"many\" is no number");
    says("/history @bob 0", "1 to 10000");
    says("/logout now", "/logout");
    says("/edit id text", "later version");
    says("/frobnicate", "/help");
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
    assert!(Arguments::try_parse_from(["client", "--timeout", "0", "status"]).is_err());
    assert!(Arguments::try_parse_from(["client", "--config", "a", "--servers", "b"]).is_err());
    let unknown = Arguments::try_parse_from(["client", "stauts"]).unwrap_err().to_string();
    assert!(unknown.contains("status"), "{unknown}");
}

#[test]
fn what_others_wrote_cannot_move_the_cursor_or_begin_a_line() {
    assert_eq!(text::harmless("a\nb\u{1b}[31m\rc"), "a\\nb\\u{1b}[31m\\rc");
    assert_eq!(text::harmless("\u{202e}abc\u{9b}"), "\\u{202e}abc\\u{9b}");
    assert_eq!(text::harmless("grüß\t🙂"), "grüß\t🙂");
}

#[test]
fn notices_are_sentences() {
    let outage = Duration::from_millis(62);
    let moved = text::notice(&Notice::Moved { address: "b:1".into(), outage });
    assert!(moved.ends_with("the leader moved to b:1 (62 ms without one)"), "{moved}");
    let outage = Duration::from_millis(1_250);
    let back = text::notice(&Notice::Back { address: "b:1".into(), outage });
    assert!(back.ends_with("back after 1.2 s"), "{back}");
    assert!(text::notice(&Notice::Copies(1)).contains("one copy left"));
}

fn server(id: i32, in_sync: bool, last_contact: i64) -> ServerStatus {
    ServerStatus {
        server_id: id,
        address: format!("127.0.0.1:{id}"),
        role: Role::Follower as i32,
        in_sync,
        applied_index: 100 + i64::from(id),
        last_contact,
    }
}

#[test]
fn the_status_shows_dead_servers_and_names_what_keeps_the_others() {
    let leader = GetStatusResponse {
        server_id: 1,
        role: Role::Leader as i32,
        leader_id: 1,
        epoch: "4.1".into(),
        policy: "majority".into(),
        servers: vec![server(1, true, 0), server(2, false, -1), server(3, true, 40)],
        copies: 1,
        degraded: true,
        forced_epochs: vec!["3.1".into()],
        ..GetStatusResponse::default()
    };
    let waiting = GetStatusResponse {
        server_id: 3,
        role: Role::Recovering as i32,
        waiting_for: vec![1, 2],
        note: "it may lack what they have".into(),
        diverged: vec![DivergedFile { server_id: 3, path: "d.db".into(), updates: 4 }],
        ..GetStatusResponse::default()
    };
    let answer = |id: i32, status| ServerAnswer { address: format!("127.0.0.1:{id}"), status };
    let refused = Err("connection refused".into());
    let lines = status::table(&[answer(3, Ok(waiting)), answer(1, Ok(leader)), answer(2, refused)]);
    let expected = "\
server  address      role                           in sync  applied  last contact
3       127.0.0.1:3  recovers                       yes      103      40 ms ago
1       127.0.0.1:1  leads                          yes      101      0 ms ago
2       127.0.0.1:2  no answer: connection refused  no       102      never
server 1 leads, 1 copy: a single server holds what is acknowledged, policy majority, epoch 4.1
degraded: not every configured server is in sync
forced by hand: epoch 3.1
server 3 waits for server 1, server 2
server 3: it may lack what they have
server 3 set aside d.db with 4 updates of its own";
    assert_eq!(lines.join("\n"), expected);
}
