//! Talking through pipes and by commands, across fail-overs, with the exit code of every kind of end.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::process::Command;

use super::{Person, SOON, Said};
use crate::harness::{Cluster, PASSWORD, User, all, within};

#[tokio::test]
async fn two_people_talk_through_pipes() {
    let cluster = Cluster::start().await;
    let (alice, bob) = (Person::new(&cluster, "alice"), Person::new(&cluster, "bob"));
    let said = bob.runs(&[], &format!("/create bob\n{PASSWORD}\n/quit\n")).await;
    said.exits_with(0);
    let script = format!(
        "/create alice\n{PASSWORD}\n/msg @bob first\nsecond, to the same\n/users\n\
         /msg @bob third\n/history @bob 2\n/status\n/quit\n"
    );
    let said = alice.runs(&[], &script).await;
    said.exits_with(0);
    for word in ["alice", "bob", "second, to the same", "third"] {
        assert!(said.stdout.contains(word), "{word} is missing:\n{}", said.stdout);
    }

    let said = bob.runs(&["--json"], &format!("/login bob\n{PASSWORD}\n/inbox\n/quit\n")).await;
    said.exits_with(0);
    let inbox: Vec<Value> =
        said.objects().into_iter().filter(|object| object["type"] == "conversation").collect();
    assert_eq!(inbox.len(), 1, "{inbox:?}");
    assert_eq!(inbox[0]["conversation"], "@alice");
    assert_eq!(inbox[0]["unread_count"], 3);

    let said = bob.runs(&["--json"], &format!("/login bob\n{PASSWORD}\n/history @alice\n")).await;
    said.exits_with(0);
    assert_eq!(said.bodies("message"), ["first", "second, to the same", "third"]);
}

#[tokio::test]
async fn one_command_after_another_shares_a_session() {
    let cluster = Cluster::start().await;
    let (alice, bob) = (Person::new(&cluster, "alice"), Person::new(&cluster, "bob"));
    alice.creates("alice").await;
    bob.creates("bob").await;
    let said = alice.runs(&["--json", "send", "@bob", "hi", "there"], "").await;
    said.exits_with(0);
    assert_eq!(said.bodies("sent"), ["hi there"]);
    alice.runs(&["send", "@bob", "-"], "from the standard input").await.exits_with(0);

    let said = bob.runs(&["--json", "history", "@alice"], "").await;
    said.exits_with(0);
    assert_eq!(said.bodies("message"), ["hi there", "from the standard input"]);
    let first = said.objects()[0]["message_id"].as_str().expect("an id").to_owned();
    let said = bob.runs(&["--json", "inbox"], "").await;
    assert_eq!(said.objects()[0]["unread_count"], 2, "looking is not reading: {}", said.stdout);
    bob.runs(&["read", "@alice"], "").await.exits_with(0);
    bob.runs(&["delete", &first], "").await.exits_with(0);
    let said = bob.runs(&["--json", "inbox"], "").await;
    assert_eq!(said.objects()[0]["unread_count"], 0);
    let said = bob.runs(&["--json", "users", "a*"], "").await;
    assert_eq!(said.objects()[0]["username"], "alice");
    let said = bob.runs(&["--json", "status"], "").await;
    said.exits_with(0);
    assert_eq!(said.objects().len(), 3, "one line a server: {}", said.stdout);
    bob.runs(&["logout"], "").await.exits_with(0);
    bob.runs(&["inbox"], "").await.exits_with(77);
}

#[tokio::test]
async fn tail_tells_what_happens_and_goes_on_at_its_cursor() {
    let cluster = Cluster::start().await;
    let bob = Person::new(&cluster, "bob");
    bob.creates("bob").await;
    let alice = User::create(&cluster, "alice").await;
    // The client subscribes at some moment; what came before it is not live.
    let sends = async {
        for number in 0.. {
            alice.send("@bob", &number.to_string()).await;
        }
    };
    let tailed = tokio::select! {
        tailed = bob.runs(&["--json", "tail", "--count", "2"], "") => tailed,
        () = sends => unreachable!("there are enough numbers"),
    };
    tailed.exits_with(0);
    let heard = tailed.bodies("message_created");
    assert_eq!(heard.len(), 2, "{}", tailed.stdout);
    let last = tailed.objects().into_iter().rfind(|object| object["type"] == "message_created");
    let cursor = last.expect("two came")["cursor"].as_str().expect("a cursor").to_owned();
    alice.send("@bob", "the last").await;
    let said = bob.runs(&["--json", "tail", "--after", &cursor, "--count", "1"], "").await;
    said.exits_with(0);
    let history = alice.history("@bob").await;
    let next = history.iter().skip_while(|message| message.body != heard[1]).nth(1);
    assert_eq!(said.bodies("message_created"), [next.expect("more was sent").body.as_str()]);
}

