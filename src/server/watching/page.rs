//! The page that Prometheus reads: what was counted, and what is asked for now.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, timeout};

use super::{View, process};
use crate::{
    cluster::{Epoch, ServerId, Status},
    metrics::{Metrics, Page},
    node::{NodeHandle, Role},
    server::security::check_certificates,
    store::{DiskUse, Store},
};

/// How long the node's loop may take to say how it stands; then the rest is told without that.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the disk was asked for.
struct Disk {
    used: DiskUse,
    free: Option<u64>,
    diverged: Option<usize>,
    /// When certificates end, in seconds since 1970, by file.
    certificates: BTreeMap<String, i64>,
}

/// The whole page.
pub(super) async fn write(view: &View) -> String {
    let mut page = Page::default();
    let labels = [("version", env!("CARGO_PKG_VERSION"))];
    page.gauge("chinwag_build_info", "Which program this is; always 1.").number(&labels, 1);
    let status = timeout(PATIENCE, view.node.status()).await;
    if let Ok(Ok(status)) = &status {
        cluster(&mut page, view, status);
    }
    let metrics = view.node.metrics();
    counted(&mut page, metrics);
    queues(&mut page, &view.node);
    copies(&mut page, &view.node);
    let (store, config, id) = (view.node.store().clone(), view.config.clone(), view.id);
    let asked = tokio::task::spawn_blocking(move || {
        let certificates = check_certificates(&config, id).ok().flatten().unwrap_or_default();
        let certificates = certificates
            .into_iter()
            .map(|expiry| (expiry.path.display().to_string(), expiry.until.as_second()));
        ask_disk(&store, certificates.collect())
    });
    if let Ok(asked) = asked.await {
        disk(&mut page, &asked, view.config.storage.reserve_bytes);
    }
    metrics.calls.write(&mut page);
    process::write(&mut page);
    page.into_text()
}

/// How the cluster is, as this server sees it.
fn cluster(page: &mut Page, view: &View, status: &Status) {
    let role = view.node.standing().role;
    let mut roles =
        page.gauge("chinwag_role", "What this server does: 1 for that, 0 for the rest.");
    for each in Role::ALL {
        roles.flag(&[("role", each.name())], each == role);
    }
    page.gauge("chinwag_server_id", "This server's ID.").number(&[], view.id.0.into());
    let leader = status.leader.map_or(0, |leader| leader.0.into());
    page.gauge("chinwag_leader_id", "Who leads, as this server knows; 0 if nobody.")
        .number(&[], leader);
    let Epoch { number, .. } = status.epoch;
    page.gauge("chinwag_epoch", "The number of the epoch; it rises with every change of leader.")
        .number(&[], number);
    let copies = if status.leader.is_some() { status.in_sync.len() as u64 } else { 0 };
    page.gauge(
        "chinwag_copies",
        "How many servers hold every acknowledged message; 0 without a leader.",
    )
    .number(&[], copies);
    page.gauge("chinwag_servers", "How many servers are configured.")
        .number(&[], view.config.servers.len() as u64);
    let mut in_sync =
        page.gauge("chinwag_in_sync", "Whether a server is in sync, as this one knows.");
    for id in view.config.servers.keys() {
        let is_in_sync = status.leader.is_some() && status.in_sync.contains(id);
        in_sync.flag(&[("server", &id.to_string())], is_in_sync);
    }
    page.gauge(
        "chinwag_waiting_for_servers",
        "How many servers this one waits for before it serves.",
    )
    .number(&[], status.waiting_for.len() as u64);
    page.gauge("chinwag_read_only", "Whether writes are refused because the disk is nearly full.")
        .flag(&[], status.read_only);
    page.gauge("chinwag_forced_epochs", "How often an operator let a server lead by --force-lead.")
        .number(&[], status.forced.len() as u64);
    let end = status.last.map_or(0, |last| last.seq);
    page.gauge("chinwag_log_end", "The place of the last entry of this server's log.")
        .number(&[], end);
    contacts(page, status);
    if role == Role::Leader {
        lags(page, view, status);
    }
}

fn contacts(page: &mut Page, status: &Status) {
    let mut contact = page.gauge(
        "chinwag_peer_contact_age_seconds",
        "How long ago another server answered; absent if it never did.",
    );
    for (id, peer) in &status.peers {
        if let Some(age) = peer.last_contact {
            contact.value(&[("server", &id.to_string())], age.as_secs_f64());
        }
    }
}

