//! Another leader, by an operator's wish.

use tokio::time::timeout;
use tonic::Status;

use super::{Administration, PATIENCE};
use crate::{
    cluster::ServerId,
    node::Standing,
    rpc::{errors, operations::ForLeader},
    wire::admin::HandOverResponse,
};

/// How often the lead is handed over before an operator hears that it did not work. A successor that is busy
/// for a moment loses its turn to whoever comes next by rank.
const TRIES: u32 = 3;

impl Administration {
    /// Lets this server lead, and waits until it does.
    pub(super) async fn let_lead(&self, successor: ServerId) -> Result<HandOverResponse, Status> {
        let configured = self.context.addresses.contains_key(&successor);
        if !configured {
            return Err(errors::field_violation("successor", "the ID of a configured server"));
        }
        let before = self.node().standing();
        if self.leads(successor, &before) {
            return Ok(HandOverResponse { epoch: before.epoch.to_string(), led_before: true });
        }
        for _ in 0..TRIES {
            if let Some(now) = self.hand_over(successor).await? {
                return Ok(HandOverResponse { epoch: now.epoch.to_string(), led_before: false });
            }
        }
        Err(errors::another_leads(successor, self.node().standing().leader))
    }

    /// What this server knows once the successor leads; nothing if it does not come to that.
    async fn hand_over(&self, successor: ServerId) -> Result<Option<Standing>, Status> {
        let before = self.node().standing();
        self.ask_leader(&ForLeader::HandOver(successor)).await?;
        let somebody_new =
            |now: &Standing| now.epoch > before.epoch && (now.serving || now.leader.is_some());
        let mut standing = self.node().watch();
        let decided = standing.wait_for(|now| self.leads(successor, now) || somebody_new(now));
        let decided = timeout(PATIENCE, decided).await;
        let now = decided.ok().and_then(Result::ok).map(|now| *now);
        Ok(now.filter(|now| self.leads(successor, now)))
    }

    fn leads(&self, server: ServerId, now: &Standing) -> bool {
        match now.serving {
            true => server == self.id,
            false => now.leader == Some(server),
        }
    }
}
