//! PostgreSQL, over its own protocol: the same three rows a message in one statement, and so in one transaction,
//! synced by two standbys as well before it is acknowledged.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

use super::nodes::{Nodes, PATIENCE};
use crate::{
    harness::{request_id, until},
    load::{BODY, Caller},
};

const TABLES: &str = "
    CREATE TABLE log (seq bigserial PRIMARY KEY, payload text NOT NULL);
    CREATE TABLE messages (id bigserial PRIMARY KEY, conversation bigint NOT NULL, seq bigint NOT NULL,
        sender bigint NOT NULL, body text NOT NULL, UNIQUE (conversation, seq));
    CREATE TABLE requests (request_id uuid PRIMARY KEY, account bigint NOT NULL, message bigint NOT NULL)";
const SEND: &str = "
    WITH sent AS (INSERT INTO messages (conversation, seq, sender, body)
        VALUES ($1::bigint, $2::bigint, $1::bigint, $3) RETURNING id),
    known AS (INSERT INTO requests SELECT $4::uuid, $1::bigint, id FROM sent)
    INSERT INTO log (payload) VALUES ($3)";
const SETTINGS: [&str; 9] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=300",
    "max_wal_senders=8",
    "hot_standby=on",
    "fsync=on",
    "synchronous_commit=on",
    "shared_buffers=128MB",
    "logging_collector=off",
];
/// Who runs it where this program is run by root, whom it refuses.
const USER: &str = "postgres";

/// A primary and two synchronous standbys.
pub(crate) async fn start() -> Option<Nodes> {
    let Some(programs) = programs() else {
        println!("LEFT OUT: postgres: not installed");
        return None;
    };
    let mut nodes = Nodes::prepare();
    let owner = owner();
    chown_to(nodes.path(), owner);
    let port = nodes.ports[0][0];
    for node in 0..3 {
        let data = nodes.data(node);
        chown_to(&data, owner);
        // It refuses a folder that others can look into.
        fs::set_permissions(&data, Permissions::from_mode(0o700)).expect("its owner may");
        let made = if node == 0 {
            let arguments = ["-A", "trust", "-U", USER, "-E", "UTF8", "--no-sync"];
            run(&programs.join("initdb"), owner, &[&arguments[..], &["-D", text(&data)]].concat())
        } else {
            let primary = format!(
                "host=127.0.0.1 port={port} user={USER} application_name=n{node} sslmode=disable"
            );
            let arguments = ["-R", "-c", "fast", "-d", &primary, "-D", text(&data)];
            run(&programs.join("pg_basebackup"), owner, &arguments)
        };
        if !made {
            return None;
        }
        let mut arguments = vec!["-D".to_owned(), text(&data).to_owned()];
        arguments.extend(["-p".to_owned(), nodes.ports[node][0].to_string()]);
        arguments.extend(SETTINGS.iter().flat_map(|one| ["-c".to_owned(), (*one).to_owned()]));
        let (program, arguments) = as_owner(&programs.join("postgres"), owner, arguments);
        if !nodes.start(&program, &arguments) {
            return None;
        }
        let address = format!("127.0.0.1:{}", nodes.ports[node][0]);
        until("PostgreSQL answers", PATIENCE, || Client::try_connect(&address, 0)).await;
    }
    let mut client = Client::connect(&nodes.leader, 0).await;
    client.ask(TABLES).await;
    client.ask("ALTER SYSTEM SET synchronous_standby_names = '2 (n1, n2)'").await;
    client.ask("SELECT pg_reload_conf()").await;
    until("PostgreSQL has two copies", PATIENCE, || async {
        let mut client = Client::try_connect(&nodes.leader, 0).await?;
        let answer = client
            .ask("SELECT 'copies=' || count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
            .await;
        String::from_utf8_lossy(&answer).contains("copies=2").then_some(())
    })
    .await;
    Some(nodes)
}

/// The folder of the newest version's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> =
        versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
    found.sort();
    found.pop().filter(|folder| folder.join("initdb").exists())
}

/// The user's and the group's number, if this is root's process.
fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find_map(|line| line.strip_prefix(&format!("{USER}:x:")))?;
    let mut fields = line.split(':').map(|field| field.parse().ok());
    Some((fields.next()??, fields.next()??))
}

