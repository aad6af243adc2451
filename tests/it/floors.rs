//! The shape of the source: who may use whom, and what may not stand in it.
//!
//! The list of floors is the architecture. A room uses rooms of lower floors only, so that there is no
//! circle and every room can be read after those below it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Every room with its floor.
const FLOORS: &[(&str, u8)] = &[
    ("chat", 0),
    ("cluster", 0),
    ("failpoint", 0),
    ("metrics", 0),
    ("sparing", 0),
    ("config", 1),
    ("telemetry", 1),
    ("tls", 1),
    ("wire", 1),
    ("certs", 2),
    ("client", 2),
    ("limits", 2),
    ("peers", 2),
    ("store", 2),
    ("node", 3),
    ("rpc", 4),
    ("server", 5),
    ("cli", 6),
    ("bin", 7),
];

/// A production file is read in one sitting.
const MOST_LINES: usize = 400;

/// A file of the source.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// What is built into the programs: everything before the tests.
    fn production(&self) -> &str {
        self.text.split("\n#[cfg(test)]\nmod tests {").next().expect("there is a first part")
    }

    /// Whether it holds nothing but tests.
    fn is_test(&self) -> bool {
        let parts: Vec<_> = self.path.iter().map(|part| part.to_string_lossy()).collect();
        parts.iter().any(|part| matches!(part.as_ref(), "tests" | "tests.rs"))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

#[test]
fn a_room_uses_lower_floors_only() {
    let mut mistakes = Vec::new();
    for source in sources("src") {
        let Some(room) = room_of(&source.path) else { continue };
        for used in rooms_used(&source.text) {
            if used == room {
                continue;
            }
            if floor(&used) >= floor(&room) {
                mistakes.push(format!("{}: {room} may not use {used}", source.name()));
            }
        }
    }
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[test]
fn every_room_has_a_floor() {
    for source in sources("src") {
        if let Some(room) = room_of(&source.path) {
            assert!(
                FLOORS.iter().any(|(known, _)| *known == room),
                "{}: the room {room} has no floor; add it to the list where it belongs",
                source.name(),
            );
        }
    }
}

#[test]
fn a_circle_would_be_found() {
    let text = "use crate::{\n    chat::{Update, Body},\n    node::{self, Handle},\n};\n\
                use crate::wire;\n// crate::cli is only spoken of\nfn f() -> crate::store::Reader {}\n";
    let used: Vec<String> = rooms_used(text).into_iter().collect();
    assert_eq!(used, ["chat", "node", "store", "wire"]);
    assert!(floor("node") >= floor("store") && floor("chat") >= floor("cluster"));
}

#[test]
fn a_file_is_read_in_one_sitting() {
    let mut mistakes = Vec::new();
    for source in sources("src").into_iter().filter(|source| !source.is_test()) {
        let lines = source.production().lines().count();
        if lines > MOST_LINES {
            mistakes.push(format!("{} has {lines} lines; at most {MOST_LINES}", source.name()));
        }
    }
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    for source in sources("src").into_iter().chain(sources("tests")) {
        assert!(source.text.starts_with("//! "), "{} begins without a header", source.name());
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two parts, so that this file passes itself.
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("db", "g!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("#[ig", "nore"),
        concat!("XX", "X"),
    ];
    for source in sources("src").into_iter().chain(sources("tests")) {
        for word in words {
            assert!(!source.text.contains(word), "{} holds {word}", source.name());
        }
    }
}

#[test]
fn every_migration_has_a_way_back() {
    let folders = fs::read_dir(root().join("migrations")).expect("migrations");
    let mut found = 0;
    for folder in folders.map(|entry| entry.expect("a folder").path()) {
        if !folder.is_dir() {
            continue;
        }
        for file in ["up.sql", "down.sql"] {
            let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
            assert!(!text.trim().is_empty(), "{}/{file} is missing", folder.display());
        }
        found += 1;
    }
    assert!(found > 0, "there are migrations");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder of the crate; paths are relative to the crate.
fn sources(folder: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                let path = path.strip_prefix(root()).expect("below the crate").to_owned();
                sources.push(Source { path, text });
            }
        }
    }
    assert!(!sources.is_empty(), "{folder} holds sources");
    sources
}

/// `src/store/log.rs` and `src/store.rs` belong to `store`; `src/lib.rs` to none.
fn room_of(path: &Path) -> Option<String> {
    let below = path.strip_prefix("src").expect("a source");
    let first = below.iter().next()?.to_string_lossy();
    let room = first.strip_suffix(".rs").unwrap_or(&first);
    (room != "lib").then(|| room.to_owned())
}

fn floor(room: &str) -> u8 {
    let found = FLOORS.iter().find(|(known, _)| *known == room);
    found.unwrap_or_else(|| panic!("the room {room} has no floor")).1
}

/// The rooms that a file names by `crate::` or, in the programs, by `chinwag::`.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().expect("a part"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut rooms = BTreeSet::new();
    for start in ["crate::", "chinwag::"] {
        for (at, _) in code.match_indices(start) {
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(group) => rooms.extend(first_words(group)),
                None => rooms.extend(word(rest)),
            }
        }
    }
    rooms.retain(|room| FLOORS.iter().any(|(known, _)| known == room));
    rooms
}

/// The first word of every part of a `{…}` group, whose opening brace is behind us.
fn first_words(group: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut depth, mut part) = (0, String::new());
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => words.extend(word(&std::mem::take(&mut part))),
            _ if depth == 0 => part.push(letter),
            _ => {}
        }
    }
    words.extend(word(&part));
    words
}

fn word(text: &str) -> Option<String> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}
