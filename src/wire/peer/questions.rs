//! Questions between servers: the requests of the RPCs.

use super::{envelope, parts};
use crate::{
    cluster::{Body, Message, ServerId},
    wire::{Malformed, cluster as proto},
};

/// The request of one of the RPCs, made from a message.
#[derive(Clone, PartialEq, Debug)]
pub enum Question {
    /// How are you?
    Heartbeat(proto::HeartbeatRequest),
    /// Send what I lack.
    Register(proto::RegisterFollowerRequest),
    /// Take these.
    Accept(proto::AcceptUpdatesRequest),
    /// Let me lead.
    Prepare(proto::PrepareRequest),
    /// Send me these.
    Fetch(proto::FetchLogRequest),
    /// Leave the view.
    Evict(proto::EvictRequest),
    /// I lead no more.
    Resign(proto::ResignRequest),
}

impl Question {
    /// The request that carries this message; `None` when the message is an answer.
    pub fn of(message: &Message, cluster: &str) -> Option<Question> {
        let envelope = Some(envelope(message, cluster));
        let question = match &message.body {
            Body::Heartbeat(report) => Question::Heartbeat(proto::HeartbeatRequest {
                envelope,
                report: Some(parts::report_to(report)),
            }),
            Body::Register { last, boundaries, lineage } => {
                Question::Register(proto::RegisterFollowerRequest {
                    envelope,
                    last: last.map(parts::position_to),
                    boundaries: parts::boundaries_to(boundaries),
                    lineage: lineage.map(parts::hash_bytes).unwrap_or_default(),
                })
            }
            Body::Accept(updates) => Question::Accept(proto::AcceptUpdatesRequest {
                envelope,
                updates: Some(parts::updates_to(updates)),
                traces: Vec::new(),
            }),
            Body::Prepare { epoch } => Question::Prepare(proto::PrepareRequest {
                envelope,
                epoch: Some(parts::epoch_to(*epoch)),
            }),
            Body::Fetch { epoch, boundaries, after, until } => {
                Question::Fetch(proto::FetchLogRequest {
                    envelope,
                    epoch: Some(parts::epoch_to(*epoch)),
                    after: after.map(parts::position_to),
                    boundaries: parts::boundaries_to(boundaries),
                    until: *until,
                })
            }
            Body::Evict { epoch, tables } => Question::Evict(proto::EvictRequest {
                envelope,
                epoch: Some(parts::epoch_to(*epoch)),
                tables: tables.map(parts::tables_to),
            }),
            Body::Resign { epoch, left, successor } => Question::Resign(proto::ResignRequest {
                envelope,
                epoch: Some(parts::epoch_to(*epoch)),
                left: left.as_ref().map(parts::incarnation_to),
                successor: successor.map(|id| id.0),
            }),
            _ => return None,
        };
        Some(question)
    }

    /// The message that a request carries.
    pub fn parse(self) -> Result<Message, Malformed> {
        match self {
            Question::Heartbeat(r) => {
                parts::message(r.envelope, Body::Heartbeat(parts::report_of(r.report)?))
            }
            Question::Register(r) => {
                let body = Body::Register {
                    last: r.last.map(parts::position_of).transpose()?,
                    boundaries: parts::boundaries_of(r.boundaries)?,
                    lineage: parts::lineage_of(&r.lineage)?,
                };
                parts::message(r.envelope, body)
            }
            Question::Accept(r) => {
                parts::message(r.envelope, Body::Accept(parts::updates_of(r.updates)?))
            }
            Question::Prepare(r) => {
                parts::message(r.envelope, Body::Prepare { epoch: parts::epoch_of(r.epoch)? })
            }
            Question::Fetch(r) => {
                let body = Body::Fetch {
                    epoch: parts::epoch_of(r.epoch)?,
                    boundaries: parts::boundaries_of(r.boundaries)?,
                    after: r.after.map(parts::position_of).transpose()?,
                    until: r.until,
                };
                parts::message(r.envelope, body)
            }
            Question::Evict(r) => {
                let body = Body::Evict {
                    epoch: parts::epoch_of(r.epoch)?,
                    tables: r.tables.map(parts::tables_of).transpose()?,
                };
                parts::message(r.envelope, body)
            }
            Question::Resign(r) => {
                let left = r.left.map(parts::incarnation_of);
                let (epoch, successor) = (parts::epoch_of(r.epoch)?, r.successor.map(ServerId));
                let body = Body::Resign { epoch, left, successor };
                parts::message(r.envelope, body)
            }
        }
    }
}
