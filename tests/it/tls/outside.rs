//! Strangers with the usual tools: `openssl s_client` and the stock gRPC client of Python. What is wrong with
//! them is told in the server's log, and theirs say what is wrong with the server.

use std::{fs, io::Write as _, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{encrypted, logs, renewal::has_ended};
use crate::{
    harness::{Cluster, Forge, ends_in, expired, within},
    python::assert_well_at,
};

const SOON: Duration = Duration::from_secs(30);

/// A server with these files in its folder of certificates: `client`, `expired` and `another` (of another
/// authority), each with its key, and `another-ca.pem`.
async fn scene() -> Cluster {
    let cluster = Cluster::start_with(encrypted(1)).await;
    let (forge, another) = (Forge::of(&cluster), Forge::another());
    let names = ["127.0.0.1", "chinwag:test/server/1"];
    for (name, (certificate, key)) in [
        ("client", forge.sign(&["alice"], |_| {})),
        ("expired", forge.sign(&names, expired)),
        ("another", another.sign(&names, |_| {})),
    ] {
        fs::write(cluster.certs(&format!("{name}.pem")), certificate).expect("writable");
        fs::write(cluster.certs(&format!("{name}.key")), key).expect("writable");
    }
    fs::write(cluster.certs("another-ca.pem"), &another.pem).expect("writable");
    cluster
}

/// What `openssl s_client` says; `None` where there is no such program.
async fn s_client(cluster: &Cluster, arguments: &[&str]) -> Option<String> {
    let address = cluster.address(1);
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &address, "-alpn", "h2", "-verify_return_error"])
        .args(arguments)
        .current_dir(cluster.certs(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let words = format!("SKIPPED: openssl was not tried: {error}\n");
            std::io::stderr().write_all(words.as_bytes()).expect("stderr is open");
            return None;
        }
    };
    let mut input = child.stdin.take().expect("piped");
    let said = within("openssl s_client", SOON, async {
        let _ = input.write_all(b"Q\n").await;
        drop(input);
        child.wait_with_output().await.expect("our own child")
    });
    let said = said.await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(text(&said.stdout) + &text(&said.stderr))
}

#[tokio::test]
async fn openssl_is_answered_or_refused_with_the_reason_in_the_log() {
    let cluster = scene().await;
    let Some(said) = s_client(&cluster, &["-CAfile", "ca.pem"]).await else { return };
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    assert!(said.contains("ALPN protocol: h2"), "{said}");
    assert!(!cluster.log(1).contains("refused a connection"), "{}", cluster.log(1));
    let client = ["-CAfile", "ca.pem", "-cert", "client.pem", "-key", "client.key"];
    let said = s_client(&cluster, &client).await.expect("it was there");
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");

    let said = s_client(&cluster, &["-CAfile", "another-ca.pem"]).await.expect("it was there");
    assert!(said.contains("certificate verify failed"), "{said}");
    logs(&cluster, 1, "the caller does not believe this server's certificate").await;
    let refused = [
        ("expired", "the caller shows a certificate that expired on 2020-01-02"),
        ("another", "the caller shows a certificate that was not signed by the authority in"),
    ];
    for (name, words) in refused {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let shown = ["-CAfile", "ca.pem", "-cert", &certificate, "-key", &key];
        s_client(&cluster, &shown).await.expect("it was there");
        logs(&cluster, 1, words).await;
    }
    s_client(&cluster, &["-CAfile", "ca.pem", "-tls1_2"]).await.expect("it was there");
    logs(&cluster, 1, "the caller does not speak TLS 1.3").await;
    s_client(&cluster, &["-CAfile", "ca.pem", "-alpn", "http/1.1"]).await.expect("it was there");
    logs(&cluster, 1, "the caller does not speak HTTP/2").await;
}

#[tokio::test]
async fn a_python_client_with_wrong_certificates_is_refused_with_the_reason_in_the_log() {
    let mut cluster = scene().await;
    let (address, certs) = (cluster.address(1), cluster.certs("").display().to_string());
    if !assert_well_at(&mut cluster, "trust.py", &[&address, &certs], &[]).await {
        return;
    }
    for words in [
        // It goes without a word.
        "the caller ended the connection during the handshake",
        "the caller speaks HTTP/2 without TLS",
        "the caller shows a certificate that expired on 2020-01-02",
        "the caller shows a certificate that was not signed by the authority in",
        "the caller shows no certificate",
        "the caller shows a certificate that is no server's",
    ] {
        logs(&cluster, 1, words).await;
    }
}

#[tokio::test]
async fn a_server_whose_certificate_has_ended_is_believed_by_no_client() {
    let mut cluster = Cluster::prepare(encrypted(1)).await;
    let names = ["127.0.0.1", "chinwag:test/server/1"];
    let (certificate, key) = Forge::of(&cluster).sign(&names, ends_in(Duration::from_secs(8)));
    fs::write(cluster.certs("server-1.pem"), certificate).expect("writable");
    fs::write(cluster.certs("server-1.key"), key).expect("writable");
    cluster.start_server(1).await;
    has_ended(&cluster, 1).await;
    let person = crate::cli::Person::new(&cluster, "person");
    let authority = cluster.certs("ca.pem").display().to_string();
    let create = ["--ca", &authority, "create", "alice", "--password-stdin"];
    let said = person.runs(&create, "correct horse battery\n").await;
    said.exits_with(69);
    assert!(said.stderr.contains("shows a certificate that expired on"), "{}", said.stderr);
    logs(&cluster, 1, "does not believe this server's certificate: it has expired").await;
    let (address, certs) = (cluster.address(1), cluster.certs("").display().to_string());
    assert_well_at(&mut cluster, "trust.py", &[&address, &certs, "ended"], &[]).await;
}
