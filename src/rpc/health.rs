//! What health checks are answered.

use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    node::NodeHandle, wire::chat::message_service_server::SERVICE_NAME as MESSAGE_SERVICE,
};

/// What health checks call a server that is in sync in a cluster that is led.
const READY: &str = "ready";

/// The whole server is alive while it answers; the messages are served where the leader is; and whoever
/// restarts servers in turn waits for each until it is ready.
pub(super) async fn report(reporter: HealthReporter, node: NodeHandle, stop: CancellationToken) {
    let mut standing = node.watch();
    let following = async {
        loop {
            let now = *standing.borrow_and_update();
            reporter.set_service_status("", ServingStatus::Serving).await;
            reporter.set_service_status(MESSAGE_SERVICE, serving_if(now.serving)).await;
            reporter.set_service_status(READY, serving_if(now.is_ready())).await;
            if standing.changed().await.is_err() {
                return;
            }
        }
    };
    stop.run_until_cancelled(following).await;
}

fn serving_if(is_so: bool) -> ServingStatus {
    if is_so { ServingStatus::Serving } else { ServingStatus::NotServing }
}
