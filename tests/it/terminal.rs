//! The client on a terminal, a real one: `script` of util-linux lends it. Where there is none the test says
//! so on stderr and proves nothing.

use std::{
    io::Write as _,
    process::{Command as Setup, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    cli::Person,
    harness::{Cluster, PASSWORD, User, all, within},
};

const SOON: Duration = Duration::from_secs(60);

/// A person at a terminal. When it is dropped, the terminal is gone, and the client with it.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    /// What came on the screen.
    seen: String,
    /// How much of it was looked for already.
    read: usize,
}

impl Terminal {
    /// Sits down for a session; `None` where no terminal can be had.
    fn open(person: &Person) -> Option<Terminal> {
        Terminal::open_for(person, "")
    }

    /// Sits down for a command of the client, with what comes after it in the shell.
    fn open_for(person: &Person, command: &str) -> Option<Terminal> {
        let works = Setup::new("script")
            .args(["-qec", "test -t 0 && test -t 1", "/dev/null"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !works.is_ok_and(|status| status.success()) {
            // Past the capture of the test harness, so that nobody takes this for a proof.
            let words = "SKIPPED: the client was not tried on a terminal: there is no `script`\n";
            std::io::stderr().write_all(words.as_bytes()).expect("stderr is open");
            return None;
        }
        let client = env!("CARGO_BIN_EXE_client");
        // The shell goes on after Ctrl-C, which is for the client.
        let client = format!("trap : INT; '{client}' --servers {} {command}", person.servers);
        let mut child = Command::new("script")
            .args(["-qec", &client, "/dev/null"])
            .current_dir(&person.home)
            .env("HOME", &person.home)
            .env("NO_COLOR", "1")
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .env_remove("XDG_STATE_HOME")
            .env_remove("CHINWAG_SESSION")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it has just worked");
        let keys = child.stdin.take().expect("piped");
        let screen = child.stdout.take().expect("piped");
        Some(Terminal { child, keys, screen, seen: String::new(), read: 0 })
    }

    /// Presses these keys.
    async fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.expect("the terminal is there");
        self.keys.flush().await.expect("the terminal is there");
    }

    /// Waits until this comes on the screen, after what was looked for before.
    async fn sees(&mut self, words: &str) {
        let mut some = [0; 4096];
        let end = tokio::time::Instant::now() + SOON;
        loop {
            if let Some(at) = self.seen[self.read..].find(words) {
                self.read += at + words.len();
                return;
            }
            let read = tokio::time::timeout_at(end, self.screen.read(&mut some)).await;
            let length = match read {
                Ok(Ok(length)) if length > 0 => length,
                _ => panic!("{words:?} was not seen:\n{}", self.seen),
            };
            self.seen.push_str(&String::from_utf8_lossy(&some[..length]));
        }
    }

    async fn ends(mut self) -> Option<i32> {
        let end = async { self.child.wait().await.expect("our own child").code() };
        within("the client's end", SOON, end).await
    }
}

#[tokio::test]
async fn a_person_talks_through_an_outage_and_sees_every_line_arrive() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let bob = Person::new(&cluster, "bob");
    let Some(mut terminal) = Terminal::open(&bob) else { return };
    terminal.sees("/create USER or /login USER to begin").await;
    terminal.sees("> ").await;
    terminal.types("/create bob\r").await;
    for again in ["a slip of the hand", PASSWORD] {
        terminal.sees("password (8 bytes or more): ").await;
        terminal.types(&format!("{PASSWORD}\r")).await;
        terminal.sees("the same again: ").await;
        terminal.types(&format!("{again}\r")).await;
    }
    terminal.sees("created bob, logged in").await;
    terminal.sees("bob> ").await;
    terminal.types("/msg @alice one\r").await;
    terminal.sees("sent #1 to @alice").await;

    // Half a line is typed when somebody else's arrives; it is not lost, nor torn.
    terminal.sees("bob @alice> ").await;
    terminal.types("half a li").await;
    terminal.sees("li").await;
    alice.send("@bob", "in between\u{1b}[2J").await;
    terminal.sees("alice: in between\\u{1b}[2J").await;
    terminal.sees("half a li").await;
    terminal.types("ne\r").await;
    terminal.sees("sent #3 to @alice").await;

    for id in all() {
        cluster.kill(id);
    }
    terminal.types("typed in the dark\r").await;
    terminal.sees("pending: the line waits for a leader").await;
    terminal.sees("(1 unsent)> ").await;
    terminal.types("and another\r").await;
    terminal.sees("pending: 2 lines wait for a leader").await;
    for id in all() {
        cluster.start_server(id).await;
    }
    terminal.sees("sent #4 to @alice").await;
    terminal.sees("sent #5 to @alice").await;
    terminal.types("/quit\r").await;
    assert_eq!(terminal.ends().await, Some(0));
    let bodies: Vec<String> =
        alice.history("@bob").await.into_iter().map(|message| message.body).collect();
    let expected =
        ["one", "in between\u{1b}[2J", "half a line", "typed in the dark", "and another"];
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn names_are_completed_on_a_terminal() {
    let cluster = Cluster::start().await;
    User::create(&cluster, "marguerite").await;
    let bob = Person::new(&cluster, "bob");
    bob.creates("bob").await;
    let Some(mut terminal) = Terminal::open(&bob) else { return };
    terminal.sees("logged in as bob").await;
    terminal.sees("bob> ").await;
    // It learns the names by itself, or else by this.
    terminal.types("/users\r").await;
    terminal.sees("marguerite").await;
    terminal.sees("bob> ").await;
    terminal.types("/ms\t@marg\thello\r").await;
    terminal.sees("sent #1 to @marguerite").await;
    terminal.types("/quit\r").await;
    assert_eq!(terminal.ends().await, Some(0));
}

#[tokio::test]
async fn the_status_is_painted_again_and_again_until_q_and_the_terminal_is_as_it_was() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let gone = cluster.another(leader);
    let person = Person::new(&cluster, "operator");
    let command = "status --watch 1 && stty -a";
    let Some(mut terminal) = Terminal::open_for(&person, command) else { return };
    terminal.sees("every 1 s, q ends").await;
    terminal.sees("leads").await;
    terminal.sees("3 copies").await;
    cluster.kill(gone);
    // Over the look before, not below it.
    terminal.sees("\u{1b}[H").await;
    terminal.sees("no answer").await;
    terminal.sees("2 copies").await;
    terminal.types("q").await;
    terminal.sees(" icanon").await;
    terminal.sees(" echo ").await;
    assert_eq!(terminal.ends().await, Some(0));
}

#[tokio::test]
async fn control_c_ends_a_watched_status_without_an_error() {
    let cluster = Cluster::start().await;
    let person = Person::new(&cluster, "operator");
    let Some(mut terminal) = Terminal::open_for(&person, "status --watch") else { return };
    terminal.sees("3 copies").await;
    terminal.types("\u{3}").await;
    assert_eq!(terminal.ends().await, Some(0));
}
