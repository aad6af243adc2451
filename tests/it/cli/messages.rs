//! Messages by lines and by commands: sending, reading, editing, deleting, searching, waiting; good and bad.

use std::time::Duration;

use super::Person;
use crate::harness::{Cluster, User, until};

/// A search covers what was acknowledged more than a second ago; a busy machine gets more time.
const SEARCHABLE: Duration = Duration::from_secs(15);
const NO_ID: &str = "00000000000000000000000000000000";

async fn person(cluster: &Cluster, name: &str) -> Person {
    let person = Person::new(cluster, name);
    person.creates(name).await;
    person
}

/// Sends, and returns the message's id.
async fn sends(person: &Person, to: &str, body: &str) -> String {
    let said = person.does(&["--json", "send", to, body]).await;
    said.objects()[0]["message_id"].as_str().expect("an id").to_owned()
}

/// Waits until a search by a command finds this; returns what it says.
async fn finds(person: &Person, arguments: &[&str], words: &str) -> String {
    until(format!("{arguments:?} finds {words}"), SEARCHABLE, || async {
        let said = person.does(&[&["search"], arguments].concat()).await;
        said.stdout.contains(words).then_some(said.stdout)
    })
    .await
}

#[tokio::test]
async fn a_message_is_edited_found_and_deleted_by_lines() {
    let cluster = Cluster::start().await;
    let (alice, bob) = (person(&cluster, "alice").await, person(&cluster, "bob").await);
    let lunch = sends(&alice, "@bob", "lunch on Friday?").await;
    let slip = sends(&alice, "@bob", "a slip of the hand").await;
    let lines = format!("/edit {lunch} lunch on Monday?\n/delete {slip}\n/history @bob\n");
    alice.says(&lines).await.tells(&[
        "[@bob] #1 now: lunch on Monday?",
        "deleted 1 message",
        "alice: lunch on Monday? (edited)  (",
        "alice: (deleted)  (",
    ]);
    finds(&bob, &["\"on monday\""], "lunch on Monday?").await;
    let lines = "/search \"on monday\" from:alice\n/search in:@alice lun*\n/search dinner\n";
    let said = bob.says(lines).await;
    assert_eq!(said.stdout.matches("[@alice] ").count(), 2, "{}", said.stdout);
    said.tells(&["nothing found: no message that you may see holds all of it"]);
    // Of a direct message its recipient keeps or removes the own copy.
    let lines = format!("/delete {lunch}\n/history @alice\n/search lunch\n/inbox\n");
    bob.says(&lines).await.tells(&["deleted 1 message", "(deleted)", "nothing found"]);
    alice.says("/history @bob 1000\n").await.tells(&["lunch on Monday?"]);
}

#[tokio::test]
async fn lines_about_messages_that_cannot_be_done_say_what_to_do() {
    let cluster = Cluster::start().await;
    let (alice, bob) = (person(&cluster, "alice").await, person(&cluster, "bob").await);
    let carol = person(&cluster, "carol").await;
    alice.says("/room #hall\n/invite @bob #hall\n").await;
    let hers = sends(&alice, "#hall", "by alice").await;
    let secret = sends(&alice, "@carol", "for carol alone").await;
    let gone = sends(&bob, "#hall", "said too soon").await;
    bob.says(&format!("/delete {gone}\n")).await;
    let own = sends(&bob, "#hall", "by bob").await;
    let long = "x".repeat(16 * 1024 + 1);
    let ids = "/history @USER|#ROOM shows ids";
    bob.fails(&[
        (&format!("/edit {hers} mine"), 1, "NOT_ALLOWED", "you did not write this one"),
        (&format!("/edit {secret} mine"), 1, "NO_SUCH_MESSAGE", ids),
        (&format!("/edit {gone} again"), 1, "NO_SUCH_MESSAGE", ids),
        (&format!("/edit {NO_ID} mine"), 1, "NO_SUCH_MESSAGE", ids),
        ("/edit one mine", 65, "BAD_FIELD", "message_id: must be a UUID or 32 hex"),
        (&format!("/edit {own} {long}"), 65, "BAD_FIELD", "body: must be"),
        (&format!("/edit {own}"), 2, "", "write it so: /edit ID TEXT"),
        (&format!("/delete {own} {hers}"), 1, "NOT_ALLOWED", "nothing was deleted"),
        (&format!("/delete {own} {secret}"), 1, "NO_SUCH_MESSAGE", ids),
        ("/delete one", 65, "BAD_FIELD", "message_ids: must be a UUID or 32 hex"),
        ("/delete", 2, "", "write it so: /delete ID..."),
        ("/msg @nobody hi", 1, "NO_SUCH_ACCOUNT", "/users lists who there is"),
        ("to the same", 2, "", "there is no current conversation; begin one by /msg"),
        ("/msg @bob", 2, "", "write it so: /msg @USER|#ROOM TEXT"),
        ("/msg bob hi", 2, "", "write @USER or #ROOM"),
        (&format!("/msg @bob {long}"), 65, "BAD_FIELD", "body: must be"),
        (&"x".repeat(65 * 1024), 65, "", "at most 64 KiB"),
        ("/history @nobody", 1, "NO_SUCH_ACCOUNT", "/users lists who there is"),
        ("/history @bob 0", 2, "", "ask for 1 to 10000 messages"),
        ("/history", 2, "", "write it so: /history @USER|#ROOM [N]"),
        ("/read @nobody", 1, "NO_SUCH_ACCOUNT", "/users lists who there is"),
        ("/read bob", 2, "", "write @USER or #ROOM"),
        ("/wait 1 0", 1, "", "/wait 1 SECONDS waits longer"),
        ("/wait long", 2, "", "\"long\" is no number"),
        ("/hsitory @bob", 2, "", "did you mean /history?"),
    ])
    .await;
    bob.fails(&[
        ("/search \"on friday", 65, "BAD_FIELD", "closed with a second \""),
        ("/search a*", 65, "BAD_FIELD", "two letters at least in front of a *"),
        ("/search from:", 65, "BAD_FIELD", "a username after from:"),
        ("/search ?!", 65, "BAD_FIELD", "words with letters or digits"),
        ("/search from:nobody x", 1, "NO_SUCH_ACCOUNT", "/users lists who there is"),
        ("/search in:@nobody x", 1, "NO_SUCH_ACCOUNT", "/users lists who there is"),
        ("/search in:bob x", 2, "", "write @USER or #ROOM"),
        ("/search", 2, "", "write it so: /search"),
    ])
    .await;
    carol.fails(&[(&format!("/delete {hers}"), 1, "NO_SUCH_MESSAGE", ids)]).await;
    let said = bob.says("/history #hall\n").await;
    said.tells(&["alice: by alice  (", "bob: (deleted)  (", "bob: by bob  ("]);
}

