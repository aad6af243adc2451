//! Manual pages and the shells' completions, made of the definitions of the command line.

use std::{io, path::Path};

use clap::CommandFactory as _;
use clap_complete::Shell as Generator;

use super::{Arguments, exit::Failure, subcommands::Shell};

/// What makes a shell complete the commands.
pub(super) fn completions(shell: Shell) -> Vec<u8> {
    let generator = match shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
    };
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(generator, &mut command, "client", &mut script);
    script
}

/// The manual page of the program.
pub(super) fn page() -> Vec<u8> {
    let mut page = Vec::new();
    let written = clap_mangen::Man::new(Arguments::command()).render(&mut page);
    written.expect("memory takes it");
    page
}

/// Writes the manual pages of the program and of each of its commands.
pub(super) fn pages(folder: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::System {
        what: format!("cannot write the pages into {}", folder.display()),
        error,
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Arguments::command(), folder).map_err(failed)
}
