//! One server process.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::wait::until;

/// A started server. Dropping it kills the process, and only this one.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Exit {
    /// Its status.
    pub(crate) status: ExitStatus,
    /// Everything that it wrote to stdout and stderr, of its earlier lives too.
    pub(crate) log: String,
}

impl Process {
    /// Starts the server with these arguments and this on its standard input; what it writes is appended
    /// to `log`.
    pub(crate) fn start(
        arguments: &[&str],
        environment: &[(&'static str, String)],
        folder: &Path,
        log: PathBuf,
        input: &str,
    ) -> Process {
        let output = OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        let errors = output.try_clone().expect("a second handle");
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("CHINWAG") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors);
        let mut child = command.spawn().expect("the server program starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A server that has ended already reads nothing, and shows it in other ways.
        let _ = stdin.write_all(input.as_bytes());
        Process { child, log }
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        // A child that was not waited for keeps its id, so this never meets a stranger.
        assert!(self.is_running(), "the server has ended by itself:\n{}", self.log());
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("our own child takes signals");
    }

    /// kill -9; returns when it is gone.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("our own child");
    }

    /// Waits until it ends.
    pub(crate) async fn ended(&mut self, deadline: Duration) -> Exit {
        let log = self.log.clone();
        let what = format!("the end of the server that writes {}", log.display());
        let status = until(&what, deadline, || {
            let status = self.child.try_wait().expect("our own child");
            async move { status }
        })
        .await;
        Exit { status, log: self.log() }
    }

    /// What its threads do now, of those that are not just waiting for work: a server that stands still
    /// writes nothing about it.
    pub(crate) fn busy_threads(&mut self) -> String {
        if !self.is_running() {
            return "it has ended".into();
        }
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let threads = threads.into_iter().flatten().flatten().filter_map(|thread| {
            let read = |name| fs::read_to_string(thread.path().join(name)).ok();
            let (name, stat) = (read("comm")?, read("stat")?);
            let state = stat.rsplit(')').next()?.split_whitespace().next()?.to_owned();
            let (place, call) = (read("wchan").unwrap_or_default(), read("syscall"));
            let call = call.unwrap_or_default();
            let call = call.split_whitespace().next().unwrap_or_default().to_owned();
            let waits = place == "0" || place.contains("futex") || place.contains("epoll");
            let words = format!("{} {state} in {place} (system call {call})", name.trim());
            (state != "S" || !waits).then_some(words)
        });
        threads.collect::<Vec<_>>().join("\n")
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
