//! Redis, over its own protocol: one element of a list a message.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

use super::nodes::{Nodes, PATIENCE};
use crate::{
    harness::until,
    load::{BODY, Caller},
};

/// One that takes writes, and two that copy it.
pub(crate) async fn start() -> Option<Nodes> {
    let mut nodes = Nodes::prepare();
    for node in 0..3 {
        let data = nodes.data(node).display().to_string();
        let port = nodes.ports[node][0].to_string();
        let mut options = vec!["--port", &port, "--dir", &data, "--save", ""];
        options.extend(["--appendonly", "yes", "--appendfsync", "always"]);
        let first = nodes.ports[0][0].to_string();
        if node > 0 {
            options.extend(["--replicaof", "127.0.0.1", &first]);
        }
        let options: Vec<String> = options.into_iter().map(str::to_owned).collect();
        if !nodes.start("redis-server", &options) {
            return None;
        }
    }
    let address = nodes.leader.clone();
    until("Redis has two copies", PATIENCE, || async {
        let mut client = Client::try_connect(&address).await?;
        (client.info().await.matches("state=online").count() == 2).then_some(())
    })
    .await;
    Some(nodes)
}

/// Appends, and waits for both copies.
pub(crate) struct Client {
    stream: BufStream<TcpStream>,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Client {
        Client::try_connect(address).await.expect("it listens")
    }

    async fn try_connect(address: &str) -> Option<Client> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).expect("a socket");
        Some(Client { stream: BufStream::new(stream) })
    }

    async fn info(&mut self) -> String {
        self.say("INFO replication\r\n").await;
        let length: usize = self.line().await.trim_start_matches('$').parse().expect("a length");
        let mut text = vec![0; length + 2];
        self.stream.read_exact(&mut text).await.expect("the text");
        String::from_utf8_lossy(&text).into_owned()
    }

    async fn say(&mut self, words: &str) {
        self.stream.write_all(words.as_bytes()).await.expect("open");
        self.stream.flush().await.expect("open");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.expect("open");
        line.trim_end().to_owned()
    }
}

impl Caller for Client {
    async fn call(&mut self) {
        let body = "x".repeat(BODY);
        let append = format!("*3\r\n$5\r\nRPUSH\r\n$4\r\nchat\r\n${BODY}\r\n{body}\r\n");
        self.say(&format!("{append}*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$1\r\n0\r\n")).await;
        let appended = self.line().await;
        assert!(appended.starts_with(':'), "{appended}");
        assert_eq!(self.line().await, ":2", "both have it");
    }
}