#[tokio::test]
async fn a_handler_gets_every_event_once_across_a_kill_and_its_failure_says_where_to_go_on() {
    let mut cluster = Cluster::start().await;
    let bob = Person::new(&cluster, "bob");
    bob.creates("bob").await;
    let alice = User::create(&cluster, "alice").await;
    // A cursor from before everything.
    let told = bob.runs(&["--json", "tail", "--count", "1"], "");
    let said = async {
        for number in 0.. {
            alice.send("@bob", &format!("before {number}")).await;
        }
    };
    let told = tokio::select! {
        told = told => told,
        () = said => unreachable!("there are enough numbers"),
    };
    let cursor = |said: &Said| -> String {
        let last = said.objects().pop().expect("something was said");
        last["cursor"].as_str().unwrap_or_else(|| panic!("{last}")).to_owned()
    };
    let mut after = cursor(&told);
    for number in 0..6 {
        if number == 3 {
            let leader = cluster.leader().await;
            cluster.kill(leader);
        }
        alice.send("@bob", &format!("number {number}")).await;
    }
    let handler = "tee -a events | grep -qv 'number 4'";
    let said = bob.runs(&["--json", "tail", "--after", &after, "--exec", handler], "").await;
    said.exits_with(1);
    assert_eq!(said.objects()[0]["type"], "error");
    after = cursor(&said);
    assert!(said.stderr.contains(&format!("client tail --after {after}")), "{}", said.stderr);
    let handler = "tee -a events >&2";
    let again = ["--json", "tail", "--after", &after, "--count", "2", "--exec", handler];
    bob.runs(&again, "").await.exits_with(0);
    let events = fs::read_to_string(bob.home.join("events")).expect("the handler wrote");
    let numbers: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("one JSON object a line"))
        .filter(|event| event["type"] == "message_created")
        .filter_map(|event| Some(event["body"].as_str()?.strip_prefix("number ")?.to_owned()))
        .collect();
    assert_eq!(numbers, ["0", "1", "2", "3", "4", "4", "5"], "the failed one comes again");
}

#[tokio::test]
async fn an_export_holds_every_message_of_every_conversation() {
    let cluster = Cluster::start().await;
    let bob = Person::new(&cluster, "bob");
    bob.creates("bob").await;
    let (alice, carol) =
        (User::create(&cluster, "alice").await, User::create(&cluster, "carol").await);
    for number in 0..205 {
        alice.send("@bob", &number.to_string()).await;
    }
    carol.send("@bob", "hi").await;
    bob.runs(&["send", "@carol", "hello"], "").await.exits_with(0);
    let said = bob.runs(&["export"], "").await;
    said.exits_with(0);
    let objects = said.objects();
    assert_eq!(objects[0]["type"], "account");
    assert_eq!(objects[0]["username"], "bob");
    let seqs = |conversation: &str| -> Vec<i64> {
        let messages = objects.iter().filter(|object| object["type"] == "message");
        let of_it = messages.filter(|message| message["conversation"] == conversation);
        of_it.map(|message| message["seq"].as_i64().expect("a seq")).collect()
    };
    assert_eq!(seqs("@alice"), (1..=205).collect::<Vec<_>>(), "more than a page");
    assert_eq!(seqs("@carol"), [1, 2]);
    let end = objects.last().expect("an end");
    assert_eq!(
        (&end["type"], &end["conversations"], &end["messages"]),
        (&"exported".into(), &2.into(), &207.into())
    );
    Person::new(&cluster, "nobody").runs(&["export"], "").await.exits_with(77);
}

