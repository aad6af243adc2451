//! A client in another language, made of the protos alone: the contract is enough.
//!
//! The stubs are generated into `target/`, with grpcio-tools in a virtual environment of its own. Where
//! Python, pip or the packages cannot be had, the test says so on stderr and proves nothing.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command as Setup, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

use crate::harness::{Cluster, all, within};

#[tokio::test]
async fn a_python_client_made_of_the_protos_talks_across_a_kill() {
    assert_well("resumption.py", &["kill the leader"]).await;
}

#[tokio::test]
async fn every_call_answers_a_python_client_as_the_contract_says() {
    assert_well("conformance.py", &["leave one server that waits"]).await;
}

/// Runs a script beside three servers, and does what it asks for; it asks for this, and ends well.
async fn assert_well(script: &str, asked: &[&str]) {
    let mut cluster = Cluster::start().await;
    let addresses: Vec<String> = cluster.addresses().collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    assert_well_at(&mut cluster, script, &addresses, asked).await;
}

/// The same beside any servers, with these arguments; whether it could be tried at all.
pub(crate) async fn assert_well_at(
    cluster: &mut Cluster,
    script: &str,
    arguments: &[&str],
    asked: &[&str],
) -> bool {
    let tools = match tokio::task::spawn_blocking(set_up).await.expect("no panic") {
        Ok(tools) => tools,
        Err(reason) => {
            // Past the capture of the test harness, so that nobody takes this for a proof.
            let words = format!("SKIPPED: {script} was not tried: {reason}\n");
            std::io::stderr().write_all(words.as_bytes()).expect("stderr is open");
            return false;
        }
    };
    let mut client = Command::new(&tools.python)
        .arg(root().join("tests/python").join(script))
        .arg(&tools.stubs)
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the interpreter starts");
    let mut input = client.stdin.take().expect("piped");
    let mut lines = BufReader::new(client.stdout.take().expect("piped")).lines();
    let talk = async {
        let mut said = Vec::new();
        while let Some(line) = lines.next_line().await.expect("text") {
            if obey(cluster, &line).await {
                input.write_all(b"done\n").await.expect("it listens");
            }
            said.push(line);
        }
        (said, client.wait().await.expect("our own child"))
    };
    let (said, status) = within(script, Duration::from_secs(150), talk).await;
    assert!(status.success(), "{status}: {said:?}");
    assert_eq!(said, [asked, &["all is well"]].concat());
    true
}

/// Does what a script asks for; returns whether the line was such a thing.
async fn obey(cluster: &mut Cluster, line: &str) -> bool {
    match line {
        "kill the leader" => {
            let leader = cluster.leader().await;
            cluster.kill(leader);
        }
        "leave one server that waits" => {
            let leader = cluster.in_sync(all()).await;
            // Who died first cannot know what the others did without it.
            let first = cluster.another(leader);
            cluster.kill(first);
            for id in all().filter(|id| *id != first) {
                cluster.kill(id);
            }
            cluster.start_server(first).await;
        }
        _ => return false,
    }
    true
}

/// What the client runs on.
struct Tools {
    python: PathBuf,
    stubs: PathBuf,
}

/// Makes the virtual environment, unless an earlier run did, and the stubs.
fn set_up() -> Result<Tools, String> {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // Tests share them, also those in other processes.
    let alone = File::create(target.join("python.lock")).map_err(|error| error.to_string())?;
    alone.lock().map_err(|error| error.to_string())?;
    let (venv, stubs) = (target.join("python"), target.join("python-stubs"));
    let python = venv.join("bin/python");
    let requirements = root().join("tests/python/requirements.txt");
    let installed = venv.join("installed.txt");
    let wanted = fs::read(&requirements).expect("checked in");
    if fs::read(&installed).ok().as_ref() != Some(&wanted) {
        run(Setup::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(Setup::new(&python).args(pip).arg("--requirement").arg(&requirements))?;
        fs::write(&installed, &wanted).map_err(|error| error.to_string())?;
    }
    fs::create_dir_all(&stubs).map_err(|error| error.to_string())?;
    let protos = root().join("proto");
    let mut command = Setup::new(&python);
    command.args(["-m", "grpc_tools.protoc", "-I"]).arg(&protos);
    for out in ["--python_out", "--grpc_python_out"] {
        command.arg(format!("{out}={}", stubs.display()));
    }
    for entry in fs::read_dir(protos.join("chinwag/chat/v1")).expect("checked in") {
        command.arg(entry.expect("a proto").path());
    }
    run(&mut command)?;
    Ok(Tools { python, stubs })
}

/// Runs one step of the set-up; what it said is the reason if it failed.
fn run(command: &mut Setup) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program} does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{program} failed: {last}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
