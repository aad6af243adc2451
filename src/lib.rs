//! Chinwag: team chat that loses nothing when a server dies.

pub mod cluster;
pub mod peers;
pub mod wire;
