//! Passwords, devices and the end of an account on the command line: lines through a pipe, and one command
//! after another.

use super::Person;
use crate::harness::{Cluster, PASSWORD};

const NEW: &str = "another horse battery";

#[tokio::test]
async fn lines_through_a_pipe_change_a_password_end_a_session_and_the_account() {
    let cluster = Cluster::start().await;
    let (alice, phone) = (Person::new(&cluster, "alice"), Person::new(&cluster, "phone"));
    alice.creates("alice").await;
    let password = format!("{PASSWORD}\n");
    phone.runs(&["login", "alice", "--password-stdin"], &password).await.exits_with(0);
    let said = alice.runs(&["--json"], "/sessions\n").await;
    said.exits_with(0);
    let devices = said.objects();
    assert_eq!(devices.len(), 2, "{}", said.stdout);
    assert!(devices.iter().all(|device| device["type"] == "session"), "{}", said.stdout);
    let other = devices.iter().find(|device| device["current"] == false).expect("the phone");
    let id = other["session_id"].as_str().expect("an id");
    let said = alice.runs(&[], &format!("/end-session {id}\n/sessions\n")).await;
    said.exits_with(0);
    assert_eq!(said.stdout.matches("this one").count(), 1, "{}", said.stdout);
    phone.runs(&["inbox"], "").await.exits_with(77);
    let unknown = alice.runs(&[], "/end-session 00000000000000000000000000000000\n").await;
    unknown.exits_with(1);

    // The second pair of passwords is wrong by then; the lines after it are done all the same.
    let lines = format!("/passwd\n{PASSWORD}\n{NEW}\n/passwd\n{PASSWORD}\n{NEW}\n/users\n");
    let said = alice.runs(&[], &lines).await;
    said.exits_with(1);
    assert!(said.stdout.contains("the password is changed"), "{}", said.stdout);
    assert!(said.stdout.contains("error: "), "{}", said.stdout);
    assert!(said.stdout.lines().any(|line| line.contains("alice")), "{}", said.stdout);
    let short = alice.runs(&[], &format!("/passwd\n{NEW}\nshort\n")).await;
    short.exits_with(65);

    let wrong = alice.runs(&[], &format!("/delete-account\n{PASSWORD}\n/users\n")).await;
    wrong.exits_with(1);
    let said = alice.runs(&[], &format!("/delete-account\n{NEW}\n/users\n")).await;
    said.exits_with(77);
    alice.runs(&["inbox"], "").await.exits_with(77);
    let gone = alice.runs(&["login", "alice", "--password-stdin"], &format!("{NEW}\n")).await;
    gone.exits_with(1);
}

#[tokio::test]
async fn one_command_after_another_does_the_same() {
    let cluster = Cluster::start().await;
    let (alice, phone) = (Person::new(&cluster, "alice"), Person::new(&cluster, "phone"));
    alice.creates("alice").await;
    let login = ["login", "alice", "--password-stdin"];
    phone.runs(&login, &format!("{PASSWORD}\n")).await.exits_with(0);
    let listed = alice.runs(&["--json", "sessions"], "").await;
    listed.exits_with(0);
    let devices = listed.objects();
    let other = devices.iter().find(|device| device["current"] == false).expect("the phone");
    let id = other["session_id"].as_str().expect("an id");
    alice.runs(&["end-session", id], "").await.exits_with(0);
    alice.runs(&["end-session", id], "").await.exits_with(0);
    alice.runs(&["end-session", "no-id"], "").await.exits_with(65);
    phone.runs(&["inbox"], "").await.exits_with(77);

    let passwd = ["passwd", "--password-stdin"];
    alice.runs(&passwd, &format!("a wrong password\n{NEW}\n")).await.exits_with(1);
    alice.runs(&passwd, &format!("{PASSWORD}\n{NEW}\n")).await.exits_with(0);
    phone.runs(&login, &format!("{PASSWORD}\n")).await.exits_with(1);
    phone.runs(&login, &format!("{NEW}\n")).await.exits_with(0);
    let delete = ["delete-account", "--password-stdin"];
    alice.runs(&delete, &format!("{PASSWORD}\n")).await.exits_with(1);
    alice.runs(&delete, &format!("{NEW}\n")).await.exits_with(0);
    for person in [&alice, &phone] {
        person.runs(&["inbox"], "").await.exits_with(77);
    }
}
