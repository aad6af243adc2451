//! Chinwag: team chat that loses nothing when a server dies.

pub mod chat;
pub mod client;
pub mod cluster;
pub mod config;
pub mod peers;
pub mod telemetry;
pub mod wire;
