//! One server in this process, as its callers meet it.

use std::{collections::HashMap, net::TcpListener, time::Duration};

use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Streaming};

use super::{Options, ServerError, run};
use crate::{
    client::{Client, Patience},
    cluster::ServerId,
    config::Config,
    wire::chat::{Event, SubscribeRequest, event::Kind, event_service_client::EventServiceClient},
};

const PASSWORD: &str = "correct horse";
const SOON: Duration = Duration::from_secs(20);

struct Alone {
    address: String,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ServerError>>,
    _folder: TempDir,
}

fn config(address: &str, folder: &std::path::Path, more: &[(&str, &str)]) -> Config {
    let text = format!("servers:\n  1: {{ address: \"{address}\" }}\n");
    let quick = [
        ("STORAGE__DATA_DIR", folder.to_str().expect("a plain path")),
        ("FAILOVER__BOOT_TIMEOUT_MS", "1000"),
        ("ACCOUNTS__PASSWORD_MEMORY_KIB", "1024"),
        ("ACCOUNTS__PASSWORD_ITERATIONS", "1"),
    ];
    let overrides = quick.iter().chain(more);
    let environment: HashMap<_, _> =
        overrides.map(|(key, value)| (format!("CHINWAG__{key}"), (*value).to_owned())).collect();
    Config::parse(&text, "the test", environment).expect("a good configuration")
}

impl Alone {
    fn start() -> Alone {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address").to_string();
        let config = config(&address, folder.path(), &[]);
        let stop = CancellationToken::new();
        let running = run(config, ServerId(1), Options::default(), || Ok(listener), stop.clone());
        Alone { address, stop, task: tokio::spawn(running), _folder: folder }
    }

    async fn alice(&self) -> Client {
        let client = Client::new(std::slice::from_ref(&self.address), Patience::default())
            .expect("a client");
        let created = timeout(SOON, client.create_account("alice", PASSWORD)).await;
        created.expect("in time").expect("created");
        client
    }

    async fn subscribe(&self, client: &Client, cursor: &str) -> Streaming<Event> {
        let address = format!("http://{}", self.address);
        let mut events = EventServiceClient::connect(address).await.expect("connected");
        let mut request = Request::new(SubscribeRequest { cursor: cursor.into() });
        let token = client.session_token().expect("logged in");
        let value = format!("Bearer {}", token.as_str()).parse().expect("a header");
        request.metadata_mut().insert("authorization", value);
        let mut stream = events.subscribe(request).await.expect("subscribed").into_inner();
        if cursor.is_empty() {
            let first = next(&mut stream).await;
            assert!(matches!(first.kind, Some(Kind::CaughtUp(_))), "{first:?}");
        }
        stream
    }

    async fn end(self) -> Duration {
        let began = Instant::now();
        self.stop.cancel();
        let ended = timeout(SOON, self.task).await.expect("it ends").expect("no panic");
        ended.expect("a clean end");
        began.elapsed()
    }
}

async fn next(stream: &mut Streaming<Event>) -> Event {
    timeout(SOON, stream.message()).await.expect("in time").expect("no error").expect("an event")
}

/// The next `count` deletions: each one's cursor and message.
async fn deletions(stream: &mut Streaming<Event>, count: usize) -> Vec<(String, String)> {
    let (mut found, began) = (Vec::new(), Instant::now());
    while found.len() < count {
        let event = next(stream).await;
        assert!(began.elapsed() < SOON, "told of {found:?} and nothing more");
        if let Some(Kind::MessageDeleted(message)) = event.kind {
            found.push((event.cursor, message.message_id));
        }
    }
    found
}

#[tokio::test]
async fn no_part_of_an_answer_waits_for_the_one_before() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let _caller = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let accepted = super::listen::connections(listener).next().await.expect("one came");
    assert!(accepted.expect("it is open").nodelay().expect("a socket"));
}

#[tokio::test]
async fn a_device_that_was_told_a_part_of_what_one_update_did_is_told_all_of_it_again() {
    let server = Alone::start();
    let alice = server.alice().await;
    let mut ids = Vec::new();
    for body in ["one", "two", "three"] {
        ids.push(alice.send("@alice", body).await.expect("sent").message_id);
    }
    let mut live = server.subscribe(&alice, "").await;
    alice.delete(ids.clone()).await.expect("deleted");
    let told = deletions(&mut live, 3).await;
    assert_eq!(told.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>(), ids);
    // The connection is lost after the first of the three.
    let mut resumed = server.subscribe(&alice, &told[0].0).await;
    let again = deletions(&mut resumed, 3).await;
    assert_eq!(again, told, "live and replayed, the same events have the same cursors");
    // After the last one there is nothing more to tell.
    let mut complete = server.subscribe(&alice, &told[2].0).await;
    let first = next(&mut complete).await;
    assert!(matches!(first.kind, Some(Kind::CaughtUp(_))), "{first:?}");
    server.end().await;
}

#[tokio::test]
async fn a_stop_waits_for_no_subscriber_and_frees_the_port() {
    let server = Alone::start();
    let alice = server.alice().await;
    let mut live = server.subscribe(&alice, "").await;
    let address = server.address.clone();
    assert!(server.end().await < Duration::from_secs(5));
    let ended = timeout(SOON, live.message()).await.expect("in time");
    assert!(ended.is_err(), "the stream says that it ended: {ended:?}");
    assert!(TcpListener::bind(&address).is_ok(), "the port is free");
}

#[tokio::test]
async fn without_the_secrets_file_nothing_is_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("secret");
    let data = folder.path().join("data");
    let secret = ("CLUSTER__SECRET_FILE", missing.to_str().expect("a plain path"));
    let config = config("127.0.0.1:1", &data, &[secret]);
    let listener = || -> Result<TcpListener, ServerError> { panic!("no port is needed") };
    let ended =
        run(config, ServerId(1), Options::default(), listener, CancellationToken::new()).await;
    assert!(matches!(ended, Err(ServerError::Config(_))), "{ended:?}");
    assert!(!data.exists(), "no start was counted");
}