/// How far the followers are behind; told by the leader alone, who knows.
fn lags(page: &mut Page, view: &View, status: &Status) {
    let end = view.node.store().committed();
    let lags: Vec<(String, u64, Duration)> = status
        .peers
        .iter()
        .map(|(id, peer)| {
            let held = peer.acked.or(peer.last).unwrap_or(0);
            let age = view.past.age(held, Instant::now());
            (id.to_string(), end.saturating_sub(held), age)
        })
        .collect();
    let mut entries = page.gauge(
        "chinwag_follower_lag_entries",
        "How many committed entries a follower lacks; told by the leader.",
    );
    for (id, lag, _) in &lags {
        entries.number(&[("server", id)], *lag);
    }
    let mut seconds = page.gauge(
        "chinwag_follower_lag_seconds",
        "How old the oldest entry is that a follower lacks (an hour at most); told by the leader.",
    );
    for (id, _, age) in &lags {
        seconds.value(&[("server", id)], age.as_secs_f64());
    }
}

/// What the rooms counted.
fn counted(page: &mut Page, metrics: &Metrics) {
    let (writer, node) = (&metrics.writer, &metrics.node);
    page.histogram(
        "chinwag_acknowledgement_duration_seconds",
        "From an update's arrival at the leader to the moment when it is on enough disks.",
    )
    .histogram(&[], &node.acknowledgement);
    page.histogram(
        "chinwag_read_barrier_duration_seconds",
        "What a read waits until it is sure that it sees everything that was acknowledged.",
    )
    .histogram(&[], &node.read_barrier);
    page.histogram(
        "chinwag_commit_duration_seconds",
        "To commit a batch, the disk's sync included.",
    )
    .histogram(&[], &writer.commit);
    page.histogram("chinwag_apply_duration_seconds", "To apply a batch, before its commit.")
        .histogram(&[], &writer.apply);
    page.histogram("chinwag_batch_entries", "Entries of the log that are applied together.")
        .histogram(&[], &writer.batch_entries);
    page.histogram("chinwag_batch_bytes", "Bytes of the updates that are applied together.")
        .histogram(&[], &writer.batch_bytes);
    let mut changes = page.counter(
        "chinwag_role_changes_total",
        "How often this server came to a role; those to leader are fail-overs and hand-overs.",
    );
    for role in Role::ALL {
        changes.number(&[("role", role.name())], node.roles[role as usize].get());
    }
    page.gauge("chinwag_updates_underway", "Updates that were taken and wait for their outcome.")
        .number(&[], node.underway.get());
}

fn queues(page: &mut Page, node: &NodeHandle) {
    page.gauge("chinwag_requests_queued", "Requests that wait until the node takes them.")
        .number(&[], node.queued() as u64);
    page.gauge("chinwag_subscribers", "Live subscriptions.").number(&[], node.subscribers() as u64);
    let (indexed, committed) = (node.store().indexed(), node.store().committed());
    page.gauge("chinwag_search_lag_entries", "Committed entries that a search does not find yet.")
        .number(&[], committed.saturating_sub(indexed));
}

/// Copies of the database on their way to somebody who lacks too much.
fn copies(page: &mut Page, node: &NodeHandle) {
    let copies = node.copies();
    let by_server = |id: &ServerId| id.to_string();
    page.gauge("chinwag_snapshots_underway", "Copies of the database that come or go now.")
        .number(&[], copies.len() as u64);
    let mut done =
        page.gauge("chinwag_snapshot_copied_bytes", "What of such a copy has come or gone.");
    for (id, progress) in &copies {
        done.number(&[("server", &by_server(id))], progress.done);
    }
    let mut size = page.gauge("chinwag_snapshot_size_bytes", "How large such a copy is.");
    for (id, progress) in &copies {
        size.number(&[("server", &by_server(id))], progress.size);
    }
}

fn ask_disk(store: &Store, certificates: BTreeMap<String, i64>) -> Disk {
    Disk {
        used: store.disk_use(),
        free: store.free_space().ok(),
        diverged: store.diverged().ok().map(|files| files.len()),
        certificates,
    }
}

fn disk(page: &mut Page, disk: &Disk, reserve: u64) {
    let DiskUse { database, write_ahead_log, search } = disk.used;
    page.gauge("chinwag_database_bytes", "The database, without its write-ahead log.")
        .number(&[], database);
    page.gauge("chinwag_write_ahead_log_bytes", "The database's write-ahead log.")
        .number(&[], write_ahead_log);
    page.gauge("chinwag_search_index_bytes", "The search index.").number(&[], search);
    if let Some(free) = disk.free {
        page.gauge("chinwag_disk_free_bytes", "What this server can still write to its disk.")
            .number(&[], free);
    }
    page.gauge("chinwag_disk_reserve_bytes", "With less free disk than this no writes are taken.")
        .number(&[], reserve);
    if let Some(files) = disk.diverged {
        page.gauge(
            "chinwag_diverged_files",
            "Databases that were set aside with updates of their own.",
        )
        .number(&[], files as u64);
    }
    if !disk.certificates.is_empty() {
        let mut ends = page.gauge(
            "chinwag_certificate_expiry_timestamp_seconds",
            "When the certificate in a file ends, in seconds since 1970.",
        );
        for (file, until) in &disk.certificates {
            ends.value(&[("file", file)], *until as f64);
        }
    }
}
