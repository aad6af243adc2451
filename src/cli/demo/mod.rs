//! `server demo`: see it survive. Three real servers, one conversation, and the leader dies.
//!
//! Nothing is staged: the servers are child processes of this program with the shipped settings, the
//! leader dies by SIGKILL in the middle of a conversation, and at the end the set of acknowledged messages
//! is compared with what the survivors hold. Ports are free ones of this machine, data lies in a temporary
//! folder, and both go with the demo.

mod cluster;
mod talk;

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use super::Arguments;
use crate::client::{Client, Patience};
use cluster::Cluster;
use talk::{Audit, Talk};

/// Why the demo did not show what it should.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The machine did not play along.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        error: io::Error,
    },
    /// A call failed.
    #[error("{doing}: {error}")]
    Call {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        error: crate::client::Error,
    },
    /// Something took too long.
    #[error("{0}")]
    Late(String),
    /// The promise was broken.
    #[error("{missing} acknowledged messages missing, {duplicated} duplicated")]
    Lost {
        /// Acknowledged and not there.
        missing: usize,
        /// There more than once.
        duplicated: usize,
    },
}

pub(super) fn io_error(doing: &'static str) -> impl Fn(io::Error) -> DemoError {
    move |error| DemoError::Io { doing, error }
}

/// Runs the demo. On a terminal it leaves the user in the client.
///
/// # Errors
/// Something was lost, or the demo could not be held.
pub fn run() -> Result<(), DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(io_error("starting"))?;
    let shown = runtime.block_on(show());
    runtime.shutdown_timeout(Duration::from_secs(1));
    shown
}

async fn show() -> Result<(), DemoError> {
    say("Chinwag: three servers, one conversation, and the leader dies.\n")?;
    let mut cluster = Cluster::start()?;
    say("1. Starting three servers on this machine, each with its own database:")?;
    for (id, address) in cluster.addresses() {
        say(&format!("     server {id} at {address}"))?;
    }
    let leader = cluster.all_in_sync(Duration::from_secs(30)).await?;
    say(&format!("   Server {leader} leads; all three are in sync.\n"))?;

    say("2. Alice and Bob talk. A message counts once all three servers have it on disk:")?;
    let client = Client::new(&cluster.servers(), patience()).map_err(call("connecting"))?;
    let talk = Talk::begin(client, &cluster.servers(), patience()).await?;
    talk.say_something(4, |line| say(&line)).await?;
    say("")?;

    say(&format!("3. They keep talking while server {leader} is killed (SIGKILL, no warning):"))?;
    let talking = talk.keep_talking();
    talking.acknowledged(20).await?;
    let killed = cluster.kill(leader)?;
    let outage = talking.first_acknowledged_after(killed).await?;
    let successor = cluster.leader(Duration::from_secs(10)).await?;
    let lowest = cluster.processes().map(|(id, _)| id).min();
    let which = if lowest == Some(successor) {
        "the lowest live one"
    } else {
        "for the lower one did not answer in time on this busy machine"
    };
    say(&format!("     server {leader} is dead; server {successor}, {which}, leads"))?;
    say(&format!(
        "     {} ms from the kill to the next acknowledged message; nobody logged in again\n",
        outage.as_millis()
    ))?;
    talking.acknowledged(20).await?;
    let talk = talking.stop().await?;
    talk.say_something(2, |line| say(&line)).await?;
    say("")?;

    say(&format!("4. Server {leader} comes back with its old disk:"))?;
    cluster.restart(leader)?;
    cluster.all_in_sync(Duration::from_secs(30)).await?;
    say(&format!(
        "     it copied what it missed and follows server {successor}; all three in sync again\n"
    ))?;

    say("5. Counting, message by message:")?;
    let audit = talk.audit().await?;
    say(&format!("     acknowledged {}, stored {}", audit.acknowledged, audit.stored))?;
    say(&format!("     missing {}, duplicated {}", audit.missing, audit.duplicated))?;
    say(&format!("     Bob's live view: missing {}, twice {}\n", audit.unseen, audit.seen_twice))?;
    verdict(&audit)?;
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        stay(&cluster).await?;
    }
    cluster.stop().await
}

/// Leaves the user with the cluster.
async fn stay(cluster: &Cluster) -> Result<(), DemoError> {
    say(
        "The cluster is yours until you /quit. Try /create yourname, then /msg @alice hello, or /help.",
    )?;
    say("To see it survive again, kill one of these processes from another terminal:")?;
    for (id, pid) in cluster.processes() {
        say(&format!("     kill -9 {pid}    # server {id}"))?;
    }
    let servers = cluster.servers();
    let arguments = Arguments {
        config: None,
        servers,
        ca: None,
        insecure: false,
        timeout: 30,
        json: false,
        command: None,
    };
    super::run(arguments).await;
    Ok(())
}

fn verdict(audit: &Audit) -> Result<(), DemoError> {
    let (missing, duplicated) = (audit.missing + audit.unseen, audit.duplicated + audit.seen_twice);
    if missing + duplicated > 0 {
        return Err(DemoError::Lost { missing, duplicated });
    }
    say("Nothing that was acknowledged is missing, and nothing is there twice.")
}

fn patience() -> Patience {
    Patience { attempt: Duration::from_secs(1), ..Patience::default() }
}

pub(super) fn call(doing: &'static str) -> impl Fn(crate::client::Error) -> DemoError {
    move |error| DemoError::Call { doing, error }
}

/// One line for the newcomer; a closed standard output ends the demo.
fn say(line: &str) -> Result<(), DemoError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(io_error("writing"))
}
