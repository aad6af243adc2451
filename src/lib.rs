//! Chinwag: team chat that loses nothing when a server dies.
//!
//! # Bird's eye
//!
//! A small team runs one binary on three boxes. One server leads, the others follow. The leader serves
//! every client from its own SQLite database and pushes each batch of writes to the followers before it
//! answers; so **an acknowledged message is on the disk of every in-sync server**. When the leader dies,
//! the lowest live in-sync server takes over in tens of milliseconds; clients rotate to it and repeat what
//! was not answered under the same request id, and **a repeat never has a second effect**, for the outcome
//! of every call is replicated with its rows.
//!
//! # The rooms, in reading order
//!
//! A room uses rooms on lower floors only; a test holds this list against the imports.
//!
//! | floor | room | what it is |
//! |---|---|---|
//! | 0 | [`chat`] | what users can do, as data; pure |
//! | 0 | [`cluster`] | the protocol: who leads, what is committed, who is in sync; pure |
//! | 0 | [`failpoint`] | where a test may let a server die; empty in release builds |
//! | 0 | [`metrics`] | what a server counts and times, for Prometheus |
//! | 0 | [`sparing`] | log lines that strangers can cause |
//! | 1 | [`wire`] | the generated protobuf code, and conversions |
//! | 1 | [`config`], [`telemetry`] | one checked file; the log |
//! | 1 | [`tls`] | encrypted connections: who may believe whom, and why not |
//! | 2 | [`store`] | the database: apply, queries, log, snapshots; the only room that knows SQL |
//! | 2 | [`limits`] | how much of a server one caller may take |
//! | 2 | [`certs`] | makes an authority and certificates for a cluster |
//! | 2 | [`peers`] | links to the other servers |
//! | 2 | [`client`] | the fail-over library |
//! | 3 | [`node`] | the driver: the only loop, the only clock |
//! | 4 | [`rpc`] | the services; the only place that knows status codes |
//! | 5 | [`server`] | composes one server, starts and stops it in order |
//! | 6 | [`cli`] | the line client, the one-shot commands, an operator's work, the demo |
//! | 7 | `bin/server`, `bin/client` | read aloud in a minute |
//!
//! # One write
//!
//! 1. `cli` reads a line; `client` draws the request id and calls the server that led last.
//! 2. `rpc` looks up the session, parses every field, draws the time, and encodes a `chat::Update`.
//! 3. `node` queues it; when the batch before is committed, everything queued goes to the core together.
//! 4. `cluster` makes log entries of it, and wants them *sent first*, then applied in the open transaction.
//! 5. `peers` pushes the batch; each follower applies, logs and commits it in one transaction, then
//!    acknowledges.
//! 6. When every in-sync member has, the core wants the own transaction committed; then the waiting call
//!    gets its outcome, and the subscribers their events.
//!
//! # One fail-over
//!
//! 1. The leader dies; its stream of updates ends at the followers within a millisecond. That proves
//!    nothing, so they probe: two refused connects are evidence that it is dead.
//! 2. The lowest in-sync server asks the other for a promise, which is on disk before it is given, and
//!    learns where its log ends.
//! 3. It fetches what it lacks, appends a new view without the dead one, and serves once that is
//!    committed.
//! 4. Clients meet a closed connection, rotate, and repeat the same request ids; subscribers resume at
//!    their cursors.
//! 5. The dead one returns, registers, copies what it missed, and is in the view again.
//!
//! # What is deliberately absent
//!
//! No consensus library and no external coordinator. No clock in any safety argument. No `unsafe` of
//! ours, no global state, no server-side scripting. No end-to-end encryption: it would kill search.

pub mod certs;
pub mod chat;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod config;
pub mod failpoint;
pub mod limits;
pub mod metrics;
pub mod node;
pub mod peers;
pub mod rpc;
pub mod server;
pub mod sparing;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod wire;
