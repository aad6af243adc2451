//! Every call between servers, found in the descriptors and made with bare bytes: a call that is added
//! later is tested the day it appears.

use std::{collections::BTreeMap, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tokio::time::timeout;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// The services that servers offer to each other.
const SERVICES: &str = "chinwag.cluster.v1";
/// The one by which the protocol speaks, whose calls go by their bare names.
const PROTOCOL: &str = "ReplicationService";

/// One call of a service.
#[derive(Clone, Debug)]
pub(super) struct Method {
    /// Such as `Prepare`, or `OperationService/Barrier`.
    pub(super) name: String,
    /// The full name of its request, with a dot in front.
    pub(super) request: String,
}

/// Every call and every message type of the protos.
pub(super) struct Surface {
    pub(super) methods: Vec<Method>,
    pub(super) types: BTreeMap<String, DescriptorProto>,
}

impl Surface {
    /// Reads it from the descriptors that the server itself shows.
    pub(super) fn read() -> Surface {
        let set = FileDescriptorSet::decode(chinwag::wire::DESCRIPTORS).expect("descriptors");
        let mut surface = Surface { methods: Vec::new(), types: BTreeMap::new() };
        for file in set.file {
            let package = file.package().to_owned();
            for service in file.service.iter().filter(|_| package == SERVICES) {
                let of_protocol = service.name() == PROTOCOL;
                let name = |method: &str| match of_protocol {
                    true => method.to_owned(),
                    false => format!("{}/{method}", service.name()),
                };
                surface.methods.extend(service.method.iter().map(|method| Method {
                    name: name(method.name()),
                    request: method.input_type().to_owned(),
                }));
            }
            for kind in file.message_type {
                surface.types.insert(format!(".{package}.{}", kind.name()), kind);
            }
        }
        surface
    }

    /// The same without the call by which a member moves the lead: who may make it changes something.
    pub(super) fn that_moves_nothing() -> Surface {
        let mut surface = Surface::read();
        surface.methods.retain(|method| method.name != "OperationService/HandOver");
        surface
    }
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum End {
    /// With the first of its answers.
    Answered(Bytes),
    /// Nothing was told: the stream ended without a word, or nobody answered.
    Untold,
    /// With a status.
    Status(Status),
}

/// Makes a call with these bytes as its messages, and waits so long for its first answer.
pub(super) async fn call(
    channel: Channel,
    method: &str,
    secret: Option<&str>,
    messages: Vec<Bytes>,
    patience: Duration,
) -> End {
    let mut request = Request::new(tokio_stream::iter(messages));
    if let Some(secret) = secret {
        let value = secret.parse().expect("a printable secret");
        request.metadata_mut().insert("chinwag-cluster-secret", value);
    }
    let method = if method.contains('/') { method } else { &format!("{PROTOCOL}/{method}") };
    let path = format!("/{SERVICES}.{method}").parse().expect("a path");
    let calling = async {
        let mut service = Grpc::new(channel);
        service.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        service.streaming(request, path, BareBytes).await?.into_inner().message().await
    };
    match timeout(patience, calling).await {
        Ok(Ok(Some(answer))) => End::Answered(answer),
        Ok(Ok(None)) | Err(_) => End::Untold,
        Ok(Err(status)) => End::Status(status),
    }
}

/// Sends and takes messages as they are.
#[derive(Clone, Copy)]
pub(super) struct BareBytes;

impl Codec for BareBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = BareBytes;
    type Decoder = BareBytes;

    fn encoder(&mut self) -> BareBytes {
        BareBytes
    }

    fn decoder(&mut self) -> BareBytes {
        BareBytes
    }
}

impl Encoder for BareBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for BareBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = input.remaining();
        Ok(Some(input.copy_to_bytes(length)))
    }
}
