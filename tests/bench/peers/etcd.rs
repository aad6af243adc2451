//! etcd, over its gRPC: one key a message.

use http::uri::PathAndQuery;
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
    nodes.leader = until("etcd has a leader", PATIENCE, || async {
        for address in &addresses {
            let status = status(address).await;
            if status.is_ok_and(|one| one.header.is_some_and(|own| own.member_id == one.leader)) {
                return Some(address.clone());
            }
        }
        None
    })
    .await;
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
}

impl Caller for Client {
    async fn call(&mut self) {
        self.count += 1;
        let key = format!("{}/{}", self.number, self.count).into_bytes();
        let put = PutRequest { key, value: vec![b'x'; BODY] };
        let answer = call::<_, Nothing>(&mut self.grpc, "/etcdserverpb.KV/Put", put).await;
        answer.expect("acknowledged");
    }
}
