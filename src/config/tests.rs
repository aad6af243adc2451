//! What the configuration takes and what it says when it doesn't.

use std::collections::HashMap;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, "cluster.yaml", HashMap::new())
}

fn with_environment(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Config::parse(text, "cluster.yaml", variables.collect())
}

/// The error of a file that is right but for `text`.
fn error(text: &str) -> String {
    let servers = "servers: { 1: { address: \"127.0.0.1:50051\" } }\n";
    let text = if text.contains("servers:") { text.to_owned() } else { format!("{servers}{text}") };
    parse(&text).expect_err("the file is wrong").to_string()
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    let error = error(text);
    for word in words {
        assert!(error.contains(word), "{word} is missing in: {error}");
    }
}

#[test]
fn the_shipped_file_names_every_key_with_its_default() {
    let mut defaults = to_json(&file::File::default());
    let shipped = merge(SHIPPED, HashMap::new()).unwrap();
    for key in overlay::valid_keys(&defaults, "") {
        let mut value = &shipped;
        for part in key.split('.') {
            let ::config::ValueKind::Table(table) = &value.kind else {
                panic!("{key} is no section in the shipped file")
            };
            value = table.get(part).unwrap_or_else(|| panic!("{key} is not in the shipped file"));
        }
    }
    let before = defaults.clone();
    overlay::overlay(&mut defaults, &shipped, &to_json(&file::Server::default()), "shipped")
        .unwrap();
    let servers =
        defaults.as_object_mut().unwrap().insert("servers".into(), before["servers"].clone());
    assert_eq!(defaults, before, "the shipped values are the defaults");
    for server in servers.unwrap().as_object().unwrap().values() {
        for key in to_json(&file::Server::default()).as_object().unwrap().keys() {
            assert!(server.get(key).is_some());
        }
    }
}

#[test]
fn the_shipped_file_is_explained_key_by_key() {
    let mut explained = false;
    for line in SHIPPED.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let section = line.ends_with(':');
        let comment = line.starts_with('#');
        // Keys that belong together share the comment above the first of them.
        assert!(comment || section || explained, "`{line}` is not explained");
        explained = comment || (explained && !section);
    }
}

#[test]
fn the_shipped_file_is_a_cluster_of_three_on_loopback_with_the_protocols_timing() {
    let config = parse(SHIPPED).unwrap();
    let ids: Vec<u32> = config.servers.keys().map(|id| id.0).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert!(config.is_loopback());
    assert_eq!(format!("{:?}", config.failover.timing), format!("{:?}", Timing::default()));
    assert_eq!(config.storage.reserve_bytes, 64 << 20);
    assert_eq!(config.server_dir(ServerId(2)), PathBuf::from("data/server-2"));
}

#[test]
fn a_missing_key_has_its_default_and_a_given_one_its_value() {
    let config = parse("servers: { 7: { address: \"localhost:1\" } }\nlimits:\n").unwrap();
    assert_eq!(config.servers.len(), 1);
    assert_eq!(config.servers[&ServerId(7)].listen.as_str(), "localhost:1");
    assert_eq!(config.limits.queued_updates, 4_096);
    assert_eq!(config.cluster.policy, Policy::Available);
}

#[test]
fn a_misspelled_key_is_named_with_its_file_its_path_and_the_nearest_one() {
    says(
        "failover: { heartbeat_intervall_ms: 100 }",
        &[
            "cluster.yaml",
            "`failover.heartbeat_intervall_ms`",
            "did you mean `failover.heartbeat_interval_ms`",
        ],
    );
    says("failovr: { trust_refused: true }", &["`failovr`", "`failover`?"]);
    says("heartbeat_interval_ms: 100", &["`failover.heartbeat_interval_ms`?"]);
    says("servers: { 1: { adress: \"a:1\" } }", &["`servers.1.adress`", "`servers.1.address`?"]);
}

#[test]
fn a_value_of_another_kind_is_named_with_what_belongs_there() {
    says("failover: { trust_refused: 5 }", &["`failover.trust_refused`", "true or false", "5"]);
    says(
        "failover: { failure_timeout_ms: soon }",
        &["`failover.failure_timeout_ms`", "whole number", "\"soon\""],
    );
    says("failover: { failure_timeout_ms: \"1000\" }", &["whole number"]);
    says("failover: { failure_timeout_ms: -5 }", &["whole number", "-5"]);
    says("cluster: { name: 5 }", &["`cluster.name`", "text"]);
    says("cluster: demo", &["`cluster`", "a section of keys"]);
    says("servers: [1, 2]", &["`servers`", "a section of keys", "a list"]);
    says("cluster: { name: ", &["cluster.yaml", "YAML"]);
}

#[test]
fn timings_that_contradict_each_other_are_refused_with_the_reason() {
    says(
        "failover: { failure_timeout_ms: 200 }",
        &["`failover.failure_timeout_ms`", "3 times failover.heartbeat_interval_ms (100)", "lost"],
    );
    says("failover: { succession_step_ms: 50 }", &["succession_step_ms", "heartbeat_interval_ms"]);
    says("failover: { stall_timeout_ms: 900 }", &["stall_timeout_ms", "ack_timeout_ms"]);
    says("failover: { boot_timeout_ms: 900 }", &["boot_timeout_ms", "failure_timeout_ms"]);
    says("failover: { heartbeat_interval_ms: 0 }", &["heartbeat_interval_ms", "from 5"]);
    says("retention: { requests_days: 6 }", &["retention.requests_days", "from 7"]);
}

