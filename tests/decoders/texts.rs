//! What people write: names, ids, bodies, addresses, and the config file.

use std::collections::HashMap;

use chinwag::{
    chat::{
        AccountName, Body, ConversationName, DeviceName, Glob, MessageId, Password, RoomName,
        Timestamp, Username,
    },
    config::{Address, Config, SHIPPED},
    wire::view::timestamp,
};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};

use super::{Property, words};

pub(crate) const PROPERTIES: &[(&str, Property)] = &[
    ("a name that is taken parses to itself", names),
    ("an id and an address that are taken parse to themselves", ids),
    ("no text breaks a body, a password or a pattern", bodies),
    ("every time has a well-formed wire form", times),
    ("no text breaks the configuration", nonsense_configuration),
    ("a damaged configuration is told by its name or usable", damaged_configuration),
];

/// Printable or not, short or long, with the characters that names are made of more often than others.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[@#a-zA-Z0-9._~:-]{0,45}", "(?s).{0,60}", "\\PC{0,300}"]
}

fn names(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&text(), |text| {
        if let Ok(name) = Username::parse(&text) {
            prop_assert_eq!(Username::parse(name.as_str()), Ok(name));
        }
        if let Ok(name) = RoomName::parse(&text) {
            prop_assert_eq!(RoomName::parse(name.as_str()), Ok(name));
        }
        if let Ok(name) = ConversationName::parse(&text) {
            prop_assert_eq!(ConversationName::parse(&name.to_string()), Ok(name));
        }
        let _ = AccountName::parse(&text);
        if let Ok(name) = DeviceName::parse(text) {
            prop_assert_eq!(DeviceName::parse(name.as_str()), Ok(name.clone()));
        }
        Ok(())
    }))
}

fn ids(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&(text(), any::<[u8; 16]>()), |(text, id)| {
        if let Ok(id) = MessageId::parse(&text) {
            prop_assert_eq!(MessageId::parse(&id.to_string()), Ok(id));
        }
        prop_assert_eq!(MessageId::parse(&MessageId(id).to_string()), Ok(MessageId(id)));
        if let Ok(address) = Address::parse(&text) {
            prop_assert_eq!(Address::parse(address.as_str()), Ok(address.clone()));
            prop_assert!(address.port() > 0 && !address.host().is_empty());
        }
        Ok(())
    }))
}

fn bodies(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&text(), |text| {
        let _ = (Password::parse(text.clone()), Glob::parse(&text));
        if let Ok(body) = Body::parse(text) {
            prop_assert_eq!(Body::parse(body.as_str()), Ok(body.clone()));
        }
        Ok(())
    }))
}

fn times(runner: &mut TestRunner) -> Result<(), String> {
    words(runner.run(&any::<i64>(), |micros| {
        let time = timestamp(Timestamp(micros));
        prop_assert!((0..1_000_000_000).contains(&time.nanos));
        let back = i128::from(time.seconds) * 1_000_000 + i128::from(time.nanos) / 1_000;
        prop_assert_eq!(back, i128::from(micros));
        Ok(())
    }))
}

fn nonsense_configuration(runner: &mut TestRunner) -> Result<(), String> {
    const LEAST: &str = "servers: { 1: { address: \"127.0.0.1:50051\" } }";
    let text = || "(?s).{0,60}|[a-zA-Z_:{}. \n-]{0,60}";
    words(runner.run(&(text(), text()), |(text, value)| {
        let _ = Config::parse(&text, "the test", HashMap::new());
        let key = format!("CHINWAG__{text}");
        let _ = Config::parse(LEAST, "the test", HashMap::from([(key, value)]));
        Ok(())
    }))
}

fn damaged_configuration(runner: &mut TestRunner) -> Result<(), String> {
    let strategy = (any::<Index>(), any::<Index>(), "[ -~\n]{0,6}");
    words(runner.run(&strategy, |(from, length, instead)| {
        let mut letters: Vec<char> = SHIPPED.chars().collect();
        let from = from.index(letters.len());
        let to = (from + length.index(12)).min(letters.len());
        letters.splice(from..to, instead.chars());
        let text: String = letters.into_iter().collect();
        match Config::parse(&text, "the test", HashMap::new()) {
            Ok(config) => prop_assert!(!config.servers.is_empty()),
            Err(error) => prop_assert!(error.to_string().contains("the test"), "{error}"),
        }
        Ok(())
    }))
}
