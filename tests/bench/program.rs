//! What every benchmark is made of: its options and its runtime.

use std::env;

use tokio::runtime::{Builder, Runtime};

/// What stands after an option; `None` where it is not given.
pub(crate) fn option(name: &str) -> Option<String> {
    let arguments: Vec<String> = env::args().collect();
    let at = arguments.iter().position(|argument| argument == name)?;
    Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value")).clone())
}

/// The number after an option, or else the usual one.
pub(crate) fn number(name: &str, usual: usize) -> usize {
    option(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// Whether an option is given that has no value.
#[allow(dead_code, reason = "not every benchmark has such an option")]
pub(crate) fn is_given(name: &str) -> bool {
    env::args().any(|argument| argument == name)
}

/// As many threads as the machine that the goals speak of has.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// The numbers after an option, with commas between them.
#[allow(dead_code, reason = "not every benchmark has such an option")]
pub(crate) fn numbers(name: &str, usual: &str) -> Vec<usize> {
    let text = option(name).unwrap_or_else(|| usual.to_owned());
    let words = text.split(',').filter(|word| !word.is_empty());
    words.map(|word| word.parse().expect("a number")).collect()
}
