//! Answers between servers: the responses of the RPCs.

use bytes::Bytes;

use super::{envelope, parts};
use crate::{
    cluster::{Body, Epoch, Hash, Message, Position, Promise},
    wire::{Malformed, cluster as proto},
};

/// The answer to a heartbeat; `None` if the message is something else.
pub fn heartbeat_response(message: &Message, cluster: &str) -> Option<proto::HeartbeatResponse> {
    let Body::HeartbeatReply(report) = &message.body else { return None };
    let report = Some(parts::report_to(report));
    Some(proto::HeartbeatResponse { envelope: Some(envelope(message, cluster)), report })
}

/// The message that a heartbeat was answered with.
pub fn message_of_heartbeat(response: proto::HeartbeatResponse) -> Result<Message, Malformed> {
    let report = parts::report_of(response.report)?;
    parts::message(response.envelope, Body::HeartbeatReply(report))
}

/// The answer to a batch; `None` if the message is something else.
pub fn accept_response(message: &Message, cluster: &str) -> Option<proto::AcceptUpdatesResponse> {
    use proto::accept_updates_response::Result as Answer;
    let result = match &message.body {
        Body::Accepted { epoch, seq, hash, digest } => Answer::Accepted(proto::Accepted {
            epoch: Some(parts::epoch_to(*epoch)),
            seq: *seq,
            hash: parts::hash_bytes(*hash),
            digest: parts::hash_bytes(*digest),
        }),
        Body::Rejected { epoch, reason, last } => Answer::Rejected(proto::Rejected {
            epoch: Some(parts::epoch_to(*epoch)),
            reason: parts::rejection_to(*reason),
            last: last.map(parts::position_to),
        }),
        _ => return None,
    };
    let envelope = Some(envelope(message, cluster));
    Some(proto::AcceptUpdatesResponse { envelope, result: Some(result) })
}

/// The message that a batch was answered with.
pub fn message_of_accept(response: proto::AcceptUpdatesResponse) -> Result<Message, Malformed> {
    use proto::accept_updates_response::Result as Answer;
    let body = match response.result.ok_or(Malformed("the result is missing"))? {
        Answer::Accepted(a) => Body::Accepted {
            epoch: parts::epoch_of(a.epoch)?,
            seq: a.seq,
            hash: parts::parse_hash(&a.hash)?,
            digest: parts::parse_hash(&a.digest)?,
        },
        Answer::Rejected(r) => Body::Rejected {
            epoch: parts::epoch_of(r.epoch)?,
            reason: parts::rejection_of(r.reason)?,
            last: r.last.map(parts::position_of).transpose()?,
        },
    };
    parts::message(response.envelope, body)
}

/// The answer to a candidate; `None` if the message is something else.
pub fn prepare_response(message: &Message, cluster: &str) -> Option<proto::PrepareResponse> {
    let envelope = Some(envelope(message, cluster));
    match &message.body {
        Body::Promise(promise) => Some(proto::PrepareResponse {
            envelope,
            epoch: Some(parts::epoch_to(promise.epoch)),
            promised: true,
            last: promise.last.map(parts::position_to),
            view: promise.view.as_ref().map(|(_, view)| parts::view_to(view)),
            view_seq: promise.view.as_ref().map_or(0, |(seq, _)| *seq),
            known_committed: promise.known_committed.map(parts::committed_to),
            promised_to: promise.promised_to.iter().map(|id| id.0).collect(),
            reason: String::new(),
            renounces: false,
            forgetful: promise.forgetful,
        }),
        Body::PrepareRefused { epoch, reason, renounces } => Some(proto::PrepareResponse {
            envelope,
            epoch: Some(parts::epoch_to(*epoch)),
            reason: (*reason).to_owned(),
            renounces: *renounces,
            ..Default::default()
        }),
        _ => None,
    }
}

/// The message that a candidate was answered with.
pub fn message_of_prepare(response: proto::PrepareResponse) -> Result<Message, Malformed> {
    let epoch = parts::epoch_of(response.epoch)?;
    let body = if response.promised {
        Body::Promise(Box::new(Promise {
            epoch,
            last: response.last.map(parts::position_of).transpose()?,
            view: parts::placed_view_of(response.view, response.view_seq)?,
            known_committed: response.known_committed.map(parts::committed_of).transpose()?,
            promised_to: parts::servers_of(response.promised_to),
            forgetful: response.forgetful,
        }))
    } else {
        let reason = "refused by the other server";
        Body::PrepareRefused { epoch, reason, renounces: response.renounces }
    };
    parts::message(response.envelope, body)
}

/// The answer to an eviction; `None` if the message is something else.
pub fn evict_response(message: &Message, cluster: &str) -> Option<proto::EvictResponse> {
    let Body::Evicted { epoch, left } = &message.body else { return None };
    Some(proto::EvictResponse {
        envelope: Some(envelope(message, cluster)),
        epoch: Some(parts::epoch_to(*epoch)),
        left: Some(parts::incarnation_to(left)),
    })
}

