//! Commands that nobody answers, or nobody can do now: what is said, and with which exit code.

use super::{Desk, Exit};
use crate::client::tests::fake::Act;

#[tokio::test]
async fn without_a_leader_in_time_the_exit_code_is_69() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    desk.fake.always(0, Act::NoLeader);
    let ended = desk.run(&["send", "@alice", "hi", "--timeout", "1"], "").await;
    assert_eq!(ended.exit, Exit::Unavailable, "{ended:?}");
    assert!(ended.notes.contains("nobody leads yet"), "{ended:?}");
}

#[tokio::test]
async fn what_a_leader_cannot_do_now_is_told_as_what_it_is() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    desk.fake.always(0, Act::Lacks("STORAGE_FULL"));
    let full = desk.run(&["send", "@alice", "hi", "--timeout", "1"], "").await;
    assert_eq!(full.exit, Exit::Unavailable, "{full:?}");
    let disk = format!("the disk of the server at {} is full", desk.fake.addresses[0]);
    assert!(full.notes.contains(&format!("{disk}; trying...\n")), "while it waits: {full:?}");
    assert!(full.notes.contains(&format!("client: {disk}, so nothing can be written")), "{full:?}");
    assert!(full.notes.contains("make room") && !full.notes.contains("no leader"), "{full:?}");
    desk.fake.always(0, Act::Lacks("SEARCH_NOT_READY"));
    let behind = desk.run(&["--json", "search", "hi", "--timeout", "1"], "").await;
    assert_eq!(behind.exit, Exit::Unavailable, "{behind:?}");
    assert!(behind.notes.contains("searching is not ready yet; trying..."), "{behind:?}");
    assert!(!behind.notes.contains("no leader"), "{behind:?}");
    let object: serde_json::Value = serde_json::from_str(&behind.output).unwrap();
    assert_eq!((&object["exit"], &object["reason"]), (&69.into(), &"SEARCH_NOT_READY".into()));
    let words = object["message"].as_str().unwrap();
    assert!(words.contains("messages are safe"), "{words}");
}

#[tokio::test]
async fn an_unknown_outcome_prints_the_request_id_by_which_it_is_settled() {
    let desk = Desk::with_servers(1).await;
    desk.logged_in("alice").await;
    desk.fake.always(0, Act::LoseAnswer);
    let ended = desk.run(&["--json", "send", "@alice", "hi", "--timeout", "1"], "").await;
    assert_eq!(ended.exit, Exit::OutcomeUnknown, "{ended:?}");
    let object: serde_json::Value = serde_json::from_str(&ended.output).unwrap();
    assert_eq!(object["exit"], 75);
    let id = object["request_id"].as_str().unwrap();
    assert!(ended.notes.contains(id), "{ended:?}");
    desk.fake.always(0, Act::Serve);
    let again = desk.run(&["send", "@alice", "hi", "--request-id", id], "").await;
    assert_eq!(again.exit, Exit::Ok, "{again:?}");
    assert_eq!(desk.fake.world().messages.len(), 1);
}
