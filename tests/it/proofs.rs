//! What the pages name is there: every command that is given as a proof runs something, and every file
//! exists.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const PAGES: [&str; 3] = ["README.md", "src/docs/guarantees.md", "src/docs/operate.md"];
/// Where the project's files are that a page may name.
const FOLDERS: [&str; 6] = ["src/", "tests/", "proto/", ".cargo/", ".ci/", "config/examples/"];

#[test]
fn every_command_of_a_page_has_something_to_run() {
    let tests = tests();
    let mut found = 0;
    for (page, span) in spans() {
        let Some(asked) = Asked::parse(&span) else { continue };
        found += 1;
        if let Some(target) = &asked.target {
            assert!(is_target(target), "{page}: there is no target {target}: {span}");
        }
        let runs = match (&asked.target, &asked.filter) {
            (_, None) => true,
            (Some(target), Some(filter)) if target == "it" => {
                tests.lines().any(|name| name.contains(filter.as_str()))
            }
            // The library's own tests: its modules, by their files.
            (_, Some(filter)) => {
                files("src").iter().any(|file| file.ends_with(format!("{filter}.rs")))
            }
        };
        assert!(runs, "{page}: nothing is run by {span}");
    }
    assert!(found > 30, "the commands were found: {found}");
}

#[test]
fn every_file_that_a_page_names_is_there() {
    let mut found = 0;
    for (page, span) in spans() {
        if FOLDERS.iter().any(|folder| span.starts_with(folder)) && !span.contains(' ') {
            assert!(root().join(&span).exists(), "{page} names {span}");
            found += 1;
        }
    }
    assert!(found > 10, "the files were found: {found}");
}

#[test]
fn a_command_is_read_as_cargo_reads_it() {
    let asked = |span| Asked::parse(span).map(|asked| (asked.target, asked.filter));
    let some = |target: &str, filter: &str| {
        let given = |word: &str| (!word.is_empty()).then(|| word.to_owned());
        Some((given(target), given(filter)))
    };
    assert_eq!(asked("cargo build"), None);
    assert_eq!(asked("cargo test"), some("", ""));
    assert_eq!(asked("A=1 cargo test --release --test it one -- --nocapture"), some("it", "one"));
    assert_eq!(asked("cargo bench --bench reads"), some("reads", ""));
    assert_eq!(asked("cargo test --lib two"), some("", "two"));
}

/// What a command runs.
struct Asked {
    target: Option<String>,
    filter: Option<String>,
}

impl Asked {
    /// `None` if it is no command that tests or measures.
    fn parse(span: &str) -> Option<Asked> {
        let (_, rest) = span.split_once("cargo test").or_else(|| span.split_once("cargo bench"))?;
        let mut words = rest.split_whitespace().take_while(|word| *word != "--");
        let mut asked = Asked { target: None, filter: None };
        while let Some(word) = words.next() {
            match word {
                "--test" | "--bench" => asked.target = words.next().map(str::to_owned),
                flag if flag.starts_with('-') => {}
                filter => asked.filter = Some(filter.to_owned()),
            }
        }
        Some(asked)
    }
}

/// Everything between backticks, with its page.
fn spans() -> Vec<(&'static str, String)> {
    let mut spans = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(root().join(page)).expect("checked in");
        for paragraph in text.replace("```", "").split("\n\n") {
            let inside = paragraph.split('`').skip(1).step_by(2);
            spans.extend(inside.map(|span| (page, span.replace('\n', " "))));
        }
    }
    spans
}

/// The names of this program's tests.
fn tests() -> String {
    let told = Command::new(env::current_exe().expect("this program")).arg("--list").output();
    String::from_utf8(told.expect("it starts").stdout).expect("text")
}

fn is_target(name: &str) -> bool {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("checked in");
    let mut tables = manifest.split("\n[[").skip(1);
    tables.any(|table| {
        let kind = table.starts_with("test]]") || table.starts_with("bench]]");
        kind && table.contains(&format!("\nname = \"{name}\"\n"))
    })
}

/// Every file below a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
