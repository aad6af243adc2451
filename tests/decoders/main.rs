//! Every decoder against everything: whatever bytes arrive, nothing panics, what is taken means one thing,
//! and what was encoded comes back as it was.
//!
//! Plain `cargo test` tries each property some hundred times. For hours, and in the place of a fuzzer, which
//! would need a nightly compiler:
//!
//! ```text
//! cargo test --release --test decoders -- --seconds 600 [--only NAME]
//! ```
//!
//! So many seconds for each property, from fresh seeds; a failure is shrunk and printed.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod arbitrary;
mod peers;
mod texts;
mod updates;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use proptest::test_runner::{Config, TestError, TestRunner};

/// Tried at least so often.
const CASES: u32 = 256;

/// Tries something for as many cases as its runner has.
type Property = fn(&mut TestRunner) -> Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let seconds = value("--seconds").map_or(0, |text| text.parse().expect("a number of seconds"));
    let only = value("--only").unwrap_or_default();
    let all = [peers::PROPERTIES, updates::PROPERTIES, texts::PROPERTIES].concat();
    let mut code = ExitCode::SUCCESS;
    for (name, property) in all.into_iter().filter(|(name, _)| name.contains(&only)) {
        let (began, mut cases) = (Instant::now(), 0);
        let outcome = loop {
            let outcome = property(&mut TestRunner::new(config()));
            cases += CASES;
            if outcome.is_err() || began.elapsed() >= Duration::from_secs(seconds) {
                break outcome;
            }
        };
        match outcome {
            Ok(()) => println!("{name}: {cases} cases in {:.1?}", began.elapsed()),
            Err(found) => {
                println!("{name}: FAILED after {:.1?}\n{found}", began.elapsed());
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn config() -> Config {
    Config { cases: CASES, failure_persistence: None, ..Config::default() }
}

/// What was found, in words.
fn words<T: std::fmt::Debug>(outcome: Result<(), TestError<T>>) -> Result<(), String> {
    outcome.map_err(|error| error.to_string())
}
