//! What `/metrics` tells of real servers.

use chinwag::wire::chat::{ListMessagesRequest, LoginRequest};
use tonic::Code;

use super::{SOON, Watched};
use crate::harness::{User, all, request_id, until};

const SENDS: u32 = 20;

fn method(series: &str, service: &str, method: &str, more: &str) -> String {
    format!("{series}{{service=\"chinwag.{service}\",method=\"{method}\"{more}}}")
}

fn handled(name: &str, code: &str) -> String {
    method(
        "chinwag_rpc_handled_total",
        "chat.v1.MessageService",
        name,
        &format!(",code=\"{code}\""),
    )
}

#[tokio::test]
async fn the_leaders_page_counts_what_it_did_and_the_followers_what_they_stored() {
    let watched = Watched::start().await;
    let leader = watched.cluster.leader().await;
    let alice = User::create(&watched.cluster, "alice").await;
    let _live = alice.subscribe("").await;
    for number in 0..SENDS {
        alice.send("@alice", &number.to_string()).await;
    }
    alice.history("@alice").await;

    let page = watched.page(leader).await;
    let told = |series: &str| *page.get(series).unwrap_or_else(|| panic!("{series}: {page:#?}"));
    assert_eq!(told(&handled("SendMessage", "OK")), f64::from(SENDS));
    let took = "chinwag_rpc_duration_seconds_count";
    let took = method(took, "chat.v1.MessageService", "SendMessage", "");
    assert!(told(&took) >= f64::from(SENDS));
    assert!(told("chinwag_acknowledgement_duration_seconds_count") >= f64::from(SENDS));
    assert!(told("chinwag_acknowledgement_duration_seconds_sum") > 0.0);
    assert!(told("chinwag_read_barrier_duration_seconds_count") >= 1.0);
    for histogram in ["chinwag_commit_duration_seconds", "chinwag_apply_duration_seconds"] {
        let count = told(&format!("{histogram}_count"));
        assert!(count >= f64::from(SENDS), "one caller, so a batch a send: {count}");
        assert_eq!(told(&format!("{histogram}_bucket{{le=\"+Inf\"}}")), count);
    }
    let bytes = told("chinwag_batch_bytes_sum");
    assert!(bytes > f64::from(SENDS) * 20.0, "{bytes}");
    assert_eq!(told("chinwag_role{role=\"leader\"}"), 1.0);
    assert_eq!(told("chinwag_role{role=\"follower\"}"), 0.0);
    assert_eq!(told("chinwag_leader_id"), f64::from(leader));
    assert_eq!(told("chinwag_copies"), 3.0);
    assert_eq!(told("chinwag_role_changes_total{role=\"leader\"}"), 1.0);
    assert_eq!(told("chinwag_subscribers"), 1.0);
    assert_eq!(told("chinwag_updates_underway"), 0.0);
    assert!(told("chinwag_epoch") >= 1.0);
    for series in ["chinwag_database_bytes", "chinwag_disk_free_bytes", "process_open_fds"] {
        assert!(told(series) > 0.0, "{series}");
    }
    assert!(told("process_resident_memory_bytes") > 1e6);

    for follower in all().filter(|id| *id != leader) {
        assert_eq!(told(&format!("chinwag_in_sync{{server=\"{follower}\"}}")), 1.0);
        let page = watched.page(follower).await;
        assert_eq!(page["chinwag_role{role=\"follower\"}"], 1.0);
        assert!(page["chinwag_commit_duration_seconds_count"] >= f64::from(SENDS));
        assert!(page["chinwag_batch_entries_sum"] >= f64::from(SENDS));
        assert_eq!(page["chinwag_acknowledgement_duration_seconds_count"], 0.0);
        let lag = format!("chinwag_follower_lag_entries{{server=\"{leader}\"}}");
        assert!(!page.contains_key(&lag), "only the leader knows");
    }
    assert!(!watched.get(leader, "/metrics").await.body.contains("alice"), "no names");
}

