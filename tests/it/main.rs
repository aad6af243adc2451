//! Chinwag from outside: everything that can be seen of real server and client processes.
//!
//! One binary, so that it links once; a module a theme. `CHINWAG_KEEP=1` keeps the folder of a failed
//! test's cluster.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code, unused_imports, reason = "shared with the benchmark and the nemesis")]
mod harness;

mod abuse;
mod accounts;
mod bad_input;
mod bulk;
mod chat;
mod cli;
mod events;
mod failover;
mod floors;
mod guide;
mod idempotency;
mod kill_twenty;
mod last_used;
mod lessons;
mod licences;
mod operate;
mod packaging;
mod proofs;
mod python;
mod reconcile;
mod reference;
mod rooms;
mod search;
mod strangers;
mod surface;
mod sweep;
mod terminal;
mod tls;
mod watching;