#[tokio::test]
async fn commands_about_messages_do_and_say_the_same() {
    let cluster = Cluster::start().await;
    let (alice, bob) = (person(&cluster, "alice").await, person(&cluster, "bob").await);
    let id = sends(&alice, "@bob", "lunch on Friday?").await;
    alice.does(&["edit", &id, "lunch", "on", "Monday?"]).await.tells(&["#1 now: lunch on Monday?"]);
    let said = alice.runs(&["edit", &id, "-"], "lunch\non Tuesday\n").await;
    said.exits_with(0);
    said.tells(&["now: lunch\\non Tuesday"]);
    finds(&bob, &["--in", "@alice", "lunch", "tue*"], "[@alice] ").await;
    finds(&bob, &["\"on tuesday\"", "from:alice"], "[@alice] ").await;
    bob.does(&["read", "@alice"]).await.tells(&["read @alice up to #1"]);
    let ids = "client history @USER|#ROOM shows ids";
    bob.fails_at_once(&[
        (&["edit", &id, "mine"], 1, "NOT_ALLOWED", "you did not write this one"),
        (&["edit", NO_ID, "mine"], 1, "NO_SUCH_MESSAGE", ids),
        (&["edit", "one", "mine"], 65, "BAD_FIELD", "message_id: must be a UUID or 32 hex"),
        (&["delete", &id, NO_ID], 1, "NO_SUCH_MESSAGE", ids),
        (&["delete", "one"], 65, "BAD_FIELD", "message_ids: must be a UUID or 32 hex"),
        (&["send", "@nobody", "hi"], 1, "NO_SUCH_ACCOUNT", "client users lists who there is"),
        (&["send", "bob", "hi"], 2, "", "write @USER or #ROOM"),
        (&["send", "--request-id", "one", "@bob", "hi"], 65, "BAD_FIELD", "request_id: must be"),
        (&["history", "@nobody"], 1, "NO_SUCH_ACCOUNT", "client users lists who there is"),
        (&["history", "@bob", "0"], 2, "", "ask for 1 to 10000 messages"),
        (&["read", "@nobody"], 1, "NO_SUCH_ACCOUNT", "client users lists who there is"),
        (&["search", "\"on friday"], 65, "BAD_FIELD", "closed with a second \""),
        (&["search", "from:nobody", "x"], 1, "NO_SUCH_ACCOUNT", "client users lists"),
        (&["search", "--in", "bob", "x"], 2, "", "write @USER or #ROOM"),
    ])
    .await;
    bob.does(&["delete", &id]).await.tells(&["deleted 1 message"]);
    bob.does(&["search", "lunch"]).await.tells(&["nothing found"]);
    alice.does(&["delete", &id]).await;
    alice.does(&["history", "@bob", "5"]).await.tells(&["(deleted)"]);
}

#[tokio::test]
async fn a_waiting_pipe_sees_what_others_say_and_that_it_was_for_it() {
    let cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = person(&cluster, "bob").await;
    let sends = async {
        for number in 0.. {
            alice.send("@bob", &format!("number {number}")).await;
        }
    };
    let said = tokio::select! {
        said = bob.says("/wait 3 30\n/history @alice 1\n") => said,
        () = sends => unreachable!("there are enough numbers"),
    };
    assert!(said.stdout.matches("] ").count() >= 3, "{}", said.stdout);
    said.tells(&["[@alice] ", " alice: number ", "3 came\n", "... there are older ones\n"]);
}
