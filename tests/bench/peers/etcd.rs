//! etcd, over its gRPC: one key a message.

use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tonic::{
    Request, Status,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::nodes::{Nodes, PATIENCE};
use crate::{
    harness::until,
    load::{BODY, Caller},
};

/// A node that does not answer for so long is left for the next one.
const ATTEMPT: Duration = Duration::from_secs(1);
/// From one that is whole again to the next kill.
const BETWEEN: Duration = Duration::from_secs(1);

#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(uint64, tag = "4")]
    leader: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Header {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

/// Three members, and who leads them.
pub(crate) async fn start() -> Option<Nodes> {
    let mut nodes = Nodes::prepare();
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let members: Vec<String> = (0..3).map(|n| format!("n{n}={}", url(nodes.ports[n][1]))).collect();
    let members = members.join(",");
    for node in 0..3 {
        let [clients, others] = nodes.ports[node];
        let data = nodes.data(node).display().to_string();
        let (name, clients, others) = (format!("n{node}"), url(clients), url(others));
        let options = [
            ("name", name.as_str()),
            ("data-dir", &data),
            ("listen-client-urls", &clients),
            ("advertise-client-urls", &clients),
            ("listen-peer-urls", &others),
            ("initial-advertise-peer-urls", &others),
            ("initial-cluster", &members),
        ];
        let options: Vec<String> =
            options.iter().map(|(name, value)| format!("--{name}={value}")).collect();
        if !nodes.start("etcd", &options) {
            return None;
        }
    }
    let addresses: Vec<String> =
        nodes.ports.iter().map(|[port, _]| format!("127.0.0.1:{port}")).collect();
    nodes.leader = addresses[leader(&addresses).await].clone();
    Some(nodes)
}

async fn status(address: &str) -> Result<StatusResponse, Status> {
    call(&mut connect(address), "/etcdserverpb.Maintenance/Status", Nothing {}).await
}

fn connect(address: &str) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    Grpc::new(endpoint.tcp_nodelay(true).connect_lazy())
}

async fn call<Body, Answer>(
    grpc: &mut Grpc<Channel>,
    path: &'static str,
    body: Body,
) -> Result<Answer, Status>
where
    Body: prost::Message + 'static,
    Answer: prost::Message + Default + 'static,
{
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<Body, Answer>::default();
    let path = PathAndQuery::from_static(path);
    Ok(grpc.unary(Request::new(body), path, codec).await?.into_inner())
}

/// From each kill -9 of the leader, while some put keys without a pause, to the next acknowledged put that was
/// begun after it; the shortest first.
pub(crate) async fn outages(nodes: &mut Nodes, putters: usize, times: usize) -> Vec<Duration> {
    let addresses: Vec<String> =
        nodes.ports.iter().map(|[port, _]| format!("127.0.0.1:{port}")).collect();
    let (done, mut dones) = mpsc::unbounded_channel();
    let mut putting = JoinSet::new();
    for number in 0..putters {
        let (addresses, done) = (addresses.clone(), done.clone());
        putting.spawn(async move {
            for turn in number.. {
                let mut client = Client::new(&addresses[turn % addresses.len()], number);
                loop {
                    let begun = Instant::now();
                    match timeout(ATTEMPT, client.put()).await {
                        Ok(Ok(_)) => drop(done.send((begun, Instant::now()))),
                        Ok(Err(_)) | Err(_) => break,
                    }
                }
            }
        });
    }
    let mut outages = Vec::new();
    for _ in 0..times {
        let leader = leader(&addresses).await;
        sleep(BETWEEN).await;
        let killed = Instant::now();
        nodes.kill(leader);
        outages.push(loop {
            let (begun, at) = dones.recv().await.expect("they go on");
            if begun > killed {
                break at - killed;
            }
        });
        nodes.restart(leader);
        until("etcd is whole", PATIENCE, || async { status(&addresses[leader]).await.ok() }).await;
    }
    putting.shutdown().await;
    outages.sort_unstable();
    outages
}

/// The node that leads.
async fn leader(addresses: &[String]) -> usize {
    until("etcd has a leader", PATIENCE, || async {
        for (node, address) in addresses.iter().enumerate() {
            let status = status(address).await;
            if status.is_ok_and(|one| one.header.is_some_and(|own| own.member_id == one.leader)) {
                return Some(node);
            }
        }
        None
    })
    .await
}

/// Puts one key after the other.
pub(crate) struct Client {
    grpc: Grpc<Channel>,
    number: usize,
    count: u64,
}

impl Client {
    pub(crate) fn new(address: &str, number: usize) -> Client {
        Client { grpc: connect(address), number, count: 0 }
    }

    async fn put(&mut self) -> Result<Nothing, Status> {
        self.count += 1;
        let key = format!("{}/{}", self.number, self.count).into_bytes();
        let put = PutRequest { key, value: vec![b'x'; BODY] };
        call(&mut self.grpc, "/etcdserverpb.KV/Put", put).await
    }
}

impl Caller for Client {
    async fn call(&mut self) {
        self.put().await.expect("acknowledged");
    }
}
