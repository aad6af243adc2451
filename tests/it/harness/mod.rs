//! Real servers for tests: real processes, real ports, real signals, real disks.
//!
//! Promises: every server that a test started has ended when the test ends, and no other process is
//! touched; a failed test prints its servers' logs. May not: use a bare pause to let something happen.
//! Conditions are awaited by asking the servers, with a deadline that names what was awaited.
//!
//! Clusters are expensive on a small machine, so only a few live at the same time: a [`Cluster`] holds a
//! permit of this process's semaphore (nextest runs a process a test, and has a limit of its own in
//! `.config/nextest.toml`).

mod attacks;
mod cluster;
mod contents;
mod dice;
mod disk;
mod door;
mod forge;
mod load;
mod options;
mod process;
mod receiver;
mod seat;
mod shim;
mod wait;

pub(crate) use attacks::{Attack, PREFACE, Target, stay_idle};
pub(crate) use cluster::{Cluster, all, free_ports, place};
pub(crate) use contents::{
    bodies, contents_are_equal, count, database, query, query_all, stored_messages,
};
pub(crate) use dice::Dice;
pub(crate) use disk::{copy_folder, wipe};
pub(crate) use door::{Door, Messages, reason};
pub(crate) use forge::{Forge, ends_in, expired};
pub(crate) use load::{Load, People};
pub(crate) use options::Options;
pub(crate) use process::Exit;
pub(crate) use receiver::Receiver;
pub(crate) use seat::{PASSWORD, User};
pub(crate) use shim::compile_shim;
pub(crate) use wait::{until, within};

/// A new request id.
pub(crate) fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
