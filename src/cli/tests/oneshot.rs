//! Commands of the command line: answers, exit codes, and what is kept.

use std::{fs, os::unix::fs::PermissionsExt as _};

use clap::Parser as _;

use super::{Arguments, Desk, Exit, run_with};
use crate::client::tests::fake::Act;

#[tokio::test]
async fn a_session_is_kept_for_the_next_commands_readable_by_its_user_alone() {
    let desk = Desk::with_servers(1).await;
    let password = desk.file("password", "password\nnot this line\n");
    let ended = desk.run(&["create", "alice", "--password-file", &password], "").await;
    assert_eq!((ended.exit, ended.output.as_str()), (Exit::Ok, "created alice, logged in\n"));
    assert_eq!(desk.fake.world().passwords["alice"], "password");
    let kept = desk.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::metadata(&kept[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = kept[0].parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!fs::read_to_string(&kept[0]).unwrap().contains("password"));
    let sent = desk.run(&["send", "@alice", "hi", "there"], "").await;
    assert!(sent.output.starts_with("sent #1 to @alice"), "{sent:?}");
    let history = desk.run(&["history", "@alice"], "").await;
    assert!(history.output.contains("#1  alice: hi there"), "{history:?}");
    let ended = desk.run(&["logout"], "").await;
    assert_eq!((ended.exit, ended.output.as_str()), (Exit::Ok, "logged out\n"));
    assert!(desk.kept().is_empty());
    assert_eq!(desk.run(&["inbox"], "").await.exit, Exit::NotLoggedIn);
}

#[tokio::test]
async fn a_session_file_of_one_s_own_is_used_and_made_private() {
    let desk = Desk::with_servers(1).await;
    desk.fake.session("alice");
    let path = desk.file("mine", "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut surroundings = desk.surroundings();
    surroundings.session = Some(path.clone().into());
    let line = ["client", "--servers", &desk.fake.addresses[0], "login", "alice"];
    let arguments = Arguments::parse_from(line.into_iter().chain(["--password-stdin"]));
    let (mut output, mut notes) = (Vec::new(), Vec::new());
    let input = &b"password\r\n"[..];
    let exit = run_with(arguments, &surroundings, input, &mut output, &mut notes).await;
    assert_eq!(exit, Exit::Ok, "{}", String::from_utf8_lossy(&notes));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&path).unwrap().contains("token-alice"));
    assert!(desk.kept().is_empty());
}

#[tokio::test]
async fn exit_codes_say_what_happened() {
    let desk = Desk::with_servers(1).await;
    assert_eq!(desk.run(&["users"], "").await.exit, Exit::NotLoggedIn);
    desk.logged_in("alice").await;
    let refused = desk.run(&["login", "alice", "--password-stdin"], "wrong\n").await;
    assert_eq!(refused.exit, Exit::Refused);
    let words = "client: wrong username or password; try again, or client create USER";
    assert!(refused.notes.starts_with(words), "{refused:?}");
    assert!(refused.output.is_empty(), "{refused:?}");
    assert_eq!(desk.run(&["send", "@nobody", "hi"], "").await.exit, Exit::Refused);
    assert_eq!(desk.run(&["login", "alice"], "").await.exit, Exit::Usage, "no password");
    assert_eq!(desk.run(&["send", "bob", "hi"], "").await.exit, Exit::Usage, "no conversation");
    let long = "x".repeat(33);
    let bad = desk.run(&["create", &long, "--password-stdin"], "password\n").await;
    assert_eq!(bad.exit, Exit::BadData);
    assert_eq!(desk.run(&["send", "@alice", "-"], b"\xff").await.exit, Exit::BadData);
    desk.fake.next(0, [Act::Unimplemented]);
    let later = desk.run(&["join", "general"], "").await;
    assert_eq!(later.exit, Exit::Refused);
    assert!(later.notes.contains("this version"), "{later:?}");
    let codes = [
        Exit::Ok,
        Exit::Refused,
        Exit::Usage,
        Exit::BadData,
        Exit::Unavailable,
        Exit::OutcomeUnknown,
        Exit::NotLoggedIn,
    ];
    assert_eq!(codes.map(Exit::code), [0, 1, 2, 65, 69, 75, 77]);
}

