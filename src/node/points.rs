//! Which failpoints stand around the sending of which message.

use crate::{cluster::Body, failpoint::Point};

/// The point before a message of this kind is sent, and the one after.
pub(super) fn of(body: &Body) -> [Point; 2] {
    match body {
        Body::Heartbeat(_) => [Point::HeartbeatBefore, Point::HeartbeatSent],
        Body::HeartbeatReply(_) => [Point::HeartbeatReplyBefore, Point::HeartbeatReplySent],
        Body::Register { .. } => [Point::RegisterBefore, Point::RegisterSent],
        Body::Welcome { .. } => [Point::WelcomeBefore, Point::WelcomeSent],
        Body::Suffix(_) => [Point::SuffixBefore, Point::SuffixSent],
        Body::Diverged { .. } => [Point::DivergedBefore, Point::DivergedSent],
        Body::RegisterRefused { .. } => [Point::RegisterRefusedBefore, Point::RegisterRefusedSent],
        Body::Accept(_) => [Point::AcceptBefore, Point::AcceptSent],
        Body::Accepted { .. } => [Point::AcceptedBefore, Point::AcceptedSent],
        Body::Rejected { .. } => [Point::RejectedBefore, Point::RejectedSent],
        Body::Prepare { .. } => [Point::PrepareBefore, Point::PrepareSent],
        Body::Promise(_) => [Point::PromiseBefore, Point::PromiseSent],
        Body::PrepareRefused { .. } => [Point::PrepareRefusedBefore, Point::PrepareRefusedSent],
        Body::Fetch { .. } => [Point::FetchBefore, Point::FetchSent],
        Body::Fetched(_) => [Point::FetchedBefore, Point::FetchedSent],
        Body::Evict { .. } => [Point::EvictBefore, Point::EvictSent],
        Body::Evicted { .. } => [Point::EvictedBefore, Point::EvictedSent],
        Body::Resign { .. } => [Point::ResignBefore, Point::ResignSent],
        Body::Snapshot { .. } => unreachable!("it is made at its receiver"),
    }
}
