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

const BEYOND: &str = "servers: { 1: { address: \"127.0.0.1:5\", listen: \"0.0.0.0:5\" } }\n";

/// Why a server with this file would not start.
#[track_caller]
fn serving_says(text: &str, words: &[&str]) {
    let error = parse(text).unwrap().check_serving().unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word} is missing in: {error}");
    }
}

#[test]
fn beyond_loopback_a_server_needs_a_secret_and_a_certificate_or_the_word_that_it_goes_without() {
    serving_says(BEYOND, &["cluster.yaml", "`cluster.secret_file`", "0.0.0.0:5", "not loopback"]);
    let with_secret = format!("{BEYOND}cluster: {{ secret_file: s }}\n");
    serving_says(&with_secret, &["`tls.certificate`", "0.0.0.0:5", "server certs", "tls.insecure"]);
    let plain = parse(&format!("{with_secret}tls: {{ insecure: true }}\n")).unwrap();
    assert!(!plain.is_loopback());
    plain.check_serving().unwrap();
    assert_eq!(plain.tls_files(ServerId(1)).unwrap(), None);
    let tls = "tls: { certificate: c, key: k, client_ca: a }\n";
    parse(&format!("{with_secret}{tls}")).unwrap().check_serving().unwrap();
    serving_says(&format!("{BEYOND}{tls}"), &["`cluster.secret_file`"]);
    parse(SHIPPED).unwrap().check_serving().unwrap();
}

#[test]
fn the_files_of_tls_go_together() {
    says("tls: { certificate: c.pem }", &["`tls.key`", "go together"]);
    says("tls: { key: k.pem }", &["`tls.certificate`", "go together"]);
    let loopback = "servers: { 1: { address: \"127.0.0.1:5\" } }\n";
    let with = |tls: &str| format!("{loopback}tls: {tls}\n");
    serving_says(&with("{ certificate: c, key: k }"), &["`tls.ca`", "authority"]);
    serving_says(&with("{ ca: a }"), &["`tls.certificate`", "server certs"]);
    serving_says(&with("{ client_ca: a }"), &["`tls.certificate`", "server certs"]);
}

#[test]
fn every_server_has_files_of_its_own_and_one_authority_may_be_enough() {
    let files = |tls: &str, id| {
        let loopback = "servers: { 1: { address: \"127.0.0.1:5\" } }\n";
        parse(&format!("{loopback}tls: {tls}\n")).unwrap().tls_files(ServerId(id)).unwrap()
    };
    let own = files("{ certificate: \"c/{id}.pem\", key: \"c/{id}.key\", client_ca: a }", 12);
    let expected = TlsFiles {
        certificate: "c/12.pem".into(),
        key: "c/12.key".into(),
        ca: "a".into(),
        client_ca: Some("a".into()),
    };
    assert_eq!(own, Some(expected));
    let two = files("{ certificate: c, key: k, ca: a, client_ca: b }", 1).unwrap();
    assert_eq!((two.ca, two.client_ca), ("a".into(), Some("b".into())));
    let secret_alone = files("{ certificate: c, key: k, ca: a }", 1).unwrap();
    assert_eq!((secret_alone.ca, secret_alone.client_ca), ("a".into(), None));
}

#[test]
fn a_client_needs_the_authority_alone_and_sends_no_password_in_the_clear_beyond_loopback() {
    let authority = |text: &str| {
        let config = parse(text).unwrap();
        config.client_authority().map(|path| path.map(Path::to_path_buf))
    };
    assert_eq!(authority(SHIPPED).unwrap(), None);
    assert_eq!(authority(&format!("{BEYOND}tls: {{ ca: a }}")).unwrap(), Some("a".into()));
    assert_eq!(authority(&format!("{BEYOND}tls: {{ client_ca: b }}")).unwrap(), Some("b".into()));
    assert_eq!(authority(&format!("{BEYOND}tls: {{ insecure: true }}")).unwrap(), None);
    for tls in ["{}", "{ certificate: c, key: k }"] {
        let error = authority(&format!("{BEYOND}tls: {tls}")).unwrap_err().to_string();
        assert!(error.contains("`tls.ca`") && error.contains("--ca"), "{error}");
    }
}

#[test]
fn metrics_are_off_unless_an_address_is_given_which_may_hold_each_servers_id() {
    let servers =
        "servers:\n  1: { address: \"127.0.0.1:50051\" }\n  12: { address: \"127.0.0.1:50052\" }\n";
    let metrics = |text: &str| {
        let config = parse(&format!("{servers}{text}")).unwrap();
        let all = config.servers.values().map(|server| server.metrics.clone());
        all.map(|address| address.map(|address| address.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(metrics(""), [None, None]);
    assert_eq!(
        metrics("metrics: { listen: \"127.0.0.{id}:94{id}\" }"),
        [Some("127.0.0.1:941".into()), Some("127.0.0.12:9412".into())]
    );
    says("metrics: { listen: everywhere }", &["metrics.listen", "everywhere", "host:port"]);
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
        secret_variable: None,
    };
    fs::write(&path, "  0123456789abcdef\n").unwrap();
    assert_eq!(cluster(&path).secret().unwrap().unwrap().as_str(), "0123456789abcdef");
    fs::write(&path, "short\n").unwrap();
    assert!(cluster(&path).secret().unwrap_err().to_string().contains("16"));
    let missing = cluster(&folder.path().join("none")).secret().unwrap_err().to_string();
    assert!(missing.contains("cannot read"), "{missing}");
}

#[test]
fn the_environments_secret_goes_before_the_file_and_is_never_shown() {
    let text = "servers: { 1: { address: \"10.0.0.1:5\" } }\ncluster: { secret_file: /nowhere }\n";
    let with = |secret: &str| with_environment(text, &[(SECRET_VARIABLE, secret)]).unwrap();
    let config = with("0123456789abcdef\n");
    assert_eq!(config.cluster.secret().unwrap().unwrap().as_str(), "0123456789abcdef");
    assert!(!format!("{config:?}").contains("0123456789"), "{config:?}");
    let short = with("short").cluster.secret().unwrap_err().to_string();
    assert!(short.contains(SECRET_VARIABLE) && short.contains("16"), "{short}");
    assert!(!short.contains("short"), "{short}");
    let alone = "servers: { 1: { address: \"10.0.0.1:5\" } }\ntls: { insecure: true }\n";
    with_environment(alone, &[(SECRET_VARIABLE, "0123456789abcdef")])
        .unwrap()
        .check_serving()
        .unwrap();
}

#[test]
fn a_missing_file_is_told_by_its_path() {
    let error = Config::load(Some(Path::new("/nowhere/cluster.yaml"))).unwrap_err().to_string();
    assert!(error.contains("/nowhere/cluster.yaml") && error.contains("exists"), "{error}");
}
