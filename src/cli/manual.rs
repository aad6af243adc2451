//! Manual pages and the shells' completions, made of the definitions of the command line.

use std::{fs, io, path::PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell as Generator;

use super::{Arguments, subcommands::Shell};

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

/// Which pages of a program's manual are wanted.
#[derive(Debug, Args)]
pub struct Manual {
    /// Write a page for every command into this folder instead.
    #[arg(long, value_name = "FOLDER")]
    pub into: Option<PathBuf>,
    /// What the program is called where it is installed, if not as here.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

impl Manual {
    /// Makes them of these definitions; returns what is to be printed.
    ///
    /// # Errors
    /// The folder does not take them.
    pub fn write(&self, mut program: Command) -> io::Result<Vec<u8>> {
        if let Some(name) = &self.name {
            program = program.name(name);
        }
        let mut printed = Vec::new();
        match &self.into {
            Some(folder) => {
                let made = fs::create_dir_all(folder);
                made.and_then(|()| clap_mangen::generate_to(program, folder)).map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
                })?;
            }
            None => clap_mangen::Man::new(program).render(&mut printed)?,
        }
        Ok(printed)
    }
}
