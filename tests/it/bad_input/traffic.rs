//! Bytes that no well-meaning program sends. The server drops them and goes on serving others.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

use crate::harness::{Cluster, User, all, bodies, request_id};

const TOO_LARGE: usize = 5 * 1024 * 1024;

/// Messages as bare bytes.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        use bytes::BufMut as _;
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Calls a method with these bytes as the message, and says how that ended.
async fn call(cluster: &Cluster, id: u32, token: &str, path: &str, body: Bytes) -> Status {
    let mut grpc = Grpc::new(cluster.door(id).channel());
    grpc.ready().await.expect("the server answers");
    let mut request = Request::new(tokio_stream::once(body));
    let value = format!("Bearer {token}").parse().expect("printable");
    request.metadata_mut().insert("authorization", value);
    let path: PathAndQuery = path.parse().expect("a path");
    let answer = timeout(Duration::from_secs(10), grpc.streaming(request, path, Raw)).await;
    match answer.expect("garbage is answered, not swallowed") {
        Err(status) => status,
        Ok(stream) => {
            let mut stream = stream.into_inner();
            let end = timeout(Duration::from_secs(10), stream.message()).await;
            match end.expect("garbage is answered, not swallowed") {
                Err(status) => status,
                Ok(None) => Status::cancelled("the stream was ended without a word"),
                Ok(Some(_)) => Status::ok("it was taken"),
            }
        }
    }
}

const CHAT_METHODS: &[&str] = &[
    "AccountService/CreateAccount",
    "SessionService/Login",
    "ConversationService/MarkRead",
    "MessageService/SendMessage",
    "MessageService/ListMessages",
    "MessageService/DeleteMessages",
    "EventService/Subscribe",
];
const CLUSTER_METHODS: &[&str] =
    &["RegisterFollower", "AcceptUpdates", "Heartbeat", "Prepare", "Evict", "Resign", "FetchLog"];

fn methods() -> Vec<String> {
    let chat = CHAT_METHODS.iter().map(|method| format!("/chinwag.chat.v1.{method}"));
    let cluster = CLUSTER_METHODS
        .iter()
        .map(|method| format!("/chinwag.cluster.v1.ReplicationService/{method}"));
    chat.chain(cluster).collect()
}

#[tokio::test]
async fn garbage_and_giants_on_every_method_are_refused_and_change_nothing() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    alice.send("@alice", "kept").await;
    let epoch = cluster.status(cluster.leader().await).await.expect("it leads").epoch;
    // A field of length 100 of which only 3 bytes follow; and well-formed bytes beyond every limit.
    let garbage = Bytes::from_static(&[0x0a, 100, 1, 2, 3]);
    let mut giant = vec![0x12, 0x80, 0x80, 0xc0, 0x02];
    giant.resize(TOO_LARGE + giant.len(), b'x');
    let giant = Bytes::from(giant);
    for id in all() {
        for method in methods() {
            for (what, body) in [("garbage", &garbage), ("5 MiB", &giant)] {
                let status = call(&cluster, id, &alice.token, &method, body.clone()).await;
                assert_ne!(status.code(), Code::Ok, "{what} to {method} of {id}: {status:?}");
                assert!(!status.message().contains("panic"), "{what} to {method}: {status:?}");
            }
        }
        assert!(cluster.process(id).is_running());
    }
    alice.send("@alice", "and more").await;
    assert_eq!(bodies(&alice.history("@alice").await), ["kept", "and more"]);
    let leader = cluster.in_sync(all()).await;
    assert_eq!(cluster.status(leader).await.expect("it leads").epoch, epoch, "nobody stumbled");
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let cluster = Cluster::start().await;
    for path in ["/chinwag.chat.v1.MessageService/Forge", "/chinwag.chat.v2.None/Send", "/x"] {
        let status = call(&cluster, 1, "", path, Bytes::new()).await;
        assert_eq!(status.code(), Code::Unimplemented, "{path}: {status:?}");
    }
}

#[tokio::test]
async fn raw_bytes_at_the_port_disturb_nobody() {
    let mut cluster = Cluster::start().await;
    let alice = User::create(&cluster, "alice").await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut broken_frame = preface.to_vec();
    broken_frame.extend([0xff; 64]);
    let attacks: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nHost: chinwag\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        vec![0; 100_000],
        broken_frame,
        preface[..10].to_vec(),
    ];
    let mut held = Vec::new();
    for id in all() {
        for attack in &attacks {
            let mut stream = TcpStream::connect(cluster.address(id)).await.expect("it listens");
            let _ = stream.write_all(attack).await;
            let mut answer = vec![0; 1024];
            let _ = timeout(Duration::from_millis(50), stream.read(&mut answer)).await;
            held.push(stream);
        }
    }
    for _ in 0..10 {
        alice.try_send(&request_id(), "@alice", "still here").await.expect("others are served");
    }
    drop(held);
    for id in all() {
        assert!(cluster.process(id).is_running());
    }
    cluster.in_sync(all()).await;
}
