//! `client status --watch`, as a pipe reads it.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::SOON;
use crate::harness::{Cluster, within};

#[tokio::test]
async fn a_pipe_gets_a_block_for_every_look_until_it_is_interrupted() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let gone = cluster.another(leader);
    let servers = cluster.addresses().collect::<Vec<_>>().join(",");
    let mut child = Command::new(env!("CARGO_BIN_EXE_client"))
        .args(["--servers", &servers, "status", "--watch", "1"])
        .env("HOME", cluster.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the client starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut heads = 0;
    let mut seen = async |words: &str| {
        within(words, SOON, async {
            loop {
                let line = lines.next_line().await.expect("text").expect("it goes on");
                assert!(!line.contains('\u{1b}'), "a pipe is not painted on: {line:?}");
                heads += u32::from(line.starts_with("server  address"));
                if line.contains(words) {
                    return;
                }
            }
        })
        .await;
    };
    seen("3 copies").await;
    cluster.kill(gone);
    seen("2 copies").await;
    seen("2 copies").await;
    assert!(heads >= 3, "{heads}");
    // The end of the input would end it too, and to wait for a child ends its input.
    let _input = child.stdin.take();
    let id = child.id().expect("it runs");
    let pid = Pid::from_raw(id.cast_signed()).expect("a process");
    kill_process(pid, Signal::INT).expect("our own child");
    let ended = within("the client's end", SOON, child.wait()).await.expect("our own child");
    assert_eq!(ended.code(), Some(0));
}
