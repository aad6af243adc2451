//! How lines are read and answers are written.

use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use crate::{
    cli::{
        Arguments,
        command::{Command, HELP, parse},
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
fn every_command_about_rooms_and_accounts_is_read() {
    let room = |name: &str| format!("#{name}");
    assert_eq!(command("/join #games"), Command::Join { room: room("games") });
    assert_eq!(command("/join games"), Command::Join { room: room("games") }, "# may be left out");
    assert_eq!(command("/leave #games"), Command::Leave { room: room("games") });
    assert_eq!(command("/rooms g*"), Command::Rooms { pattern: "g*".into() });
    assert_eq!(command("/who"), Command::Who { room: Some(room("general")) }, "the current one");
    assert_eq!(parse("/who", Some("@bob")).unwrap(), Some(Command::Who { room: None }));
    let create = |topic: &str, private| Command::CreateRoom {
        room: room("games"),
        topic: topic.into(),
        private,
    };
    assert_eq!(command("/room #games"), create("", false));
    assert_eq!(command("/room #games chess  and go "), create("chess  and go", false));
    assert_eq!(command("/room #games private chess"), create("chess", true));
    let (username, games) = ("bob".to_owned(), room("games"));
    let invite = Command::Invite { username: username.clone(), room: games.clone() };
    assert_eq!(command("/invite @bob #games"), invite);
    let kick = Command::Kick { username: username.clone(), room: games.clone() };
    assert_eq!(command("/kick bob games"), kick);
    let transfer = Command::Transfer { room: games.clone(), username };
    assert_eq!(command("/transfer #games @bob"), transfer);
    assert_eq!(command("/topic #games"), Command::Topic { room: games.clone(), topic: "".into() });
    assert_eq!(command("/close-room #games"), Command::CloseRoom { room: games });
    assert_eq!(
        command("/edit a1 new  text"),
        Command::Edit { id: "a1".into(), body: "new  text".into() }
    );
    let search = |query: &str, conversation: &str| Command::Search {
        query: query.into(),
        conversation: conversation.into(),
    };
    assert_eq!(command("/search \"two words\" beg*"), search("\"two words\" beg*", ""));
    assert_eq!(command("/search in:@bob lunch"), search("lunch", "@bob"));
    assert_eq!(command("/end-session a1"), Command::EndSession { id: "a1".into() });
    let alone = [
        ("/sessions", Command::Sessions),
        ("/passwd", Command::ChangePassword),
        ("/delete-account", Command::DeleteAccount),
        ("/outbox", Command::Outbox),
        ("/outbox drop", Command::DropOutbox),
    ];
    for (line, wanted) in alone {
        assert_eq!(command(line), wanted);
    }
}

#[test]
fn every_line_of_the_help_is_a_command_with_that_form() {
    for line in HELP.lines().filter(|line| line.starts_with('/')) {
        let (form, _) = line.split_once("  ").expect("two blanks end the form");
        let whole = form.replace(['[', ']'], "");
        let needed: Vec<&str> = form.split(" [").take(1).collect();
        for form in [whole.as_str(), needed[0]] {
            let typed = form
                .replace("in:@USER|in:#ROOM", "in:@bob")
                .replace("@USER|#ROOM", "@bob")
                .replace("#ROOM", "#games")
                .replace("USER", "bob")
                .replace("SECONDS", "1")
                .replace(" N", " 1");
            // The optional place of a search stands before what is needed.
            let typed = if typed == "/search" { "/search words" } else { &typed };
            let read = parse(typed, None);
            assert!(matches!(read, Ok(Some(_))), "{typed}: {read:?}");
        }
    }
}

#[test]
fn a_command_that_is_written_wrongly_is_answered_with_its_form() {
    says("/msg @bob", "/msg @USER|#ROOM TEXT");
    says("/login", "/login USER");
    says("/history bob", "\"bob\" is no conversation");
    says("/history @bob many", "\"many\" is no number");
    says("/history @bob 0", "1 to 10000");
    says("/history @bob 1 2", "so: /history @USER|#ROOM [N]");
    says("/logout now", "/logout");
    says("/join", "/join #ROOM");
    says("/join @bob", "\"@bob\" is no room");
    says("/search in:bob lunch", "\"bob\" is no conversation");
    says("/edit a1", "/edit ID TEXT");
    says("/hsitory @bob", "did you mean /history?");
    says("/qiut", "did you mean /quit?");
    says("/frobnicate", "/help");
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
    assert!(Arguments::try_parse_from(["client", "--timeout", "0", "status"]).is_err());
    assert!(Arguments::try_parse_from(["client", "--config", "a", "--servers", "b"]).is_err());
    assert!(Arguments::try_parse_from(["client", "passwd", "--new-password-file", "b"]).is_err());
    let unknown = Arguments::try_parse_from(["client", "stauts"]).unwrap_err().to_string();
    assert!(unknown.contains("status"), "{unknown}");
}

#[test]
fn what_others_wrote_cannot_move_the_cursor_or_begin_a_line() {
    assert_eq!(text::harmless("a\nb\u{1b}[31m\rc"), "a\\nb\\u{1b}[31m\\rc");
    assert_eq!(text::harmless("\u{202e}abc\u{9b}"), "\\u{202e}abc\\u{9b}");
    assert_eq!(text::harmless("\u{200f}\u{061c}a\u{2028}b"), "\\u{200f}\\u{61c}a\\u{2028}b");
    assert_eq!(text::harmless("grüß\t🙂"), "grüß\t🙂");
}

#[test]
fn notices_are_sentences() {
    let outage = Duration::from_millis(62);
    let moved = |ids| text::notice(&Notice::Moved { address: "b:1".into(), ids, outage });
    assert!(moved(None).ends_with("leader moved to b:1 in 62 ms"), "{}", moved(None));
    let named = moved(Some((1, 2)));
    assert!(named.ends_with("leader moved 1 → 2 in 62 ms"), "{named}");
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
        ..ServerStatus::default()
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
    let copying =
        ServerStatus { copied_bytes: 1 << 20, copy_bytes: 3 << 20, ..server(3, false, 0) };
    let waiting = GetStatusResponse {
        servers: vec![copying],
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
server 3 copies the database: 1 of 3 MiB
server 3 set aside d.db with 4 updates of its own";
    assert_eq!(lines.join("\n"), expected);
}
