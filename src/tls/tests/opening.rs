//! Connections, from both sides.

use std::{error::Error, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{HandshakeKind, client::Resumption, pki_types::ServerName},
    server::TlsStream,
};
use tokio_stream::StreamExt as _;
use tonic::{Request, client::Grpc, transport::server::TcpIncoming};
use tonic_prost::ProstCodec;

use super::{Desk, Forge, holder};
use crate::{
    cluster::ServerId,
    tls::{Dialing, Distrust, Files, Handshakes, Keeper, Patience, material},
};

const SOON: Duration = Duration::from_secs(30);
/// Longer than any test.
const EVER: Duration = Duration::from_secs(3_600);

/// A port behind which handshakes are held.
struct Port {
    address: SocketAddr,
    keeper: Keeper,
    opened: mpsc::UnboundedReceiver<TlsStream<TcpStream>>,
}

impl Port {
    async fn open(files: Files) -> Port {
        Port::open_with(files, Patience { longest: EVER, ..Patience::default() }).await
    }

    async fn open_with(files: Files, patience: Patience) -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let keeper = Keeper::open(files, holder()).expect("they are right");
        let authority = keeper.callers_authority();
        let mut handshakes =
            Handshakes::new(TcpIncoming::from(listener), keeper.server(), authority, patience);
        let (sender, opened) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(stream)) = handshakes.next().await {
                if sender.send(stream).is_err() {
                    break;
                }
            }
        });
        Port { address, keeper, opened }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// A whole handshake with whoever trusts this authority; returns the certificate that was shown.
    async fn handshake(&self, ca: PathBuf) -> io::Result<Vec<u8>> {
        let config = Arc::new(material::trusting(&ca).expect("an authority"));
        let name = ServerName::from(self.address.ip());
        let stream = TlsConnector::from(config).connect(name, self.connect().await).await?;
        let shown = stream.get_ref().1.peer_certificates().expect("one was shown");
        Ok(shown[0].to_vec())
    }

    async fn next(&mut self) -> TlsStream<TcpStream> {
        timeout(SOON, self.opened.recv()).await.expect("in time").expect("it listens")
    }
}

/// Whether a connection has been closed by the port.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    matches!(timeout(SOON, stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
}

/// Whether nothing has come over a connection, not even its end.
fn is_open(stream: &TcpStream) -> bool {
    stream.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn handshakes_that_never_end_keep_nobody_waiting() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let mut port = Port::open(desk.files()).await;
    let mut idle = Vec::new();
    for number in 0..100 {
        let mut stream = port.connect().await;
        if number % 2 == 0 {
            // The beginning of a record that never goes on.
            stream.write_all(&[0x16, 3, 1, 2]).await.expect("it is open");
        }
        idle.push(stream);
    }
    let another = port.handshake(desk.path("ca.pem"));
    timeout(SOON, another).await.expect("in time").expect("it is believed");
    port.next().await;
    assert!(idle.iter().all(is_open), "there is room for all of them");
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let patience = Patience { longest: Duration::from_millis(100), ..Patience::default() };
    let port = Port::open_with(desk.files(), patience).await;
    let mut stream = port.connect().await;
    stream.write_all(&[0x16]).await.expect("it is open");
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn when_all_places_are_held_the_oldest_makes_room() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let patience = Patience {
        at_once: 2,
        longest: EVER,
        crowded: Duration::from_millis(100),
        ..Patience::default()
    };
    let mut port = Port::open_with(desk.files(), patience).await;
    let (mut first, second) = (port.connect().await, port.connect().await);
    let another = port.handshake(desk.path("ca.pem"));
    timeout(SOON, another).await.expect("in time").expect("it is believed");
    port.next().await;
    assert!(is_closed(&mut first).await);
    assert!(is_open(&second), "one place was enough");
}

#[tokio::test]
async fn no_more_than_are_allowed_are_under_way() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let patience = Patience { at_once: 2, longest: EVER, crowded: EVER, ..Patience::default() };
    let port = Port::open_with(desk.files(), patience).await;
    let idle = (port.connect().await, port.connect().await);
    let mut waits = std::pin::pin!(port.handshake(desk.path("ca.pem")));
    let early = timeout(Duration::from_millis(200), &mut waits).await;
    assert!(early.is_err(), "it is answered though all places are taken");
    drop(idle);
    timeout(SOON, waits).await.expect("in time").expect("it is believed");
}

#[tokio::test]
async fn every_connection_is_judged_anew() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let mut port = Port::open(desk.files()).await;
    // This client would resume its session, if the server let it.
    let mut config = material::trusting(&desk.path("ca.pem")).expect("an authority");
    config.resumption = Resumption::default();
    let connector = TlsConnector::from(Arc::new(config));
    for _ in 0..2 {
        let (name, stream) = (ServerName::from(port.address.ip()), port.connect().await);
        let mut stream = connector.connect(name, stream).await.expect("it is believed");
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        let mut answered = port.next().await;
        // A ticket would come with the first answer.
        answered.write_all(b"!").await.expect("it is open");
        answered.flush().await.expect("it is open");
        let mut byte = [0; 1];
        timeout(SOON, stream.read_exact(&mut byte)).await.expect("in time").expect("an answer");
    }
}

