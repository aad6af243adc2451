//! What strangers and bad users do to a server, from addresses of their own (127.0.1.x). Each attack goes on
//! until what it returned is dropped, and comes back wherever it is thrown out.

use std::{convert::Infallible, net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use chinwag::wire::chat::{
    LoginRequest, SendMessageRequest, SendMessagesRequest, SubscribeRequest,
};
use http_body_util::Full;
use prost::Message as _;
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tonic::body::Body;
use tower::{Service as _, ServiceExt as _};

use super::{door::Door, request_id};

/// Who is attacked, and by whom.
#[derive(Clone)]
pub(crate) struct Target {
    /// Where the server is.
    pub(crate) address: String,
    /// The session of a user who floods.
    pub(crate) flooder: String,
    /// The session of a user whom others write to, and who reads nothing.
    pub(crate) deaf: String,
}

/// One kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Attack {
    /// Connections that never finish what every connection begins with.
    SlowLoris,
    /// Wrong passwords, for many names and from many addresses.
    LogIns,
    /// Connections that are in order and do nothing.
    Idle,
    /// Subscribers that take nothing.
    Deaf,
    /// One user who sends as fast as can be, by calls and by streams.
    Sends,
    /// Bytes that mean nothing.
    Garbage,
    /// Messages far beyond what is allowed.
    Oversized,
    /// Pings, as fast as can be.
    Pings,
}

impl Attack {
    /// All of them.
    pub(crate) const ALL: [Attack; 8] = [
        Attack::SlowLoris,
        Attack::LogIns,
        Attack::Idle,
        Attack::Deaf,
        Attack::Sends,
        Attack::Garbage,
        Attack::Oversized,
        Attack::Pings,
    ];

    /// Begins it with so many of the attacker's own connections or callers.
    pub(crate) fn begin(self, target: &Target, count: usize) -> JoinSet<()> {
        let mut all = JoinSet::new();
        for number in 0..count {
            let target = target.clone();
            all.spawn(async move {
                match self {
                    Attack::SlowLoris => again(|| creep(&target, number)).await,
                    Attack::LogIns => log_in(&target, number).await,
                    Attack::Idle => again(|| idle(&target, number)).await,
                    Attack::Deaf => listen_to_nothing(&target, number).await,
                    Attack::Sends if number.is_multiple_of(8) => stream(&target, number).await,
                    Attack::Sends => send(&target, number).await,
                    Attack::Garbage => again(|| babble(&target, number)).await,
                    Attack::Oversized => send_giants(&target, number).await,
                    Attack::Pings => again(|| ping(&target, number)).await,
                };
            });
        }
        all
    }
}

/// What every connection begins with: the preface, and settings that set nothing.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS_TYPE: u8 = 4;
const PING_TYPE: u8 = 6;
const ACK: u8 = 1;
/// How long an attacker takes to come back.
const COMES_BACK: Duration = Duration::from_millis(50);

/// So many addresses take part.
fn own_address(number: usize) -> Ipv4Addr {
    let last = u8::try_from(number % 8).expect("small") + 1;
    Ipv4Addr::new(127, 0, 1, last)
}

fn door(target: &Target, number: usize) -> Door {
    Door::from_address(&target.address, own_address(number).into())
}

async fn connect(target: &Target, number: usize) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((own_address(number), 0).into())?;
    socket.connect(target.address.parse().expect("an address")).await
}

/// Does it for ever; whenever it is over, from the beginning.
async fn again<F: Future<Output = io::Result<Infallible>>>(one: impl Fn() -> F) -> Infallible {
    loop {
        let Err(_thrown_out) = one().await;
        sleep(COMES_BACK).await;
    }
}

/// Half of them creep through the preface, the others through the headers of a call.
async fn creep(target: &Target, number: usize) -> io::Result<Infallible> {
    let mut stream = connect(target, number).await?;
    let mut bytes = PREFACE.to_vec();
    if number.is_multiple_of(2) {
        stream.write_all(PREFACE).await?;
        bytes = vec![0, 0, 100, 1, 4, 0, 0, 0, 1];
        bytes.resize(60, 0x82);
    }
    for byte in bytes {
        stream.write_all(&[byte]).await?;
        sleep(Duration::from_secs(1)).await;
    }
    stream.read_u8().await?;
    Err(io::ErrorKind::InvalidData.into())
}

async fn idle(target: &Target, number: usize) -> io::Result<Infallible> {
    answer_pings(connect(target, number).await?).await
}

