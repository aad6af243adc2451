//! Whose work is in the shipped programs, and that everybody may ship it.
//!
//! The list of licences stands in `.cargo/deny.toml`, for cargo-deny and for this test.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

#[test]
fn every_crate_of_the_programs_has_a_licence_of_the_list() {
    let allowed = allowed();
    let crates = shipped();
    assert!(crates.len() > 100, "the tree was read: {}", crates.len());
    let mut used = BTreeSet::new();
    for (name, licence) in &crates {
        let parsed = Licence::parse(licence);
        assert!(
            parsed.is_allowed(&allowed),
            "{name} is under {licence:?}; look for another crate, or, if that licence lets anybody ship the \
             programs, add it to .cargo/deny.toml",
        );
        parsed.names(&mut used);
    }
    let unused: Vec<_> = allowed.difference(&used).collect();
    assert!(unused.is_empty(), "no crate needs {unused:?} any more; take it from .cargo/deny.toml");
}

#[test]
fn a_licence_is_allowed_when_one_choice_is_and_all_its_parts_are() {
    let allowed = BTreeSet::from(["MIT".into(), "ISC".into(), "A WITH an-exception".into()]);
    let is_allowed = |licence| Licence::parse(licence).is_allowed(&allowed);
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "ISC AND (GPL-3.0 OR MIT)"] {
        assert!(is_allowed(good), "{good}");
    }
    assert!(is_allowed("A WITH an-exception OR B"));
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "A"] {
        assert!(!is_allowed(bad), "{bad}");
    }
    assert!(is_allowed("MIT OR ISC AND GPL-3.0"), "AND binds closer");
}

/// A licence expression, as crates write it.
enum Licence {
    One(String),
    Any(Vec<Licence>),
    All(Vec<Licence>),
}

impl Licence {
    fn parse(text: &str) -> Licence {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut rest = &words[..];
        let parsed = Licence::any(&mut rest);
        assert!(rest.is_empty(), "{text:?} has more than one expression: {rest:?}");
        parsed
    }

    fn any(words: &mut &[&str]) -> Licence {
        let mut parts = vec![Licence::all(words)];
        while took(words, "OR") {
            parts.push(Licence::all(words));
        }
        Licence::Any(parts)
    }

    fn all(words: &mut &[&str]) -> Licence {
        let mut parts = vec![Licence::one(words)];
        while took(words, "AND") {
            parts.push(Licence::one(words));
        }
        Licence::All(parts)
    }

    fn one(words: &mut &[&str]) -> Licence {
        if took(words, "(") {
            let inner = Licence::any(words);
            assert!(took(words, ")"), "a bracket is open before {words:?}");
            return inner;
        }
        let Some((name, rest)) = words.split_first() else { return Licence::One(String::new()) };
        *words = rest;
        if took(words, "WITH") {
            let (exception, rest) = words.split_first().expect("an exception has a name");
            *words = rest;
            return Licence::One(format!("{name} WITH {exception}"));
        }
        Licence::One((*name).to_owned())
    }

    fn is_allowed(&self, allowed: &BTreeSet<String>) -> bool {
        match self {
            Licence::One(name) => allowed.contains(name),
            Licence::Any(parts) => parts.iter().any(|part| part.is_allowed(allowed)),
            Licence::All(parts) => parts.iter().all(|part| part.is_allowed(allowed)),
        }
    }

    fn names(&self, names: &mut BTreeSet<String>) {
        match self {
            Licence::One(name) => _ = names.insert(name.clone()),
            Licence::Any(parts) | Licence::All(parts) => {
                parts.iter().for_each(|part| part.names(names));
            }
        }
    }
}

fn took(words: &mut &[&str], word: &str) -> bool {
    let is_next = words.first() == Some(&word);
    *words = &words[usize::from(is_next)..];
    is_next
}

/// The licences that cargo-deny is told to allow.
fn allowed() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(".cargo/deny.toml")).expect("checked in");
    let (_, list) = text.split_once("\nallow = [").expect("it has the list");
    let (list, _) = list.split_once(']').expect("the list ends");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every crate that the programs are built of and with, on this platform, and its licence.
fn shipped() -> BTreeMap<String, String> {
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &platform])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let by_id = |list: &Value| -> BTreeMap<String, Value> {
        let all = list.as_array().expect("a list").iter();
        all.map(|one| (text(&one["id"]), one.clone())).collect()
    };
    let (packages, nodes) = (by_id(&told["packages"]), by_id(&told["resolve"]["nodes"]));
    let mut waiting = vec![text(&told["resolve"]["root"])];
    let mut found = BTreeSet::from([waiting[0].clone()]);
    while let Some(id) = waiting.pop() {
        for used in nodes[&id]["deps"].as_array().expect("a list") {
            let mut kinds = used["dep_kinds"].as_array().expect("a list").iter();
            let id = text(&used["pkg"]);
            if kinds.any(|kind| kind["kind"] != "dev") && found.insert(id.clone()) {
                waiting.push(id);
            }
        }
    }
    let told = |id: &String| {
        let package = &packages[id];
        let name = format!("{} {}", text(&package["name"]), text(&package["version"]));
        (name, package["license"].as_str().unwrap_or_default().to_owned())
    };
    found.iter().map(told).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
