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

impl Administration {
    /// Lets this server lead, and waits until it does.
    pub(super) async fn let_lead(&self, successor: ServerId) -> Result<HandOverResponse, Status> {
        let configured = self.context.addresses.contains_key(&successor);
        if !configured {
            return Err(errors::field_violation("successor", "the ID of a configured server"));
        }
        let leads = |now: &Standing| match now.serving {
            true => successor == self.id,
            false => now.leader == Some(successor),
        };
        let before = self.node().standing();
        let led_before = leads(&before);
        if !led_before {
            self.ask_leader(&ForLeader::HandOver(successor)).await?;
        }
        let somebody_new =
            |now: &Standing| now.epoch > before.epoch && (now.serving || now.leader.is_some());
        let mut standing = self.node().watch();
        let decided = standing.wait_for(|now| leads(now) || somebody_new(now));
        match timeout(PATIENCE, decided).await {
            Ok(Ok(now)) if leads(&now) => {
                Ok(HandOverResponse { epoch: now.epoch.to_string(), led_before })
            }
            _ => Err(errors::another_leads(successor, self.node().standing().leader)),
        }
    }
}
