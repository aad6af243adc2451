//! Where the passwords of a command come from.

use std::{fs, path::Path};

use tokio::io::{AsyncBufRead, AsyncWrite};
use zeroize::Zeroizing;

use super::{OneShot, input};
use crate::cli::{
    console::{Line, read_line},
    exit::Failure,
    perform::Passwords,
    subcommands::{Once, PasswordSource},
};

/// Which one is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Current,
    New,
}

impl<Input, Output, Notes> OneShot<Input, Output, Notes>
where
    Input: AsyncBufRead + Unpin,
    Output: AsyncWrite + Unpin,
    Notes: AsyncWrite + Unpin,
{
    /// The passwords that belong to a command.
    pub(super) async fn passwords(&mut self, once: &Once) -> Result<Passwords, Failure> {
        let mut passwords = Passwords::default();
        match once {
            Once::Create { password, .. } => {
                passwords.new = self.password(password, Which::New).await?;
            }
            Once::Login { password, .. } | Once::DeleteAccount { password } => {
                passwords.current = self.password(password, Which::Current).await?;
            }
            Once::Passwd { password, new_password_file } => {
                passwords.current = self.password(password, Which::Current).await?;
                passwords.new = match new_password_file {
                    Some(path) => password_file(path)?,
                    None if password.password_file.is_some() => {
                        let words = "no new password: give --new-password-file FILE";
                        return Err(Failure::Usage(words.into()));
                    }
                    None => self.password(password, Which::New).await?,
                };
            }
            _ => {}
        }
        Ok(passwords)
    }

    async fn password(
        &mut self,
        source: &PasswordSource,
        which: Which,
    ) -> Result<Zeroizing<String>, Failure> {
        if let Some(path) = &source.password_file {
            return password_file(path);
        }
        if source.password_stdin {
            return match read_line(&mut self.input, &mut Vec::new()).await.map_err(input)? {
                Line::Text(password) => Ok(Zeroizing::new(password)),
                Line::Garbage => Err(Failure::BadData("the password is not UTF-8".into())),
                Line::End => Err(Failure::Usage(missing(which).into())),
            };
        }
        if !self.person {
            let words = "no password: give --password-stdin or --password-file FILE";
            return Err(Failure::Usage(words.into()));
        }
        match which {
            Which::Current => ask("password: "),
            Which::New => loop {
                let first = ask("new password (8 bytes or more): ")?;
                if first == ask("the same again: ")? {
                    return Ok(first);
                }
                self.note("these were two different ones; try again").await?;
            },
        }
    }
}

fn missing(which: Which) -> &'static str {
    match which {
        Which::Current => "there is no password on the input",
        Which::New => "there is no new password on the input; it stands on a line of its own",
    }
}

/// Asks a person.
pub(in crate::cli) fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(input)
}

/// The first line of a file.
pub(in crate::cli) fn password_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = fs::read(path).map(Zeroizing::new).map_err(|error| {
        Failure::Usage(format!("cannot read the password from {}: {error}", path.display()))
    })?;
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = first.strip_suffix(b"\r").unwrap_or(first);
    let text = std::str::from_utf8(first).map_err(|_| {
        Failure::BadData(format!("the password in {} is not UTF-8", path.display()))
    })?;
    Ok(Zeroizing::new(text.into()))
}
