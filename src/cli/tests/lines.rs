//! Piped sessions.

use std::time::Duration;

use tokio::time::timeout;

use super::{Desk, Exit};
use crate::client::tests::fake::{Act, Fake};

/// Waits until somebody has subscribed.
pub(super) async fn subscribed(fake: &Fake) {
    let mut changes = fake.nodes[0].changes.subscribe();
    while fake.world().cursors.is_empty() {
        timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn piped_lines_are_answered_in_order() {
    let desk = Desk::with_servers(1).await;
    let input = "/create alice\npassword\n/create bob\npassword\n/msg @alice hello  there\n\nmore\n\
                 /history @alice 1\n/read @alice\n/users\n/help\n/quit\n/status\n";
    let ended = desk.run(&[], input).await;
    assert_eq!(ended.exit, Exit::Ok, "{ended:?}");
    let lines: Vec<&str> = ended.output.lines().collect();
    assert_eq!(lines[0], "created alice, logged in");
    assert_eq!(lines[1], "created bob, logged in");
    assert!(lines[2].starts_with("sent #1 to @alice"), "{}", lines[2]);
    assert!(lines[3].starts_with("sent #2 to @alice"), "{}", lines[3]);
    assert_eq!(lines[4], "... there are older ones");
    assert!(lines[5].contains("#2  bob: more  (0000"), "{}", lines[5]);
    assert_eq!(lines[6], "read @alice up to #2");
    assert_eq!(lines[7..9], ["alice", "bob"], "all pages");
    assert!(lines[9].starts_with("/create USER"), "{}", lines[9]);
    assert!(!ended.output.contains("leads"), "nothing is done after /quit");
    assert_eq!(desk.fake.world().messages[0].body, "hello  there", "the text is kept as typed");
}

#[tokio::test]
async fn the_exit_code_is_that_of_the_first_failure_and_the_lines_after_it_are_answered() {
    let desk = Desk::with_servers(1).await;
    let input = "/inbox\n/nonsense\nhello\n/search words\n/create alice\npassword\n/users\n";
    let ended = desk.run(&[], input).await;
    assert_eq!(ended.exit, Exit::NotLoggedIn, "{ended:?}");
    let lines: Vec<&str> = ended.output.lines().collect();
    assert!(lines[0].starts_with("error: not logged in"), "{}", lines[0]);
    assert!(lines[1].contains("/nonsense is unknown") && lines[1].contains("/help"));
    assert!(lines[2].contains("no current conversation") && lines[2].contains("/msg"));
    assert!(lines[3].contains("not logged in"), "{}", lines[3]);
    assert_eq!(lines[4..], ["created alice, logged in", "alice"]);
    let later = desk.run(&[], "/nonsense\n/inbox\n").await;
    assert_eq!(later.exit, Exit::Usage);
}

#[tokio::test]
async fn messages_of_others_arrive_as_lines_and_are_acknowledged() {
    let desk = Desk::with_servers(1).await;
    desk.fake.session("bob");
    desk.fake.session("alice");
    let input = "/login bob\npassword\n/msg @alice my own\n/wait 2 10\n/wait 1 0\n";
    let talk = async {
        subscribed(&desk.fake).await;
        desk.fake.say("alice", "@alice", "one");
        desk.fake.say("alice", "@alice", "two\u{1b}[2J");
    };
    let (ended, ()) = tokio::join!(desk.run(&[], input), talk);
    assert!(ended.output.contains("[@alice] "), "{ended:?}");
    assert!(ended.output.contains(" alice: one\n"), "{ended:?}");
    assert!(ended.output.contains("two\\u{1b}[2J"), "control characters are made harmless");
    assert!(!ended.output.contains("my own"), "own messages are no news");
    assert!(ended.output.contains("2 came\n"), "{ended:?}");
    assert!(ended.output.contains("error: only 0 of 1"), "{ended:?}");
    assert_eq!(ended.exit, Exit::Refused);
    let world = desk.fake.world();
    let from_alice = world.messages.iter().filter(|message| message.sender == "alice");
    let mut ids: Vec<_> = from_alice.map(|message| message.message_id.clone()).collect();
    let mut acknowledged = world.acknowledged.clone();
    ids.sort();
    acknowledged.sort();
    assert_eq!(acknowledged, ids);
}

#[tokio::test]
async fn the_last_messages_are_acknowledged_before_the_session_ends() {
    let desk = Desk::with_servers(1).await;
    desk.fake.session("bob");
    let talk = async {
        subscribed(&desk.fake).await;
        // The next call is the acknowledgement, and it is not done at once.
        desk.fake.next(0, vec![Act::NoLeader; 4]);
        desk.fake.say("alice", "@alice", "one");
    };
    let input = "/login bob\npassword\n/wait 1 10\n";
    let (ended, ()) = tokio::join!(desk.run(&[], input), talk);
    assert_eq!(ended.exit, Exit::Ok, "{ended:?}");
    assert_eq!(desk.fake.world().acknowledged.len(), 1);
}

#[tokio::test]
async fn an_outage_is_told_and_the_line_is_done_after_it() {
    let desk = Desk::with_servers(2).await;
    desk.fake.session("alice");
    desk.fake.always(1, Act::NoLeader);
    desk.logged_in("bob").await;
    // The send and the live stream meet them both.
    desk.fake.next(0, vec![Act::NoLeader; 22]);
    let ended = desk.run(&[], "/msg @alice at last\n").await;
    assert_eq!(ended.exit, Exit::Ok, "{ended:?}");
    assert!(ended.notes.contains("no leader; trying"), "{ended:?}");
    assert!(ended.notes.contains("is back after"), "{ended:?}");
    assert_eq!(ended.output.lines().count(), 1, "{ended:?}");
    assert_eq!(desk.fake.world().messages.len(), 1);
}

#[tokio::test]
async fn the_move_of_the_leader_is_told_with_the_time_it_took() {
    let desk = Desk::with_servers(2).await;
    desk.logged_in("bob").await;
    let (mut input, far) = tokio::io::duplex(256);
    let session = async {
        use clap::Parser as _;
        let servers = desk.fake.addresses.join(",");
        let arguments = super::Arguments::parse_from(["client", "--servers", &servers]);
        let (mut output, mut notes) = (Vec::new(), Vec::new());
        let surroundings = desk.surroundings();
        let far = tokio::io::BufReader::new(far);
        super::run_with(arguments, &surroundings, far, &mut output, &mut notes).await;
        String::from_utf8(notes).unwrap()
    };
    let move_leader = async {
        use tokio::io::AsyncWriteExt as _;
        subscribed(&desk.fake).await;
        desk.fake.lead(1);
        desk.fake.break_streams();
        let mut changes = desk.fake.nodes[0].changes.subscribe();
        while desk.fake.world().cursors.len() < 2 {
            timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
        }
        input.write_all(b"/users\n").await.unwrap();
        drop(input);
    };
    let (notes, ()) = tokio::join!(session, move_leader);
    let moved = format!("leader moved to {} in ", desk.fake.addresses[1]);
    assert!(notes.contains(&moved) && notes.contains(" ms"), "{notes}");
}

#[tokio::test]
async fn a_piped_session_goes_on_with_the_kept_one_and_keeps_none_of_its_own() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    let ended = desk.run(&[], "/users\n/login bob\npassword\n").await;
    assert!(ended.notes.contains("logged in as alice"), "{ended:?}");
    assert!(ended.output.starts_with("alice\n"), "{ended:?}");
    desk.fake.session("bob");
    let ended = desk.run(&[], "/login bob\npassword\n").await;
    assert!(ended.output.contains("logged in as bob"), "{ended:?}");
    let ended = desk.run(&[], "/logout\n/users\n").await;
    assert!(ended.notes.contains("logged in as alice"), "{ended:?}");
    assert_eq!(ended.exit, Exit::NotLoggedIn);
    assert!(desk.kept().is_empty(), "an ended session is forgotten");
}

#[tokio::test]
async fn a_line_that_is_no_text_is_answered_as_bad_data() {
    let desk = Desk::with_servers(1).await;
    let mut input = b"/msg @bob \xff\n".to_vec();
    input.extend(vec![b'x'; 70_000]);
    input.extend(b"\n/help\n");
    let ended = desk.run(&[], input).await;
    assert_eq!(ended.exit, Exit::BadData);
    let lines: Vec<&str> = ended.output.lines().collect();
    assert!(lines[0].contains("UTF-8") && lines[1].contains("64 KiB"), "{lines:?}");
    assert!(lines[2].starts_with("/create"), "the lines after it are read");
}

#[tokio::test]
async fn with_json_every_line_of_the_output_is_an_object() {
    let desk = Desk::with_servers(1).await;
    desk.fake.session("bob");
    let input = "/create alice\npassword\n/create alice\npassword\n/msg @bob hi\n/inbox\n\
                 /history @bob\n/users\n/status\n/help\n/nonsense\n/logout\n";
    let ended = desk.run(&["--json"], input).await;
    let types: Vec<String> = ended
        .output
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|object| object["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        types,
        [
            "logged_in",
            "error",
            "sent",
            "conversation",
            "message",
            "account",
            "account",
            "status",
            "help",
            "error",
            "logged_out"
        ]
    );
    assert!(ended.output.contains("\"reason\":\"NAME_TAKEN\""), "{ended:?}");
}
