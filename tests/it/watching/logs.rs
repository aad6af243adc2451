//! What servers write into their logs for machines: stable fields, traces, and no secrets.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use chinwag::wire::chat::{ListMessagesRequest, SendMessageRequest};
use serde_json::Value as Json;
use tonic::Request;

use super::SOON;
use crate::{
    cli::Person,
    harness::{Cluster, Options, PASSWORD, User, all, request_id, until},
};

const SENT: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const REFUSED: &str = "0af7651916cd43dd8448eb211c80319c";
const SLOW: &str = "b7ad6b7169203331b7ad6b7169203331";
const BODY: &str = "nobody else may read this";
/// In every line.
const ALWAYS: [&str; 4] = ["timestamp", "level", "message", "target"];

/// A call of this trace.
fn traced<T>(trace: &str, body: T) -> Request<T> {
    let mut request = Request::new(body);
    let header = format!("00-{trace}-00f067aa0ba902b7-01").parse().expect("ASCII");
    request.metadata_mut().insert("traceparent", header);
    request
}

fn message(body: &str) -> SendMessageRequest {
    SendMessageRequest {
        request_id: request_id(),
        conversation: "@alice".into(),
        body: body.into(),
        ..Default::default()
    }
}

fn lines(cluster: &Cluster, id: u32) -> Vec<Json> {
    let log = cluster.log(id);
    // The last line may be half written.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    whole.lines().map(parse).collect()
}

/// The line of a server that says this about this trace.
async fn line_about(cluster: &Cluster, id: u32, trace: &str, words: &str) -> Json {
    until(format!("server {id} says \"{words}\" of {trace}"), SOON, || async {
        let mut lines = lines(cluster, id).into_iter();
        lines.find(|line| line["trace"] == trace && line["message"] == words)
    })
    .await
}

#[tokio::test]
async fn one_call_is_found_by_its_trace_in_the_logs_of_the_leader_and_of_the_followers() {
    let environment = vec![("RUST_LOG", "chinwag=debug".into())];
    let mut cluster = Cluster::prepare(Options { environment, ..Options::default() }).await;
    for id in all() {
        cluster.start_server_with(id, &["--log-format", "json"]).await;
    }
    let leader = cluster.in_sync(all()).await;
    let alice = User::create(&cluster, "alice").await;
    let door = cluster.door(leader).with(&alice.token);

    door.messages().send_message(traced(SENT, message(BODY))).await.expect("it leads");
    let line = line_about(&cluster, leader, SENT, "a call ended").await;
    assert_eq!(line["method"], "/chinwag.chat.v1.MessageService/SendMessage");
    assert_eq!((&line["code"], &line["level"]), (&"OK".into(), &"DEBUG".into()));
    let mut places = BTreeSet::new();
    for follower in all().filter(|id| *id != leader) {
        let line = line_about(&cluster, follower, SENT, "an entry came from the leader").await;
        assert_eq!(line["leader"], leader.to_string());
        places.insert(line["seq"].as_u64().expect("a place"));
    }
    assert_eq!(places.len(), 1, "the same entry on both");

    let list = ListMessagesRequest { conversation: "@nobody".into(), ..Default::default() };
    door.messages().list_messages(traced(REFUSED, list)).await.expect_err("there is nobody");
    let line = line_about(&cluster, leader, REFUSED, "a call ended").await;
    assert_eq!((&line["code"], &line["reason"]), (&"NOT_FOUND".into(), &"NO_SUCH_ACCOUNT".into()));

    let person = Person::new(&cluster, "bob");
    person.creates("bob").await;
    person.does(&["send", "@alice", BODY]).await;
    let ours = until("the client's own trace", SOON, || async {
        let mut calls = lines(&cluster, leader).into_iter();
        calls.find(|line| {
            let method = line["method"].as_str().unwrap_or_default();
            let trace = line["trace"].as_str().unwrap_or_default();
            method.ends_with("/SendMessage") && trace.len() == 32 && trace != SENT
        })
    })
    .await;
    let ours = ours["trace"].as_str().expect("a trace").to_owned();
    line_about(&cluster, cluster.another(leader), &ours, "an entry came from the leader").await;

    let frozen = cluster.another(leader);
    cluster.freeze(frozen);
    door.messages().send_message(traced(SLOW, message(BODY))).await.expect("without that one");
    let line = line_about(&cluster, leader, SLOW, "a call took long").await;
    assert_eq!(line["level"], "WARN");
    assert!(line["took_ms"].as_u64().is_some_and(|took| took >= 1_000), "{line}");
    cluster.thaw(frozen);

    let documented = documented();
    for id in all() {
        let log = cluster.log(id);
        for secret in [BODY, PASSWORD, &alice.token, "argon2", "Bearer"] {
            assert!(!log.contains(secret), "{secret} is in the log of server {id}");
        }
        for line in lines(&cluster, id) {
            let object = line.as_object().expect("an object a line");
            for field in ALWAYS {
                assert!(object[field].is_string(), "{field} is missing in {line}");
            }
            for field in object.keys().filter(|field| !ALWAYS.contains(&field.as_str())) {
                assert!(documented.contains(field), "{field} is not in the guide: {line}");
            }
        }
    }
}

#[test]
fn the_guide_explains_every_field_that_any_line_has() {
    let documented = documented();
    let mut found = BTreeSet::new();
    for path in sources(&root().join("src")) {
        // What the client says goes to nobody's log but its user's.
        if path.starts_with(root().join("src/cli")) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        for field in fields(&text) {
            let place = path.display();
            assert!(documented.contains(&field), "{place}: {field} is not in src/docs/operate.md");
            found.insert(field);
        }
    }
    assert!(found.len() > 10, "the lines are found: {found:?}");
    let gone: Vec<&String> = documented.difference(&found).collect();
    assert!(gone.is_empty(), "no line has {gone:?}");
}

#[test]
fn fields_are_found_in_lines_of_code() {
    let code = "tracing::info!(server = %id, at = %f(a, \"b, c = d\").e, ?took, \"a, b = {c}\"); \
                tracing::warn!(left_out, \"x\", y = 1); tracing::debug!(\"z\")";
    let expected = ["server", "at", "took", "left_out"].map(String::from);
    assert_eq!(fields(code), BTreeSet::from(expected));
}

/// The fields in the guide's table.
fn documented() -> BTreeSet<String> {
    let guide = fs::read_to_string(root().join("src/docs/operate.md")).expect("the guide");
    let (_, section) = guide.split_once("\n### The log\n").expect("a section");
    let (section, _) = section.split_once("\n### ").expect("the next one");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| {
        let cell = row.split('|').nth(1).expect("the first column");
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    });
    names.collect()
}

/// The fields that the log lines in this code have.
fn fields(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for level in ["debug", "info", "warn", "error"] {
        for rest in code.split(&format!("tracing::{level}!(")).skip(1) {
            let before = arguments(rest).into_iter().take_while(|part| !part.starts_with('"'));
            found.extend(before.map(|part| {
                let name = part.split('=').next().unwrap_or(part).trim();
                name.trim_start_matches(['%', '?']).to_owned()
            }));
        }
    }
    found
}

/// What stands between the commas up to the parenthesis that closes.
fn arguments(code: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut quoted, mut escaped) =
        (Vec::new(), 0, 0, false, false);
    for (at, letter) in code.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                parts.push(code[begin..at].trim());
                return parts;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(code[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
