//! Chinwag: team chat that loses nothing when a server dies.

pub mod chat;
pub mod cluster;
pub mod store;
pub mod wire;
