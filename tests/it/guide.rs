//! The guide for operators, followed to the letter: its shell blocks run one after the other in one shell, in an
//! empty folder, on real servers at three addresses of this machine.
//!
//! Only the ports are others, for the guide's own may be taken.

use std::{
    collections::BTreeMap,
    env, fs,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::harness::{place, until};

const GUIDE: &str = include_str!("../../src/docs/operate.md");
/// The addresses that the guide uses.
const ADDRESSES: [&str; 3] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
/// It takes some fifteen seconds; this is for a machine that does other things too.
const DEADLINE: Duration = Duration::from_secs(200);
/// What an operator must have done in the end.
const DEEDS: [&str; 10] = [
    "server certs",
    "client create",
    "server admin",
    "client lead",
    "client backup",
    "server restore",
    "client verify",
    "kill -KILL",
    "rm -r data/server-3",
    "client status",
];

#[tokio::test]
async fn the_operators_guide_does_what_it_says() {
    let script = script(GUIDE);
    for deed in DEEDS {
        assert!(script.contains(deed), "nobody does {deed:?}");
    }
    let _place = place().await;
    let shell = Shell::start(&with_free_ports(&script));
    let exit = until("the end of the guide", DEADLINE, || {
        let exit = fs::read_to_string(shell.folder.path().join("exit")).ok();
        async move { exit.filter(|exit| exit.ends_with('\n')) }
    });
    let exit = exit.await;
    let transcript = shell.transcript();
    assert_eq!(exit, "0\n", "it ends early");
    let counts = transcript.lines().find(|line| line.ends_with(" failed")).expect("it counts");
    let counts: Vec<u32> = counts.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [sent, acknowledged, failed] = counts[..] else { panic!("three counts: {counts:?}") };
    assert!(sent > 0 && sent == acknowledged && failed == 0, "{counts:?}");
    println!(
        "the guide's rolling restart: {sent} sent, {acknowledged} acknowledged, {failed} failed"
    );
}

#[test]
fn only_what_an_operator_types_on_one_machine_is_run() {
    let guide = "# One\n```sh\n# no heading\none\n```\ntwo\n```console\n$ three\n```\n## It's 4\n```sh\nfour\n```\n";
    assert_eq!(script(guide), "echo '== One'\n# no heading\none\necho '== Its 4'\nfour\n");
}

/// The blocks of the guide that are meant for one machine, and its headings as words on the way.
fn script(guide: &str) -> String {
    let mut script = String::new();
    let mut block = None;
    for line in guide.lines() {
        match (block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (Some("sh"), None) => script += &format!("{line}\n"),
            (None, None) if line.starts_with('#') => {
                let heading = line.trim_start_matches('#').trim().replace('\'', "");
                script += &format!("echo '== {heading}'\n");
            }
            _ => {}
        }
    }
    script
}

/// Every port of the guide becomes one that is free at all addresses.
fn with_free_ports(script: &str) -> String {
    let mut ports = BTreeMap::new();
    for address in ADDRESSES {
        let start = format!("{address}:");
        for (at, _) in script.match_indices(&start) {
            let digits = script[at + start.len()..].split(|c: char| !c.is_ascii_digit()).next();
            ports.entry(digits.expect("a part").to_owned()).or_insert_with(free_port);
        }
    }
    assert!(ports.len() >= 2, "the cluster's and the drill's: {ports:?}");
    let mut script = script.to_owned();
    for (old, (new, _)) in &ports {
        script = script.replace(&format!(":{old}"), &format!(":{new}"));
    }
    script
}

/// A port that was free at all addresses a moment ago, held until all are found.
fn free_port() -> (u16, Vec<TcpListener>) {
    let found = (0..100).find_map(|_| {
        let first = TcpListener::bind((ADDRESSES[0], 0)).ok()?;
        let port = first.local_addr().ok()?.port();
        let others = ADDRESSES[1..].iter().map(|address| TcpListener::bind((*address, port)).ok());
        let others: Option<Vec<_>> = others.collect();
        Some((port, others?.into_iter().chain([first]).collect()))
    });
    found.expect("some port is free")
}

/// A shell that runs a script, and everything that the script starts. All of it ends with this value.
struct Shell {
    child: Child,
    folder: TempDir,
}

impl Shell {
    fn start(script: &str) -> Shell {
        let folder = tempfile::Builder::new().prefix("chinwag-guide-").tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        let (work, home) = (file("work"), file("home"));
        fs::create_dir(&work).and_then(|()| fs::create_dir(&home)).expect("writable");
        fs::write(file("guide.sh"), script).expect("writable");
        let transcript = fs::File::create(file("transcript")).expect("writable");
        // The outer shell stays after the guide's end, until it is told: so its process group is ours for
        // certain when everything in it is ended.
        let outer =
            "sh -eu ../guide.sh < /dev/null > ../transcript 2>&1; echo $? > ../exit; exec cat";
        let mut command = Command::new("sh");
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("CHINWAG") {
                command.env_remove(name);
            }
        }
        command
            .args(["-c", outer])
            .current_dir(work)
            .env("HOME", home)
            .env("PATH", path())
            .env_remove("XDG_STATE_HOME")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(transcript.try_clone().expect("a second handle"))
            .stderr(transcript)
            .process_group(0);
        Shell { child: command.spawn().expect("there is a shell"), folder }
    }

    fn transcript(&self) -> String {
        fs::read_to_string(self.folder.path().join("transcript")).unwrap_or_default()
    }

    /// Everything that was said, and what the servers logged.
    fn told(&self) -> String {
        let work = self.folder.path().join("work");
        let files = fs::read_dir(&work).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut logs: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
        logs.sort();
        let mut told = self.transcript();
        for log in logs {
            let text = fs::read_to_string(&log).unwrap_or_default();
            told += &format!("---- {} ----\n{text}", log.display());
        }
        told
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.told());
        }
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Where the programs are that were just built, before everything else.
fn path() -> std::ffi::OsString {
    let programs =
        Path::new(env!("CARGO_BIN_EXE_server")).parent().expect("in a folder").to_owned();
    let others = env::var_os("PATH").unwrap_or_default();
    let all = [programs].into_iter().chain(env::split_paths(&others));
    env::join_paths(all).expect("no colon in it")
}
