//! Programs that are started wrongly: they say what is wrong, end with the contract's exit code, and
//! leave everything as it was.

use std::{fs, net::TcpListener, time::Duration};

use crate::harness::{Cluster, Exit, Options, User, all, bodies, database, query};

const SOON: Duration = Duration::from_secs(10);

async fn run(cluster: &Cluster, id: u32, arguments: &[&str]) -> Exit {
    let log = format!("run-{}.log", uuid::Uuid::now_v7());
    cluster.spawn(id, arguments, log).ended(SOON).await
}

fn assert_exit(exit: &Exit, code: i32, words: &[&str]) {
    assert_eq!(exit.status.code(), Some(code), "{}", exit.log);
    for word in words {
        assert!(exit.log.contains(word), "the words lack {word:?}:\n{}", exit.log);
    }
    assert!(!exit.log.contains("panicked"), "{}", exit.log);
}

#[tokio::test]
async fn an_id_that_is_not_configured_is_refused() {
    let cluster = Cluster::prepare(Options::default()).await;
    assert_exit(&run(&cluster, 9, &[]).await, 2, &["9", "1, 2, 3"]);
    assert!(!cluster.folder().join("data").exists(), "nothing was made");
}

#[tokio::test]
async fn unknown_flags_and_missing_files_are_usage_errors() {
    let cluster = Cluster::prepare(Options::default()).await;
    assert_exit(&run(&cluster, 1, &["--no-such-flag"]).await, 2, &["--no-such-flag"]);
    fs::remove_file(cluster.config()).expect("it is there");
    assert_exit(&run(&cluster, 1, &[]).await, 2, &["cluster.yaml"]);
}

#[tokio::test]
async fn a_bad_config_names_the_file_the_full_key_and_the_way_out() {
    let cluster = Cluster::prepare(Options::default()).await;
    let good = fs::read_to_string(cluster.config()).expect("it is there");
    assert_exit(&run(&cluster, 1, &["--check-config"]).await, 0, &[]);
    let cases = [
        (
            "failover: { failure_timeot_ms: 1000 }\n",
            ["cluster.yaml", "failover.failure_timeot_ms", "failover.failure_timeout_ms"],
        ),
        (
            "failover: { heartbeat_interval_ms: fast }\n",
            ["cluster.yaml", "failover.heartbeat_interval_ms", "number"],
        ),
        (
            "failover: { failure_timeout_ms: 100 }\n",
            ["cluster.yaml", "failover.failure_timeout_ms", "heartbeat_interval_ms"],
        ),
        ("limits: { subscribers: -1 }\n", ["cluster.yaml", "limits.subscribers", "number"]),
    ];
    for (more, words) in cases {
        fs::write(cluster.config(), format!("{good}{more}")).expect("writable");
        assert_exit(&run(&cluster, 1, &["--check-config"]).await, 2, &words);
        assert_exit(&run(&cluster, 1, &[]).await, 2, &words);
    }
    fs::write(cluster.config(), "servers: [").expect("writable");
    assert_exit(&run(&cluster, 1, &["--check-config"]).await, 2, &["cluster.yaml"]);
    assert!(!cluster.folder().join("data").exists(), "nothing was made");
}

#[tokio::test]
async fn an_override_of_the_environment_that_does_not_exist_is_refused_by_name() {
    let variable = ("CHINWAG__FAILOVER__NO_SUCH_KEY", "1".to_owned());
    let options = Options { environment: vec![variable], ..Options::default() };
    let cluster = Cluster::prepare(options).await;
    assert_exit(&run(&cluster, 1, &[]).await, 2, &["CHINWAG__FAILOVER__NO_SUCH_KEY"]);
}

#[tokio::test]
async fn a_port_in_use_is_said_and_nothing_is_touched() {
    let cluster = Cluster::prepare(Options::default()).await;
    let taken = TcpListener::bind(cluster.address(1)).expect("free a moment ago");
    let port = taken.local_addr().expect("bound").port().to_string();
    assert_exit(&run(&cluster, 1, &[]).await, 1, &["in use", &port]);
}

#[tokio::test]
async fn without_a_terminal_a_reset_asks_nobody_and_keeps_one_copy() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    let aside = |cluster: &Cluster| {
        let entries = fs::read_dir(cluster.data(3)).expect("its folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with("reset-")).count()
    };
    for _ in 0..2 {
        cluster.stop(3).await;
        cluster.start_server_with(3, &["--reset"]).await;
        cluster.in_sync(all()).await;
        assert_eq!(aside(&cluster), 1, "the old database is moved aside, and one copy is kept");
    }
    assert_eq!(bodies(&alice.history("@alice").await), ["kept"]);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    cluster.stop(3).await;
    let path = database(&cluster, 3);
    query(&path, "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')");
    let exit = run(&cluster, 3, &[]).await;
    assert_exit(&exit, 1, &["newer"]);
    alice.send("@alice", "the others go on").await;
    query(&path, "DELETE FROM __diesel_schema_migrations WHERE version = '20990101000000'");
    cluster.start_server(3).await;
    cluster.in_sync(all()).await;
    assert_eq!(bodies(&alice.history("@alice").await), ["kept", "the others go on"]);
}

#[tokio::test]
async fn a_secret_is_required_beyond_loopback() {
    let cluster = Cluster::prepare(Options::default()).await;
    let good = fs::read_to_string(cluster.config()).expect("it is there");
    fs::write(cluster.config(), good.replacen("127.0.0.1", "192.0.2.1", 1)).expect("writable");
    assert_exit(&run(&cluster, 2, &["--check-config"]).await, 2, &["cluster.secret_file"]);
}

#[tokio::test]
async fn beyond_loopback_nothing_is_sent_in_the_clear_unless_it_is_agreed_to() {
    let secret = ("CHINWAG_CLUSTER_SECRET", "a-secret-of-at-least-16".to_owned());
    let options = Options { environment: vec![secret], ..Options::default() };
    let cluster = Cluster::prepare(options).await;
    let good = fs::read_to_string(cluster.config()).expect("it is there");
    let reachable = good.replacen("listen: \"127.0.0.1", "listen: \"0.0.0.0", 1);
    fs::write(cluster.config(), &reachable).expect("writable");
    for arguments in [&[][..], &["--check-config"]] {
        let words = ["tls.certificate", "0.0.0.0", "server certs", "tls.insecure"];
        assert_exit(&run(&cluster, 1, arguments).await, 2, &words);
    }
    assert!(!cluster.folder().join("data").exists(), "nothing was made");
    fs::write(cluster.config(), format!("{reachable}tls: {{ insecure: true }}\n")).expect("ok");
    assert_exit(&run(&cluster, 1, &["--check-config"]).await, 0, &[]);
}
