//! Compiles the protos in pure Rust (no protoc) and writes their descriptors for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: &[&str] = &[
    "chinwag/admin/v1/admin.proto",
    "chinwag/chat/v1/account.proto",
    "chinwag/chat/v1/cluster.proto",
    "chinwag/chat/v1/conversation.proto",
    "chinwag/chat/v1/error.proto",
    "chinwag/chat/v1/event.proto",
    "chinwag/chat/v1/message.proto",
    "chinwag/chat/v1/session.proto",
    "chinwag/cluster/v1/operation.proto",
    "chinwag/cluster/v1/replication.proto",
    "chinwag/log/v1/command.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=migrations");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let descriptors = protox::compile(FILES, ["proto"])?;
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".chinwag.cluster.v1")
        .codec_path("crate::wire::codec::Codec")
        .compile_fds(descriptors)?;
    Ok(())
}
