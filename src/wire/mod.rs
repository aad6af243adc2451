//! The protobuf surface: generated code, and the conversions between it and the pure rooms.
//!
//! Everything that arrives is parsed here once; a malformed message becomes a [`Malformed`] with words
//! and never reaches a room below. Nothing here decides anything.

pub mod codec;
pub mod peer;
pub mod update;
pub mod view;

#[allow(missing_docs, clippy::all, unreachable_pub)]
mod generated {
    pub mod admin {
        tonic::include_proto!("chinwag.admin.v1");
    }
    pub mod chat {
        tonic::include_proto!("chinwag.chat.v1");
    }
    pub mod cluster {
        tonic::include_proto!("chinwag.cluster.v1");
    }
    pub mod log {
        tonic::include_proto!("chinwag.log.v1");
    }
}

pub use generated::{admin, chat, cluster, log};

/// The reference of the API.
#[doc = include_str!("../docs/api.md")]
pub mod api {}

/// The encoded descriptors of every proto, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// What arrived does not mean anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);
