//! What is made, what is kept, and what is refused.

use std::{collections::HashMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempDir;

use super::*;
use crate::tls::Files;

fn config(name: &str, servers: &str) -> Config {
    let text = format!("cluster: {{ name: {name} }}\nservers:\n{servers}");
    Config::parse(&text, "the test", HashMap::new()).expect("a good configuration")
}

const TWO: &str = "  1: { address: \"10.0.0.1:50051\" }\n  2: { address: \"box2:50051\" }\n";

struct Desk(TempDir);

impl Desk {
    fn new() -> Desk {
        Desk(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("certs").join(name)
    }

    fn make(&self, config: &Config, renew: bool) -> Result<Made, CertsError> {
        make(config, &Order { folder: self.0.path().join("certs"), days: 90, renew })
    }

    fn texts(&self) -> Vec<(PathBuf, String)> {
        let files = fs::read_dir(self.0.path().join("certs")).expect("a folder");
        let mut all: Vec<_> = files
            .map(|file| file.expect("a file").path())
            .map(|path| (path.clone(), fs::read_to_string(path).expect("a text")))
            .collect();
        all.sort();
        all
    }
}

fn origins(made: &Made) -> Vec<Origin> {
    let servers = made.servers.iter().map(|(_, certificate)| certificate.origin);
    [made.authority.origin].into_iter().chain(servers).collect()
}

fn accepted(desk: &Desk, cluster: &str, id: u32, host: &str) -> Result<(), TlsError> {
    let identity = Identity { cluster: cluster.into(), server: ServerId(id) };
    let files = Files {
        certificate: desk.path(&format!("server-{id}.pem")),
        key: desk.path(&format!("server-{id}.key")),
        ca: desk.path("ca.pem"),
        client_ca: Some(desk.path("ca.pem")),
    };
    tls::check(&files, &Holder { host: host.into(), identity }, Timestamp::now()).map(|_| ())
}

#[test]
fn every_server_gets_what_the_others_accept_from_it_and_keys_are_their_owners_alone() {
    let desk = Desk::new();
    let made = desk.make(&config("team", TWO), false).expect("made");
    assert_eq!(origins(&made), [Origin::Made; 3]);
    accepted(&desk, "team", 1, "10.0.0.1").expect("server 1");
    accepted(&desk, "team", 2, "box2").expect("server 2");
    accepted(&desk, "team", 2, "box3").expect_err("another address");
    accepted(&desk, "others", 2, "box2").expect_err("another cluster");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    for key in ["ca.key", "server-1.key", "server-2.key"] {
        assert_eq!(mode(&desk.path(key)), 0o600, "{key}");
    }
    assert_eq!(mode(&desk.path("ca.pem")), 0o644);
    assert_eq!(mode(&desk.path("")), 0o700);
    assert_eq!(desk.texts().len(), 6, "and nothing else is left");
    let days = |certificate: &Certificate| {
        let until = certificate.until.expect("an end");
        until.duration_since(Timestamp::now()).as_hours() / 24
    };
    assert!((90..=91).contains(&days(&made.servers[0].1)), "{made:?}");
    assert!((3_650..=3_651).contains(&days(&made.authority)), "{made:?}");
}

#[test]
fn what_is_there_stays_and_what_is_missing_is_made() {
    let desk = Desk::new();
    desk.make(&config("team", TWO), false).expect("made");
    let before = desk.texts();
    let again = desk.make(&config("team", TWO), false).expect("nothing to do");
    assert_eq!(origins(&again), [Origin::Kept; 3]);
    assert_eq!(desk.texts(), before);
    let three = format!("{TWO}  3: {{ address: \"box3:50051\" }}\n");
    let more = desk.make(&config("team", &three), false).expect("made");
    assert_eq!(origins(&more), [Origin::Kept, Origin::Kept, Origin::Kept, Origin::Made]);
    accepted(&desk, "team", 3, "box3").expect("of the same authority");
    for (path, text) in before {
        assert_eq!(fs::read_to_string(&path).expect("there"), text, "{}", path.display());
    }
}

#[test]
fn renewing_replaces_the_servers_files_and_never_the_authority() {
    let desk = Desk::new();
    let nothing = desk.make(&config("team", TWO), true);
    assert!(matches!(nothing, Err(CertsError::NothingToRenew { .. })), "{nothing:?}");
    desk.make(&config("team", TWO), false).expect("made");
    let before = desk.texts();
    let renewed = desk.make(&config("team", TWO), true).expect("renewed");
    assert_eq!(origins(&renewed), [Origin::Kept, Origin::Made, Origin::Made]);
    for ((path, old), (_, new)) in before.iter().zip(desk.texts()) {
        let authority =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ca"));
        assert_eq!(*old == new, authority, "{}", path.display());
    }
    accepted(&desk, "team", 1, "10.0.0.1").expect("of the same authority");
}

#[test]
fn what_does_not_belong_together_is_refused_and_left_alone() {
    let desk = Desk::new();
    desk.make(&config("team", TWO), false).expect("made");
    let before = desk.texts();
    let error = desk.make(&config("others", TWO), true).expect_err("another authority");
    assert!(matches!(error, CertsError::OtherAuthority { .. }), "{error}");
    assert!(error.to_string().contains("others"), "{error}");
    assert_eq!(desk.texts(), before);
    fs::remove_file(desk.path("ca.key")).expect("there");
    let error = desk.make(&config("team", TWO), false).expect_err("half an authority");
    assert!(error.to_string().contains("ca.pem is there without"), "{error}");
    assert!(!desk.path("ca.key").exists());
}

#[test]
fn an_operator_is_told_what_goes_where_and_what_stays() {
    let desk = Desk::new();
    let config = config("team", TWO);
    let made = desk.make(&config, false).expect("made");
    let report = Report { made: &made, config: &config }.to_string();
    for words in [
        "server 1 (10.0.0.1:50051): ",
        "server-2.pem ",
        "server-2.key\n",
        "Keep ",
        "certificate: \"",
        "/server-{id}.key\"",
        "client_ca: \"",
        "valid until ",
    ] {
        assert!(report.contains(words), "{words:?} is missing in:\n{report}");
    }
}