#[tokio::test]
async fn a_body_can_come_from_the_input() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    let sent = desk.run(&["send", "@alice", "-"], "two\nlines\n").await;
    assert_eq!(sent.exit, Exit::Ok, "{sent:?}");
    assert_eq!(desk.fake.world().messages[0].body, "two\nlines");
    let history = desk.run(&["history", "@alice"], "").await;
    assert!(history.output.contains("two\\nlines"), "one line a message: {history:?}");
}

#[tokio::test]
async fn the_inbox_shows_what_is_unread_and_reading_moves_the_marker() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    desk.fake.say("bob", "@bob", "one");
    desk.fake.say("bob", "@bob", "two");
    let inbox = desk.run(&["inbox"], "").await;
    assert!(inbox.output.starts_with("@bob  2 unread\n"), "{inbox:?}");
    assert!(inbox.output.contains("bob: one"), "{inbox:?}");
    assert_eq!(desk.run(&["read", "@bob"], "").await.output, "read @bob up to #2\n");
    let inbox = desk.run(&["inbox"], "").await;
    assert_eq!(inbox.output, "@bob  nothing unread, 2 in all\n");
    let id = desk.fake.world().messages[0].message_id.clone();
    assert_eq!(desk.run(&["delete", &id], "").await.output, "deleted 1 message\n");
    assert_eq!(desk.run(&["delete", &id], "").await.exit, Exit::Refused);
}

#[tokio::test]
async fn tail_begins_after_its_cursor_and_shows_the_cursors() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    for body in ["one", "two", "three"] {
        desk.fake.say("bob", "@bob", body);
    }
    let ended = desk.run(&["tail", "--after", "2", "--count", "2", "--json"], "").await;
    assert_eq!(ended.exit, Exit::Ok, "{ended:?}");
    let objects: Vec<serde_json::Value> =
        ended.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The fake repeats the event before the cursor: delivery is at least once.
    let bodies: Vec<_> = objects.iter().filter_map(|object| object["body"].as_str()).collect();
    assert_eq!(bodies, ["two", "three"]);
    assert_eq!(objects.last().unwrap()["cursor"], "3");
    assert_eq!(desk.fake.world().acknowledged.len(), 2);
}

#[tokio::test]
async fn the_status_is_a_table_of_all_servers() {
    let desk = Desk::with_servers(2).await;
    let ended = desk.run(&["status"], "").await;
    assert_eq!(ended.exit, Exit::Ok, "{ended:?}");
    let lines: Vec<&str> = ended.output.lines().collect();
    assert!(lines[0].starts_with("server  address"), "{}", lines[0]);
    assert!(lines[1].starts_with("1 ") && lines[1].contains("leads"), "{}", lines[1]);
    assert!(lines[2].starts_with("2 ") && lines[2].contains("follows"), "{}", lines[2]);
    assert_eq!(lines[3], "server 1 leads, 3 copies, policy available, epoch 1.1");
}

#[tokio::test]
async fn a_named_config_must_exist_and_a_usual_one_need_not() {
    let desk = Desk::with_servers(0).await;
    let run = async |words: &[&str]| {
        let arguments = Arguments::parse_from(["client"].iter().chain(words));
        let (mut output, mut notes) = (Vec::new(), Vec::new());
        let exit =
            run_with(arguments, &desk.surroundings(), &b""[..], &mut output, &mut notes).await;
        (exit, String::from_utf8(notes).unwrap())
    };
    let (exit, notes) = run(&["--config", "/nowhere/cluster.yaml", "status"]).await;
    assert_eq!(exit, Exit::Usage);
    assert!(notes.contains("/nowhere/cluster.yaml"), "{notes}");
    assert_eq!(run(&["--servers", "nonsense", "status"]).await.0, Exit::Usage);
    let servers = Arguments::parse_from(["client"]).cluster().unwrap().servers;
    assert_eq!(servers.len(), 3);
}

