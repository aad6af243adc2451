//! The programs as a person meets them who has the wrong file, or none.

use std::{fs, process::Stdio};

use tokio::process::Command;

use super::{encrypted, logs};
use crate::{
    cli::Person,
    harness::{Cluster, Forge, Options, PASSWORD},
};

const CREATE: [&str; 5] = ["--timeout", "20", "create", "alice", "--password-stdin"];

/// Runs a command of somebody who is not logged in, and expects this exit code and these words.
async fn ends(person: &Person, arguments: &[&str], exit: i32, words: &[&str]) {
    let all = [arguments, &CREATE].concat();
    let said = person.runs(&all, &format!("{PASSWORD}\n")).await;
    said.exits_with(exit);
    for word in words {
        assert!(said.stderr.contains(word), "{word:?} is missing: {}", said.stderr);
    }
}

#[tokio::test]
async fn a_client_that_must_not_believe_a_server_says_which_certificate_is_wrong_and_why() {
    let cluster = Cluster::start_with(encrypted(1)).await;
    let person = Person::new(&cluster, "person");
    let file = |name: &str, text: &str| {
        let path = person.home.join(name);
        fs::write(&path, text).expect("writable");
        path.display().to_string()
    };
    let (right, address) = (cluster.certs("ca.pem").display().to_string(), cluster.address(1));
    let other = file("other.pem", &Forge::another().pem);
    let another = ["not signed by the authority in", "other.pem", &address];
    ends(&person, &["--ca", &other], 69, &another).await;
    logs(&cluster, 1, "does not believe this server's certificate: it knows another authority")
        .await;
    ends(&person, &[], 69, &["encrypted connections only", "--ca FILE"]).await;
    logs(&cluster, 1, "speaks HTTP/2 without TLS").await;
    let garbage = file("garbage.pem", "garbage");
    ends(&person, &["--ca", &garbage], 2, &["garbage.pem", "no certificate"]).await;
    ends(&person, &["--ca", "/nowhere/ca.pem"], 2, &["/nowhere/ca.pem", "cannot read"]).await;

    let by_name = Person { servers: address.replace("127.0.0.1", "localhost"), ..person };
    ends(&by_name, &["--ca", &right], 69, &["not for localhost but for 127.0.0.1"]).await;
    let elsewhere = Person { servers: "192.0.2.1:50051".into(), ..by_name };
    ends(&elsewhere, &[], 2, &["192.0.2.1:50051", "--ca", "--insecure"]).await;
    // Nobody was created by any of them.
    let person = Person { servers: address, ..elsewhere };
    ends(&person, &["--ca", &right], 0, &[]).await;
}

#[tokio::test]
async fn a_server_without_tls_is_not_taken_for_one_with_it() {
    let cluster = Cluster::start_with(Options { servers: 1, ..Options::default() }).await;
    let person = Person::new(&cluster, "person");
    let authority = person.home.join("ca.pem");
    fs::write(&authority, Forge::another().pem).expect("writable");
    let authority = authority.display().to_string();
    let words = [&cluster.address(1), "does not speak TLS"];
    ends(&person, &["--ca", &authority], 69, &words).await;
    logs(&cluster, 1, "a caller wants TLS, and this server has no certificate").await;
    ends(&person, &[], 0, &[]).await;
}

#[tokio::test]
async fn the_authority_is_found_in_the_configuration_and_in_the_environment() {
    let cluster = Cluster::start_with(encrypted(3)).await;
    let run = |arguments: Vec<String>, authority: Option<String>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.args(arguments).arg("status").env("HOME", cluster.folder()).stdin(Stdio::null());
        match authority {
            Some(authority) => command.env("CHINWAG_CA", authority),
            None => command.env_remove("CHINWAG_CA"),
        };
        async move { command.output().await.expect("the client starts") }
    };
    let config = vec!["--config".to_owned(), cluster.config().display().to_string()];
    let said = run(config, None).await;
    assert!(String::from_utf8_lossy(&said.stdout).contains("3 copies"), "{said:?}");
    let servers = vec!["--servers".to_owned(), cluster.address(1)];
    let authority = cluster.certs("ca.pem").display().to_string();
    let said = run(servers.clone(), Some(authority)).await;
    assert!(String::from_utf8_lossy(&said.stdout).contains("leads"), "{said:?}");
    let said = run(servers, None).await;
    assert_eq!(said.status.code(), Some(69), "{said:?}");
}
