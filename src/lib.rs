//! Chinwag: team chat that loses nothing when a server dies.

pub mod cli;
pub mod client;
pub mod cluster;
pub mod config;
pub mod telemetry;
pub mod wire;