/// A connection that is in order and does nothing, until the server ends it.
pub(crate) async fn stay_idle(address: String) {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let Err(_ended) = answer_pings(stream).await;
}

async fn answer_pings(mut stream: TcpStream) -> io::Result<Infallible> {
    stream.write_all(PREFACE).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        if matches!(kind, SETTINGS_TYPE | PING_TYPE) && flags & ACK == 0 {
            let length = if kind == PING_TYPE { 8 } else { 0 };
            stream.write_all(&[0, 0, length, kind, ACK, 0, 0, 0, 0]).await?;
            stream.write_all(&payload[..length.into()]).await?;
        }
    }
}

async fn babble(target: &Target, number: usize) -> io::Result<Infallible> {
    let mut stream = connect(target, number).await?;
    if number.is_multiple_of(2) {
        stream.write_all(PREFACE).await?;
    }
    let bytes: Vec<u8> = (0..65_536_usize).map(|at| (at * 31 + number) as u8).collect();
    loop {
        stream.write_all(&bytes).await?;
    }
}

async fn ping(target: &Target, number: usize) -> io::Result<Infallible> {
    let stream = connect(target, number).await?;
    let (mut reading, mut writing) = stream.into_split();
    writing.write_all(PREFACE).await?;
    let pings = [[0, 0, 8, PING_TYPE, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]; 100].concat();
    let (mut sink, mut nothing) = (io::sink(), [0; 65_536]);
    loop {
        writing.write_all(&pings).await?;
        let read = reading.read(&mut nothing).await?;
        sink.write_all(&nothing[..read]).await?;
    }
}

async fn log_in(target: &Target, number: usize) -> Infallible {
    let door = door(target, number);
    for attempt in 0_u64.. {
        let request = LoginRequest {
            request_id: request_id(),
            username: format!("victim-{}", attempt % 50),
            password: format!("a wrong password {attempt}"),
            device_name: String::new(),
        };
        if door.sessions().login(request).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    unreachable!("it has no end")
}

fn message(bytes: usize) -> SendMessageRequest {
    SendMessageRequest {
        request_id: request_id(),
        conversation: "@flooder".into(),
        body: "x".repeat(bytes),
        reply_to: String::new(),
    }
}

async fn send(target: &Target, number: usize) -> Infallible {
    let door = door(target, number).with(&target.flooder);
    loop {
        let request = message(100);
        if door.messages().send_message(request).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}

/// The same one again and again, made once: what costs the attacker's processor would hold up everybody who shares
/// the machine, whatever the server does.
async fn send_giants(target: &Target, number: usize) -> Infallible {
    let giant = message(3_900_000).encode_to_vec();
    let length = u32::try_from(giant.len()).expect("it fits").to_be_bytes();
    let giant = Bytes::from([&[0], &length[..], &giant].concat());
    let mut channel = door(target, number).channel();
    loop {
        let request = http::Request::post("/chinwag.chat.v1.MessageService/SendMessage")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", target.flooder))
            .body(Body::new(Full::new(giant.clone())))
            .expect("a request");
        let answered = match channel.ready().await {
            Ok(channel) => channel.call(request).await.is_ok(),
            Err(_) => false,
        };
        if !answered {
            tokio::task::yield_now().await;
        }
    }
}

async fn stream(target: &Target, number: usize) -> Infallible {
    let door = door(target, number).with(&target.flooder);
    loop {
        let messages = std::iter::repeat_with(|| SendMessagesRequest {
            request_id: request_id(),
            conversation: "@flooder".into(),
            body: "x".repeat(100),
            reply_to: String::new(),
        });
        if let Ok(answers) = door.messages().send_messages(tokio_stream::iter(messages)).await {
            let mut answers = answers.into_inner();
            while let Ok(Some(_)) = answers.message().await {}
        }
        sleep(COMES_BACK).await;
    }
}

/// A hundred streams on each connection.
async fn listen_to_nothing(target: &Target, number: usize) -> Infallible {
    let door = door(target, number).with(&target.deaf);
    let mut deaf = Vec::new();
    loop {
        if let Ok(stream) = door.events().subscribe(SubscribeRequest::default()).await {
            deaf.push(stream);
        }
        if deaf.len() == 100 {
            sleep(Duration::from_secs(5)).await;
            deaf.clear();
        }
        sleep(Duration::from_millis(10)).await;
    }
}
