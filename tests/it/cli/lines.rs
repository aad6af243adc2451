//! `send --lines`: much at once, a little at a time, and what cannot be sent.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

use super::{Person, SOON};
use crate::harness::{Cluster, PASSWORD, User, bodies, request_id, within};

/// A client that the test talks to while it runs.
fn client(person: &Person, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command
        .args(["--servers", &person.servers])
        .args(arguments)
        .current_dir(&person.home)
        .env("HOME", &person.home)
        .env_remove("XDG_STATE_HOME")
        .env_remove("CHINWAG_SESSION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn logged_in(cluster: &Cluster) -> (Person, User) {
    let user = User::create(cluster, "alice").await;
    let person = Person::new(cluster, "alice");
    let password = format!("{PASSWORD}\n");
    person.runs(&["login", "alice", "--password-stdin"], &password).await.exits_with(0);
    (person, user)
}

#[tokio::test]
async fn every_line_is_there_once_and_in_order_though_the_leader_dies_and_all_is_given_again() {
    let mut cluster = Cluster::start().await;
    let (alice, user) = logged_in(&cluster).await;
    let lines: Vec<String> = (0..6_000).map(|number| format!("line {number}")).collect();
    let id = request_id();
    let arguments = ["send", "@alice", "--lines", "--request-id", &id];

    let mut child = client(&alice, &arguments).spawn().expect("the client starts");
    let mut input = child.stdin.take().expect("piped");
    let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
    within("the first thousand", SOON, async {
        input.write_all((lines[..3_000].join("\n") + "\n").as_bytes()).await.expect("it reads");
        for _ in 0..1_000 {
            output.next_line().await.expect("it writes").expect("an answer a line");
        }
    })
    .await;
    let leader = cluster.leader().await;
    cluster.kill(leader);
    within("the others", SOON, async {
        input.write_all(lines[3_000..].join("\n").as_bytes()).await.expect("it reads");
        drop(input);
        while output.next_line().await.expect("it writes").is_some() {}
    })
    .await;
    assert!(child.wait().await.expect("our own child").success());

    alice.runs(&arguments, &lines.join("\n")).await.exits_with(0);
    assert_eq!(bodies(&user.everything().await), lines);
}

#[tokio::test]
async fn a_line_is_sent_while_the_input_goes_on() {
    let cluster = Cluster::start().await;
    let (alice, user) = logged_in(&cluster).await;
    let mut child = client(&alice, &["send", "@alice", "--lines"]).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("piped");
    let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
    for number in 0..3 {
        within("a line is sent", SOON, async {
            input.write_all(format!("{number}\n\n").as_bytes()).await.expect("it reads");
            output.next_line().await.expect("it writes").expect("an answer");
        })
        .await;
    }
    drop(input);
    assert!(child.wait().await.expect("our own child").success());
    assert_eq!(bodies(&user.everything().await), ["0", "1", "2"]);
}

#[tokio::test]
async fn a_line_that_is_refused_is_named_and_holds_up_no_other() {
    let cluster = Cluster::start().await;
    let (alice, user) = logged_in(&cluster).await;
    let long = "x".repeat(20_000);
    let said = alice.runs(&["send", "@alice", "--lines"], &format!("one\n{long}\ntwo\n")).await;
    said.exits_with(65);
    assert!(said.stderr.contains("line 2: "), "{}", said.stderr);
    assert!(said.stderr.contains("1 of 3 lines were refused"), "{}", said.stderr);
    assert_eq!(bodies(&user.everything().await), ["one", "two"]);

    let said = alice.runs(&["--json", "send", "@nobody", "--lines"], "one\ntwo\n").await;
    said.exits_with(1);
    let objects = said.objects();
    assert_eq!(objects.len(), 3, "an object a line, and the end: {}", said.stdout);
    assert_eq!(objects[0]["reason"], "NO_SUCH_ACCOUNT");
    assert!(objects[2]["message"].as_str().expect("words").starts_with("2 of 2 lines"));

    alice.runs(&["send", "@alice", "hi", "--lines"], "").await.exits_with(2);
    alice.runs(&["send", "@alice"], "").await.exits_with(2);
    let said = alice.runs(&["send", "@alice", "--lines", "--request-id", "7"], "one").await;
    said.exits_with(2);
}
