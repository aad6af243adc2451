//! A fourth server that is configured and holds the secret, played by a test: it may lag, be wrongly
//! configured or talk nonsense, and disturbs nobody.

use std::time::Duration;

use bytes::Bytes;
use chinwag::{
    config::Config,
    wire::cluster::{
        Envelope, Epoch, HeartbeatRequest, HeartbeatResponse, Incarnation, Position, Report, View,
    },
};
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::{Code, transport::Channel};

use super::{
    calls::{End, Surface, call},
    nonsense::Nonsense,
    scene::{SECRET, Scene},
};
use crate::harness::{Options, all, reason, within};

/// The ID that is configured and never started.
const GHOST: u32 = 4;
/// An epoch's number that no server reaches by itself.
const GREAT: u64 = 1 << 40;
const SOON: Duration = Duration::from_secs(5);
/// What the core drops is never answered; nobody needs to wait for that.
const SHORT: Duration = Duration::from_millis(300);
/// Nonsensical requests a call and server.
const ROUNDS: u64 = 25;

async fn scene() -> Scene {
    let mut options = Options { servers: 4, ..Scene::options() };
    // Nobody waits long for the fourth one at the first start.
    options.environment.push(("CHINWAG__FAILOVER__BOOT_TIMEOUT_MS", "3000".into()));
    Scene::begin(options).await
}

fn envelope(to: u32, receiver: Option<Incarnation>, promised: u64) -> Envelope {
    Envelope {
        cluster: "test".into(),
        from: GHOST,
        to,
        incarnation: Some(Incarnation { starts: 1, bumps: 0, random: 7 }),
        receiver,
        nonce: 5,
        promised: Some(Epoch { number: promised, server: if promised > 0 { GHOST } else { 0 } }),
    }
}

/// What a blank server of the same configuration would report.
fn blank(scene: &Scene) -> Report {
    let config = Config::load(Some(&scene.cluster.config())).expect("the servers' own");
    Report {
        uuid: Bytes::from_static(&[4; 16]),
        mode: 1,
        config_hash: config.config_hash(1),
        schema_version: chinwag::store::SCHEMA_VERSION,
        log_format: 1,
        ..Report::default()
    }
}

/// What a leader of a greater epoch with a long log would report.
fn great_leader(scene: &Scene) -> Report {
    let epoch = Some(Epoch { number: GREAT, server: GHOST });
    let hash = Bytes::from_static(&[9; 32]);
    Report {
        mode: 5,
        epoch,
        serving: true,
        last: Some(Position { epoch, seq: 1_000_000, hash: hash.clone() }),
        view: Some(View { members: vec![GHOST], forced: false }),
        view_seq: 1,
        leader_contact_ms: Some(0),
        belonged: true,
        ..blank(scene)
    }
}

async fn heartbeat(scene: &Scene, to: u32, promised: u64, report: Report) -> HeartbeatResponse {
    report_to(scene, envelope(to, None, promised), report).await
}

async fn report_to(scene: &Scene, envelope: Envelope, report: Report) -> HeartbeatResponse {
    let to = envelope.to;
    let request = HeartbeatRequest { envelope: Some(envelope), report: Some(report) };
    let message = request.encode_to_vec().into();
    let channel = scene.cluster.door(to).channel();
    match call(channel, "Heartbeat", Some(SECRET), vec![message], SOON).await {
        End::Answered(bytes) => HeartbeatResponse::decode(bytes).expect("a report"),
        other => panic!("server {to}: {other:?}"),
    }
}

