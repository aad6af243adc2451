//! The log of a program: sentences with fields, to stderr, as much as `RUST_LOG` asks for.
//!
//! INFO is a change of role, a join, a fail-over; DEBUG is a message. Never a body, a password or a
//! token. Stdout stays free for answers.

pub mod trace;

use std::{
    env,
    io::{self, IsTerminal as _},
};

use tracing_subscriber::EnvFilter;

/// What a line of the log looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` cannot be read.
    #[error("RUST_LOG: {0}; try RUST_LOG=info or RUST_LOG=chinwag=debug")]
    Filter(String),
    /// The process has one already.
    #[error("the log was begun twice: {0}")]
    Twice(String),
}

/// Begins this process's log; once, from `main`. Without `RUST_LOG` it tells INFO and above.
///
/// # Errors
/// `RUST_LOG` is malformed, or the log was begun before.
pub fn init(format: LogFormat) -> Result<(), TelemetryError> {
    let filter = filter(&env::var("RUST_LOG").unwrap_or_default())?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let begun = match format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    begun.map_err(|error| TelemetryError::Twice(error.to_string()))
}

fn filter(words: &str) -> Result<EnvFilter, TelemetryError> {
    let words = if words.is_empty() { "info" } else { words };
    EnvFilter::try_new(words).map_err(|error| TelemetryError::Filter(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_words_the_log_tells_info_and_above() {
        assert_eq!(filter("").unwrap().to_string(), "info");
        assert_eq!(filter("chinwag=debug").unwrap().to_string(), "chinwag=debug");
    }

    #[test]
    fn malformed_words_are_refused_with_an_example() {
        let error = filter("chinwag=loud").unwrap_err().to_string();
        assert!(error.contains("RUST_LOG") && error.contains("info"), "{error}");
    }
}
