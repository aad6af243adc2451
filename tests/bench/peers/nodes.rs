//! Three processes of another's server, which end with their data when they are dropped.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::harness::free_ports;

/// For a cluster of another's to come about.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// See the file's header.
pub(crate) struct Nodes {
    children: Vec<Child>,
    commands: Vec<(String, Vec<String>)>,
    folder: TempDir,
    /// One for clients and one for the others, of each.
    pub(crate) ports: Vec<[u16; 2]>,
    /// `host:port` of whoever leads.
    pub(crate) leader: String,
}

impl Nodes {
    /// Starts nobody yet.
    pub(crate) fn prepare() -> Nodes {
        let ports: Vec<[u16; 2]> = free_ports(6).chunks(2).map(|pair| [pair[0], pair[1]]).collect();
        let leader = format!("127.0.0.1:{}", ports[0][0]);
        let folder = tempfile::tempdir().expect("a folder");
        Nodes { children: Vec::new(), commands: Vec::new(), folder, ports, leader }
    }

    /// The folder of this node's data.
    pub(crate) fn data(&self, node: usize) -> PathBuf {
        let path = self.path().join(node.to_string());
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the next node; says so, and returns false, where its program is not installed.
    pub(crate) fn start(&mut self, program: &str, arguments: &[String]) -> bool {
        match self.spawn(program, arguments) {
            Ok(child) => self.children.push(child),
            Err(error) => {
                println!("LEFT OUT: {program}: {error}");
                return false;
            }
        }
        self.commands.push((program.to_owned(), arguments.to_vec()));
        true
    }

    fn spawn(&self, program: &str, arguments: &[String]) -> io::Result<Child> {
        let log = File::options().append(true).create(true).open(self.path().join("log"));
        let log = log.expect("a log file");
        let errors = log.try_clone().expect("a second handle");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log).stderr(errors);
        command.spawn()
    }

    /// kill -9 of a node.
    pub(crate) fn kill(&mut self, node: usize) {
        let child = &mut self.children[node];
        child.kill().expect("its parent may");
        child.wait().expect("it ends");
    }

    /// Starts a node again that was killed.
    pub(crate) fn restart(&mut self, node: usize) {
        let (program, arguments) = &self.commands[node];
        self.children[node] = self.spawn(program, arguments).expect("it started before");
    }

    /// Each node's, with those of the processes that it has started.
    pub(crate) fn pids(&self) -> Vec<Vec<u32>> {
        self.children.iter().map(|child| family(child.id())).collect()
    }
}

/// A process and those that it started.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    [pid].into_iter().chain(pids.flat_map(family)).collect()
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