#[tokio::test]
async fn a_server_of_another_configuration_or_history_is_refused_whatever_it_claims() {
    let scene = scene().await;
    let right = great_leader(&scene);
    let claims = [
        ("another configuration", Report { config_hash: 1, ..right.clone() }),
        ("another log format", Report { log_format: 2, ..right.clone() }),
        ("another history", Report { lineage: Bytes::from_static(&[1; 32]), ..right.clone() }),
    ];
    for (what, claim) in claims {
        for _ in 0..5 {
            for id in all() {
                let answer = heartbeat(&scene, id, GREAT, claim.clone()).await;
                let promised = answer.envelope.and_then(|envelope| envelope.promised);
                let number = promised.map_or(0, |epoch| epoch.number);
                assert!(number < GREAT, "server {id} takes over a promise of {what}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    scene.nothing_changed().await;
}

/// Whoever has an older program stops at a command that it cannot read; so nobody writes one meanwhile.
#[tokio::test]
async fn what_an_older_server_could_not_read_is_not_written_until_it_is_upgraded() {
    let scene = scene().await;
    let leader = scene.leader;
    // The last one without what operators do.
    let older = 6;
    for (nonce, schema_version) in [(10, older), (11, chinwag::store::SCHEMA_VERSION)] {
        let report = Report { schema_version, ..blank(&scene) };
        let envelope = Envelope { nonce, ..envelope(leader, None, 0) };
        report_to(&scene, envelope, report).await;
        let said = crate::operate::server(&scene.cluster, &["admin", "end-sessions", "bob"], "");
        let said = said.await;
        said.exits_with(1);
        let words = match schema_version == older {
            true => "an older version runs on server 4",
            // It is read by all, and there is no such account.
            false => "there is no such account",
        };
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
}

#[tokio::test]
async fn a_member_that_talks_nonsense_is_answered_and_nobody_else_is_disturbed() {
    let scene = scene().await;
    let surface = Surface::that_moves_nothing();
    let mut calls = JoinSet::new();
    for id in all() {
        let answer = heartbeat(&scene, id, 0, blank(&scene)).await;
        let receiver = answer.envelope.and_then(|envelope| envelope.incarnation);
        let mut nonsense = Nonsense::new(&surface, 100 + u64::from(id));
        for method in &surface.methods {
            for round in 0..ROUNDS {
                let known = envelope(id, receiver.filter(|_| round % 5 > 0), 0);
                let message = match round {
                    0 => Bytes::new(),
                    1 => nonsense.bytes(200),
                    // At gRPC's limit, and beyond it.
                    2 => Bytes::from(vec![0x7a; 4 << 20]),
                    3 => Bytes::from(vec![0; (4 << 20) + 1]),
                    _ => nonsense.request(method, &known),
                };
                let (channel, name) = (scene.cluster.door(id).channel(), method.name.clone());
                calls.spawn(async move {
                    let end = call(channel, &name, Some(SECRET), vec![message], SHORT).await;
                    (name, end)
                });
                if calls.len() >= 16 {
                    is_documented(calls.join_next().await.expect("one runs").expect("no panic"));
                }
            }
        }
    }
    while let Some(end) = calls.join_next().await {
        is_documented(end.expect("no panic"));
    }
    scene.nothing_changed().await;
}

/// Answered, passed over, or refused for what it is.
fn is_documented((method, end): (String, End)) {
    if let End::Status(status) = end {
        let documented = [
            Code::InvalidArgument,
            Code::Unauthenticated,
            Code::DeadlineExceeded,
            // An account that is not there.
            Code::NotFound,
            // An epoch that the asked server does not lead.
            Code::FailedPrecondition,
            // What gRPC itself says of bytes that are no message, and of too many of them.
            Code::Internal,
            Code::OutOfRange,
            Code::ResourceExhausted,
        ];
        // What only the leader can do.
        let elsewhere = status.code() == Code::Unavailable && reason(&status) == "NOT_LEADER";
        assert!(elsewhere || documented.contains(&status.code()), "{method}: {status:?}");
    }
}

#[tokio::test]
async fn a_flood_of_streams_delays_no_send() {
    let scene = scene().await;
    let surface = Surface::that_moves_nothing();
    let leader = scene.leader;
    let receiver = heartbeat(&scene, leader, 0, blank(&scene)).await.envelope;
    let receiver = receiver.and_then(|envelope| envelope.incarnation);
    let mut nonsense = Nonsense::new(&surface, 7);
    for secret in [None, Some(SECRET)] {
        let mut calls = JoinSet::new();
        let doors: Vec<Channel> = (0..8).map(|_| scene.cluster.door(leader).channel()).collect();
        for number in 0..60 * surface.methods.len() {
            let method = &surface.methods[number % surface.methods.len()];
            let message = nonsense.request(method, &envelope(leader, receiver, 0));
            let (channel, name) = (doors[number % 8].clone(), method.name.clone());
            calls.spawn(async move { call(channel, &name, secret, vec![message], SOON).await });
        }
        within("the end of a flood", SOON * 6, calls.join_all()).await;
    }
    scene.nothing_changed().await;
}
