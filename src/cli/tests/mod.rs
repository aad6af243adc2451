//! What the program says and how it ends, driven as a pipe or a script drives it.

mod forms;
mod lines;
mod oneshot;
mod outages;
mod person;

use std::{fs, path::PathBuf};

use clap::Parser as _;
use tempfile::TempDir;

use super::{Arguments, Exit, run_with, state::Surroundings};
use crate::client::tests::fake::Fake;

/// A user's machine beside a fake cluster.
struct Desk {
    fake: Fake,
    folder: TempDir,
}

/// How a run of the program ended.
#[derive(Debug)]
struct Ended {
    exit: Exit,
    output: String,
    notes: String,
}

impl Desk {
    async fn with_servers(count: usize) -> Desk {
        Desk { fake: Fake::start(count).await, folder: tempfile::tempdir().unwrap() }
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings { state: Some(self.folder.path().join("state")), ..Surroundings::default() }
    }

    /// Runs `client --servers ... WORDS` with this input.
    async fn run(&self, words: &[&str], input: impl AsRef<[u8]>) -> Ended {
        let mut line = vec!["client", "--servers"];
        let servers = self.fake.addresses.join(",");
        line.push(&servers);
        line.extend(words);
        let arguments = Arguments::try_parse_from(line).unwrap();
        let (mut output, mut notes) = (Vec::new(), Vec::new());
        let input = input.as_ref();
        let exit = run_with(arguments, &self.surroundings(), input, &mut output, &mut notes).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { exit, output: text(output), notes: text(notes) }
    }

    /// Runs `client WORDS`, with no servers at all.
    async fn run_alone(&self, words: &[&str]) -> Ended {
        let arguments = Arguments::try_parse_from(["client"].iter().chain(words)).unwrap();
        let (mut output, mut notes) = (Vec::new(), Vec::new());
        let exit =
            run_with(arguments, &self.surroundings(), &b""[..], &mut output, &mut notes).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { exit, output: text(output), notes: text(notes) }
    }

    /// A file in the user's folder.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What is kept between runs.
    fn kept(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(self.folder.path().join("state")) else { return Vec::new() };
        files.map(|file| file.unwrap().path()).collect()
    }

    /// Logs in and keeps the session.
    async fn logged_in(&self, username: &str) {
        self.fake.session(username);
        let ended = self.run(&["login", username, "--password-stdin"], "password\n").await;
        assert_eq!(ended.exit, Exit::Ok, "{ended:?}");
    }
}
