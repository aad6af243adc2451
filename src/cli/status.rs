//! The cluster as a table: what each server says of itself, beside what the leader knows of it.

use super::text::harmless;
use crate::{
    client::ServerAnswer,
    wire::chat::{GetStatusResponse, Role, ServerStatus},
};

/// The lines of the table and what stands below it.
pub(super) fn table(answers: &[ServerAnswer]) -> Vec<String> {
    let best = best(answers);
    let mut rows =
        vec![["server", "address", "role", "in sync", "applied", "last contact"].map(String::from)];
    rows.extend(answers.iter().map(|answer| row(answer, best)));
    let mut lines = aligned(&rows);
    if let Some(best) = best {
        lines.extend(summary(best));
    }
    for status in answers.iter().filter_map(|answer| answer.status.as_ref().ok()) {
        lines.extend(trouble(status));
    }
    lines
}

/// The leader's answer, of the greatest epoch if two believe to lead; else anybody's.
fn best(answers: &[ServerAnswer]) -> Option<&GetStatusResponse> {
    let answered = || answers.iter().filter_map(|answer| answer.status.as_ref().ok());
    let leads = |status: &&GetStatusResponse| status.role() == Role::Leader;
    answered().filter(leads).max_by_key(|status| epoch_number(&status.epoch)).or(answered().next())
}

fn epoch_number(epoch: &str) -> u64 {
    epoch.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn row(answer: &ServerAnswer, best: Option<&GetStatusResponse>) -> [String; 6] {
    let known = |wanted: &dyn Fn(&ServerStatus) -> bool| {
        best.and_then(|best| best.servers.iter().find(|server| wanted(server)))
    };
    let address = harmless(&answer.address);
    match &answer.status {
        Ok(status) => {
            let seen = known(&|server| server.server_id == status.server_id);
            let id = status.server_id.to_string();
            [id, address, role(status.role()), in_sync(seen), applied(seen), contact(seen)]
        }
        Err(error) => {
            let seen = known(&|server| server.address == answer.address);
            let id = seen.map_or_else(|| "?".into(), |server| server.server_id.to_string());
            let role = format!("no answer: {}", harmless(error));
            [id, address, role, in_sync(seen), applied(seen), contact(seen)]
        }
    }
}

fn role(role: Role) -> String {
    match role {
        Role::Unspecified => "?",
        Role::Leader => "leads",
        Role::Follower => "follows",
        Role::Electing => "asks to lead",
        Role::Joining => "joins",
        Role::Blank => "blank",
        Role::Recovering => "recovers",
        Role::Reconciling => "reconciles",
    }
    .into()
}

fn in_sync(seen: Option<&ServerStatus>) -> String {
    seen.map_or("?", |server| if server.in_sync { "yes" } else { "no" }).into()
}

fn applied(seen: Option<&ServerStatus>) -> String {
    seen.map_or_else(|| "?".into(), |server| server.applied_index.to_string())
}

fn contact(seen: Option<&ServerStatus>) -> String {
    match seen.map(|server| server.last_contact) {
        None => "?".into(),
        Some(..0) => "never".into(),
        Some(millis) => format!("{millis} ms ago"),
    }
}

/// Every column as wide as its widest field.
fn aligned(rows: &[[String; 6]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 6] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let line = |row: &[String; 6]| {
        let fields = row.iter().zip(widths).map(|(field, width)| format!("{field:width$}"));
        fields.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn summary(best: &GetStatusResponse) -> Vec<String> {
    let leader = match best.leader_id {
        0 => "no leader".into(),
        id => format!("server {id} leads"),
    };
    let copies = match best.copies {
        1 => "1 copy: a single server holds what is acknowledged".into(),
        copies => format!("{copies} copies"),
    };
    let (policy, epoch) = (harmless(&best.policy), harmless(&best.epoch));
    let mut lines = vec![format!("{leader}, {copies}, policy {policy}, epoch {epoch}")];
    if best.degraded {
        lines.push("degraded: not every configured server is in sync".into());
    }
    if best.read_only {
        lines.push("read-only: the disk is full".into());
    }
    if !best.forced_epochs.is_empty() {
        lines.push(format!("forced by hand: epoch {}", harmless(&best.forced_epochs.join(", "))));
    }
    lines
}

/// What keeps a server from serving, by name.
fn trouble(status: &GetStatusResponse) -> Vec<String> {
    let mut lines = Vec::new();
    if !status.waiting_for.is_empty() {
        let names: Vec<String> =
            status.waiting_for.iter().map(|id| format!("server {id}")).collect();
        lines.push(format!("server {} waits for {}", status.server_id, names.join(", ")));
    }
    if !status.note.is_empty() {
        lines.push(format!("server {}: {}", status.server_id, harmless(&status.note)));
    }
    let own = status.servers.iter().find(|server| server.server_id == status.server_id);
    if let Some(own) = own.filter(|own| own.copy_bytes > 0) {
        let [have, all] = [own.copied_bytes, own.copy_bytes].map(|bytes| bytes >> 20);
        lines.push(format!("server {} copies the database: {have} of {all} MiB", own.server_id));
    }
    for file in status.diverged.iter().filter(|file| file.server_id == status.server_id) {
        let path = harmless(&file.path);
        let server = file.server_id;
        lines.push(match file.updates {
            0 => format!("server {server} set aside {path}; all that it held is merged"),
            updates => {
                format!("server {server} set aside {path} with {updates} updates of its own")
            }
        });
    }
    lines
}
