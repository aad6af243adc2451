//! The program `client`: a line-oriented session for people and pipes, and the same commands one by one
//! for scripts.
//!
//! Promises: every line is answered, in order; nothing that was typed is lost in an outage, for a
//! command waits and retries until its time is over; an exit code says what happened (see [`Exit`]).
//! Answers go to the output alone, everything about the way there to the notes (stderr). May not: decide
//! anything about retries (the room `client` does), print what others wrote without making its control
//! characters harmless, or show or keep a password. A session's token is kept in a file of mode 0600.
//!
//! What a person typed is in the `outbox` until a leader has it, across outages and across programs.
//!
//! A session is written against `console::Console`, so that tests drive it as a pipe or a person does.
//! Three ways to be a user's session meet here: `once` (one command), `session` over a pipe, and
//! `session` on a terminal. One-shot commands and terminal sessions share the kept session; a piped
//! session goes on with the kept one but keeps none of its own, so that pipes don't disturb each other.

mod advice;
mod answer;
mod arguments;
mod command;
mod console;
pub mod demo;
mod exit;
mod inbox;
mod json;
mod live;
mod manual;
mod once;
pub mod operate;
mod outbox;
mod paint;
mod perform;
mod rooms;
mod roster;
mod session;
mod state;
mod status;
mod subcommands;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod voice;

/// The guide for users.
#[doc = include_str!("../docs/client.md")]
pub mod guide {}

use std::io::{self, IsTerminal as _};

use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt as _, BufReader};

pub use self::{
    arguments::Arguments,
    exit::Exit,
    manual::Manual,
    subcommands::{Once, PasswordSource, Shell},
};
use self::{
    console::Piped,
    exit::{Failure, output},
    once::OneShot,
    paint::Paint,
    roster::Words,
    session::{Session, Setting},
    state::Surroundings,
    terminal::Terminal,
    voice::Voice,
};

/// Runs the program on this process's input and output; returns how it ended.
pub async fn run(arguments: Arguments) -> Exit {
    let surroundings = Surroundings::of_process();
    let notes = tokio::io::stderr();
    if arguments.command.is_none() && io::stdin().is_terminal() && io::stdout().is_terminal() {
        return match on_terminal(&arguments, &surroundings).await {
            Ok(exit) => exit,
            Err(failure) => exit::tell(&failure, notes).await,
        };
    }
    let input = BufReader::new(tokio::io::stdin());
    run_with(arguments, &surroundings, input, tokio::io::stdout(), notes).await
}

/// Runs a one-shot command, or a piped session, on any input and output.
async fn run_with(
    arguments: Arguments,
    surroundings: &Surroundings,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    mut notes: impl AsyncWrite + Unpin,
) -> Exit {
    let ended = match &arguments.command {
        Some(command) if command.is_an_operators() => {
            operate::run(&arguments, command, &mut output).await
        }
        Some(command) => match once::offline(command) {
            Some(written) => print(written, &mut output).await,
            None => match OneShot::new(&arguments, surroundings, input, output, &mut notes) {
                Ok(oneshot) => oneshot.run(command).await,
                Err(failure) => Err(failure),
            },
        },
        None => piped(&arguments, surroundings, input, output, &mut notes).await,
    };
    match ended {
        Ok(exit) => exit,
        Err(failure) => exit::tell(&failure, notes).await,
    }
}

async fn print(
    written: Result<Vec<u8>, Failure>,
    mut to: impl AsyncWrite + Unpin,
) -> Result<Exit, Failure> {
    to.write_all(&written?).await.map_err(output)?;
    to.flush().await.map_err(output)?;
    Ok(Exit::Ok)
}

async fn piped(
    arguments: &Arguments,
    surroundings: &Surroundings,
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin,
    notes: impl AsyncWrite + Unpin,
) -> Result<Exit, Failure> {
    let cluster = arguments.cluster()?;
    let client = arguments.client(&cluster)?;
    let servers = &cluster.servers;
    let console = Piped::new(input, output, notes);
    let voice = Voice { json: arguments.json, paint: Paint::default() };
    let setting = Setting {
        kept: surroundings.session_file(servers),
        outboxes: surroundings.outboxes(servers),
        voice,
        words: Words::default(),
        person: false,
    };
    Session::new(client, console, setting).run().await
}

async fn on_terminal(arguments: &Arguments, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let cluster = arguments.cluster()?;
    let client = arguments.client(&cluster)?;
    let servers = &cluster.servers;
    let words = Words::default();
    let console = Terminal::open(surroundings.history_file(), words.clone(), surroundings.paint)?;
    let setting = Setting {
        kept: surroundings.session_file(servers),
        outboxes: surroundings.outboxes(servers),
        voice: Voice { json: arguments.json, paint: surroundings.paint },
        words,
        person: true,
    };
    Session::new(client, console, setting).run().await
}