/// The message that an eviction was answered with.
pub fn message_of_evict(response: proto::EvictResponse) -> Result<Message, Malformed> {
    let left = response.left.ok_or(Malformed("the incarnation that left is missing"))?;
    let epoch = parts::epoch_of(response.epoch)?;
    parts::message(response.envelope, Body::Evicted { epoch, left: parts::incarnation_of(left) })
}

/// A part of what a candidate fetches; `None` if the message is something else.
pub fn fetch_response(message: &Message, cluster: &str) -> Option<proto::FetchLogResponse> {
    let Body::Fetched(updates) = &message.body else { return None };
    let updates = Some(parts::updates_to(updates));
    Some(proto::FetchLogResponse { envelope: Some(envelope(message, cluster)), updates })
}

/// The message that carries a part of what a candidate fetches.
pub fn message_of_fetch(response: proto::FetchLogResponse) -> Result<Message, Malformed> {
    let updates = parts::updates_of(response.updates)?;
    parts::message(response.envelope, Body::Fetched(updates))
}

/// A part of the answer to a Register; `None` if the message is something else. A snapshot goes by
/// [`SnapshotParts`].
pub fn register_response(
    message: &Message,
    cluster: &str,
) -> Option<proto::RegisterFollowerResponse> {
    use proto::register_follower_response::Part;
    let part = match &message.body {
        Body::Welcome { epoch } => {
            Part::Welcome(proto::Welcome { epoch: Some(parts::epoch_to(*epoch)) })
        }
        Body::Suffix(updates) => Part::Updates(parts::updates_to(updates)),
        Body::Diverged { epoch, common } => Part::Diverged(proto::Diverged {
            epoch: Some(parts::epoch_to(*epoch)),
            common_seq: *common,
        }),
        Body::RegisterRefused { reason } => Part::Refused(proto::Refused {
            promised: Some(parts::epoch_to(message.promised)),
            reason: (*reason).to_owned(),
        }),
        _ => return None,
    };
    let envelope = Some(envelope(message, cluster));
    Some(proto::RegisterFollowerResponse { envelope, part: Some(part) })
}

/// Makes the parts of a snapshot's stream.
#[derive(Clone, Debug)]
pub struct SnapshotParts {
    /// Says who speaks to whom.
    pub envelope: proto::Envelope,
}

impl SnapshotParts {
    /// The first part.
    pub fn header(
        &self,
        epoch: Epoch,
        position: Position,
        size: u64,
        checksum: Hash,
    ) -> proto::RegisterFollowerResponse {
        let header = proto::SnapshotHeader {
            epoch: Some(parts::epoch_to(epoch)),
            position: Some(parts::position_to(position)),
            size,
            checksum: parts::hash_bytes(checksum),
        };
        self.part(proto::register_follower_response::Part::Snapshot(header))
    }

    /// The next chunk.
    pub fn chunk(&self, offset: u64, data: Bytes) -> proto::RegisterFollowerResponse {
        let chunk = proto::SnapshotChunk { offset, data };
        self.part(proto::register_follower_response::Part::Chunk(chunk))
    }

    fn part(
        &self,
        part: proto::register_follower_response::Part,
    ) -> proto::RegisterFollowerResponse {
        let envelope = Some(self.envelope.clone());
        proto::RegisterFollowerResponse { envelope, part: Some(part) }
    }
}

/// A parsed part of the answer to a Register.
#[derive(Clone, PartialEq, Debug)]
pub enum RegisterPart {
    /// A message for the core.
    Message(Message),
    /// A snapshot begins; the message is for the core once the snapshot is complete.
    Header {
        /// What to tell the core in the end.
        complete: Message,
        /// The snapshot's size in bytes.
        size: u64,
        /// The SHA-256 of the whole.
        checksum: Hash,
    },
    /// The next chunk of the snapshot.
    Chunk {
        /// Where it belongs.
        offset: u64,
        /// What it holds.
        data: Bytes,
    },
}

/// Parses a part of the answer to a Register.
pub fn message_of_register(
    response: proto::RegisterFollowerResponse,
) -> Result<RegisterPart, Malformed> {
    use proto::register_follower_response::Part;
    let body = match response.part.ok_or(Malformed("the part is missing"))? {
        Part::Welcome(w) => Body::Welcome { epoch: parts::epoch_of(w.epoch)? },
        Part::Updates(u) => Body::Suffix(parts::updates_of(Some(u))?),
        Part::Diverged(d) => {
            Body::Diverged { epoch: parts::epoch_of(d.epoch)?, common: d.common_seq }
        }
        Part::Refused(_) => Body::RegisterRefused { reason: "refused by the other server" },
        Part::Snapshot(header) => {
            let position = header.position.ok_or(Malformed("the position is missing"))?;
            let body = Body::Snapshot {
                epoch: parts::epoch_of(header.epoch)?,
                position: parts::position_of(position)?,
            };
            return Ok(RegisterPart::Header {
                complete: parts::message(response.envelope, body)?,
                size: header.size,
                checksum: parts::parse_hash(&header.checksum)?,
            });
        }
        Part::Chunk(chunk) => {
            return Ok(RegisterPart::Chunk { offset: chunk.offset, data: chunk.data });
        }
    };
    Ok(RegisterPart::Message(parts::message(response.envelope, body)?))
}