fn chown_to(path: &Path, owner: Option<(u32, u32)>) {
    if let Some((user, group)) = owner {
        chown(path, Some(user), Some(group)).expect("root may");
    }
}

fn as_owner(
    program: &Path,
    owner: Option<(u32, u32)>,
    arguments: Vec<String>,
) -> (String, Vec<String>) {
    let Some((user, group)) = owner else { return (text(program).to_owned(), arguments) };
    let mut all = vec![format!("--reuid={user}"), format!("--regid={group}")];
    all.extend(["--clear-groups".to_owned(), text(program).to_owned()]);
    all.extend(arguments);
    ("setpriv".to_owned(), all)
}

fn run(program: &Path, owner: Option<(u32, u32)>, arguments: &[&str]) -> bool {
    let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
    let (command, arguments) = as_owner(program, owner, arguments);
    let output = Command::new(command).args(arguments).output();
    let good = output.as_ref().is_ok_and(|output| output.status.success());
    if !good {
        println!("LEFT OUT: {}: {output:?}", program.display());
    }
    good
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a printable path")
}

/// Sends one message after the other.
pub(crate) struct Client {
    stream: BufStream<TcpStream>,
    number: usize,
    count: u64,
}

impl Client {
    pub(crate) async fn connect(address: &str, number: usize) -> Client {
        Client::try_connect(address, number).await.expect("it answers")
    }

    async fn try_connect(address: &str, number: usize) -> Option<Client> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).expect("a socket");
        let mut client = Client { stream: BufStream::new(stream), number, count: 0 };
        let mut hello = 196_608_u32.to_be_bytes().to_vec();
        hello.extend(format!("user\0{USER}\0database\0postgres\0\0").as_bytes());
        client.stream.write_all(&length(&hello)).await.ok()?;
        client.stream.write_all(&hello).await.ok()?;
        client.stream.flush().await.ok()?;
        client.answer().await?;
        Some(client)
    }

    /// Prepares what every call carries out.
    pub(crate) async fn prepare(&mut self) {
        let parse = [b"send\0", SEND.as_bytes(), b"\0\0\0"].concat();
        self.say(b'P', &parse).await;
        self.say(b'S', &[]).await;
        self.stream.flush().await.expect("open");
        self.answer().await.expect("a good statement");
    }

    /// What a simple query answers.
    async fn ask(&mut self, query: &str) -> Vec<u8> {
        self.say(b'Q', &[query.as_bytes(), b"\0"].concat()).await;
        self.stream.flush().await.expect("open");
        self.answer().await.expect("a good query")
    }

    async fn say(&mut self, kind: u8, body: &[u8]) {
        self.stream.write_u8(kind).await.expect("open");
        self.stream.write_all(&length(body)).await.expect("open");
        self.stream.write_all(body).await.expect("open");
    }

    /// Everything up to the end of the answer; `None` if it is an error or the server does not answer.
    async fn answer(&mut self) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        let mut good = true;
        loop {
            let kind = self.stream.read_u8().await.ok()?;
            let length = self.stream.read_u32().await.ok()? as usize - 4;
            let from = all.len();
            all.resize(from + length, 0);
            self.stream.read_exact(&mut all[from..]).await.ok()?;
            good &= kind != b'E';
            if kind == b'Z' {
                return good.then_some(all);
            }
        }
    }
}

/// With the length's own four bytes.
fn length(body: &[u8]) -> [u8; 4] {
    u32::try_from(body.len() + 4).expect("short").to_be_bytes()
}

impl Caller for Client {
    async fn call(&mut self) {
        self.count += 1;
        let values =
            [self.number.to_string(), self.count.to_string(), "x".repeat(BODY), request_id()];
        let mut bind = b"\0send\0\0\0".to_vec();
        bind.extend(4_u16.to_be_bytes());
        for value in values {
            bind.extend(u32::try_from(value.len()).expect("short").to_be_bytes());
            bind.extend(value.as_bytes());
        }
        bind.extend([0, 0]);
        self.say(b'B', &bind).await;
        self.say(b'E', b"\0\0\0\0\0").await;
        self.say(b'S', &[]).await;
        self.stream.flush().await.expect("open");
        self.answer().await.expect("acknowledged");
    }
}
