//! The program `client`: a line-oriented session for people and pipes, and the same commands one by one
//! for scripts.
//!
//! Promises: every line is answered, in order; nothing that was typed is lost in an outage, for a
//! command waits and retries until its time is over; an exit code says what happened (see [`Exit`]).
//! Answers go to the output alone, everything about the way there to the notes (stderr). May not: decide
//! anything about retries (the room `client` does), print what others wrote without making its control
//! characters harmless, or show or keep a password. A session's token is kept in a file of mode 0600.
//!
//! A session is written against `console::Console`, so that tests drive it as a pipe or a person does.
//! Three ways to be a user's session meet here: `once` (one command), `session` over a pipe, and
//! `session` on a terminal. One-shot commands and terminal sessions share the kept session; a piped
//! session goes on with the kept one but keeps none of its own, so that pipes don't disturb each other.

mod answer;
mod arguments;
mod command;
mod console;
pub mod demo;
mod exit;
mod inbox;
mod json;
mod live;
mod once;
mod perform;
mod session;
mod state;
mod status;
mod terminal;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, IsTerminal as _};

use tokio::io::{AsyncBufRead, AsyncWrite, BufReader};

pub use self::{
    arguments::{Arguments, Once},
    exit::Exit,
};
use self::{
    console::Piped, exit::Failure, once::OneShot, session::Session, state::Surroundings,
    terminal::Terminal,
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
    output: impl AsyncWrite + Unpin,
    mut notes: impl AsyncWrite + Unpin,
) -> Exit {
    let ended = match &arguments.command {
        Some(command) => {
            let oneshot = OneShot::new(&arguments, surroundings, input, output, &mut notes);
            match oneshot {
                Ok(oneshot) => oneshot.run(command).await,
                Err(failure) => Err(failure),
            }
        }
        None => piped(&arguments, surroundings, input, output, &mut notes).await,
    };
    match ended {
        Ok(exit) => exit,
        Err(failure) => exit::tell(&failure, notes).await,
    }
}

async fn piped(
    arguments: &Arguments,
    surroundings: &Surroundings,
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin,
    notes: impl AsyncWrite + Unpin,
) -> Result<Exit, Failure> {
    let servers = arguments.servers()?;
    let kept = surroundings.session_file(&servers);
    let client = arguments.client(&servers)?;
    let console = Piped::new(input, output, notes);
    Session::new(client, console, kept, arguments.json, false).run().await
}

async fn on_terminal(arguments: &Arguments, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let servers = arguments.servers()?;
    let kept = surroundings.session_file(&servers);
    let client = arguments.client(&servers)?;
    let console = Terminal::open(surroundings.history_file())?;
    Session::new(client, console, kept, arguments.json, true).run().await
}