#[tokio::test]
async fn rooms_are_made_entered_listed_and_left() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    desk.fake.session("bob");
    let mut said = Vec::new();
    let commands: &[&[&str]] = &[
        &["room", "games", "chess", "and\u{1b}go"],
        &["room", "--private", "#secret"],
        &["rooms"],
        &["invite", "@bob", "games"],
        &["who", "games"],
        &["send", "#games", "hi"],
        &["topic", "games", "go"],
        &["transfer", "games", "bob"],
        &["kick", "bob", "games"],
        &["leave", "games"],
        &["join", "games"],
        &["close-room", "secret"],
        &["who"],
    ];
    for words in commands {
        let ended = desk.run(words, "").await;
        assert_eq!(ended.exit, Exit::Ok, "{words:?}: {ended:?}");
        said.extend(ended.output.lines().map(ToOwned::to_owned));
    }
    let sent = said.remove(7);
    assert!(sent.starts_with("sent #1 to #games"), "{sent}");
    let expected = [
        "created #games  of alice  chess and\\u{1b}go",
        "created #secret  of alice, private",
        "#games  of alice  chess and\\u{1b}go",
        "#secret  of alice, private",
        "bob is in #games",
        "alice  since --:--",
        "bob  since --:--",
        "changed #games  of alice  go",
        "bob owns #games now",
        "bob is no longer in #games",
        "left #games",
        "joined #games  go",
        "closed #secret",
        "you are alice",
    ];
    assert_eq!(said, expected);
    let json = desk.run(&["--json", "rooms"], "").await;
    let object: serde_json::Value = serde_json::from_str(json.output.trim()).unwrap();
    assert_eq!((&object["type"], &object["conversation"]), (&"room".into(), &"#games".into()));
    let refused = desk.run(&["--json", "join", "nowhere"], "").await;
    assert_eq!(refused.exit, Exit::Refused);
    assert!(refused.output.contains("NO_SUCH_ROOM"), "{refused:?}");
    assert_eq!(desk.run(&["join", "@bob"], "").await.exit, Exit::Usage);
}

#[tokio::test]
async fn messages_are_edited_by_their_authors_and_found() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    desk.fake.session("bob");
    let own = desk.fake.say("alice", "@bob", "lunhc?").message_id;
    let other = desk.fake.say("bob", "@bob", "lunch, yes").message_id;
    let edited = desk.run(&["edit", &own, "lunch", "at", "one?"], "").await;
    assert_eq!(edited.output, "[@bob] #1 now: lunch at one?\n");
    assert_eq!(desk.run(&["edit", &other, "no"], "").await.exit, Exit::Refused);
    assert_eq!(desk.run(&["edit", &own, "-"], "lunch at two?\n").await.exit, Exit::Ok);
    assert_eq!(desk.fake.world().messages[0].body, "lunch at two?");
    let found = desk.run(&["search", "lunch", "--in", "@bob"], "").await;
    assert_eq!(found.output.lines().count(), 2, "{found:?}");
    assert!(found.output.starts_with("[@bob] "), "{found:?}");
    assert!(found.output.contains("lunch at two? (edited)"), "{found:?}");
    assert_eq!(desk.run(&["search", "dinner"], "").await.exit, Exit::Ok);
    let nothing = desk.run(&["search", "dinner"], "").await;
    assert!(nothing.output.starts_with("nothing found: "), "{nothing:?}");
    let found = desk.run(&["--json", "search", "lunch"], "").await;
    let marked = r#""snippet":[{"found":false,"text":""},{"found":true,"text":"lunch"}"#;
    assert!(found.output.contains(marked), "{found:?}");
    assert_eq!(desk.run(&["search", "x", "--in", "bob"], "").await.exit, Exit::Usage);
}

