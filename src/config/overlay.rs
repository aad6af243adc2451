//! Lays what was given over the defaults, key by key, so that every mistake is named by its full path.
//!
//! The `config` crate reads and merges the sources; its own conversions are lenient (the text "5"
//! passes as a number) and its messages know neither the nearest key nor, often, the file.

use ::config::{Value, ValueKind};
use serde_json::Value as Json;

use super::error::ConfigError;

/// Writes `given` over `defaults`.
///
/// # Errors
/// The first key that does not exist, or whose value is of another kind than its default.
pub(super) fn overlay(
    defaults: &mut Json,
    given: &Value,
    server: &Json,
    file: &str,
) -> Result<(), ConfigError> {
    let valid = valid_keys(defaults, "");
    Overlay { valid, server, file }.table(defaults, given, "")
}

struct Overlay<'a> {
    valid: Vec<String>,
    server: &'a Json,
    file: &'a str,
}

impl Overlay<'_> {
    fn table(&self, defaults: &mut Json, given: &Value, path: &str) -> Result<(), ConfigError> {
        let entries = match &given.kind {
            ValueKind::Table(entries) => entries,
            // A section whose keys are all commented out.
            ValueKind::Nil => return Ok(()),
            _ => return Err(self.wrong_type(given, path, "a section of keys")),
        };
        let table = defaults.as_object_mut().expect("only sections are walked");
        let mut keys: Vec<&String> = entries.keys().collect();
        keys.sort();
        for key in keys {
            let path = join(path, key);
            if path == format!("servers.{key}") {
                table.entry(key).or_insert_with(|| self.server.clone());
            }
            let default =
                table.get_mut(key).ok_or_else(|| self.unknown_key(&entries[key], &path))?;
            self.value(default, &entries[key], &path)?;
        }
        Ok(())
    }

    fn value(&self, default: &mut Json, given: &Value, path: &str) -> Result<(), ConfigError> {
        let wanted = match default {
            Json::Object(_) => return self.table(default, given, path),
            Json::Number(_) => {
                whole_number(given).map(Json::from).ok_or("a whole number, such as 1000")
            }
            Json::Bool(_) => flag(given).map(Json::from).ok_or("true or false"),
            Json::String(_) => {
                text(given).map(Json::from).ok_or("text (in quotes if it looks like a number)")
            }
            other => unreachable!("no key has a default like {other}"),
        };
        *default = wanted.map_err(|expected| self.wrong_type(given, path, expected))?;
        Ok(())
    }

    fn unknown_key(&self, given: &Value, path: &str) -> ConfigError {
        ConfigError::UnknownKey {
            origin: self.origin(given, path),
            key: path.into(),
            nearest: nearest(path, &self.valid),
        }
    }

    fn wrong_type(&self, given: &Value, path: &str, expected: &'static str) -> ConfigError {
        ConfigError::WrongType {
            origin: self.origin(given, path),
            key: path.into(),
            expected,
            found: describe(given),
        }
    }

    fn origin(&self, given: &Value, path: &str) -> String {
        match &given.kind {
            // A section has no origin of its own; its first entry tells.
            ValueKind::Table(entries) => match entries.iter().min_by_key(|(key, _)| *key) {
                Some((key, value)) => self.origin(value, &join(path, key)),
                None => self.file.into(),
            },
            _ if from_environment(given) => {
                format!("CHINWAG__{} in the environment", path.replace('.', "__").to_uppercase())
            }
            _ => self.file.into(),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

/// The environment is the only source that names itself; the file is handed over as text.
fn from_environment(given: &Value) -> bool {
    given.origin().is_some()
}

fn whole_number(given: &Value) -> Option<u64> {
    match &given.kind {
        ValueKind::I64(number) => u64::try_from(*number).ok(),
        ValueKind::U64(number) => Some(*number),
        ValueKind::String(text) if from_environment(given) => text.parse().ok(),
        _ => None,
    }
}

fn flag(given: &Value) -> Option<bool> {
    match &given.kind {
        ValueKind::Boolean(flag) => Some(*flag),
        ValueKind::String(text) if from_environment(given) => text.parse().ok(),
        _ => None,
    }
}

fn text(given: &Value) -> Option<String> {
    match &given.kind {
        ValueKind::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn describe(given: &Value) -> String {
    match &given.kind {
        ValueKind::Nil => "empty".into(),
        ValueKind::Table(_) => "a section of keys".into(),
        ValueKind::Array(_) => "a list".into(),
        ValueKind::String(text) => format!("the text \"{text}\""),
        _ => format!("{given}"),
    }
}

/// Every key and section below `defaults`, as full paths.
pub(super) fn valid_keys(defaults: &Json, path: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for (key, value) in defaults.as_object().expect("only sections are walked") {
        let path = join(path, key);
        if value.is_object() {
            keys.extend(valid_keys(value, &path));
        }
        keys.push(path);
    }
    keys
}

/// The valid key that is spelled most like `path`; a key under the wrong section is found by its
/// name, and one under a right section among those of that section.
fn nearest(path: &str, valid: &[String]) -> String {
    if let Some((server, key)) = path.strip_prefix("servers.").and_then(|rest| rest.split_once('.'))
    {
        let key =
            if distance(key, "listen") < distance(key, "address") { "listen" } else { "address" };
        return format!("servers.{server}.{key}");
    }
    let moved = valid.iter().filter(|candidate| last(candidate) == last(path));
    let section = path.rsplit_once('.').map_or("", |(section, _)| section);
    let siblings = valid
        .iter()
        .filter(|candidate| candidate.rsplit_once('.').is_some_and(|(other, _)| other == section));
    let closest = |candidate: &&String| distance(path, candidate);
    moved
        .min_by_key(closest)
        .or_else(|| siblings.min_by_key(closest))
        .or_else(|| valid.iter().min_by_key(closest))
        .expect("there are keys")
        .clone()
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().expect("splitting yields at least one part")
}

/// How many letters must be changed, added or removed to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
