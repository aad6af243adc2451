//! Whole servers and clients over a simulated network: the real async shell and the real gRPC stack, with
//! links that are held, slow or torn by a script. `cargo test --test turmoil`.
//!
//! Time and network are simulated by turmoil, from a seed. The databases are real files, their writers are
//! real threads, and simulated time does not wait for real threads; so each simulated millisecond takes at
//! least half a real one. The order in which a writer answers is the machine's, so a run is not repeated to the
//! letter: what is asserted holds in every order.
//!
//! turmoil's failures are the opposite of reality: a partitioned host *refuses* connections and a crashed one
//! is silent. So silence is made by holding messages, and no server trusts a refusal (`trust_refused`).

#![allow(clippy::print_stderr)]

mod elections;
mod links;
mod people;
mod world;
