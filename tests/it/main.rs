//! Chinwag from outside: everything that can be seen of real server and client processes.
//!
//! One binary, so that it links once; a module a theme. `CHINWAG_KEEP=1` keeps the folder of a failed
//! test's cluster.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod harness;

mod bad_input;
mod chaos;
mod chat;
mod cli;
mod events;
mod failover;
mod floors;
mod idempotency;
mod kill_twenty;
mod lessons;
mod python;
mod rooms;
mod surface;