#[tokio::test]
async fn lines_piped_through_a_kill_arrive_once_and_in_order() {
    let mut cluster = Cluster::start().await;
    let alice = Person::new(&cluster, "alice");
    alice.creates("alice").await;
    let bob = User::create(&cluster, "bob").await;
    let lines: String = (0..300).map(|number| format!("/msg @bob {number}\n")).collect();
    let leader = cluster.leader().await;
    let kill = async {
        crate::harness::until("some lines", SOON, || async {
            (bob.history("@alice").await.len() >= 20).then_some(())
        })
        .await;
        cluster.kill(leader);
    };
    let (said, ()) = tokio::join!(alice.runs(&["--json"], &lines), kill);
    said.exits_with(0);
    let numbers: Vec<String> = (0..300).map(|number: i32| number.to_string()).collect();
    assert_eq!(said.bodies("sent"), numbers, "one answer a line, in order");
    let stored: Vec<String> =
        bob.history("@alice").await.into_iter().map(|message| message.body).collect();
    assert_eq!(stored, numbers, "once, and in order");
}

#[tokio::test]
async fn the_session_token_is_for_its_owner_only() {
    let cluster = Cluster::start().await;
    let alice = Person::new(&cluster, "alice");
    alice.creates("alice").await;
    let files = files_below(&alice.home);
    assert_eq!(files.len(), 1, "{files:?}");
    let mode = fs::metadata(&files[0]).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", files[0].display());
    let text = fs::read_to_string(&files[0]).expect("text");
    assert!(!text.contains(PASSWORD), "no password is kept");
}

#[tokio::test]
async fn every_kind_of_end_has_its_exit_code() {
    let mut cluster = Cluster::start().await;
    let alice = Person::new(&cluster, "alice");
    alice.runs(&["inbox"], "").await.exits_with(77);
    alice.runs(&["send", "@alice", "hi"], "").await.exits_with(77);
    alice.creates("alice").await;
    alice.runs(&["send", "@alice", "hi"], "").await.exits_with(0);
    alice.runs(&["send", "@nobody", "hi"], "").await.exits_with(1);
    alice.runs(&["login", "alice", "--password-stdin"], "a wrong password\n").await.exits_with(1);
    alice.runs(&["--no-such-flag"], "").await.exits_with(2);
    alice.runs(&["no-such-command"], "").await.exits_with(2);
    alice.runs(&["create", "a b", "--password-stdin"], PASSWORD).await.exits_with(65);
    alice.runs(&["send", "@alice", "-"], &"x".repeat(16 * 1024 + 1)).await.exits_with(65);
    let said = alice.runs(&["--json", "send", "@nobody", "hi"], "").await;
    said.exits_with(1);
    assert!(format!("{}{}", said.stdout, said.stderr).contains("NO_SUCH_ACCOUNT"));

    // All servers accept connections, and none answers: the send may or may not come to pass.
    for id in all() {
        cluster.freeze(id);
    }
    let said = alice.runs(&["--timeout", "3", "--json", "send", "@alice", "perhaps"], "").await;
    said.exits_with(75);
    let words = format!("{}{}", said.stdout, said.stderr);
    let object: Value = words
        .lines()
        .find_map(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("{words}"));
    let id = object["request_id"].as_str().expect("the id that settles it").to_owned();
    for server in all() {
        cluster.thaw(server);
    }
    cluster.in_sync(all()).await;
    for _ in 0..2 {
        alice.runs(&["send", "--request-id", &id, "@alice", "perhaps"], "").await.exits_with(0);
    }
    let said = alice.runs(&["--json", "history", "@alice"], "").await;
    assert_eq!(said.bodies("message"), ["hi", "perhaps"], "settled, and not twice");

    for id in all() {
        cluster.kill(id);
    }
    alice.runs(&["--timeout", "1", "inbox"], "").await.exits_with(69);
}

#[tokio::test]
async fn a_command_goes_on_when_the_leader_dies() {
    let mut cluster = Cluster::start().await;
    let alice = Person::new(&cluster, "alice");
    alice.creates("alice").await;
    for number in 0..2 {
        let leader = cluster.leader().await;
        cluster.kill(leader);
        alice.runs(&["send", "@alice", &number.to_string()], "").await.exits_with(0);
    }
    let said = alice.runs(&["--json", "history", "@alice"], "").await;
    assert_eq!(said.bodies("message"), ["0", "1"]);
}

#[tokio::test]
async fn the_demo_shows_a_fail_over_and_ends_well_without_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.arg("demo").current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    let output = within("the demo", Duration::from_secs(90), command.output()).await;
    let output = output.expect("it starts");
    let said = Said::new("server demo".into(), output);
    said.exits_with(0);
    assert!(said.stdout.contains("ms"), "it shows the fail-over time:\n{}", said.stdout);
    let left = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "it leaves nothing where it was started");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
