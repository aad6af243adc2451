//! The files that are shipped for Prometheus and Grafana name nothing that is not there.

use std::{collections::BTreeSet, fs, path::Path};

use config::{Config, File, FileFormat, Value};
use serde_json::Value as Json;

use super::Watched;
use crate::harness::{Options, User, all};

const ALERTS: &str = "config/alerts.yaml";
const DASHBOARD: &str = "config/dashboard.json";
/// What a series is made of beside its histogram's name.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

fn shipped(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).expect("it is shipped")
}

/// The metrics that an expression speaks of.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours = words.filter(|word| word.starts_with("chinwag_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    let config::ValueKind::Table(table) = &value.kind else { panic!("no table with {name}") };
    table.get(name).unwrap_or_else(|| panic!("{name} is missing in {table:?}"))
}

fn list(value: &Value) -> &[Value] {
    let config::ValueKind::Array(list) = &value.kind else { panic!("no list: {value:?}") };
    list
}

/// The expressions of all alerts, by their names.
fn alerts() -> Vec<(String, String)> {
    let file = File::from_str(&shipped(ALERTS), FileFormat::Yaml);
    let parsed = Config::builder().add_source(file).build().expect("it is YAML");
    let mut alerts = Vec::new();
    for group in list(field(&parsed.cache, "groups")) {
        for rule in list(field(group, "rules")) {
            let text = |value: &Value| value.clone().into_string().expect("a text");
            let severity = text(field(field(rule, "labels"), "severity"));
            assert!(["critical", "warning"].contains(&severity.as_str()), "{severity}");
            for words in ["summary", "description"] {
                assert!(!text(field(field(rule, "annotations"), words)).is_empty());
            }
            alerts.push((text(field(rule, "alert")), text(field(rule, "expr"))));
        }
    }
    alerts
}

/// The expressions of all panels, by their titles.
fn panels() -> Vec<(String, String)> {
    let dashboard: Json = serde_json::from_str(&shipped(DASHBOARD)).expect("it is JSON");
    let mut expressions = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title").to_owned();
        for target in panel["targets"].as_array().into_iter().flatten() {
            expressions.push((title.clone(), target["expr"].as_str().expect("a query").into()));
        }
    }
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let queries = variables.iter().filter_map(|variable| variable["query"].as_str());
    expressions.extend(queries.map(|query| ("a variable".into(), query.into())));
    expressions
}

#[tokio::test]
async fn every_metric_of_the_alerts_and_of_the_dashboard_is_told_by_a_server() {
    let watched = Watched::start_with(Options { tls: true, ..Options::default() }).await;
    let alice = User::create(&watched.cluster, "alice").await;
    alice.send("@alice", "one is enough").await;
    let mut told = BTreeSet::new();
    for id in all() {
        let series: BTreeSet<String> = watched.page(id).await.into_keys().collect();
        told.extend(series.iter().map(|name| name.split('{').next().unwrap_or(name).to_owned()));
    }
    let (alerts, panels) = (alerts(), panels());
    assert!(alerts.len() > 10 && panels.len() > 10, "they are read as a whole");
    let mut used = BTreeSet::new();
    for (name, expression) in alerts.into_iter().chain(panels) {
        for metric in metrics(&expression) {
            assert!(told.contains(&metric), "{name}: no server tells {metric}");
            used.insert(metric);
        }
    }
    for metric in ["chinwag_role", "chinwag_certificate_expiry_timestamp_seconds"] {
        assert!(used.contains(metric), "{metric} is looked at");
    }
    let is_part = |name: &str| PARTS.iter().any(|part| name.ends_with(part));
    let unused: Vec<&String> = told.difference(&used).filter(|name| !is_part(name)).collect();
    println!("told and not looked at by either: {unused:?}");
}

#[test]
fn an_expression_is_taken_apart() {
    let expression =
        "histogram_quantile(0.99, sum by (le) (rate(chinwag_x_seconds_bucket[5m]))) > process_y";
    let names: Vec<String> = metrics(expression).into_iter().collect();
    assert_eq!(names, ["chinwag_x_seconds_bucket", "process_y"]);
}
