//! What needs a session and has none, what needs none, and names and passwords that are not what they may be.

use super::Person;
use crate::harness::{Cluster, PASSWORD};

const LOGIN: &str = "/login USER, or /create USER if you have no account";

#[tokio::test]
async fn without_a_session_every_line_says_how_to_begin_one() {
    let cluster = Cluster::start().await;
    let nobody = Person::new(&cluster, "nobody");
    let lines = [
        "/logout",
        "/users",
        "/users a*",
        "/sessions",
        "/end-session 1",
        "/msg @bob hi",
        "and more",
        "/inbox",
        "/history @bob",
        "/read @bob",
        "/delete 1",
        "/edit 1 text",
        "/search words",
        "/rooms",
        "/join #hall",
        "/leave #hall",
        "/who",
        "/who #hall",
        "/room #hall",
        "/invite @bob #hall",
        "/kick @bob #hall",
        "/topic #hall",
        "/transfer #hall @bob",
        "/close-room #hall",
        "/passwd\nold password\nnew password",
        "/delete-account\nold password",
    ];
    let cases: Vec<_> = lines.iter().map(|line| (*line, 77, "", LOGIN)).collect();
    nobody.fails(&cases).await;
    nobody.fails(&[("hello", 2, "", "begin one by /msg @USER TEXT")]).await;
    let said = nobody.says("/help\n/status\n/outbox\n/outbox drop\n/quit\n/users\n").await;
    said.tells(&["/create USER", " leads", "nothing is unsent", "dropped 0 lines"]);
}

#[tokio::test]
async fn without_a_session_every_command_says_how_to_begin_one() {
    let cluster = Cluster::start().await;
    let nobody = Person::new(&cluster, "nobody");
    let commands = [
        "logout",
        "users",
        "sessions",
        "end-session 1",
        "send @bob hi",
        "inbox",
        "history @bob",
        "read @bob",
        "delete 1",
        "edit 1 text",
        "search words",
        "rooms",
        "join hall",
        "leave hall",
        "who",
        "who hall",
        "room hall",
        "invite bob hall",
        "kick bob hall",
        "topic hall",
        "transfer hall bob",
        "close-room hall",
        "tail",
        "export",
    ];
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let login = "client login USER, or client create USER if you have no account";
        nobody.fails_told(&words, "", (77, "", login)).await;
    }
    nobody.does(&["status"]).await.tells(&[" leads"]);
    nobody.does(&["man"]).await.tells(&["client"]);
    nobody.does(&["completions", "bash"]).await.tells(&["client"]);
}

#[tokio::test]
async fn names_and_passwords_are_refused_with_what_to_do() {
    let cluster = Cluster::start().await;
    let alice = Person::new(&cluster, "alice");
    alice.creates("alice").await;
    let login = |name: &str, password: &str| format!("/login {name}\n{password}");
    let create = |name: &str, password: &str| format!("/create {name}\n{password}");
    let wrong = "try again, or /create USER if you have no account";
    alice
        .fails(&[
            (&login("alice", "a wrong password"), 1, "BAD_CREDENTIALS", wrong),
            (&login("nobody", PASSWORD), 1, "BAD_CREDENTIALS", wrong),
            (&login("a/b", PASSWORD), 65, "BAD_FIELD", "username: must be"),
            (&create("alice", "another password"), 1, "NAME_TAKEN", "/login alice if it is yours"),
            (&create("a/b", PASSWORD), 65, "BAD_FIELD", "username: must be"),
            (&create("dora", "short"), 65, "BAD_FIELD", "password: must be"),
            ("/create", 2, "", "write it so: /create USER"),
            ("/login", 2, "", "write it so: /login USER"),
            ("/logout now", 2, "", "write it so: /logout"),
            ("/end-session no-id", 65, "BAD_FIELD", "session_id: must be"),
            (
                &format!("/end-session {}", "0".repeat(32)),
                1,
                "NO_SUCH_SESSION",
                "/sessions shows ids",
            ),
            (
                "/passwd\na wrong password\nanother password",
                1,
                "BAD_CREDENTIALS",
                "nothing was changed",
            ),
            ("/delete-account\na wrong password", 1, "BAD_CREDENTIALS", "nothing was changed"),
        ])
        .await;
    let once = |words: &'static [&'static str], input: &'static str| (words, input);
    for ((words, input), exit, reason, says) in [
        (
            once(&["login", "alice", "--password-stdin"], "a wrong password\n"),
            1,
            "BAD_CREDENTIALS",
            "client create USER if you have no account",
        ),
        (
            once(&["create", "alice", "--password-stdin"], "another password\n"),
            1,
            "NAME_TAKEN",
            "client login alice if it is yours",
        ),
        (
            once(&["create", "dora", "--password-stdin"], "short\n"),
            65,
            "BAD_FIELD",
            "password: must be",
        ),
        (once(&["create", "dora"], ""), 2, "", "give --password-stdin or --password-file FILE"),
        (once(&["login", "alice", "--password-stdin"], ""), 2, "", "no password on the input"),
        (once(&["passwd", "--password-stdin"], "one line\n"), 2, "", "on a line of its own"),
        (once(&["end-session", "no-id"], ""), 65, "BAD_FIELD", "session_id: must be"),
        (
            once(&["delete-account", "--password-stdin"], "a wrong password\n"),
            1,
            "BAD_CREDENTIALS",
            "nothing was changed",
        ),
    ] {
        alice.fails_told(words, input, (exit, reason, says)).await;
    }
    // She is still who she was.
    alice.says("/who\n/logout\n").await.tells(&["you are alice", "logged out"]);
    alice.fails(&[("/inbox", 77, "", LOGIN)]).await;
}