#[tokio::test]
async fn an_account_is_looked_after_from_the_command_line() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    let sessions = desk.run(&["sessions"], "").await;
    assert!(sessions.output.contains("a \\u{1b}[2J device"), "{sessions:?}");
    assert!(sessions.output.ends_with("this one\n"), "{sessions:?}");
    let wrong = desk.run(&["passwd", "--password-stdin"], "wrong\nanother one\n").await;
    assert_eq!(wrong.exit, Exit::Refused, "{wrong:?}");
    let missing = desk.run(&["passwd", "--password-stdin"], "password\n").await;
    assert_eq!(missing.exit, Exit::Usage, "{missing:?}");
    assert!(missing.notes.contains("new password"), "{missing:?}");
    let changed = desk.run(&["passwd", "--password-stdin"], "password\nanother one\n").await;
    assert_eq!(changed.exit, Exit::Ok, "{changed:?}");
    assert_eq!(desk.fake.world().passwords["alice"], "another one");
    let (old, new) = (desk.file("old", "another one\n"), desk.file("new", "a third one"));
    let one_file = desk.run(&["passwd", "--password-file", &old], "").await;
    assert_eq!(one_file.exit, Exit::Usage, "{one_file:?}");
    let files = ["passwd", "--password-file", &old, "--new-password-file", &new];
    assert_eq!(desk.run(&files, "").await.exit, Exit::Ok);
    assert_eq!(desk.fake.world().passwords["alice"], "a third one");
    let wrong = desk.run(&["delete-account", "--password-stdin"], "password\n").await;
    assert_eq!(wrong.exit, Exit::Refused);
    assert_eq!(desk.kept().len(), 1, "the session stays");
    let gone = desk.run(&["delete-account", "--password-stdin"], "a third one\n").await;
    assert_eq!((gone.exit, gone.output.as_str()), (Exit::Ok, "the account is deleted\n"));
    assert!(desk.kept().is_empty() && desk.fake.world().passwords.is_empty());
}

#[tokio::test]
async fn an_export_holds_everything_page_by_page_and_says_when_it_is_whole() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    desk.run(&["room", "games"], "").await;
    for body in ["one", "two", "three"] {
        desk.fake.say("bob", "@bob", body);
        desk.fake.say("bob", "#games", body);
    }
    let ended = desk.run(&["export"], "").await;
    assert_eq!(ended.exit, Exit::Ok, "{ended:?}");
    let told: Vec<String> = ended
        .output
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|object| {
            let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
            match text("type").as_str() {
                "message" => format!("{} {}", text("conversation"), text("body")),
                "exported" => format!("{} {}", object["conversations"], object["messages"]),
                kind => format!("{kind} {}{}", text("conversation"), text("username")),
            }
        })
        .collect();
    let expected = [
        "account alice",
        "conversation #games",
        "member #gamesalice",
        "#games one",
        "#games two",
        "#games three",
        "conversation @bob",
        "@bob one",
        "@bob two",
        "@bob three",
        "2 6",
    ];
    assert_eq!(told, expected);
    desk.fake.always(0, Act::NoLeader);
    let cut = desk.run(&["export", "--timeout", "1"], "").await;
    assert_eq!(cut.exit, Exit::Unavailable);
    assert!(!cut.output.contains("exported"), "{cut:?}");
}

