//! Strangers and bad users: whoever behaves is answered meanwhile, and what they take has an end.

use std::{cell::Cell, fs, time::Duration};

use chinwag::{
    client::{Client, Outgoing, Patience},
    wire::chat::{
        ChangePasswordRequest, CreateAccountRequest, GetAccountRequest, GetStatusRequest,
        LoginRequest, SendMessageRequest, cluster_service_client::ClusterServiceClient,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::bad_input::assert_bad_field;
use crate::harness::{
    Attack, Cluster, Door, Options, PASSWORD, PREFACE, Target, User, all, reason, request_id,
    stay_idle, until,
};

/// Nothing that must happen takes longer.
const SOON: Duration = Duration::from_secs(30);

fn with(limits: &[(&'static str, &str)]) -> Options {
    let environment = limits.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Options { environment, servers: 1, ..Options::default() }
}

fn log_in(username: &str, password: &str) -> LoginRequest {
    LoginRequest {
        request_id: request_id(),
        username: username.into(),
        password: password.into(),
        device_name: "test".into(),
    }
}

fn create(username: &str) -> CreateAccountRequest {
    let (request_id, password) = (request_id(), PASSWORD.to_owned());
    CreateAccountRequest { request_id, username: username.into(), password }
}

fn note(body: &str) -> SendMessageRequest {
    SendMessageRequest {
        request_id: request_id(),
        conversation: "@alice".into(),
        body: body.into(),
        reply_to: String::new(),
    }
}

/// That it is the limits' refusal, with the time to come back.
#[track_caller]
fn assert_limited(status: &Status) -> Duration {
    assert_eq!((status.code(), reason(status).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    let retry = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    retry.expect("it says when to come back")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_every_attack_whoever_behaves_is_answered_and_what_the_others_take_has_an_end() {
    let mut options = Options::as_shipped();
    options.environment.extend([
        ("CHINWAG__LIMITS__CONNECTIONS", "300".to_owned()),
        ("CHINWAG__LIMITS__CONNECTIONS_PER_ADDRESS", "60".to_owned()),
    ]);
    let mut cluster = Cluster::start_with(options).await;
    let sender = User::create(&cluster, "sender").await;
    let (flooder, deaf) =
        (User::create(&cluster, "flooder").await, User::create(&cluster, "deaf").await);
    let leader = cluster.in_sync(all()).await;
    let (address, pid) = (cluster.address(leader), cluster.process(leader).id());
    let target = Target { address, flooder: flooder.token.clone(), deaf: deaf.token.clone() };
    let files = || fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count();
    let without = files();
    let epoch = cluster.status(leader).await.expect("it leads").epoch;
    let mut sent = 0;
    for attack in Attack::ALL {
        let count = match attack {
            Attack::SlowLoris | Attack::Idle => 400,
            Attack::Deaf => 2,
            Attack::Oversized => 8,
            _ => 16,
        };
        let attackers = attack.begin(&target, count);
        for _ in 0..20 {
            let answer = sender.try_send(&request_id(), "@deaf", &"x".repeat(1_000)).await;
            answer.unwrap_or_else(|status| panic!("under {attack:?}: {status:?}"));
            sent += 1;
            assert!(files() < without + 400, "under {attack:?}: {} files", files());
        }
        let mib = resident_mib(pid);
        assert!(mib < 250, "under {attack:?} the leader holds {mib} MiB");
        drop(attackers);
        eprintln!("{attack:?}: {mib} MiB, {} files", files());
    }
    let status = cluster.status(cluster.in_sync(all()).await).await.expect("it leads");
    assert_eq!(status.epoch, epoch, "nobody lost the lead");
    assert_eq!(sender.history("@deaf").await.len(), sent);
    cluster.stop_all().await;
}

fn resident_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
    line.split_whitespace().next().expect("a number").parse::<u64>().expect("a number") / 1_024
}

#[tokio::test]
async fn what_says_that_it_is_far_too_large_is_refused_before_it_has_come() {
    let cluster = Cluster::start_with(with(&[])).await;
    let alice = User::create(&cluster, "alice").await;
    for bytes in [300_000, 3_900_000] {
        let began = note(&"x".repeat(bytes));
        let status = alice.door().messages().send_message(began).await.expect_err("too large");
        assert_bad_field(&status, "body");
        assert!(status.message().contains("262144"), "{status:?}");
    }
    alice.send("@alice", "the same connection goes on").await;
}

#[tokio::test]
async fn what_is_far_too_large_counts_as_many_calls_of_whoever_sends_it() {
    let limits = [("CHINWAG__LIMITS__ACCOUNT_CALLS_PER_SECOND", "4")];
    let cluster = Cluster::start_with(with(&limits)).await;
    let alice = User::create(&cluster, "alice").await;
    let bob = User::create(&cluster, "bob").await;
    alice.send("@alice", "whoever has called once is known").await;
    let giant = note(&"x".repeat(3_900_000));
    let answer = alice.door().messages().send_message(giant.clone()).await;
    assert_bad_field(&answer.expect_err("too large"), "body");
    let answer = alice.door().messages().send_message(giant).await;
    assert_limited(&answer.expect_err("she used up what may come at once"));
    for _ in 0..30 {
        let answer = bob.try_send(&request_id(), "@bob", &"x".repeat(16 << 10)).await;
        answer.expect("the longest message is one call");
    }
}

#[tokio::test]
async fn pings_are_answered_only_so_often() {
    let cluster = Cluster::start_with(with(&[])).await;
    let stream = TcpStream::connect(cluster.address(1)).await.expect("it listens");
    let (mut reading, mut writing) = stream.into_split();
    let mut flood = JoinSet::new();
    flood.spawn(async move {
        let pings = [[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]; 100].concat();
        let mut sent = writing.write_all(PREFACE).await;
        while sent.is_ok() {
            sent = writing.write_all(&pings).await;
        }
    });
    let (mut answers, mut bytes) = (0, [0; 65_536]);
    let listening = async {
        while let Ok(read @ 1..) = reading.read(&mut bytes).await {
            answers += read / 17;
        }
    };
    assert!(timeout(Duration::from_secs(2), listening).await.is_err(), "it is slowed down");
    // A thousand at once, a hundred a second, and what was read already.
    assert!((1_000..10_000).contains(&answers), "{answers} answers");
}

#[tokio::test]
async fn one_account_is_slowed_down_then_refused_and_a_stream_only_slowed_down() {
    let options = with(&[("CHINWAG__LIMITS__ACCOUNT_CALLS_PER_SECOND", "2")]);
    let cluster = Cluster::start_with(options).await;
    let (alice, bob) = (User::create(&cluster, "alice").await, User::create(&cluster, "bob").await);
    // A session's calls count for its account as soon as the first of them is answered.
    alice.send("@alice", "first").await;
    let door = alice.door();
    let mut calls = JoinSet::new();
    // More than a burst and what a second brings.
    for number in 0..150 {
        let door = door.clone();
        calls.spawn(async move { door.messages().send_message(note(&number.to_string())).await });
    }
    let (mut taken, mut refused) = (0, 0);
    while let Some(call) = calls.join_next().await {
        match call.expect("no panic") {
            Ok(_) => taken += 1,
            Err(status) => {
                assert_limited(&status);
                refused += 1;
            }
        }
    }
    assert!(taken >= 10 && refused > 0, "{taken} taken, {refused} refused");
    bob.send("@bob", "others notice nothing").await;

    let bulk = Client::new(&[cluster.address(1)], Patience::default()).expect("a client");
    bulk.set_session_token(Some(alice.token.clone()));
    let messages: Vec<Outgoing> = (0..10)
        .map(|number| Outgoing {
            request_id: Client::new_request_id(),
            conversation: "@alice".into(),
            body: format!("bulk {number}"),
            reply_to: String::new(),
        })
        .collect();
    let mut answered = 0;
    let all = bulk.send_all(&messages, |_, result| {
        result.expect("a stream waits, and is not refused");
        answered += 1;
    });
    timeout(SOON, all).await.expect("in time").expect("all are sent");
    assert_eq!(answered, 10);
    assert_eq!(alice.history("@alice").await.len(), taken + 11, "what was refused left nothing");
}

#[tokio::test]
async fn many_addresses_guess_no_faster_than_one_and_the_owner_at_home_still_comes_in() {
    let cluster = Cluster::start_with(with(&[])).await;
    let alice = User::create(&cluster, "alice").await;
    for name in ["nobody", "alice"] {
        let (wrong, number) = (Cell::new(0), Cell::new(1));
        until("a wait of some seconds", SOON, || async {
            number.set(number.get() % 200 + 1);
            let own = [127, 0, 2, number.get()].into();
            let door = Door::from_address(&cluster.address(1), own);
            let guess = door.sessions().login(log_in(name, "a wrong password")).await;
            let status = guess.expect_err("it is wrong");
            if status.code() == Code::Unauthenticated {
                wrong.set(wrong.get() + 1);
                return None;
            }
            Some(assert_limited(&status)).filter(|wait| *wait > Duration::from_secs(5))
        })
        .await;
        assert!((12..20).contains(&wrong.get()), "{name}: {} guesses", wrong.get());
    }
    let right = log_in("alice", PASSWORD);
    let stranger = Door::from_address(&cluster.address(1), [127, 0, 2, 250].into());
    let from_afar = stranger.sessions().login(right.clone()).await;
    assert_limited(&from_afar.expect_err("strangers wait, whatever they know"));
    cluster.door(1).sessions().login(right).await.expect("where the account was used before");
    alice.send("@alice", "a session is not touched").await;
}

#[tokio::test]
async fn one_address_may_be_wrong_and_make_accounts_only_so_often() {
    let options = with(&[
        ("CHINWAG__LIMITS__FAILED_LOGINS_PER_MINUTE", "8"),
        ("CHINWAG__LIMITS__NEW_ACCOUNTS_PER_HOUR", "5"),
    ]);
    let cluster = Cluster::start_with(options).await;
    let door = cluster.door(1);
    let mut wrong = 0;
    let status = loop {
        let guess = door.sessions().login(log_in(&format!("name-{wrong}"), "a wrong one")).await;
        match guess.expect_err("it is wrong") {
            status if status.code() == Code::Unauthenticated => wrong += 1,
            status => break status,
        }
    };
    assert_limited(&status);
    assert!((8..12).contains(&wrong), "{wrong}");
    for number in 0..5 {
        let created = door.accounts().create_account(create(&format!("user-{number}"))).await;
        created.expect("one of the first five");
    }
    let sixth = door.accounts().create_account(create("user-6")).await.expect_err("one too many");
    assert_limited(&sixth);
    let other = Door::from_address(&cluster.address(1), [127, 0, 2, 1].into());
    other.accounts().create_account(create("user-6")).await.expect("another address");
}

#[tokio::test]
async fn a_session_guesses_its_own_password_no_faster() {
    let cluster = Cluster::start_with(with(&[])).await;
    let alice = User::create(&cluster, "alice").await;
    let mut wrong = 0;
    let status = loop {
        let request = ChangePasswordRequest {
            request_id: request_id(),
            old_password: "a wrong password".into(),
            new_password: "another password".into(),
        };
        match alice.door().accounts().change_password(request).await.expect_err("it is wrong") {
            status if status.code() == Code::Unauthenticated => wrong += 1,
            status => break status,
        }
    };
    assert_limited(&status);
    assert!((10..20).contains(&wrong), "{wrong} guesses");
}

/// Until the server ends this connection.
async fn ended(mut stream: TcpStream) {
    let mut bytes = [0; 1_024];
    let end = async { while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    timeout(SOON, end).await.expect("the server ends it");
}

#[tokio::test]
async fn a_connection_that_does_not_begin_ends_and_so_does_one_that_is_idle() {
    let options = with(&[("CHINWAG__LIMITS__IDLE_CONNECTION_SECONDS", "10")]);
    let cluster = Cluster::start_with(options).await;
    let silent = TcpStream::connect(cluster.address(1)).await.expect("it listens");
    let idle = stay_idle(cluster.address(1));
    let door = cluster.door(1);
    door.status().await.expect("a first call");
    // A stream is no idleness, however long nothing is said.
    let alice = User::create(&cluster, "alice").await;
    let mut live = alice.subscribe("").await;
    ended(silent).await;
    timeout(SOON, idle).await.expect("the server ends what answers its pings and is idle");
    let beats = async {
        for _ in 0..4 {
            live.message().await.expect("alive").expect("alive");
        }
    };
    timeout(SOON, beats).await.expect("the stream lives");
    // A caller whose connection was idle connects again, and notices nothing.
    until("an answer over a new connection", SOON, || async { door.status().await }).await;
}

#[tokio::test]
async fn strangers_make_room_for_those_who_are_known() {
    let options = with(&[("CHINWAG__LIMITS__CONNECTIONS", "10")]);
    let cluster = Cluster::start_with(options).await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "known from now on").await;
    let mut strangers = Vec::new();
    for number in 0..30 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 2, number + 1], 0).into()).expect("loopback");
        let address = cluster.address(1).parse().expect("an address");
        let mut stranger = socket.connect(address).await.expect("it listens");
        // From now on it is idle, which is allowed for long.
        let _ = stranger.write_all(PREFACE).await;
        strangers.push(stranger);
    }
    // The first of them had to leave; the connection of somebody who is known is the same as before.
    ended(strangers.remove(0)).await;
    let account = alice.door().accounts().get_account(GetAccountRequest {}).await;
    account.expect("over the same connection");
    let mut newcomer = ClusterServiceClient::new(cluster.door(1).channel());
    newcomer.get_status(GetStatusRequest {}).await.expect("a newcomer is let in");
}