#[tokio::test]
async fn refusals_are_counted_by_their_reason() {
    let watched = Watched::start().await;
    let leader = watched.cluster.leader().await;
    let alice = User::create(&watched.cluster, "alice").await;
    let door = watched.cluster.door(leader);
    let wrong = LoginRequest {
        request_id: request_id(),
        username: "alice".into(),
        password: "not the password".into(),
        device_name: String::new(),
    };
    let refused = door.sessions().login(wrong).await.expect_err("a wrong password");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let list = ListMessagesRequest { conversation: "@alice".into(), ..Default::default() };
    let follower = watched.cluster.another(leader);
    let elsewhere = watched.cluster.door(follower).with(&alice.token);
    elsewhere.messages().list_messages(list).await.expect_err("it does not lead");

    let page = watched.page(leader).await;
    assert_eq!(page["chinwag_refusals_total{reason=\"BAD_CREDENTIALS\"}"], 1.0);
    let code = ",code=\"UNAUTHENTICATED\"";
    let login = method("chinwag_rpc_handled_total", "chat.v1.SessionService", "Login", code);
    assert_eq!(page[&login], 1.0);
    let page = watched.page(follower).await;
    assert!(page["chinwag_refusals_total{reason=\"NOT_LEADER\"}"] >= 1.0);
    assert_eq!(page[&handled("ListMessages", "UNAVAILABLE")], 1.0);
}

#[tokio::test]
async fn a_call_that_its_caller_left_is_counted_as_cancelled() {
    let watched = Watched::start().await;
    let leader = watched.cluster.leader().await;
    let alice = User::create(&watched.cluster, "alice").await;
    let live = alice.subscribe("").await;
    drop(live);
    let cancelled = method(
        "chinwag_rpc_handled_total",
        "chat.v1.EventService",
        "Subscribe",
        ",code=\"CANCELLED\"",
    );
    until("the end of a subscription", SOON, || async {
        let page = watched.page(leader).await;
        let ended = page.get(&cancelled).copied() == Some(1.0);
        (ended && page["chinwag_subscribers"] == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_follower_that_is_gone_lags_in_entries_and_in_seconds_until_it_is_back() {
    let mut watched = Watched::start().await;
    let leader = watched.cluster.leader().await;
    let gone = watched.cluster.another(leader);
    let alice = User::create(&watched.cluster, "alice").await;
    watched.cluster.kill(gone);
    for number in 0..SENDS {
        alice.send("@alice", &number.to_string()).await;
    }
    let entries = format!("chinwag_follower_lag_entries{{server=\"{gone}\"}}");
    let seconds = format!("chinwag_follower_lag_seconds{{server=\"{gone}\"}}");
    let contact = format!("chinwag_peer_contact_age_seconds{{server=\"{gone}\"}}");
    until("a lag that grows", SOON, || async {
        let page = watched.page(leader).await;
        let told = |series: &str| page.get(series).copied().unwrap_or(f64::NAN);
        let lags = told(&entries) >= f64::from(SENDS) && told(&seconds) > 0.5;
        let is_away = told("chinwag_copies") == 2.0 && told(&contact) > 0.5;
        let is_out = told(&format!("chinwag_in_sync{{server=\"{gone}\"}}")) == 0.0;
        (lags && is_away && is_out).then_some(())
    })
    .await;

    watched.cluster.start_server(gone).await;
    watched.cluster.in_sync(all()).await;
    until("no lag", SOON, || async {
        let page = watched.page(leader).await;
        let told = |series: &str| page.get(series).copied().unwrap_or(f64::NAN);
        let is_back = told(&entries) == 0.0 && told(&seconds) == 0.0;
        (is_back && told("chinwag_copies") == 3.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_of_leader_is_counted_where_the_new_one_leads() {
    let mut watched = Watched::start().await;
    let first = watched.cluster.leader().await;
    let epoch = watched.page(first).await["chinwag_epoch"];
    watched.cluster.kill(first);
    let second = watched.cluster.leader().await;
    let page = watched.page(second).await;
    assert_eq!(page["chinwag_role_changes_total{role=\"leader\"}"], 1.0);
    assert!(page["chinwag_role_changes_total{role=\"follower\"}"] >= 1.0);
    assert!(page["chinwag_epoch"] > epoch);
}