#[tokio::test]
async fn a_handler_gets_each_event_once_and_its_failure_ends_the_tail_at_the_cursor_before() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    for body in ["one", "two", "three"] {
        desk.fake.say("bob", "@bob", body);
    }
    let got = desk.file("got", "");
    let fails_at = |word: &str| format!("tee -a {got} | grep -qv {word}");
    let tail = async |after: &str, exec: &str| {
        desk.run(&["tail", "--json", "--after", after, "--count", "3", "--exec", exec], "").await
    };
    // The fake begins with the event before the cursor, for delivery is at least once.
    let ended = tail("1", &fails_at("three")).await;
    assert_eq!(ended.exit, Exit::Refused, "{ended:?}");
    let object: serde_json::Value = serde_json::from_str(ended.output.trim()).unwrap();
    assert_eq!((&object["type"], &object["cursor"]), (&"error".into(), &"2".into()));
    assert!(ended.notes.contains("client tail --after 2"), "{ended:?}");
    let bodies = || -> Vec<String> {
        let text = fs::read_to_string(&got).unwrap();
        let objects = text.lines().map(|line| serde_json::from_str(line).unwrap());
        objects.map(|o: serde_json::Value| o["body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(bodies(), ["one", "two", "three"]);
    assert_eq!(desk.fake.world().acknowledged.len(), 2, "what is not handled is not received");
    desk.file("got", "");
    desk.fake.say("bob", "@bob", "four");
    // It need not read what it gets.
    let ended = desk.run(&["tail", "--after", "2", "--count", "3", "--exec", "true"], "").await;
    assert_eq!((ended.exit, ended.output.as_str()), (Exit::Ok, ""), "{ended:?}");
    let ended = desk.run(&["tail", "--after", "4", "--count", "1", "--exec", "exit 3"], "").await;
    assert_eq!(ended.exit, Exit::Refused);
    assert!(ended.notes.contains("exit status: 3"), "{ended:?}");
}

#[tokio::test]
async fn manuals_and_completions_need_no_servers() {
    let desk = Desk::with_servers(0).await;
    for (shell, words) in
        [("bash", "complete -F"), ("zsh", "#compdef client"), ("fish", "complete -c client")]
    {
        let ended = desk.run_alone(&["completions", shell]).await;
        assert_eq!(ended.exit, Exit::Ok, "{ended:?}");
        assert!(ended.output.contains(words) && ended.output.contains("delete-account"), "{shell}");
    }
    let page = desk.run_alone(&["man"]).await;
    assert!(page.output.contains(".TH client 1"), "{page:?}");
    assert!(page.output.contains("unknown outcome"), "the exit codes are in it");
    let folder = desk.folder.path().join("man");
    let ended = desk.run_alone(&["man", "--into", folder.to_str().unwrap()]).await;
    assert_eq!((ended.exit, ended.output.as_str()), (Exit::Ok, ""));
    assert!(folder.join("client-tail.1").exists() && folder.join("client.1").exists());
    let named = ["man", "--name", "chinwag-client", "--into", folder.to_str().unwrap()];
    assert_eq!(desk.run_alone(&named).await.exit, Exit::Ok);
    let page = std::fs::read_to_string(folder.join("chinwag-client-tail.1")).unwrap();
    assert!(page.contains("chinwag\\-client tail"), "{page}");
    let no_folder = folder.join("client.1");
    let ended = desk.run_alone(&["man", "--into", no_folder.to_str().unwrap()]).await;
    assert!(ended.notes.contains(no_folder.to_str().unwrap()), "{}", ended.notes);
}

#[tokio::test]
async fn what_a_server_says_cannot_move_the_cursor() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    desk.fake.next(0, [Act::Say("no\u{1b}[2J\nclient: all is well".into())]);
    let ended = desk.run(&["users"], "").await;
    assert_eq!(ended.notes, "client: no\\u{1b}[2J\\nclient: all is well\n");
}

#[tokio::test]
async fn a_watched_status_is_looked_at_once_at_least_and_ends_with_the_input() {
    let desk = Desk::with_servers(2).await;
    let watched = desk.run(&["status", "--watch"], "").await;
    assert_eq!(watched.exit, Exit::Ok, "{watched:?}");
    let lines: Vec<&str> = watched.output.lines().collect();
    assert!(lines[0].starts_with("20") && lines[1].starts_with("server  address"), "{watched:?}");
    let once = desk.run(&["status"], "").await;
    let below = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(below(&lines[1..]), below(&once.output.lines().collect::<Vec<_>>()));
    let objects = desk.run(&["--json", "status", "--watch", "5"], "").await;
    assert_eq!(objects.output, desk.run(&["--json", "status"], "").await.output);
}

#[tokio::test]
async fn servers_that_do_not_answer_end_no_watch() {
    let desk = Desk::with_servers(1).await;
    let watched = desk.run(&["--servers", "127.0.0.1:1", "status", "--watch"], "").await;
    assert_eq!(watched.exit, Exit::Ok, "{watched:?}");
    assert!(watched.output.contains("no answer"), "{watched:?}");
}
