//! The program `client`: chat on a Chinwag cluster, by lines or by single commands.

use std::{env, process::ExitCode};

use chinwag::{
    cli::{self, Arguments},
    telemetry::{self, LogFormat},
};
use clap::Parser as _;

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    // A client talks to a person or a script; its log is for those who ask for it.
    if env::var_os("RUST_LOG").is_some() {
        telemetry::init(LogFormat::Text)?;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let exit = runtime.block_on(cli::run(arguments));
    // A read of the standard input may still be waiting; the end of the program ends it.
    runtime.shutdown_background();
    Ok(exit.into())
}
