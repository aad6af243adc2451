//! The programs as people and scripts meet them: words in, words out, exit codes.
//!
//! Every line of a session and every command is tried here on real servers, with what it is answered when it
//! cannot be done: an exit code, a reason for programs, and what to do next for people.

mod accounts;
mod lacks;
mod lines;
mod messages;
mod nobody;
mod rooms;
mod talk;

use std::{
    fs,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::harness::{Cluster, PASSWORD, within};

pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A person's account of this machine: a home of their own.
pub(crate) struct Person {
    pub(crate) servers: String,
    pub(crate) home: PathBuf,
}

impl Person {
    pub(crate) fn new(cluster: &Cluster, name: &str) -> Person {
        let home = cluster.folder().join(name);
        fs::create_dir_all(&home).expect("writable");
        Person { servers: cluster.addresses().collect::<Vec<_>>().join(","), home }
    }

    /// Runs the client and gives it these lines.
    pub(crate) async fn runs(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command
            .args(["--servers", &self.servers])
            .args(arguments)
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env_remove("XDG_STATE_HOME")
            .env_remove("CHINWAG_SESSION")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the client starts");
        let mut stdin = child.stdin.take().expect("piped");
        let what = format!("client {}", arguments.join(" "));
        let output = within(&what, SOON, async {
            // A client that ends early does not read everything.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
            child.wait_with_output().await.expect("our own child")
        })
        .await;
        Said::new(what, output)
    }

    /// Gives a session these lines. None of them is done: each is answered with this exit code and reason,
    /// and with these words among others.
    pub(crate) async fn fails(&self, cases: &[(&str, i32, &str, &str)]) {
        let script: String = cases.iter().map(|(line, ..)| format!("{line}\n")).collect();
        let said = self.runs(&["--json"], &script).await;
        said.exits_with(cases[0].1);
        let answers = said.objects();
        assert_eq!(answers.len(), cases.len(), "one answer a line:\n{}", said.stdout);
        for ((line, exit, reason, words), answer) in cases.iter().zip(&answers) {
            is_refused(line, answer, *exit, reason, words);
        }
    }

    /// Runs these commands, each with nothing on its input, as `fails` does lines.
    pub(crate) async fn fails_at_once(&self, cases: &[(&[&str], i32, &str, &str)]) {
        for (arguments, exit, reason, words) in cases {
            self.fails_told(arguments, "", (*exit, *reason, *words)).await;
        }
    }

    /// Runs a command that is not done.
    pub(crate) async fn fails_told(
        &self,
        arguments: &[&str],
        input: &str,
        (exit, reason, words): (i32, &str, &str),
    ) {
        let said = self.runs(&[&["--json"], arguments].concat(), input).await;
        said.exits_with(exit);
        let answers = said.objects();
        assert_eq!(answers.len(), 1, "{arguments:?}: {}", said.stdout);
        is_refused(&arguments.join(" "), &answers[0], exit, reason, words);
        assert!(said.stderr.contains(words), "for people too: {}", said.stderr);
    }

    /// Runs a command that is done.
    pub(crate) async fn does(&self, arguments: &[&str]) -> Said {
        let said = self.runs(arguments, "").await;
        said.exits_with(0);
        said
    }

    /// Gives a session these lines, and all of them are done.
    pub(crate) async fn says(&self, lines: &str) -> Said {
        let said = self.runs(&[], lines).await;
        said.exits_with(0);
        said
    }

    /// Creates an account and keeps its session.
    pub(crate) async fn creates(&self, name: &str) {
        let said = self.runs(&["create", name, "--password-stdin"], &format!("{PASSWORD}\n")).await;
        said.exits_with(0);
    }
}

/// What the client said.
pub(crate) struct Said {
    what: String,
    code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn new(what: String, output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Said { what, code: output.status.code(), stdout, stderr }
    }

    pub(crate) fn exits_with(&self, code: i32) {
        let Said { what, stdout, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "{what}\nstdout:\n{stdout}\nstderr:\n{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        if code != 0 {
            assert!(!format!("{stdout}{stderr}").trim().is_empty(), "{what} says why");
        }
    }

    /// Asserts that all of this was said.
    pub(crate) fn tells(&self, words: &[&str]) {
        for words in words {
            assert!(self.stdout.contains(words), "{words:?} is missing:\n{}", self.stdout);
        }
    }

    /// One JSON object a line, each with its type.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let object = |line: &str| -> Value {
            let value: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}: {error}: {line}", self.what));
            assert!(value["type"].is_string(), "{line}");
            value
        };
        self.stdout.lines().map(object).collect()
    }

    pub(crate) fn bodies(&self, kind: &str) -> Vec<String> {
        let objects = self.objects().into_iter().filter(|object| object["type"] == kind);
        objects.map(|object| object["body"].as_str().expect("a body").to_owned()).collect()
    }
}

fn is_refused(what: &str, answer: &Value, exit: i32, reason: &str, words: &str) {
    assert_eq!(answer["type"], "error", "{what}: {answer}");
    assert_eq!(answer["exit"], exit, "{what}: {answer}");
    assert_eq!(answer["reason"].as_str().unwrap_or_default(), reason, "{what}: {answer}");
    let message = answer["message"].as_str().expect("in words");
    assert!(message.contains(words), "{what}: {message:?} lacks {words:?}");
}
