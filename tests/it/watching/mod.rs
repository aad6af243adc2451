//! What an operator, Prometheus and an orchestrator see of servers from outside.

mod health;
mod logs;
mod page;
mod rules;
mod status;

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Cluster, Options, free_ports, within};

/// An answer to a look comes within this.
const SOON: Duration = Duration::from_secs(20);

/// Servers that are looked at: all on one port, each on its own address of this machine.
struct Watched {
    cluster: Cluster,
    port: u16,
}

/// What a server answered over HTTP.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Watched {
    async fn start_with(options: Options) -> Watched {
        let mut watched = Watched::prepare(options).await;
        for id in watched.cluster.ids() {
            watched.cluster.start_server(id).await;
        }
        watched.cluster.in_sync(watched.cluster.ids()).await;
        watched
    }

    async fn start() -> Watched {
        Watched::start_with(Options::default()).await
    }

    async fn prepare(mut options: Options) -> Watched {
        let port = free_ports(1)[0];
        let listen = format!("127.0.0.{{id}}:{port}");
        options.environment.push(("CHINWAG__METRICS__LISTEN", listen));
        Watched { cluster: Cluster::prepare(options).await, port }
    }

    async fn connect(&self, id: u32) -> TcpStream {
        let address = format!("127.0.0.{id}:{}", self.port);
        let connecting = TcpStream::connect(&address);
        within("a connection", SOON, connecting).await.expect("it listens")
    }

    async fn ask(&self, id: u32, method: &str, path: &str) -> Answer {
        let mut stream = self.connect(id).await;
        let question = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut text = String::new();
        within(path, SOON, async {
            stream.write_all(question.as_bytes()).await.expect("it reads");
            stream.read_to_string(&mut text).await.expect("it answers in text");
        })
        .await;
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, id: u32, path: &str) -> Answer {
        self.ask(id, "GET", path).await
    }

    /// Every series of a server with its value.
    async fn page(&self, id: u32) -> BTreeMap<String, f64> {
        let answer = self.get(id, "/metrics").await;
        assert_eq!(answer.status, 200);
        series(&answer.body)
    }
}

/// Reads the text format: strictly, as far as ours goes.
fn series(page: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let mut family = "";
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            family = kind.split(' ').next().expect("a name");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a series and its value");
        assert!(name.starts_with(family), "{name} stands under {family}");
        let value = value.parse().unwrap_or_else(|_| panic!("{line} has no number"));
        assert!(found.insert(name.to_owned(), value).is_none(), "{name} is there twice");
    }
    found
}