#[tokio::test]
async fn the_next_connection_is_answered_with_the_new_certificate() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let mut port = Port::open(desk.files()).await;
    let first = port.handshake(desk.path("ca.pem")).await.expect("it is believed");
    let next = forge.server();
    desk.put(&next);
    for _ in 0..2 {
        port.keeper.look(desk.files().read(), super::now());
    }
    let second = port.handshake(desk.path("ca.pem")).await.expect("it is believed");
    assert_ne!(first, second);
    assert_eq!(second, super::der(&next.certificate).to_vec());
}

#[tokio::test]
async fn a_caller_without_tls_is_told_so_in_http2_once_it_has_asked_for_something() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let patience = Patience { longest: EVER, plain: EVER, ..Patience::default() };
    let port = Port::open_with(desk.files(), patience).await;
    let mut stream = port.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("it is open");
    let mut settings = [0; 9];
    timeout(SOON, stream.read_exact(&mut settings)).await.expect("in time").expect("it is open");
    assert_eq!(settings, [0, 0, 0, 4, 0, 0, 0, 0, 0]);
    stream.write_all(&settings).await.expect("it is open");
    let early = timeout(Duration::from_millis(200), stream.read(&mut [0; 1])).await;
    assert!(early.is_err(), "a goodbye before the request tells nothing of it: {early:?}");

    stream.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82]).await.expect("it is open");
    let mut goaway = Vec::new();
    timeout(SOON, stream.read_to_end(&mut goaway)).await.expect("in time").expect("it ends well");
    assert_eq!(goaway[3], 7, "{goaway:?}");
    assert_eq!(goaway[9..17], [0, 0, 0, 0, 0, 0, 0, 0xc], "nothing was looked at");
    assert_eq!(usize::from(goaway[2]), goaway.len() - 9);
    let words = String::from_utf8_lossy(&goaway[17..]);
    assert!(words.contains("encrypted connections only"), "{words}");
}

#[tokio::test]
async fn a_caller_without_tls_that_asks_for_nothing_is_told_all_the_same() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let patience = Patience { longest: EVER, plain: Duration::ZERO, ..Patience::default() };
    let port = Port::open_with(desk.files(), patience).await;
    let mut stream = port.connect().await;
    stream.write_all(b"PRI").await.expect("it is open");
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.expect("in time").expect("it ends well");
    assert!(String::from_utf8_lossy(&answer).contains("encrypted connections only"));
}

/// What whoever calls a server in this way finds wrong with it; nobody answers behind the port.
async fn distrust(dialing: &Dialing, port: &mut Port, to: u32) -> Option<String> {
    let address = port.address.to_string();
    let endpoint = dialing.endpoint(&address).expect("an address");
    let channel = dialing.connect(&endpoint, Some(ServerId(to)));
    let mut service = Grpc::new(channel);
    tokio::select! {
        ready = async {
            service.ready().await?;
            // A channel connects at its first call.
            let codec = ProstCodec::<(), ()>::default();
            let call = service.unary(Request::new(()), "/a/b".parse().expect("a path"), codec);
            call.await.map(|_| ()).map_err(Box::<dyn Error + Send + Sync>::from)
        } => {
            let error = ready.expect_err("nobody answers");
            Some(Distrust::find(&*error, &address).unwrap_or_else(|| panic!("{error:?}")).to_string())
        }
        _ = port.next() => None,
    }
}

#[tokio::test]
async fn a_server_believes_another_one_only_as_the_server_that_it_means() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let mut port = Port::open(desk.files()).await;
    let named = port.keeper.dialing();
    assert_eq!(distrust(&named, &mut port, 1).await, None);
    let words = distrust(&named, &mut port, 2).await.expect("it is server 1");
    assert!(words.contains("certificate of server 1, not of server 2"), "{words}");
    // Where servers need no certificate to call, an address is enough.
    let files = Files { client_ca: None, ..desk.files() };
    let unnamed = Keeper::open(files, holder()).expect("they are right").dialing();
    assert_eq!(distrust(&unnamed, &mut port, 2).await, None);
}

#[tokio::test]
async fn whoever_trusts_another_authority_says_so() {
    let (forge, other) = (Forge::new(), Forge::new());
    let desk = Desk::with(&forge.server(), &forge.pem);
    let mut port = Port::open(desk.files()).await;
    desk.write("other.pem", &other.pem);
    let dialing = Dialing::trusting(&desk.path("other.pem")).expect("an authority");
    let words = distrust(&dialing, &mut port, 1).await.expect("it is of another one");
    assert!(words.contains("not signed by the authority in"), "{words}");
    assert!(words.contains(&port.address.to_string()), "{words}");
    // A file with several authorities believes each of them.
    desk.write("both.pem", &format!("{}{}", other.pem, forge.pem));
    let dialing = Dialing::trusting(&desk.path("both.pem")).expect("authorities");
    assert_eq!(distrust(&dialing, &mut port, 1).await, None);
}
