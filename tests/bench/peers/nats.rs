//! NATS JetStream, over its own protocol: one message of a stream with three replicas.

use std::{fs, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
    time::timeout,
};

use super::nodes::{Nodes, PATIENCE};
use crate::{
    harness::until,
    load::{BODY, Caller},
};

const STREAM: &str = r#"{"name":"CHAT","subjects":["chat.>"],"storage":"file","num_replicas":3,"duplicate_window":0}"#;

/// Three servers, and the one that leads the stream.
pub(crate) async fn start() -> Option<Nodes> {
    let mut nodes = Nodes::prepare();
    let routes: Vec<String> =
        nodes.ports.iter().map(|[_, others]| format!("nats://127.0.0.1:{others}")).collect();
    for node in 0..3 {
        let [clients, others] = nodes.ports[node];
        let config = format!(
            "server_name: n{node}\nlisten: 127.0.0.1:{clients}\n\
             jetstream {{ store_dir: \"{}\" }}\n\
             cluster {{ name: peers, listen: \"127.0.0.1:{others}\", routes: [{}] }}\n",
            nodes.data(node).display(),
            routes.join(", "),
        );
        let path = nodes.path().join(format!("{node}.conf"));
        fs::write(&path, config).expect("writable");
        if !nodes.start("nats-server", &["-c".into(), path.display().to_string()]) {
            return None;
        }
    }
    let address = nodes.leader.clone();
    let leader: usize = until("NATS has a stream", PATIENCE, || async {
        let mut client = Client::try_connect(&address, "setup").await?;
        let answer = client.ask("$JS.API.STREAM.CREATE.CHAT", STREAM);
        let answer = timeout(Duration::from_secs(5), answer).await.ok()?;
        let answer: serde_json::Value = serde_json::from_str(&answer).ok()?;
        let leader = answer["cluster"]["leader"].as_str()?;
        leader.strip_prefix('n')?.parse().ok()
    })
    .await;
    nodes.leader = format!("127.0.0.1:{}", nodes.ports[leader][0]);
    Some(nodes)
}

/// Publishes, and waits for the stream's word.
pub(crate) struct Client {
    stream: BufStream<TcpStream>,
    inbox: String,
    subject: String,
}

impl Client {
    pub(crate) async fn connect(address: &str, name: &str) -> Client {
        Client::try_connect(address, name).await.expect("it listens")
    }

    async fn try_connect(address: &str, name: &str) -> Option<Client> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).expect("a socket");
        let (inbox, subject) = (format!("inbox.{name}"), format!("chat.{name}"));
        let mut client = Client { stream: BufStream::new(stream), inbox, subject };
        let inbox = &client.inbox;
        let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB {inbox} 1\r\n");
        client.stream.write_all(hello.as_bytes()).await.ok()?;
        client.stream.flush().await.ok()?;
        Some(client)
    }

    /// Says this to a subject, and reads what comes back.
    async fn ask(&mut self, subject: &str, words: &str) -> String {
        let said = format!("PUB {subject} {} {}\r\n{words}\r\n", self.inbox, words.len());
        self.stream.write_all(said.as_bytes()).await.expect("open");
        self.stream.flush().await.expect("open");
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.expect("open");
            assert!(!line.is_empty(), "the server closed the connection");
            if line.starts_with("PING") {
                self.stream.write_all(b"PONG\r\n").await.expect("open");
                self.stream.flush().await.expect("open");
            }
            if line.starts_with("MSG") {
                let length = line.split_whitespace().last().expect("a length");
                let mut text = vec![0; length.parse::<usize>().expect("a number") + 2];
                self.stream.read_exact(&mut text).await.expect("the message");
                return String::from_utf8_lossy(&text).trim_end().to_owned();
            }
        }
    }
}

impl Caller for Client {
    async fn call(&mut self) {
        let subject = self.subject.clone();
        let answer = self.ask(&subject, &"x".repeat(BODY)).await;
        assert!(answer.contains("\"seq\""), "{answer}");
    }
}
