//! `client verify`.

use super::Report;
use crate::{
    cli::exit::{Exit, Failure},
    client::Admin,
    wire::admin::{Difference, Group, VerifyResponse},
};

/// Has the servers' tables compared; that they differ is an answer, with an exit code of its own.
pub(super) async fn compare(admin: &Admin) -> Result<Report, Failure> {
    let found = admin.verify().await?;
    let equal = found.difference.is_none() && found.damaged.is_empty();
    let exit = if equal { Exit::Ok } else { Exit::Refused };
    Ok(Report { words: words(&found), objects: vec![object(&found, equal)], exit })
}

fn words(found: &VerifyResponse) -> String {
    let mut lines = Vec::new();
    for damage in &found.damaged {
        lines.push(format!(
            "server {}: {}. Stop it, keep its data folder aside, and start it with --reset: it copies from \
             the others",
            damage.server_id, damage.problem
        ));
    }
    if let Some(difference) = &found.difference {
        lines.push(difference_in_words(difference));
    }
    let compared = listed(&found.compared);
    let VerifyResponse { seq, tables, rows, .. } = found;
    if lines.is_empty() {
        lines.push(format!(
            "server {compared} hold the same: {rows} rows in {tables} tables, read at entry {seq}"
        ));
    }
    if !found.skipped.is_empty() {
        let skipped = listed(&found.skipped);
        lines.push(format!("not compared, for they are not in sync: server {skipped}"));
    }
    lines.join("\n")
}

fn difference_in_words(difference: &Difference) -> String {
    let Difference { table, key, groups, columns } = difference;
    let sides: Vec<String> = groups.iter().map(side).collect();
    let columns = match columns.is_empty() {
        true => String::new(),
        false => format!(" in {}", columns.join(", ")),
    };
    format!(
        "the servers differ; first in table {table}, at key {key}{columns}: {}. Where most have the same, \
         reset the others one after the other (stop it, start it with --reset), then compare again",
        sides.join("; ")
    )
}

fn side(group: &Group) -> String {
    let servers = listed(&group.server_ids);
    match (group.present, group.server_ids.len()) {
        (false, 1) => format!("server {servers} lacks the row"),
        (false, _) => format!("servers {servers} lack the row"),
        (true, 1) => format!("server {servers} has it in a form of its own"),
        (true, _) => format!("servers {servers} have it alike"),
    }
}

fn listed(ids: &[u32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn object(found: &VerifyResponse, equal: bool) -> serde_json::Value {
    let difference = found.difference.as_ref().map(|difference| {
        let group = |group: &Group| {
            serde_json::json!({ "server_ids": group.server_ids, "present": group.present })
        };
        serde_json::json!({
            "table": difference.table,
            "key": difference.key,
            "columns": difference.columns,
            "groups": difference.groups.iter().map(group).collect::<Vec<_>>(),
        })
    });
    let damaged = found.damaged.iter().map(
        |damage| serde_json::json!({ "server_id": damage.server_id, "problem": damage.problem }),
    );
    serde_json::json!({
        "type": "verified",
        "equal": equal,
        "seq": found.seq,
        "compared": found.compared,
        "skipped": found.skipped,
        "tables": found.tables,
        "rows": found.rows,
        "difference": difference,
        "damaged": damaged.collect::<Vec<_>>(),
    })
}