#[test]
fn servers_need_a_valid_id_and_an_address_of_their_own() {
    says("servers: {}", &["`servers`", "at least one"]);
    says("servers: { 0: { address: \"a:1\" } }", &["`servers.0`", "1 to 65535"]);
    says("servers: { 65536: { address: \"a:1\" } }", &["1 to 65535"]);
    says("servers: { one: { address: \"a:1\" } }", &["`servers.one`", "1 to 65535"]);
    says("servers: { 1: {} }", &["`servers.1.address`", "host:port"]);
    says("servers: { 1: { address: \"host\" } }", &["`servers.1.address`", "host:port"]);
    says("servers: { 1: { address: \"::1:5\" } }", &["host:port"]);
    says(
        "servers: { 1: { address: \"[::1]:5\" }, 2: { address: \"[::1]:5\" } }",
        &["`servers.2.address`", "server 1"],
    );
    let missing = parse(SHIPPED).unwrap().server(ServerId(9)).unwrap_err().to_string();
    assert!(missing.contains("1, 2, 3"), "{missing}");
}

#[test]
fn beyond_loopback_a_secret_is_required_and_plain_text_must_be_agreed_to() {
    let servers = "servers: { 1: { address: \"127.0.0.1:5\", listen: \"0.0.0.0:5\" } }\n";
    says(servers, &["`cluster.secret_file`", "0.0.0.0:5", "not loopback"]);
    let with_secret = format!("{servers}cluster: {{ secret_file: s }}\n");
    says(&with_secret, &["`tls.insecure`", "0.0.0.0:5"]);
    let config = parse(&format!("{with_secret}tls: {{ insecure: true }}\n")).unwrap();
    assert!(!config.is_loopback());
    says("tls: { certificate: c.pem }", &["`tls.certificate`", "cannot encrypt yet"]);
}

#[test]
fn the_environment_overrides_the_file_by_two_underscores_only() {
    let config = with_environment(
        SHIPPED,
        &[
            ("CHINWAG__FAILOVER__FAILURE_TIMEOUT_MS", "2000"),
            ("CHINWAG__FAILOVER__TRUST_REFUSED", "false"),
            ("CHINWAG__CLUSTER__NAME", "42"),
            ("CHINWAG__SERVERS__2__ADDRESS", "localhost:7"),
            ("CHINWAG_SESSION", "/tmp/session"),
        ],
    )
    .unwrap();
    assert_eq!(config.failover.timing.failure_timeout, Duration::from_secs(2));
    assert!(!config.failover.trust_refused);
    assert_eq!(config.cluster.name, "42");
    assert_eq!(config.servers.len(), 3);
    assert_eq!(config.servers[&ServerId(2)].address.as_str(), "localhost:7");
}

#[test]
fn a_mistake_in_the_environment_is_told_with_its_variable() {
    let unknown = with_environment(SHIPPED, &[("CHINWAG__FAILOVER__PATIENCE", "1")]);
    let unknown = unknown.unwrap_err().to_string();
    assert!(unknown.contains("CHINWAG__FAILOVER__PATIENCE in the environment"), "{unknown}");
    let kind = with_environment(SHIPPED, &[("CHINWAG__LIMITS__SUBSCRIBERS", "many")]);
    let kind = kind.unwrap_err().to_string();
    assert!(
        kind.contains("CHINWAG__LIMITS__SUBSCRIBERS") && kind.contains("whole number"),
        "{kind}"
    );
}

#[test]
fn the_hash_covers_what_all_servers_must_share_and_nothing_else() {
    let hash =
        |variables: &[(&str, &str)]| with_environment(SHIPPED, variables).unwrap().config_hash(1);
    let base = hash(&[]);
    assert_eq!(base, hash(&[("CHINWAG__STORAGE__DATA_DIR", "elsewhere")]));
    assert_eq!(base, hash(&[("CHINWAG__SERVERS__2__LISTEN", "127.0.0.1:9")]));
    assert_ne!(base, hash(&[("CHINWAG__CLUSTER__NAME", "other")]));
    assert_ne!(base, hash(&[("CHINWAG__CLUSTER__POLICY", "majority")]));
    assert_ne!(base, hash(&[("CHINWAG__SERVERS__2__ADDRESS", "127.0.0.1:9")]));
    assert_ne!(base, hash(&[("CHINWAG__SERVERS__4__ADDRESS", "127.0.0.1:9")]));
    assert_ne!(base, with_environment(SHIPPED, &[]).unwrap().config_hash(2));
}

#[test]
fn the_secret_is_the_files_text_and_must_be_long_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let cluster = |path: &Path| Cluster {
        name: "demo".into(),
        policy: Policy::Available,
        secret_file: Some(path.into()),
    };
    fs::write(&path, "  0123456789abcdef\n").unwrap();
    assert_eq!(cluster(&path).secret().unwrap().unwrap().as_str(), "0123456789abcdef");
    fs::write(&path, "short\n").unwrap();
    assert!(cluster(&path).secret().unwrap_err().to_string().contains("16"));
    let missing = cluster(&folder.path().join("none")).secret().unwrap_err().to_string();
    assert!(missing.contains("cannot read"), "{missing}");
}

#[test]
fn a_missing_file_is_told_by_its_path() {
    let error = Config::load(Some(Path::new("/nowhere/cluster.yaml"))).unwrap_err().to_string();
    assert!(error.contains("/nowhere/cluster.yaml") && error.contains("exists"), "{error}");
}
